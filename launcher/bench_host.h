/* bench_host.h: a host to compute on, without a model: what `bench` and `doctor` measure on. */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

#include "base_device.h"
#include "base_pool.h"
#include "ops.h"

typedef struct bench_host {
    base_pool *pool;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
} bench_host;

/* `gemm` and `precision` as in ops_options. Local. On failure `self` may be closed. */
base_status bench_host_open(bench_host *self, int threads, const char *gemm, ops_precision precision);
void bench_host_close(bench_host *self);

#endif
