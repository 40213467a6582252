/* scaling_reduce.h: the trends that the exposed all-reduce may follow. Local. */
#ifndef SCALING_REDUCE_H
#define SCALING_REDUCE_H

#include "scaling_laws.h"
#include "scaling_trend.h"

/* The list, in the arena. With alpha, beta and the gradient's bytes: max(0, all-reduce - overlap * backward), for draws
 * of alpha and beta within their errors and overlaps from 0 to 1; without: shapes, also with a part that is hidden
 * behind a backward pass of the measured length. `series` is the exposed time of the observations at n > 1. Uses the
 * scratch of `seen`. */
base_status scaling_reduce_trends(base_arena *arena, scaling_observations *seen, const scaling_series *series,
                                  int64_t gradient_bytes, const scaling_alpha_beta *alpha_beta, scaling_random *random,
                                  const scaling_trend **trends, int *count);

#endif
