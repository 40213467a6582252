/* ops_host_dropout.c: dropout whose mask is a function of (seed; stream, step, sample, element), so that it is the same
 * whatever rank has the sample. Most of its time goes into Philox, which is computed for many counters side by side. */
#include "ops_host_kernels.h"
#include "ops_host_math.h"
#include "ops_host_philox.h"

#include <math.h>

/* Elements of a sample that are worked on at a time, a multiple of the Philox lanes; elements a task (about 30 us). */
enum { PIECE = 1024, GRAIN = 1 << 15 };

typedef struct dropout_work {
    int64_t batch, n, pieces; /* pieces a sample */
    base_random random;
    int64_t first_sample;
    uint32_t threshold;
    float scale;
    const float *x;
    float *y;
    uint8_t *mask;
    int accumulate;
} dropout_work;

/* Sample and elements of piece `piece`; returns their number. */
static int64_t piece_range(const dropout_work *work, int64_t piece, int64_t *sample, int64_t *element)
{
    *sample = piece / work->pieces;
    *element = piece % work->pieces * PIECE;
    return work->n - *element < PIECE ? work->n - *element : PIECE;
}

/* Selection by an and with all ones or none: not a branch, and a NaN or Inf that is dropped becomes 0. */
static inline float keep_if(uint32_t kept, float x)
{
    return ops_math_float(ops_math_bits(x) & (0u - kept));
}

static void forward_piece(int64_t n, const uint32_t *restrict words, uint32_t threshold, float scale, const float *x,
                          float *y, uint8_t *restrict mask)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        uint32_t kept = words[i] >= threshold;
        y[i] = keep_if(kept, x[i] * scale);
        mask[i] = (uint8_t)kept;
    }
}

static void forward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const dropout_work *work = context;
    int64_t begin, end;
    base_pool_range(work->batch * work->pieces, 1, task, ntasks, &begin, &end);
    for (int64_t piece = begin; piece < end; piece++) {
        uint32_t words[PIECE];
        int64_t sample, element, n = piece_range(work, piece, &sample, &element), at = sample * work->n + element;
        philox_blocks(&work->random, (uint32_t)(work->first_sample + sample), (uint32_t)(element / 4), (n + 3) / 4,
                      words);
        forward_piece(n, words, work->threshold, work->scale, work->x + at, work->y + at, work->mask + at);
    }
}

base_status OPS_HOST(dropout_forward)(ops_context *self, int64_t batch, int64_t n, float rate, uint64_t seed,
                                      uint32_t random_stream, const void *x, void *y, uint8_t *mask)
{
    dropout_work work = {.batch = batch,
                         .n = n,
                         .pieces = (n + PIECE - 1) / PIECE,
                         .random = base_random_stream(seed, random_stream, self->step.step),
                         .first_sample = self->step.first_sample,
                         .threshold = (uint32_t)ceil((double)rate * 0x1p32),
                         .scale = 1.0f / (1.0f - rate),
                         .x = x,
                         .y = y,
                         .mask = mask};
    ops_host_run(self, ops_host_parts(batch * n, GRAIN), forward_task, &work);
    return BASE_OK;
}

static void backward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const dropout_work *work = context;
    const uint8_t *mask = work->mask;
    const float *dy = work->x;
    float *dx = work->y, scale = work->scale;
    int64_t begin, end;
    base_pool_range(work->batch * work->n, 64, task, ntasks, &begin, &end);
    if (work->accumulate) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++)
            dx[i] += keep_if(mask[i], dy[i] * scale);
    } else {
#pragma omp simd
        for (int64_t i = begin; i < end; i++)
            dx[i] = keep_if(mask[i], dy[i] * scale);
    }
}

base_status OPS_HOST(dropout_backward)(ops_context *self, int64_t batch, int64_t n, float rate, const uint8_t *mask,
                                       const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    dropout_work work = {.batch = batch,
                         .n = n,
                         .scale = 1.0f / (1.0f - rate),
                         .x = dy,
                         .y = dx,
                         .mask = (uint8_t *)mask,
                         .accumulate = accumulate};
    ops_host_run(self, ops_host_parts(batch * n, 4 * GRAIN), backward_task, &work);
    return BASE_OK;
}
