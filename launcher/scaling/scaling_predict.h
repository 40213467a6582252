/* scaling_predict.h: what a step would take with more workers than were measured, and how many are worth it. Local.
 *
 * A step is the sum of three series, each of which goes on by its own trends (scaling_trend.h), from the observations
 * of the trials:
 *
 *     own work    a + b/n, or b/n; less likely with a term that grows like log n or n.
 *                 Weak scaling: a constant, or with a term in 1/n, log n or n.
 *     imbalance   from a constant to log n, or with the work that is divided among n; 0 at n = 1.
 *     exposed     all-reduce, 0 at n = 1. Where alpha and beta are known:
 *                 max(0, alpha log2 n + beta m 2 (n-1)/n - overlap backward(n)), with an overlap
 *                 anywhere from 0 to 1, as it is, with a factor, or with a constant besides.
 *                 Else a constant, (n-1)/n, log n, n, sums of them, and an all-reduce of unknown
 *                 length behind the backward pass.
 *
 * Where the phases are not known the step is one series, with the trends of own work.
 *
 * Expected values are medians of the draws, intervals hold 95 % of them, for the median of as many trials as a measured
 * point has. No trend is exact: beyond the largest n, a relative error is added that grows with log(n / largest).
 */
#ifndef SCALING_PREDICT_H
#define SCALING_PREDICT_H

#include "scaling_laws.h"

/* Fills the prediction, its law, and worth (scaling_worth.h) of `analysis`, where the points, the laws and
 * target_efficiency are there; `outcome` is that of the law of the mode. `workers` (count): asked for. */
base_status scaling_predict(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                            scaling_outcome outcome, const int *workers, int count, uint64_t seed,
                            scaling_analysis *analysis);

#endif
