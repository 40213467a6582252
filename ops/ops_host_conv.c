/* ops_host_conv.c: the convolution slots: groups of samples as tasks, bias and activation, sums over groups. */
#include "ops_host_conv.h"
#include "ops_host_activation.h"
#include "ops_host_kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const ops_conv_engine OPS_HOST(conv_im2col);

enum { SUM_BLOCK = 4096 }; /* weights whose gradient one task sums over the groups */

typedef struct conv_job {
    const ops_conv *conv;
    int64_t batch;
    int groups;
    const float *x, *w, *b, *kept; /* kept: what the activation's slope is computed from, y or z */
    float *y, *z, *dy, *dx;
    double *dw, *db;
    int accumulate;
    double *shares;     /* (groups, share_stride): each group's gradient of the weights, and behind it of the bias */
    float *scratch;     /* (threads, thread_stride): the engine's, then one sample's gradient of weights or bias */
    _Atomic int status; /* of a task that failed */
} conv_job;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* To whole cache lines, so that no two threads write to one. */
static int64_t round_up(int64_t elements)
{
    return (elements + 15) / 16 * 16;
}

static int64_t share_stride(const ops_conv *conv)
{
    return round_up(conv->share_floats) + round_up(conv->op.n);
}

static int64_t thread_stride(const ops_conv *conv)
{
    return round_up(conv->thread_floats) + share_stride(conv);
}

static base_status choose_engine(ops_conv *self)
{
    int fits = 0;
#ifdef DDPT_HAVE_ONEDNN_CONV
    if (strcmp(self->context->gemm->name, "openblas") != 0) {
        self->engine = &ops_conv_onednn;
        BASE_TRY(self->engine->create(self, &fits));
        if (fits)
            return BASE_OK;
        self->engine->destroy(self);
    }
#endif
    self->engine = &OPS_HOST(conv_im2col);
    return self->engine->create(self, &fits);
}

static base_status make_ready(ops_conv *self, int64_t max_batch)
{
    const ops_conv2d *op = &self->op;
    BASE_TRY(ops_conv2d_output(op, &self->oh, &self->ow));
    self->x_floats = op->h * op->w * op->c;
    self->y_floats = self->oh * self->ow * op->n;
    self->w_floats = op->kernel_h * op->kernel_w * op->c * op->n;
    int64_t groups = OPS_CONV_GROUP_BYTES / (self->w_floats * (int64_t)sizeof(double));
    groups = groups < OPS_CONV_MIN_GROUPS ? OPS_CONV_MIN_GROUPS : least(groups, OPS_CONV_MAX_GROUPS);
    self->groups = (int)least(groups, max_batch > 0 ? max_batch : 1);
    BASE_TRY(base_arena_create(&self->arena, "convolution"));
    BASE_TRY(choose_engine(self));
    int64_t floats = thread_stride(self) * base_pool_size(self->context->options.pool);
    int64_t doubles = self->groups * share_stride(self);
    return ops_host_reserve(self->context, (size_t)floats * sizeof(float) + (size_t)doubles * sizeof(double));
}

base_status OPS_HOST(conv2d_create)(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv)
{
    *conv = calloc(1, sizeof **conv);
    if (!*conv)
        return BASE_FAIL(BASE_ERROR, "out of memory for a convolution");
    **conv = (ops_conv){.context = self, .op = *op};
    base_status status = make_ready(*conv, max_batch);
    if (status != BASE_OK)
        OPS_HOST(conv2d_destroy)(conv);
    return status;
}

void OPS_HOST(conv2d_destroy)(ops_conv **conv)
{
    if (!*conv)
        return;
    if ((*conv)->engine)
        (*conv)->engine->destroy(*conv);
    base_arena_destroy(&(*conv)->arena);
    free(*conv);
    *conv = NULL;
}

static void job_start(conv_job *job, const ops_conv *conv, int64_t batch)
{
    job->conv = conv;
    job->batch = batch;
    job->groups = (int)least(batch, conv->groups);
    job->shares = conv->context->scratch;
    job->scratch = (float *)(job->shares + conv->groups * share_stride(conv));
}

/* The text of a failure stays with the thread that met it; what reaches the caller is that there was one. */
static base_status job_end(conv_job *job)
{
    base_status status = (base_status)atomic_load(&job->status);
    return status == BASE_OK ? BASE_OK : BASE_FAIL(status, "convolution by %s failed", job->conv->engine->name);
}

static void forward_task(void *context, int task, int ntasks, int thread)
{
    conv_job *job = context;
    const ops_conv *conv = job->conv;
    int64_t n = conv->op.n, i, end, samples;
    base_pool_range(job->batch, 1, task, ntasks, &i, &end);
    for (; i < end; i += samples) {
        samples = least(conv->step_samples, end - i);
        float *y = job->y + i * conv->y_floats, *z = job->z ? job->z + i * conv->y_floats : NULL;
        base_status status = conv->engine->forward(conv, samples, job->x + i * conv->x_floats, job->w, y, thread,
                                                   job->scratch + thread * thread_stride(conv));
        if (status != BASE_OK)
            atomic_store(&job->status, (int)status);
        activate_rows(conv->op.activation, samples * conv->oh * conv->ow, n, n, job->b, y, z);
    }
}

base_status OPS_HOST(conv2d_forward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                     const float *b, void *y, void *z)
{
    conv_job job = {.x = x, .w = w, .b = b, .y = y};
    job.z = ops_activation_keeps_input(conv->op.activation) ? z : NULL;
    job_start(&job, conv, batch);
    if (conv->engine->prepare)
        BASE_TRY(conv->engine->prepare(conv, w, 0));
    ops_host_run(self, job.groups, forward_task, &job);
    return job_end(&job);
}

static void add_double(int64_t count, const float *from, double *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += (double)from[i];
}

/* dy becomes the gradient before the activation, its sum over pixels goes to the group's share of db. */
static void backward_slope(const conv_job *job, int64_t sample, float *part, double *db)
{
    const ops_conv *conv = job->conv;
    int64_t n = conv->op.n;
    float *dy = job->dy + sample * conv->y_floats;
    /* An identity needs no slope, and y may be absent then. */
    const float *kept = conv->op.activation == OPS_IDENTITY ? dy : job->kept + sample * conv->y_floats;
    memset(part, 0, (size_t)n * sizeof *part);
    slope_rows(conv->op.activation, conv->oh * conv->ow, n, n, kept, dy, part);
    add_double(n, part, db);
}

/* Slope, bias, input and weights for a few samples at a time, so that dy is read from memory once. */
static void backward_task(void *context, int task, int ntasks, int thread)
{
    conv_job *job = context;
    const ops_conv *conv = job->conv;
    float *scratch = job->scratch + thread * thread_stride(conv), *part = scratch + round_up(conv->thread_floats);
    double *share = job->shares + task * share_stride(conv), *db = share + round_up(conv->share_floats);
    int64_t i, end, samples;
    base_status status = BASE_OK;
    memset(share, 0, (size_t)share_stride(conv) * sizeof *share);
    base_pool_range(job->batch, 1, task, ntasks, &i, &end);
    for (; i < end && status == BASE_OK; i += samples) {
        samples = least(conv->step_samples, end - i);
        for (int64_t s = i; s < i + samples; s++)
            backward_slope(job, s, part, db);
        if (job->dx)
            status = conv->engine->backward_data(conv, samples, job->dy + i * conv->y_floats, job->w, job->accumulate,
                                                 job->dx + i * conv->x_floats, thread, scratch);
        for (int64_t s = i; s < i + samples && status == BASE_OK; s++) {
            status = conv->engine->backward_weights(conv, job->x + s * conv->x_floats, job->dy + s * conv->y_floats,
                                                    part, thread, scratch);
            add_double(conv->share_floats, part, share);
        }
    }
    if (status != BASE_OK)
        atomic_store(&job->status, (int)status);
}

/* The sum over groups, in their order, of some elements of the weights' gradient, or in the last task of the bias's. */
static void sum_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const conv_job *job = context;
    const ops_conv *conv = job->conv;
    int is_db = task == ntasks - 1;
    int64_t stride = share_stride(conv), from = is_db ? 0 : (int64_t)task * SUM_BLOCK;
    int64_t count = is_db ? conv->op.n : least(SUM_BLOCK, conv->w_floats - from);
    const double *shares = job->shares + (is_db ? round_up(conv->share_floats) : 0);
    const int32_t *places = is_db ? NULL : conv->places;
    double *to = is_db ? job->db : job->dw;
    for (int64_t i = from; i < from + count && to; i++) {
        const double *share = shares + (places ? places[i] : i);
        double sum = 0.0;
        for (int g = 0; g < job->groups; g++)
            sum += share[g * stride];
        to[i] = sum;
    }
}

base_status OPS_HOST(conv2d_backward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                      const void *y, const void *z, void *dy, void *dw, void *db, void *dx,
                                      int accumulate)
{
    conv_job job = {.x = x, .w = w, .dy = dy, .dw = dw, .db = db, .dx = dx, .accumulate = accumulate};
    job.kept = ops_activation_keeps_input(conv->op.activation) ? z : y;
    job_start(&job, conv, batch);
    if (dx && conv->engine->prepare)
        BASE_TRY(conv->engine->prepare(conv, w, 1));
    ops_host_run(self, job.groups, backward_task, &job);
    ops_host_run_for(self, conv->w_floats * job.groups, (conv->w_floats + SUM_BLOCK - 1) / SUM_BLOCK + 1, sum_task,
                     &job);
    return job_end(&job);
}
