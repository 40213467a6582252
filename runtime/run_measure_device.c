/* The rates of a device's products and of its memory. */
#include "base_time.h"
#include "run_measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MIN = 256, SIDE_MAX = 8192, BLOCK = 1 << 16, ROUNDS = 3, CALLS_MAX = 1000 };

static const double LONG_S = 5e-3;

typedef struct measurement {
    const run_measure_device *on;
    int64_t m, n, k;
    size_t nbytes[3];
    void *memory[3];
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

static base_status fill(const run_measure_device *on, void *memory, size_t nbytes)
{
    const size_t element = on->ops->element_bytes(on->context), part = (size_t)BLOCK * element;
    unsigned char *block = malloc(part);
    base_status status = block ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a measurement");
    if (block)
        fill_block(block, element);
    for (size_t at = 0; status == BASE_OK && at < nbytes; at += part)
        status = on->table->copy(on->device, on->stream, (char *)memory + at, block,
                                 nbytes - at < part ? nbytes - at : part);
    free(block);
    return status;
}

static base_status take_memory(measurement *self, int count)
{
    const run_measure_device *on = self->on;
    for (int i = 0; i < count; i++)
        BASE_TRY(on->table->memory_alloc(on->device, self->nbytes[i], &self->memory[i]));
    for (int i = 0; i < count; i++)
        BASE_TRY(fill(on, self->memory[i], self->nbytes[i]));
    return BASE_OK;
}

static void give_memory_back(measurement *self)
{
    for (int i = 0; i < 3; i++)
        self->on->table->memory_free(self->on->device, &self->memory[i]);
}

typedef base_status work(const measurement *self);

static base_status multiply(const measurement *self)
{
    return self->on->ops->gemm(self->on->context, 0, 0, self->m, self->n, self->k, self->memory[0], self->k,
                               self->memory[1], self->n, 0, self->memory[2], self->n);
}

static base_status copy(const measurement *self)
{
    return self->on->table->copy(self->on->device, self->on->stream, self->memory[1], self->memory[0], self->nbytes[0]);
}

/* Seconds of a call, of `calls` given one after another. */
static base_status time_calls(const measurement *self, work *call, int calls, double *seconds)
{
    const double start = base_time_now();
    for (int i = 0; i < calls; i++)
        BASE_TRY(call(self));
    BASE_TRY(self->on->table->stream_wait(self->on->device, self->on->stream));
    *seconds = (base_time_now() - start) / calls;
    return BASE_OK;
}

/* The best of some rounds that take LONG_S each, or of one call that takes longer, so that neither the clock nor the
 * wait counts. */
static base_status time_best(const measurement *self, work *call, double *best)
{
    double seconds = 0.0;
    BASE_TRY(time_calls(self, call, 1, &seconds));
    BASE_TRY(time_calls(self, call, 1, best));
    if (*best > LONG_S)
        return BASE_OK;
    const int calls = *best * CALLS_MAX < LONG_S ? CALLS_MAX : 1 + (int)(LONG_S / *best);
    for (int i = 0; i < ROUNDS; i++) {
        BASE_TRY(time_calls(self, call, calls, &seconds));
        *best = seconds < *best ? seconds : *best;
    }
    return BASE_OK;
}

static base_status time_product(const run_measure_device *on, int64_t m, int64_t n, int64_t k, double *seconds)
{
    const size_t element = on->ops->element_bytes(on->context);
    measurement self = {.on = on,
                        .m = m,
                        .n = n,
                        .k = k,
                        .nbytes = {(size_t)(m * k) * element, (size_t)(k * n) * element, (size_t)(m * n) * element}};
    base_status status = take_memory(&self, 3);
    if (status == BASE_OK)
        status = time_best(&self, multiply, seconds);
    give_memory_back(&self);
    return status;
}

base_status run_measure_device_gemm(const run_measure_device *on, int64_t m, int64_t n, int64_t k, double *gflops)
{
    double seconds = 0.0;
    BASE_TRY(time_product(on, m, n, k, &seconds));
    *gflops = 2e-9 * (double)m * (double)n * (double)k / seconds;
    return BASE_OK;
}

base_status run_measure_device_peak(const run_measure_device *on, double *gflops)
{
    double seconds = 0.0, best = 0.0;
    base_status status = BASE_OK;
    for (int64_t n = SIDE_MIN; status == BASE_OK && n <= SIDE_MAX && seconds < LONG_S; n *= 2) {
        status = time_product(on, n, n, n, &seconds);
        const double rate = 2e-9 * (double)n * (double)n * (double)n / seconds;
        if (status == BASE_OK && rate > best)
            best = rate;
    }
    *gflops = best;
    return best > 0.0 ? BASE_OK : status;
}

base_status run_measure_device_memory(const run_measure_device *on, size_t nbytes, double *gbytes_per_second)
{
    measurement self = {.on = on, .nbytes = {nbytes, nbytes}};
    double seconds = 0.0;
    base_status status = take_memory(&self, 2);
    if (status == BASE_OK)
        status = time_best(&self, copy, &seconds);
    give_memory_back(&self);
    BASE_TRY(status);
    *gbytes_per_second = 2e-9 * (double)nbytes / seconds;
    return BASE_OK;
}
