/* bench_collective.h: how long the collectives of a training step take on vectors of floats. */
#ifndef BENCH_COLLECTIVE_H
#define BENCH_COLLECTIVE_H

#include "base_arena.h"
#include "comm.h"

/* train.sync: an all-reduce, or a reduce-scatter and an all-gather of the parameters. */
typedef enum bench_form { BENCH_ALLREDUCE, BENCH_SHARDED, BENCH_FORM_COUNT } bench_form;

/* Seconds of the slowest rank. */
typedef struct bench_timing {
    int iterations;
    double min, median;
} bench_timing;

typedef struct bench_collective {
    base_arena *arena;
    comm_group *group;
    comm_device device;
    comm_slab *gradients, *params;
    double *times;
    float *values; /* (count_max), in host memory */
} bench_collective;

/* Collective. A group of its own over `device` (all zero: the host), with room for vectors of up to `count_max` floats.
 * On failure `self` may be closed, unless a rank was lost. */
base_status bench_collective_open(comm_world *world, comm_kind kind, const comm_device *device, size_t count_max,
                                  bench_collective *self);
void bench_collective_close(bench_collective *self); /* Collective */

/* Collective. BASE_ERROR where an all-reduce of `count` floats gives wrong sums: a benchmark of those is worth nothing.
 * Leaves zeros, which stay zeros however often they are summed. */
base_status bench_collective_check(bench_collective *self, size_t count);

/* Collective. For about `seconds`, at least five times, each after a barrier. The same on all ranks. */
base_status bench_collective_measure(bench_collective *self, bench_form form, size_t count, double seconds,
                                     bench_timing *timing);

#endif
