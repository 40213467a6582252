/* ops_host_pool.c: maximum and average over windows of images (B, H, W, C). Inner loops run over channels, which lie
 * side by side. */
#include "ops_host_kernels.h"

#include <string.h>

/* Elements read a task: about 30 us. */
enum { GRAIN = 1 << 16, TILE = 256 };

typedef struct pool_work {
    ops_pool2d op;
    int64_t batch, oh, ow;
    const float *x, *dy;
    float *y, *dx;
    uint8_t *winner;
    const uint8_t *chosen; /* the winners, in the backward pass */
    int accumulate;
} pool_work;

/* The part of one output's window that lies inside the image: rows [row0, row1), columns [column0, column1). */
typedef struct window {
    int64_t top, left; /* of the whole window; may be negative */
    int64_t row0, row1, column0, column1;
} window;

static window window_at(const ops_pool2d *op, int64_t i, int64_t j)
{
    window w = {.top = i * op->stride_h - op->pad_h, .left = j * op->stride_w - op->pad_w};
    int64_t bottom = w.top + op->kernel_h, right = w.left + op->kernel_w;
    w.row0 = w.top > 0 ? w.top : 0;
    w.column0 = w.left > 0 ? w.left : 0;
    w.row1 = bottom < op->h ? bottom : op->h;
    w.column1 = right < op->w ? right : op->w;
    return w;
}

/* Place of pixel (row, column) in the whole window, row-major. */
static int64_t window_tap(const ops_pool2d *op, const window *w, int64_t row, int64_t column)
{
    return (row - w->top) * op->kernel_w + (column - w->left);
}

static pool_work describe(const ops_pool2d *op, int64_t batch)
{
    return (pool_work){.op = *op,
                       .batch = batch,
                       .oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h),
                       .ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w)};
}

/* A NaN wins, so that it is not hidden from the loss; among equals the first stays. */
static inline int beats(float x, float best)
{
    return (x > best) | (x != x);
}

static void max_tap(int64_t c, uint8_t tap, const float *restrict x, float *restrict best, uint8_t *restrict winner)
{
    for (int64_t i = 0; i < c; i++) {
        int wins = beats(x[i], best[i]);
        best[i] = wins ? x[i] : best[i];
        winner[i] = wins ? tap : winner[i];
    }
}

static void max_tap_value(int64_t c, const float *restrict x, float *restrict best)
{
    for (int64_t i = 0; i < c; i++)
        best[i] = beats(x[i], best[i]) ? x[i] : best[i];
}

/* A whole 2 x 2 window in one pass: what most networks use. `below` is the pixel under `x`. */
static void max_window_2x2(int64_t c, const float *restrict x, const float *restrict below, float *restrict y,
                           uint8_t *restrict winner)
{
    for (int64_t i = 0; i < c; i++) {
        float best = x[i];
        uint8_t place = 0;
        place = beats(x[c + i], best) ? 1 : place;
        best = beats(x[c + i], best) ? x[c + i] : best;
        place = beats(below[i], best) ? 2 : place;
        best = beats(below[i], best) ? below[i] : best;
        place = beats(below[c + i], best) ? 3 : place;
        best = beats(below[c + i], best) ? below[c + i] : best;
        y[i] = best;
        winner[i] = place;
    }
}

static void max_window(const pool_work *work, const window *w, const float *image, float *y, uint8_t *winner)
{
    const ops_pool2d *op = &work->op;
    const float *corner = image + (w->row0 * op->w + w->column0) * op->c;
    if (winner && op->kernel_h == 2 && op->kernel_w == 2 && w->row1 - w->row0 == 2 && w->column1 - w->column0 == 2) {
        max_window_2x2(op->c, corner, corner + op->w * op->c, y, winner);
        return;
    }
    memcpy(y, corner, (size_t)op->c * sizeof *y);
    if (winner)
        memset(winner, (int)window_tap(op, w, w->row0, w->column0), (size_t)op->c);
    for (int64_t row = w->row0; row < w->row1; row++) {
        for (int64_t column = w->column0; column < w->column1; column++) {
            const float *x = image + (row * op->w + column) * op->c;
            if (winner)
                max_tap(op->c, (uint8_t)window_tap(op, w, row, column), x, y, winner);
            else
                max_tap_value(op->c, x, y);
        }
    }
}

static void max_forward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const pool_work *work = context;
    int64_t begin, end;
    base_pool_range(work->batch * work->oh, 1, task, ntasks, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        const float *image = work->x + r / work->oh * work->op.h * work->op.w * work->op.c;
        for (int64_t j = 0; j < work->ow; j++) {
            window w = window_at(&work->op, r % work->oh, j);
            int64_t at = (r * work->ow + j) * work->op.c;
            max_window(work, &w, image, work->y + at, work->winner ? work->winner + at : NULL);
        }
    }
}

static int64_t pool_parts(const pool_work *work)
{
    return ops_host_parts(work->batch * work->op.h * work->op.w * work->op.c, GRAIN);
}

base_status OPS_HOST(max_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y,
                                       uint8_t *winner)
{
    pool_work work = describe(op, batch);
    work.x = x;
    work.y = y;
    work.winner = winner;
    ops_host_run(self, pool_parts(&work), max_forward_task, &work);
    return BASE_OK;
}

static void max_tap_backward(int64_t c, uint8_t tap, const uint8_t *restrict winner, const float *restrict dy,
                             float *restrict dx)
{
    for (int64_t i = 0; i < c; i++)
        dx[i] += winner[i] == tap ? dy[i] : 0.0f;
}

/* Every tap adds, also those that lost: that is a vector instruction, where following the winners is a scatter. */
static void max_window_backward(const pool_work *work, const window *w, const float *dy, const uint8_t *chosen,
                                float *image)
{
    const ops_pool2d *op = &work->op;
    for (int64_t row = w->row0; row < w->row1; row++)
        for (int64_t column = w->column0; column < w->column1; column++)
            max_tap_backward(op->c, (uint8_t)window_tap(op, w, row, column), chosen, dy,
                             image + (row * op->w + column) * op->c);
}

static void avg_tap_backward(int64_t c, float share, const float *restrict dy, float *restrict dx)
{
    for (int64_t i = 0; i < c; i++)
        dx[i] += share * dy[i];
}

static float window_share(const window *w)
{
    return 1.0f / (float)((w->row1 - w->row0) * (w->column1 - w->column0));
}

static void avg_window_backward(const pool_work *work, const window *w, const float *dy, float *image)
{
    const ops_pool2d *op = &work->op;
    for (int64_t row = w->row0; row < w->row1; row++)
        for (int64_t column = w->column0; column < w->column1; column++)
            avg_tap_backward(op->c, window_share(w), dy, image + (row * op->w + column) * op->c);
}

/* Windows overlap within a sample, never between samples: a task has whole samples. */
static void backward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const pool_work *work = context;
    int64_t begin, end, pixels = work->op.h * work->op.w, outputs = work->oh * work->ow;
    base_pool_range(work->batch, 1, task, ntasks, &begin, &end);
    for (int64_t b = begin; b < end; b++) {
        float *image = work->dx + b * pixels * work->op.c;
        if (!work->accumulate)
            memset(image, 0, (size_t)(pixels * work->op.c) * sizeof *image);
        for (int64_t k = 0; k < outputs; k++) {
            window w = window_at(&work->op, k / work->ow, k % work->ow);
            int64_t at = (b * outputs + k) * work->op.c;
            if (work->chosen)
                max_window_backward(work, &w, work->dy + at, work->chosen + at, image);
            else
                avg_window_backward(work, &w, work->dy + at, image);
        }
    }
}

base_status OPS_HOST(max_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                        const uint8_t *winner, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    pool_work work = describe(op, batch);
    work.dy = dy;
    work.chosen = winner;
    work.dx = dx;
    work.accumulate = accumulate;
    ops_host_run(self, pool_parts(&work), backward_task, &work);
    return BASE_OK;
}

base_status OPS_HOST(avg_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                        void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    pool_work work = describe(op, batch);
    work.dy = dy;
    work.dx = dx;
    work.accumulate = accumulate;
    ops_host_run(self, pool_parts(&work), backward_task, &work);
    return BASE_OK;
}

static void avg_tap(int64_t c, const float *restrict x, double *restrict sum)
{
    for (int64_t i = 0; i < c; i++)
        sum[i] += (double)x[i];
}

/* Channels [from, from + c) of one output, c <= TILE. */
static void avg_window(const pool_work *work, const window *w, const float *image, int64_t from, int64_t c, float *y)
{
    double sum[TILE] = {0};
    for (int64_t row = w->row0; row < w->row1; row++)
        for (int64_t column = w->column0; column < w->column1; column++)
            avg_tap(c, image + (row * work->op.w + column) * work->op.c + from, sum);
    double pixels = (double)((w->row1 - w->row0) * (w->column1 - w->column0));
    for (int64_t i = 0; i < c; i++)
        y[from + i] = (float)(sum[i] / pixels);
}

static void avg_forward_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const pool_work *work = context;
    int64_t begin, end, c = work->op.c;
    base_pool_range(work->batch * work->oh, 1, task, ntasks, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        const float *image = work->x + r / work->oh * work->op.h * work->op.w * c;
        for (int64_t j = 0; j < work->ow; j++) {
            window w = window_at(&work->op, r % work->oh, j);
            for (int64_t from = 0; from < c; from += TILE)
                avg_window(work, &w, image, from, c - from < TILE ? c - from : TILE, work->y + (r * work->ow + j) * c);
        }
    }
}

base_status OPS_HOST(avg_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y)
{
    pool_work work = describe(op, batch);
    work.x = x;
    work.y = y;
    ops_host_run(self, pool_parts(&work), avg_forward_task, &work);
    return BASE_OK;
}
