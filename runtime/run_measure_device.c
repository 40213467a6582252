/* The rate of a device's products. */
#include "base_time.h"
#include "run_measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MIN = 256, SIDE_MAX = 8192, BLOCK = 1 << 16, CALLS = 8 };

static const double LONG_S = 5e-3;

typedef struct measurement {
    const base_device_table *table;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
    size_t element; /* bytes */
    void *matrices[3];
} measurement;

/* Small numbers that bfloat16 holds as well: what is all zero costs a device less power, and runs faster, than what is
 * not. */
static void fill_block(unsigned char *block, size_t element)
{
    for (int i = 0; i < BLOCK; i++) {
        float value = (float)(i % 13) * 0.125f - 0.5f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t upper = (uint16_t)(bits >> 16);
        if (element == sizeof bits)
            memcpy(block + (size_t)i * element, &bits, sizeof bits);
        else
            memcpy(block + (size_t)i * element, &upper, sizeof upper);
    }
}

static base_status fill(measurement *self, void *matrix, size_t nbytes)
{
    size_t part = (size_t)BLOCK * self->element;
    unsigned char *block = malloc(part);
    base_status status = block ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a measurement");
    if (block)
        fill_block(block, self->element);
    for (size_t at = 0; status == BASE_OK && at < nbytes; at += part)
        status = self->table->copy(self->device, self->stream, (char *)matrix + at, block,
                                   nbytes - at < part ? nbytes - at : part);
    free(block);
    return status;
}

static base_status multiply(measurement *self, int64_t n, int calls)
{
    for (int i = 0; i < calls; i++)
        BASE_TRY(self->ops->gemm(self->context, 0, 0, n, n, n, self->matrices[0], n, self->matrices[1], n, 0,
                                 self->matrices[2], n));
    return self->table->stream_wait(self->device, self->stream);
}

static base_status time_side(measurement *self, int64_t n, double *seconds)
{
    size_t nbytes = (size_t)(n * n) * self->element;
    for (int i = 0; i < 3; i++)
        BASE_TRY(self->table->memory_alloc(self->device, nbytes, &self->matrices[i]));
    for (int i = 0; i < 2; i++)
        BASE_TRY(fill(self, self->matrices[i], nbytes));
    BASE_TRY(multiply(self, n, 1));
    double start = base_time_now();
    BASE_TRY(multiply(self, n, 1));
    *seconds = base_time_now() - start;
    if (*seconds > LONG_S)
        return BASE_OK;
    start = base_time_now();
    BASE_TRY(multiply(self, n, CALLS));
    *seconds = (base_time_now() - start) / CALLS;
    return BASE_OK;
}

base_status run_measure_device_peak(const base_device_table *table, base_device *device, base_stream *stream,
                                    const ops_table *ops, ops_context *context, double *gflops)
{
    measurement self = {.table = table,
                        .device = device,
                        .stream = stream,
                        .ops = ops,
                        .context = context,
                        .element = ops->element_bytes(context)};
    double seconds = 0.0, best = 0.0;
    base_status status = BASE_OK;
    for (int64_t n = SIDE_MIN; status == BASE_OK && n <= SIDE_MAX && seconds < LONG_S; n *= 2) {
        status = time_side(&self, n, &seconds);
        for (int i = 0; i < 3; i++)
            table->memory_free(device, &self.matrices[i]);
        double rate = 2e-9 * (double)n * (double)n * (double)n / seconds;
        if (status == BASE_OK && rate > best)
            best = rate;
    }
    *gflops = best;
    return best > 0.0 ? BASE_OK : status;
}
