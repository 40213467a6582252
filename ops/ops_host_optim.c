/* ops_host_optim.c: optimizers over flat ranges. Bound by memory: each number is read once and written once. */
#include "ops_host_kernels.h"

#include <math.h>

/* Elements a task: about 60 us of memory traffic. */
enum { GRAIN = 1 << 16, LINE = 16 };

typedef struct sgd_work {
    ops_sgd op;
    float lr, scale;
    int64_t count;
    const float *g;
    float *p, *v;
} sgd_work;

static void sgd_plain(const sgd_work *work, int64_t n, const float *restrict g, float *restrict p)
{
    const float lr = work->lr, decay = work->op.weight_decay, scale = work->scale;
    for (int64_t i = 0; i < n; i++)
        p[i] -= lr * (scale * g[i] + decay * p[i]);
}

static void sgd_momentum(const sgd_work *work, int64_t n, const float *restrict g, float *restrict p, float *restrict v)
{
    const float lr = work->lr, decay = work->op.weight_decay, scale = work->scale, momentum = work->op.momentum;
    for (int64_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (scale * g[i] + decay * p[i]);
        p[i] -= lr * v[i];
    }
}

static void sgd_nesterov(const sgd_work *work, int64_t n, const float *restrict g, float *restrict p, float *restrict v)
{
    const float lr = work->lr, decay = work->op.weight_decay, scale = work->scale, momentum = work->op.momentum;
    for (int64_t i = 0; i < n; i++) {
        float gradient = scale * g[i] + decay * p[i];
        v[i] = momentum * v[i] + gradient;
        p[i] -= lr * (gradient + momentum * v[i]);
    }
}

static void sgd_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const sgd_work *work = context;
    int64_t at, end;
    base_pool_range(work->count, LINE, task, ntasks, &at, &end);
    if (!work->v)
        sgd_plain(work, end - at, work->g + at, work->p + at);
    else if (work->op.nesterov)
        sgd_nesterov(work, end - at, work->g + at, work->p + at, work->v + at);
    else
        sgd_momentum(work, end - at, work->g + at, work->p + at, work->v + at);
}

base_status OPS_HOST(sgd_update)(ops_context *self, const ops_sgd *op, int64_t count, const float *g, float *p,
                                 float *v)
{
    sgd_work work = {
        .op = *op, .lr = self->step.lr, .scale = self->step.grad_scale, .count = count, .g = g, .p = p, .v = v};
    ops_host_run(self, ops_host_parts(count, GRAIN), sgd_task, &work);
    return BASE_OK;
}

/* What a step's Adam multiplies with, from the options once, in double. */
typedef struct adam_work {
    float beta1, rest1, beta2, rest2;
    float decay_gradient, decay_parameter; /* added to the gradient; taken from the parameter (decoupled) */
    float grad_scale, eps;
    float step_size;  /* lr / (1 - beta1^step) */
    float root_scale; /* 1 / sqrt(1 - beta2^step) */
    int64_t count;
    const float *g;
    float *p, *m, *v;
} adam_work;

static void adam_range(const adam_work *work, int64_t n, const float *restrict g, float *restrict p, float *restrict m,
                       float *restrict v)
{
    const adam_work w = *work;
    for (int64_t i = 0; i < n; i++) {
        float gradient = w.grad_scale * g[i] + w.decay_gradient * p[i];
        m[i] = w.beta1 * m[i] + w.rest1 * gradient;
        v[i] = w.beta2 * v[i] + w.rest2 * gradient * gradient;
        p[i] = w.decay_parameter * p[i] - w.step_size * m[i] / (sqrtf(v[i]) * w.root_scale + w.eps);
    }
}

static void adam_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const adam_work *work = context;
    int64_t at, end;
    base_pool_range(work->count, LINE, task, ntasks, &at, &end);
    adam_range(work, end - at, work->g + at, work->p + at, work->m + at, work->v + at);
}

base_status OPS_HOST(adam_update)(ops_context *self, const ops_adam *op, int64_t count, const float *g, float *p,
                                  float *m, float *v)
{
    double beta1 = (double)op->beta1, beta2 = (double)op->beta2, lr = (double)self->step.lr;
    double decay = (double)op->weight_decay, update = (double)self->step.update;
    adam_work work = {.beta1 = op->beta1,
                      .rest1 = (float)(1.0 - beta1),
                      .beta2 = op->beta2,
                      .rest2 = (float)(1.0 - beta2),
                      .decay_gradient = op->decoupled ? 0.0f : op->weight_decay,
                      .decay_parameter = op->decoupled ? (float)(1.0 - lr * decay) : 1.0f,
                      .grad_scale = self->step.grad_scale,
                      .eps = op->eps,
                      .step_size = (float)(lr / (1.0 - pow(beta1, update))),
                      .root_scale = (float)(1.0 / sqrt(1.0 - pow(beta2, update))),
                      .count = count,
                      .g = g,
                      .p = p,
                      .m = m,
                      .v = v};
    ops_host_run(self, ops_host_parts(count, GRAIN), adam_task, &work);
    return BASE_OK;
}

typedef struct round_work {
    int64_t count;
    const double *from;
    float *to;
} round_work;

static void round_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const round_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    for (int64_t i = begin; i < end; i++)
        work->to[i] = (float)work->from[i];
}

base_status OPS_HOST(round)(ops_context *self, int64_t count, const double *from, float *to)
{
    round_work work = {.count = count, .from = from, .to = to};
    ops_host_run(self, ops_host_parts(count, GRAIN), round_task, &work);
    return BASE_OK;
}

typedef struct square_work {
    int64_t count;
    const float *x;
    double part[OPS_HOST_PARTS];
} square_work;

static void square_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    square_work *work = context;
    int64_t begin, end;
    base_pool_range(work->count, LINE, task, ntasks, &begin, &end);
    const float *x = work->x;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; i++)
        sum += (double)x[i] * (double)x[i];
    work->part[task] = sum;
}

base_status OPS_HOST(sum_of_squares)(ops_context *self, int64_t count, const float *x, int accumulate, double *result)
{
    square_work work = {.count = count, .x = x};
    int64_t parts = ops_host_parts(count, GRAIN);
    ops_host_run(self, parts, square_task, &work);
    double sum = 0.0;
    for (int64_t i = 0; i < parts; i++)
        sum += work.part[i];
    *result = accumulate ? *result + sum : sum;
    return BASE_OK;
}
