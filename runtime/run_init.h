/* run_init.h: initial parameters as a function of the seed, whatever the number of ranks. */
#ifndef RUN_INIT_H
#define RUN_INIT_H

#include "run_plan.h"

/* Fill elements begin .. end - 1 of the parameter layout (`slab` is its first element). Weights are uniform in
 * [-a, a]: He et al. 2015 a = sqrt(6 / fan_in), Glorot and Bengio 2010 a = sqrt(6 / (fan_in + fan_out)); gamma is 1;
 * the rest, padding included, 0. Param p draws from stream BASE_STREAM_INIT, step p. */
void run_init_fill(const run_graph *graph, const run_plan *plan, uint64_t seed, size_t begin, size_t end, float *slab);

#endif
