/* ops_host_norm.c: batch normalisation over rows x (R, C).
 *
 * Loops run along a row, that is over channels. A few channels would make loops too short for vectors, so `fold` rows
 * are then taken as one row of fold C columns, and constants of a channel are repeated to that width. Many channels are
 * cut into tiles whose constants and sums stay in the first-level cache.
 * Sums are in double: their rounding is then far below that of a float, however the rows are shared out over ranks.
 */
#include "ops_host_kernels.h"

#include <math.h>
#include <string.h>

/* Columns of a tile; elements of a stripe, the rows worked on while they are in cache; elements a task (about 40 us).
 */
enum { TILE = 1024, STRIPE = 4096, GRAIN = 1 << 16 };

typedef struct norm_work norm_work;

/* One task's columns, with what its operation keeps for each column. */
typedef struct tile {
    int64_t first, width; /* columns of the folded row */
    float k[4][TILE];     /* constants */
    double sum[2][TILE];
} tile;

/* Rows of a tile: row r begins at element `first + r stride` of each tensor. */
typedef struct stripe {
    int64_t rows, stride, width, first;
} stripe;

typedef struct norm_op {
    void (*begin)(const norm_work *work, tile *t);
    void (*rows)(const norm_work *work, tile *t, const stripe *s);
    void (*end)(const norm_work *work, const tile *t, int task); /* NULL: nothing to keep */
} norm_op;

struct norm_work {
    const norm_op *op;
    int64_t rows, c, fold;
    ops_activation activation;
    const float *x, *mean, *invstd, *gamma, *beta, *kept_y, *kept_z;
    const double *sums; /* over all ranks */
    double count;
    float *y, *z, *dy, *dx;
    int accumulate;
    double *parts; /* (tasks, 2 C) */
};

/* Rows taken as one: until they fill 64 columns and whole vectors of 16. */
static int64_t choose_fold(int64_t c)
{
    int64_t fold = 1;
    while (c * fold < 64 || (c < 64 && c * fold % 16 != 0))
        fold++;
    return fold;
}

static void norm_tile(const norm_work *work, tile *t, int64_t begin, int64_t end, int task)
{
    int64_t wide = (end - begin) / work->fold, rest = begin + wide * work->fold;
    work->op->begin(work, t);
    stripe s = {.stride = work->fold * work->c, .width = t->width};
    int64_t most = STRIPE / t->width;
    for (int64_t r = 0; r < wide; r += most) {
        s.rows = wide - r < most ? wide - r : most;
        s.first = begin * work->c + r * s.stride + t->first;
        work->op->rows(work, t, &s);
    }
    if (rest < end) {
        s = (stripe){.rows = end - rest, .stride = work->c, .width = work->c, .first = rest * work->c};
        work->op->rows(work, t, &s);
    }
    if (work->op->end)
        work->op->end(work, t, task);
}

static void norm_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const norm_work *work = context;
    int64_t begin, end, columns = work->fold * work->c;
    base_pool_range(work->rows, work->fold, task, ntasks, &begin, &end);
    for (int64_t first = 0; first < columns; first += TILE) {
        tile t;
        t.first = first;
        t.width = columns - first < TILE ? columns - first : TILE;
        norm_tile(work, &t, begin, end, task);
    }
}

static int64_t norm_parts(int64_t rows, int64_t c)
{
    return ops_host_parts(rows * c, GRAIN);
}

/* The channel of column j of a tile. */
static int64_t channel(const norm_work *work, const tile *t, int64_t j)
{
    int64_t column = t->first + j;
    return column < work->c ? column : column % work->c;
}

/* Runs an operation that sums; sums (2 C) becomes the total, in the order of the tasks. */
static void norm_sum(ops_context *self, norm_work *work, double *sums)
{
    int64_t n = 2 * work->c, parts = norm_parts(work->rows, work->c);
    int64_t room = (int64_t)(self->scratch_bytes / sizeof(double)) / n;
    if (parts > room)
        parts = room < 1 ? 1 : room;
    work->parts = parts > 1 ? self->scratch : sums;
    ops_host_run(self, parts, norm_task, work);
    if (parts == 1)
        return;
    memcpy(sums, work->parts, (size_t)n * sizeof *sums);
    for (int64_t i = 1; i < parts; i++)
        for (int64_t j = 0; j < n; j++)
            sums[j] += work->parts[i * n + j];
}

static void sum_end(const norm_work *work, const tile *t, int task)
{
    double *part = work->parts + task * 2 * work->c;
    for (int half = 0; half < 2; half++)
        for (int64_t j = 0; j < t->width; j++) {
            double *to = part + half * work->c + channel(work, t, j);
            *to = t->first + j < work->c ? t->sum[half][j] : *to + t->sum[half][j];
        }
}

static void sum_begin(const norm_work *work, tile *t)
{
    (void)work;
    memset(t->sum, 0, sizeof t->sum);
}

/* Four rows at a time, since the sums are loaded and stored each time. */
static void sum_rows(const norm_work *work, tile *t, const stripe *s)
{
    double *restrict sum = t->sum[0], *restrict square = t->sum[1];
    int64_t r = 0;
    for (; r + 4 <= s->rows; r += 4) {
        const float *x = work->x + s->first + r * s->stride;
        const float *x1 = x + s->stride, *x2 = x1 + s->stride, *x3 = x2 + s->stride;
        for (int64_t j = 0; j < s->width; j++) {
            double a = (double)x[j], b = (double)x1[j], c = (double)x2[j], d = (double)x3[j];
            sum[j] += (a + b) + (c + d);
            square[j] += (a * a + b * b) + (c * c + d * d);
        }
    }
    for (; r < s->rows; r++) {
        const float *x = work->x + s->first + r * s->stride;
        for (int64_t j = 0; j < s->width; j++) {
            sum[j] += (double)x[j];
            square[j] += (double)x[j] * (double)x[j];
        }
    }
}

base_status OPS_HOST(batch_norm_sums)(ops_context *self, int64_t rows, int64_t c, const void *x, double *sums)
{
    static const norm_op op = {sum_begin, sum_rows, sum_end};
    norm_work work = {.op = &op, .rows = rows, .c = c, .fold = choose_fold(c), .x = x};
    norm_sum(self, &work, sums);
    return BASE_OK;
}

base_status OPS_HOST(batch_norm_statistics)(ops_context *self, int64_t c, const double *sums, int64_t count,
                                            float momentum, float eps, float *mean, float *invstd, float *running_mean,
                                            float *running_var)
{
    (void)self;
    double n = (double)count, keep = 1.0 - (double)momentum, take = (double)momentum;
    double unbias = count > 1 ? n / (n - 1.0) : 1.0;
    for (int64_t i = 0; i < c; i++) {
        double average = sums[i] / n;
        double variance = sums[c + i] / n - average * average;
        variance = variance < 0.0 ? 0.0 : variance; /* rounding; a NaN stays */
        mean[i] = (float)average;
        invstd[i] = (float)(1.0 / sqrt(variance + (double)eps));
        running_mean[i] = (float)(keep * (double)running_mean[i] + take * average);
        running_var[i] = (float)(keep * (double)running_var[i] + take * variance * unbias);
    }
    return BASE_OK;
}

base_status OPS_HOST(batch_norm_running)(ops_context *self, int64_t c, const float *running_mean,
                                         const float *running_var, float eps, float *mean, float *invstd)
{
    (void)self;
    for (int64_t i = 0; i < c; i++) {
        mean[i] = running_mean[i];
        invstd[i] = (float)(1.0 / sqrt((double)running_var[i] + (double)eps));
    }
    return BASE_OK;
}

static void forward_begin(const norm_work *work, tile *t)
{
    for (int64_t j = 0; j < t->width; j++) {
        int64_t i = channel(work, t, j);
        t->k[0][j] = work->mean[i];
        t->k[1][j] = work->gamma[i] * work->invstd[i];
        t->k[2][j] = work->beta[i];
    }
}

static void forward_rows(const norm_work *work, tile *t, const stripe *s)
{
    const float *restrict mean = t->k[0], *restrict scale = t->k[1], *restrict beta = t->k[2];
    int keeps = ops_activation_keeps_input(work->activation);
    for (int64_t r = 0; r < s->rows; r++) {
        const float *restrict x = work->x + s->first + r * s->stride;
        float *restrict z = (keeps ? work->z : work->y) + s->first + r * s->stride;
        for (int64_t j = 0; j < s->width; j++)
            z[j] = (x[j] - mean[j]) * scale[j] + beta[j];
    }
    if (work->activation == OPS_IDENTITY)
        return;
    /* Rows that fill their stride lie end to end. */
    int64_t runs = s->stride == s->width ? 1 : s->rows;
    for (int64_t r = 0; r < runs; r++) {
        float *y = work->y + s->first + r * s->stride;
        OPS_HOST(activate)
        (work->activation, s->rows / runs * s->width, keeps ? work->z + s->first + r * s->stride : y, y);
    }
}

base_status OPS_HOST(batch_norm_forward)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                         const void *x, const float *mean, const float *invstd, const float *gamma,
                                         const float *beta, void *y, void *z)
{
    static const norm_op op = {forward_begin, forward_rows, NULL};
    norm_work work = {.op = &op,
                      .rows = rows,
                      .c = c,
                      .fold = choose_fold(c),
                      .activation = activation,
                      .x = x,
                      .mean = mean,
                      .invstd = invstd,
                      .gamma = gamma,
                      .beta = beta,
                      .y = y,
                      .z = z};
    ops_host_run(self, norm_parts(rows, c), norm_task, &work);
    return BASE_OK;
}

static void backward_sum_begin(const norm_work *work, tile *t)
{
    memset(t->sum, 0, sizeof t->sum);
    for (int64_t j = 0; j < t->width; j++)
        t->k[0][j] = work->mean[channel(work, t, j)];
}

/* dy becomes the gradient before the activation. */
static void backward_activation(const norm_work *work, const stripe *s)
{
    if (work->activation == OPS_IDENTITY)
        return;
    int64_t runs = s->stride == s->width ? 1 : s->rows;
    for (int64_t r = 0; r < runs; r++) {
        int64_t at = s->first + r * s->stride;
        OPS_HOST(activate_gradient)
        (work->activation, s->rows / runs * s->width, work->kept_z ? work->kept_z + at : NULL,
         work->kept_y ? work->kept_y + at : NULL, work->dy + at, work->dy + at, 0);
    }
}

static void backward_sum_rows(const norm_work *work, tile *t, const stripe *s)
{
    backward_activation(work, s);
    double *restrict sum = t->sum[0], *restrict product = t->sum[1];
    const float *restrict mean = t->k[0];
    int64_t r = 0;
    for (; r + 2 <= s->rows; r += 2) { /* two rows at a time, as sum_rows takes four */
        const float *x = work->x + s->first + r * s->stride, *x1 = x + s->stride;
        const float *dy = work->dy + s->first + r * s->stride, *dy1 = dy + s->stride;
        for (int64_t j = 0; j < s->width; j++) {
            double d = (double)dy[j], d1 = (double)dy1[j], m = (double)mean[j];
            sum[j] += d + d1;
            product[j] += d * ((double)x[j] - m) + d1 * ((double)x1[j] - m);
        }
    }
    for (; r < s->rows; r++) {
        const float *x = work->x + s->first + r * s->stride, *dy = work->dy + s->first + r * s->stride;
        for (int64_t j = 0; j < s->width; j++) {
            sum[j] += (double)dy[j];
            product[j] += (double)dy[j] * ((double)x[j] - (double)mean[j]);
        }
    }
}

base_status OPS_HOST(batch_norm_backward_sums)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                               const void *x, const float *mean, const float *invstd, const void *y,
                                               const void *z, void *dy, double *sums, void *dgamma, void *dbeta)
{
    static const norm_op op = {backward_sum_begin, backward_sum_rows, sum_end};
    norm_work work = {.op = &op,
                      .rows = rows,
                      .c = c,
                      .fold = choose_fold(c),
                      .activation = activation,
                      .x = x,
                      .mean = mean,
                      .kept_y = y,
                      .kept_z = z,
                      .dy = dy};
    norm_sum(self, &work, sums);
    for (int64_t i = 0; i < c; i++)
        sums[c + i] *= (double)invstd[i];
    memcpy(dbeta, sums, (size_t)c * sizeof *sums);
    memcpy(dgamma, sums + c, (size_t)c * sizeof *sums);
    return BASE_OK;
}

static void backward_begin(const norm_work *work, tile *t)
{
    for (int64_t j = 0; j < t->width; j++) {
        int64_t i = channel(work, t, j);
        t->k[0][j] = work->mean[i];
        t->k[1][j] = work->gamma[i] * work->invstd[i];
        t->k[2][j] = (float)(work->sums[i] / work->count);
        t->k[3][j] = (float)(work->sums[work->c + i] / work->count * (double)work->invstd[i]);
    }
}

static void backward_rows(const norm_work *work, tile *t, const stripe *s)
{
    const float *restrict mean = t->k[0], *restrict scale = t->k[1], *restrict sum = t->k[2], *restrict slope = t->k[3];
    for (int64_t r = 0; r < s->rows; r++) {
        int64_t at = s->first + r * s->stride;
        const float *restrict x = work->x + at, *restrict dy = work->dy + at;
        float *restrict dx = work->dx + at;
        if (work->accumulate)
            for (int64_t j = 0; j < s->width; j++)
                dx[j] += scale[j] * (dy[j] - sum[j] - (x[j] - mean[j]) * slope[j]);
        else
            for (int64_t j = 0; j < s->width; j++)
                dx[j] = scale[j] * (dy[j] - sum[j] - (x[j] - mean[j]) * slope[j]);
    }
}

base_status OPS_HOST(batch_norm_backward)(ops_context *self, int64_t rows, int64_t c, const void *x, const float *mean,
                                          const float *invstd, const float *gamma, const double *sums, int64_t count,
                                          const void *dy, void *dx, int accumulate)
{
    static const norm_op op = {backward_begin, backward_rows, NULL};
    if (!dx)
        return BASE_OK;
    norm_work work = {.op = &op,
                      .rows = rows,
                      .c = c,
                      .fold = choose_fold(c),
                      .x = x,
                      .mean = mean,
                      .invstd = invstd,
                      .gamma = gamma,
                      .sums = sums,
                      .count = (double)count,
                      .dy = (float *)dy,
                      .dx = dx,
                      .accumulate = accumulate};
    ops_host_run(self, norm_parts(rows, c), norm_task, &work);
    return BASE_OK;
}
