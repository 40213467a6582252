/* scaling_laws.h: the laws of scaling.h, fitted to observations. All are linear in their coefficients, so that they are
 * found by least squares (scaling_fit.h) and their figures, which are ratios of coefficients, get Fieller's intervals.
 * Local.
 *
 *     Amdahl      T(n) = a + b/n                1-p = a / (a+b)
 *     Gustafson   n / T(n) = c + d n            s = c / (c+d)
 *     USL         T(n) = c1/n + c0 + c2 n       contention = (c0+c2) / T1, coherency = c2 / T1, T1 = c0+c1+c2,
 *                                               peak = sqrt((1 - contention) / coherency) = sqrt(c1 / c2), 1 at least
 */
#ifndef SCALING_LAWS_H
#define SCALING_LAWS_H

#include "scaling_observe.h"

/* What came of a fit; the law is ok where it describes the data. */
typedef enum scaling_outcome {
    SCALING_DESCRIBED,
    SCALING_SLOWER,  /* the data are good, but with more workers it gets slower, which the law does not allow */
    SCALING_OUTSIDE, /* the same: it is more than linear, or nowhere near the law */
    SCALING_UNKNOWN  /* the data do not tell */
} scaling_outcome;

/* All use the scratch of `seen`. Amdahl's law is for strong, Gustafson's for weak scaling; refused for the other. */
scaling_outcome scaling_amdahl_fit(scaling_observations *seen, scaling_amdahl *amdahl);
scaling_outcome scaling_gustafson_fit(scaling_observations *seen, scaling_gustafson *gustafson);
scaling_outcome scaling_usl_fit(scaling_observations *seen, scaling_usl *usl);

/* T(n) = a + b/n or, weak, n/T(n) = c + d n: T(1) as fitted, NaN where there is no fit. The design and its scales are
 * left in the scratch of `seen` and in `data`. */
double scaling_line_fit(scaling_observations *seen, scaling_data *data, scaling_fit *fit);

/* T(1) of that line with its interval; NaN where there is no fit. Uses the scratch. */
scaling_value scaling_line_start(scaling_observations *seen);

/* One all-reduce of `nbytes` at `workers` > 1. */
typedef struct scaling_reduction {
    int workers;
    int64_t nbytes;
    double seconds;
} scaling_reduction;

/* The all-reduces of the trials that count, ascending by workers and bytes; those of one worker tell nothing and are
 * left out. */
base_status scaling_reductions_find(base_arena *arena, const scaling_trials *trials, const scaling_point *points,
                                    int point_count, scaling_reduction **reductions, int *count);

/* An alpha or a beta that comes out negative is 0, and the other is fitted alone. */
base_status scaling_alpha_beta_fit(base_arena *arena, const scaling_observations *seen,
                                   const scaling_reduction *reductions, int count, scaling_alpha_beta *alpha_beta);

#endif
