#include "bench_host.h"

base_status bench_host_open(bench_host *self, int threads, const char *gemm, ops_precision precision)
{
    *self = (bench_host){.ops = ops_host()};
    BASE_TRY(base_pool_create(&self->pool, threads));
    BASE_TRY(base_device_host.open(&self->device, 0));
    BASE_TRY(base_device_host.stream_create(self->device, &self->stream));
    ops_options options = {
        .pool = self->pool, .device = self->device, .stream = self->stream, .precision = precision, .gemm = gemm};
    return self->ops->open(&options, &self->context);
}

void bench_host_close(bench_host *self)
{
    if (self->context)
        self->ops->close(&self->context);
    if (self->device) {
        base_device_host.stream_destroy(self->device, &self->stream);
        base_device_host.close(&self->device);
    }
    base_pool_destroy(&self->pool);
}
