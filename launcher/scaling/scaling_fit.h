/* scaling_fit.h: weighted linear least squares with up to SCALING_TERMS_MAX coefficients, for observations whose noise
 * is relative: y_i = sum over k of c_k x_ik, give or take a share of that which is alike for all i. Local.
 */
#ifndef SCALING_FIT_H
#define SCALING_FIT_H

#include "scaling.h"

enum { SCALING_TERMS_MAX = 3 };

typedef struct scaling_data {
    int count, terms;
    const double *x;      /* (count, terms) */
    const double *y;      /* (count) > 0 */
    const int *group;     /* (count) equal: repeats with the same x; repeats are neighbours */
    const double *spread; /* (count) relative standard error that each observation has by itself, NaN where it is not
                             known; NULL: none is */
    double spread_df;     /* degrees of freedom of the spreads */
} scaling_data;

typedef struct scaling_fit {
    int terms;
    double c[SCALING_TERMS_MAX];
    double inverse[SCALING_TERMS_MAX][SCALING_TERMS_MAX]; /* of X' W X, W = 1 / scale^2 */
    double variance;                                      /* relative, of one observation */
    double df; /* its degrees of freedom; 0: the data do not tell the variance */
    int lack;  /* it is that of a lack of fit */
} scaling_fit;

/* Solve for c with y_i / scale_i of equal variance; fills c and inverse. Returns 0 where x does not tell the terms
 * apart. */
int scaling_fit_solve(const scaling_data *data, const double *scale, scaling_fit *fit);

/* The same with scales that are the fitted values, by iteration from scale = y; `scale` (count) is left with those of
 * the last solution. Returns 0 as above.
 *
 * The variance is that of the residuals. Where repeats tell lack of fit from noise and it is clearly larger (F test, 5
 * %) it is that of the lack of fit, with its degrees of freedom. Where there are as many terms as observations it is
 * the mean of the spreads, and it is nowhere so small that intervals would be narrower than the spreads allow, or than
 * clocks and rounding (a relative error of 1e-9). */
int scaling_fit_relative(const scaling_data *data, double *scale, scaling_fit *fit);

/* sum over k of weights_k c_k with its 95 % interval by Student's t. */
scaling_value scaling_fit_sum(const scaling_fit *fit, const double *weights);

/* Ratio of two such sums with its 95 % interval by Fieller's theorem (Fieller 1954, J. R. Stat. Soc. B 16, 175).
 * Returns 0 where the sum below is not clearly different from 0, so that no interval is finite. */
int scaling_fit_ratio(const scaling_fit *fit, const double *above, const double *below, scaling_value *ratio);

#endif
