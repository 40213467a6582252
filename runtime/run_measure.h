/* run_measure.h: what this machine can do, measured: the yardsticks of bench, doctor and the run record. */
#ifndef RUN_MEASURE_H
#define RUN_MEASURE_H

#include "base_device.h"
#include "base_pool.h"
#include "ops.h"

/* Best rate of c (M, N) = a (M, K) b (K, N) in GFLOP/s over about `seconds`, on the context's pool. Allocates. */
base_status run_measure_gemm(const ops_table *ops, ops_context *context, int64_t m, int64_t n, int64_t k,
                             double seconds, double *gflops);

/* Best rate of a[i] = b[i] + s c[i] (McCalpin's STREAM triad, 12 bytes an element) in GB/s over arrays of 64 MiB. */
base_status run_measure_memory(base_pool *pool, double seconds, double *gbytes_per_second);

/* The same of 1024^3, in which two are done at least: the peak against which MFU is given. */
base_status run_measure_peak(const ops_table *ops, ops_context *context, double seconds, double *gflops);

/* A device that computes behind the host, with a context on its stream. */
typedef struct run_measure_device {
    const base_device_table *table;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
} run_measure_device;

/* Its rate of products in the context's precision, one call after another for some milliseconds; GFLOP/s. Allocates. */
base_status run_measure_device_gemm(const run_measure_device *on, int64_t m, int64_t n, int64_t k, double *gflops);

/* Its peak: the best rate of square products of growing size until one takes some milliseconds or 8192 is reached. */
base_status run_measure_device_peak(const run_measure_device *on, double *gflops);

/* Best rate of copying `nbytes` within its memory, of the bytes read and the bytes written together; GB/s. Allocates
 * twice as much. */
base_status run_measure_device_memory(const run_measure_device *on, size_t nbytes, double *gbytes_per_second);

#endif
