/* ops_host_elementwise.c: slots that map each element by itself. `omp simd` stands where in-place use is allowed: it
 * replaces the compiler's overlap check, which would send y == x to a scalar loop. */
#include "ops_host_kernels.h"
#include "ops_host_math.h"

#include <string.h>

/* Elements a task: about 30 us of memory traffic, and of arithmetic for the activations with an exponential. */
enum { GRAIN_MEMORY = 1 << 17, GRAIN_MATH = 1 << 15, TILE = 1024 };

/* Cuts of tasks are kept at cache lines, so that no two threads write to one. */
enum { LINE = 16 };

static inline __attribute__((always_inline)) void forward_loop(ops_activation a, int64_t count, const float *x,
                                                               float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = ops_math_activate(a, x[i]);
}

void OPS_HOST(activate)(ops_activation activation, int64_t count, const float *x, float *y)
{
    switch (activation) {
    case OPS_RELU: forward_loop(OPS_RELU, count, x, y); break;
    case OPS_GELU: forward_loop(OPS_GELU, count, x, y); break;
    case OPS_TANH: forward_loop(OPS_TANH, count, x, y); break;
    case OPS_SIGMOID: forward_loop(OPS_SIGMOID, count, x, y); break;
    default:
        if (y != x)
            memcpy(y, x, (size_t)count * sizeof *y);
    }
}

/* Reads only the one of x and y that f' needs: the other may be NULL. */
static inline __attribute__((always_inline)) void backward_loop(ops_activation a, int64_t count, const float *kept,
                                                                const float *dy, float *dx, int accumulate)
{
    if (accumulate) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            dx[i] += ops_math_gradient(a, kept[i], kept[i], dy[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            dx[i] = ops_math_gradient(a, kept[i], kept[i], dy[i]);
    }
}

void OPS_HOST(activate_gradient)(ops_activation activation, int64_t count, const float *x, const float *y,
                                 const float *dy, float *dx, int accumulate)
{
    switch (activation) {
    case OPS_RELU: backward_loop(OPS_RELU, count, y, dy, dx, accumulate); break;
    case OPS_GELU: backward_loop(OPS_GELU, count, x, dy, dx, accumulate); break;
    case OPS_TANH: backward_loop(OPS_TANH, count, y, dy, dx, accumulate); break;
    case OPS_SIGMOID: backward_loop(OPS_SIGMOID, count, y, dy, dx, accumulate); break;
    default:
        if (accumulate || dx != dy)
            backward_loop(OPS_IDENTITY, count, dy, dy, dx, accumulate);
    }
}

typedef struct activation_work {
    ops_activation activation;
    int64_t count;
    const float *x, *y, *dy;
    float *out; /* y of the forward pass, dx of the backward pass */
    int accumulate;
} activation_work;

static void forward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const activation_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    OPS_HOST(activate)(work->activation, end - begin, work->x + begin, work->out + begin);
}

static void backward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const activation_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    OPS_HOST(activate_gradient)
    (work->activation, end - begin, work->x ? work->x + begin : NULL, work->y ? work->y + begin : NULL,
     work->dy + begin, work->out + begin, work->accumulate);
}

static int64_t activation_parts(ops_activation activation, int64_t count)
{
    return ops_host_parts(count, activation == OPS_RELU || activation == OPS_IDENTITY ? GRAIN_MEMORY : GRAIN_MATH);
}

base_status OPS_HOST(activation_forward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                         void *y)
{
    activation_work work = {.activation = activation, .count = count, .x = x, .out = y};
    ops_host_run(self, activation_parts(activation, count), forward_task, &work);
    return BASE_OK;
}

base_status OPS_HOST(activation_backward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                          const void *y, const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    activation_work work = {
        .activation = activation, .count = count, .x = x, .y = y, .dy = dy, .out = dx, .accumulate = accumulate};
    ops_host_run(self, activation_parts(activation, count), backward_task, &work);
    return BASE_OK;
}

typedef struct sum_work {
    int inputs;
    int64_t count;
    const void *const *x;
    float *y;
} sum_work;

static void copy_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const activation_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    const float *from = work->x;
    float *to = work->out;
    if (!work->accumulate) {
        memcpy(to + begin, from + begin, (size_t)(end - begin) * sizeof *to);
        return;
    }
#pragma omp simd
    for (int64_t i = begin; i < end; i++)
        to[i] += from[i];
}

base_status OPS_HOST(copy)(ops_context *self, int64_t count, const void *from, void *to, int accumulate)
{
    activation_work work = {.count = count, .x = from, .out = to, .accumulate = accumulate};
    ops_host_run(self, ops_host_parts(count, GRAIN_MEMORY), copy_task, &work);
    return BASE_OK;
}

/* A tile's sum is kept aside until all inputs are read: one pass over memory, and y may be any x[i]. */
static void add_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const sum_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    for (int64_t at = begin; at < end; at += TILE) {
        int64_t n = end - at < TILE ? end - at : TILE;
        float sum[TILE];
        memcpy(sum, (const float *)work->x[0] + at, (size_t)n * sizeof *sum);
        for (int i = 1; i < work->inputs; i++) {
            const float *x = (const float *)work->x[i] + at;
            for (int64_t j = 0; j < n; j++)
                sum[j] += x[j];
        }
        memcpy(work->y + at, sum, (size_t)n * sizeof *sum);
    }
}

base_status OPS_HOST(add)(ops_context *self, int inputs, int64_t count, const void *const *x, void *y)
{
    sum_work work = {.inputs = inputs, .count = count, .x = x, .y = y};
    ops_host_run(self, ops_host_parts(count, GRAIN_MEMORY), add_task, &work);
    return BASE_OK;
}

/* Rows of one tensor to or from a column range of a wider one. */
typedef struct column_work {
    int64_t rows, c;
    const float *from;
    int64_t from_stride;
    float *to;
    int64_t to_stride;
    int accumulate;
} column_work;

static void column_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const column_work *work = context;
    int64_t begin, end;
    base_pool_range(work->rows, 1, task, ntasks, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        const float *from = work->from + r * work->from_stride;
        float *to = work->to + r * work->to_stride;
        if (!work->accumulate) {
            memcpy(to, from, (size_t)work->c * sizeof *to);
            continue;
        }
#pragma omp simd
        for (int64_t j = 0; j < work->c; j++)
            to[j] += from[j];
    }
}

base_status OPS_HOST(concat)(ops_context *self, int inputs, int64_t rows, const int64_t *c, const void *const *x,
                             void *y)
{
    float *to = y;
    int64_t total = 0;
    for (int i = 0; i < inputs; i++)
        total += c[i];
    for (int i = 0; i < inputs; i++) {
        column_work work = {.rows = rows, .c = c[i], .from = x[i], .from_stride = c[i], .to = to, .to_stride = total};
        ops_host_run(self, ops_host_parts(rows * c[i], GRAIN_MEMORY), column_task, &work);
        to += c[i];
    }
    return BASE_OK;
}

base_status OPS_HOST(concat_backward)(ops_context *self, int64_t rows, int64_t total, int64_t from, int64_t c,
                                      const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    column_work work = {.rows = rows,
                        .c = c,
                        .from = (const float *)dy + from,
                        .from_stride = total,
                        .to = dx,
                        .to_stride = c,
                        .accumulate = accumulate};
    ops_host_run(self, ops_host_parts(rows * c, GRAIN_MEMORY), column_task, &work);
    return BASE_OK;
}

static void normalize_run(int64_t n, const uint8_t *restrict pixels, const float *restrict scale,
                          const float *restrict shift, float *restrict x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)pixels[i] * scale[i] + shift[i];
}

/* A few channels are repeated until they fill vectors: the inner loop would be as short as they are few. */
base_status OPS_HOST(normalize)(ops_context *self, int64_t count, int64_t c, const uint8_t *pixels, const float *scale,
                                const float *shift, float *x)
{
    (void)self;
    enum { WIDE = 256 };
    float wide_scale[WIDE], wide_shift[WIDE];
    int64_t width = c;
    if (c <= WIDE / 2) {
        width = WIDE / c * c;
        for (int64_t i = 0; i < width; i++) {
            wide_scale[i] = i < c ? scale[i] : wide_scale[i - c];
            wide_shift[i] = i < c ? shift[i] : wide_shift[i - c];
        }
        scale = wide_scale;
        shift = wide_shift;
    }
    for (int64_t at = 0; at < count; at += width)
        normalize_run(count - at < width ? count - at : width, pixels + at, scale, shift, x + at);
    return BASE_OK;
}
