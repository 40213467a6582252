/* ops_host_loss.c: losses over logits (B, N) and labels (B), with their gradients in the same pass.
 *
 * Rows are taken in blocks of up to BLOCK elements, so that the exponentials of many short rows fill vectors; longer
 * rows are taken one by one. A row's numbers never depend on its neighbours.
 */
#include "ops_host_kernels.h"
#include "ops_host_math.h"

#include <math.h>

/* Elements of a block; elements a task (about 30 us). */
enum { BLOCK = 1024, GRAIN = 1 << 15 };

typedef struct loss_work {
    int64_t batch, n;
    const float *x;
    const int32_t *labels;
    float scale;
    float *dx;
    double loss[OPS_HOST_PARTS]; /* sums of the tasks */
    int64_t correct[OPS_HOST_PARTS];
} loss_work;

/* The first of the largest. A row with a NaN is never right: it has no largest. */
static int label_is_first_largest(int64_t n, const float *x, int64_t label)
{
    int64_t beaten = 0;
    for (int64_t i = 0; i < label; i++)
        beaten += !(x[i] < x[label]);
    for (int64_t i = label; i < n; i++)
        beaten += !(x[i] <= x[label]);
    return beaten == 0;
}

static float largest(int64_t n, const float *x)
{
    float most = x[0];
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

static double sum_of(int64_t n, const float *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

static void exp_of(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = ops_math_exp(x[i]);
}

/* The sum of e^(x - max) of one long row without a place to keep them. */
static double long_row_sum(int64_t n, const float *x, float most)
{
    float e[BLOCK];
    double sum = 0.0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;
        for (int64_t i = 0; i < m; i++)
            e[i] = x[at + i] - most;
        exp_of(m, e, e);
        sum += sum_of(m, e);
    }
    return sum;
}

/* One row's loss and gradient from its e^(x - max), which becomes the gradient: scale (softmax - one_hot). */
static double softmax_row(const loss_work *work, int64_t row, float most, double sum, float *e)
{
    int64_t n = work->n, label = work->labels[row];
    if (e) {
        float factor = (float)((double)work->scale / sum);
        for (int64_t i = 0; i < n; i++)
            e[i] *= factor;
        e[label] -= work->scale;
    }
    return log(sum) - ((double)work->x[row * n + label] - (double)most);
}

/* Rows [row, row + rows), which make one block. */
static double softmax_block(const loss_work *work, int64_t row, int64_t rows)
{
    int64_t n = work->n;
    const float *x = work->x + row * n;
    if (!work->dx && n > BLOCK) {
        float top = largest(n, x);
        return softmax_row(work, row, top, long_row_sum(n, x, top), NULL);
    }
    float most[BLOCK], buffer[BLOCK];
    float *e = work->dx ? work->dx + row * n : buffer;
    for (int64_t r = 0; r < rows; r++) {
        most[r] = largest(n, x + r * n);
        for (int64_t i = 0; i < n; i++)
            e[r * n + i] = x[r * n + i] - most[r];
    }
    exp_of(rows * n, e, e);
    double loss = 0.0;
    for (int64_t r = 0; r < rows; r++)
        loss += softmax_row(work, row + r, most[r], sum_of(n, e + r * n), work->dx ? e + r * n : NULL);
    return loss;
}

static double squares_row(const loss_work *work, int64_t row)
{
    int64_t n = work->n, label = work->labels[row];
    const float *x = work->x + row * n;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)x[i] - (i == label ? 1.0 : 0.0);
        sum += difference * difference;
    }
    if (work->dx) {
        float *dx = work->dx + row * n, factor = (float)(2.0 * (double)work->scale / (double)n);
        for (int64_t i = 0; i < n; i++)
            dx[i] = factor * (x[i] - (i == label ? 1.0f : 0.0f));
    }
    return sum / (double)n;
}

static int64_t count_correct(const loss_work *work, int64_t begin, int64_t end)
{
    int64_t correct = 0;
    for (int64_t r = begin; r < end; r++)
        correct += label_is_first_largest(work->n, work->x + r * work->n, work->labels[r]);
    return correct;
}

static void softmax_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    loss_work *work = context;
    int64_t begin, end, most = work->n < BLOCK ? BLOCK / work->n : 1;
    base_pool_range(work->batch, 1, task, ntasks, &begin, &end);
    double loss = 0.0;
    for (int64_t row = begin; row < end; row += most)
        loss += softmax_block(work, row, end - row < most ? end - row : most);
    work->loss[task] = loss;
    work->correct[task] = count_correct(work, begin, end);
}

static void squares_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    loss_work *work = context;
    int64_t begin, end;
    base_pool_range(work->batch, 1, task, ntasks, &begin, &end);
    double loss = 0.0;
    for (int64_t row = begin; row < end; row++)
        loss += squares_row(work, row);
    work->loss[task] = loss;
    work->correct[task] = count_correct(work, begin, end);
}

static base_status loss_run(ops_context *self, base_pool_task *task, loss_work *work, double result[2])
{
    int64_t parts = ops_host_parts(work->batch * work->n, GRAIN), correct = 0;
    ops_host_run(self, parts, task, work);
    double loss = 0.0;
    for (int64_t i = 0; i < parts; i++) {
        loss += work->loss[i];
        correct += work->correct[i];
    }
    if (!result)
        result = self->step.result;
    result[0] = loss;
    result[1] = (double)correct;
    return BASE_OK;
}

base_status OPS_HOST(softmax_cross_entropy)(ops_context *self, int64_t batch, int64_t n, const void *logits,
                                            const int32_t *labels, float scale, void *dlogits, double result[2])
{
    loss_work work = {.batch = batch, .n = n, .x = logits, .labels = labels, .scale = scale, .dx = dlogits};
    return loss_run(self, softmax_task, &work, result);
}

base_status OPS_HOST(mean_squared_error)(ops_context *self, int64_t batch, int64_t n, const void *outputs,
                                         const int32_t *labels, float scale, void *doutputs, double result[2])
{
    loss_work work = {.batch = batch, .n = n, .x = outputs, .labels = labels, .scale = scale, .dx = doutputs};
    return loss_run(self, squares_task, &work, result);
}
