/* bench.h: the benchmarks of `ddpt bench`, one file each. argv[0] is the benchmark's name; rank 0 prints. */
#ifndef BENCH_H
#define BENCH_H

#include "command.h"

base_status bench_gemm(int argc, char **argv);
base_status bench_memory(int argc, char **argv);
base_status bench_allreduce(int argc, char **argv);
base_status bench_step(int argc, char **argv);

/* The median of `count` > 0 numbers, of an even count the mean of the two in the middle; they are left in ascending
 * order. */
double bench_median(double *values, int count);

#endif
