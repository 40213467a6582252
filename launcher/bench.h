/* bench.h: the benchmarks of `ddpt bench`, one file each. argv[0] is the benchmark's name; rank 0 prints. */
#ifndef BENCH_H
#define BENCH_H

#include "command.h"

base_status bench_gemm(int argc, char **argv);
base_status bench_memory(int argc, char **argv);
base_status bench_allreduce(int argc, char **argv);
base_status bench_step(int argc, char **argv);

/* Collective. A benchmark of one process: rank 0 alone runs it, on `threads` threads or, where that is 0, on those that
 * a training would have. */
base_status bench_alone(long long threads, base_status (*run)(const void *options, int threads), const void *options);

/* The median of `count` > 0 numbers, of an even count the mean of the two in the middle; they are left in ascending
 * order. */
double bench_median(double *values, int count);

#endif
