/* gpu_ops.c: the table, the life of a context, and the slots that are one kernel each. */
#include "gpu_ops.h"

#include "base_switch.h"
#include "gpu_context.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_BYTES = 256 << 20 };

base_status gpu_launched(gpuError_t error)
{
    return gpu_check(error, "start a kernel");
}

static base_status allocate(void **memory, size_t nbytes)
{
    return gpu_check(gpuMalloc(memory, nbytes), "give memory to work in");
}

static void release(void *memory)
{
    if (memory)
        gpuFree(memory);
}

int gpu_owns_products(const ops_context *self)
{
    return self->arrivals != NULL;
}

int gpu_is_exact(const ops_context *self)
{
    return self->precision == OPS_FP32;
}

/* DDPT_GPU_OWN=0 leaves all products to the libraries; those of bfloat16 are theirs anyway. */
static base_status prepare_own_products(ops_context *self)
{
    const size_t nbytes = GPU_SMALL_TILES * sizeof *self->arrivals;
    if (self->type != GPU_F32 || base_switch_index(BASE_SWITCH_GPU_OWN) == 0)
        return BASE_OK;
    BASE_TRY(allocate((void **)&self->arrivals, nbytes));
    return gpu_launched(gpuMemsetAsync(self->arrivals, 0, nbytes, self->stream));
}

static base_status ops_open_gpu(const ops_options *options, ops_context **out)
{
    ops_context *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the GPU's operations");
    *out = self;
    self->stream = gpu_stream_of(options->stream);
    self->precision = options->precision;
    self->type = options->precision == OPS_BF16 ? GPU_BF16 : GPU_F32;
    self->patch_bytes_most = options->workspace_bytes ? options->workspace_bytes : WORKSPACE_BYTES;
    gpu_blas_describe(self->libraries, sizeof self->libraries);
    BASE_TRY(gpu_blas_open(options->precision, &self->blas));
    BASE_TRY(allocate((void **)&self->step, sizeof *self->step));
    BASE_TRY(prepare_own_products(self));
    return allocate((void **)&self->scratch, GPU_SCRATCH_FLOATS * sizeof(float));
}

static void ops_close_gpu(ops_context **out)
{
    ops_context *self = *out;
    if (!self)
        return;
    gpuStreamSynchronize(self->stream);
    release(self->narrow);
    release(self->patches);
    release(self->scratch);
    release(self->arrivals);
    release(self->step);
    gpu_cudnn_close(&self->cudnn);
    gpu_blas_close(&self->blas);
    free(self);
    *out = NULL;
}

void gpu_describe_libraries(char *text, size_t nbytes)
{
    char cudnn[32];
    gpu_blas_describe(text, nbytes);
    gpu_cudnn_describe(cudnn, sizeof cudnn);
    const size_t used = strlen(text);
    if (*cudnn)
        snprintf(text + used, nbytes - used, ", %s", cudnn);
}

static const char *ops_libraries_gpu(const ops_context *self)
{
    return self->libraries;
}

static size_t ops_element_bytes_gpu(const ops_context *self)
{
    return self->type == GPU_BF16 ? 2 : sizeof(float);
}

void *gpu_at(const ops_context *self, const void *tensor, int64_t count)
{
    return (char *)tensor + (size_t)count * ops_element_bytes_gpu(self);
}

/* ---- parameters ---- */

/* NULL where there is no narrow copy. */
static uint16_t *narrow_of(const ops_context *self, const float *param)
{
    assert(!self->narrow || (param >= self->params && param <= self->params + self->param_count));
    return self->narrow ? self->narrow + (param - self->params) : NULL;
}

const void *gpu_operand(const ops_context *self, const float *param)
{
    assert(self->narrow || self->type == GPU_F32); /* bind_params comes first */
    return param && self->narrow ? (const void *)narrow_of(self, param) : param;
}

static base_status ops_bind_params_gpu(ops_context *self, const float *params, int64_t count)
{
    if (self->type == GPU_F32)
        return BASE_OK;
    if (self->narrow) {
        BASE_TRY(gpu_check(gpuStreamSynchronize(self->stream), "finish its work"));
        gpuFree(self->narrow);
        self->narrow = NULL;
    }
    self->params = params;
    self->param_count = count;
    return allocate((void **)&self->narrow, (size_t)count * sizeof(uint16_t));
}

static base_status ops_params_changed_gpu(ops_context *self, const float *params, int64_t count)
{
    if (self->type == GPU_F32)
        return BASE_OK;
    return gpu_launched(gpu_narrow(self->stream, GPU_BF16, count, params, narrow_of(self, params)));
}

static base_status ops_begin_step_gpu(ops_context *self, const ops_step *step)
{
    return gpu_launched(gpu_begin_step(self->stream, step, self->step));
}

const gpu_drop *gpu_drop_of(const ops_context *self, const ops_fusion *fusion, gpu_drop *drop)
{
    *drop = (gpu_drop){
        .rate = fusion->dropout, .seed = fusion->seed, .random_stream = fusion->random_stream, .step = self->step};
    return fusion->dropout > 0.0f ? drop : NULL;
}

/* ---- pooling ---- */

static base_status ops_max_pool_forward_gpu(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x,
                                            void *y, uint8_t *winner)
{
    gpu_drop drop;
    return gpu_launched(
        gpu_max_pool_forward(self->stream, self->type, op, batch, x, gpu_drop_of(self, &op->fusion, &drop), y, winner));
}

static base_status ops_max_pool_backward_gpu(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                             const uint8_t *winner, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    return gpu_launched(gpu_max_pool_backward(self->stream, self->type, op, batch, dy, winner, dx, accumulate));
}

static base_status ops_avg_pool_forward_gpu(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x,
                                            void *y)
{
    return gpu_launched(gpu_avg_pool_forward(self->stream, self->type, op, batch, x, y));
}

static base_status ops_avg_pool_backward_gpu(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                             void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    return gpu_launched(gpu_avg_pool_backward(self->stream, self->type, op, batch, dy, dx, accumulate));
}

/* ---- batch normalisation ---- */

static base_status ops_batch_norm_sums_gpu(ops_context *self, int64_t rows, int64_t c, const void *x, double *sums)
{
    return gpu_launched(gpu_batch_norm_sums(self->stream, self->type, rows, c, x, sums, self->scratch));
}

static base_status ops_batch_norm_statistics_gpu(ops_context *self, int64_t c, const double *sums, int64_t count,
                                                 float momentum, float eps, float *mean, float *invstd,
                                                 float *running_mean, float *running_var)
{
    return gpu_launched(gpu_batch_norm_statistics(self->stream, c, sums, count, momentum, eps, mean, invstd,
                                                  running_mean, running_var));
}

static base_status ops_batch_norm_running_gpu(ops_context *self, int64_t c, const float *running_mean,
                                              const float *running_var, float eps, float *mean, float *invstd)
{
    return gpu_launched(gpu_batch_norm_running(self->stream, c, running_mean, running_var, eps, mean, invstd));
}

static base_status ops_batch_norm_forward_gpu(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                              const void *x, const float *mean, const float *invstd, const float *gamma,
                                              const float *beta, void *y, void *z)
{
    void *kept = ops_activation_keeps_input(activation) ? z : NULL;
    return gpu_launched(
        gpu_batch_norm_forward(self->stream, self->type, rows, c, activation, x, mean, invstd, gamma, beta, y, kept));
}

static base_status ops_batch_norm_backward_sums_gpu(ops_context *self, int64_t rows, int64_t c,
                                                    ops_activation activation, const void *x, const float *mean,
                                                    const float *invstd, const void *y, const void *z, void *dy,
                                                    double *sums, void *dgamma, void *dbeta)
{
    return gpu_launched(gpu_batch_norm_backward_sums(self->stream, self->type, rows, c, activation, x, mean, invstd, y,
                                                     z, dy, sums, dgamma, dbeta, self->scratch));
}

static base_status ops_batch_norm_backward_gpu(ops_context *self, int64_t rows, int64_t c, const void *x,
                                               const float *mean, const float *invstd, const float *gamma,
                                               const double *sums, int64_t count, const void *dy, void *dx,
                                               int accumulate)
{
    if (!dx)
        return BASE_OK;
    return gpu_launched(gpu_batch_norm_backward(self->stream, self->type, rows, c, x, mean, invstd, gamma, sums, count,
                                                dy, dx, accumulate));
}

/* ---- elementwise ---- */

static base_status ops_activation_forward_gpu(ops_context *self, ops_activation activation, int64_t count,
                                              const void *x, void *y)
{
    return gpu_launched(gpu_activation_forward(self->stream, self->type, activation, count, x, y));
}

static base_status ops_activation_backward_gpu(ops_context *self, ops_activation activation, int64_t count,
                                               const void *x, const void *y, const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    return gpu_launched(gpu_activation_backward(self->stream, self->type, activation, count, x, y, dy, dx, accumulate));
}

static base_status ops_dropout_forward_gpu(ops_context *self, int64_t batch, int64_t n, float rate, uint64_t seed,
                                           uint32_t random_stream, const void *x, void *y, uint8_t *mask)
{
    const gpu_drop drop = {.rate = rate, .seed = seed, .random_stream = random_stream, .step = self->step};
    return gpu_launched(gpu_dropout_forward(self->stream, self->type, batch, n, &drop, x, y, mask));
}

static base_status ops_dropout_backward_gpu(ops_context *self, int64_t batch, int64_t n, float rate,
                                            const uint8_t *mask, const void *dy, void *dx, int accumulate)
{
    return gpu_launched(gpu_dropout_backward(self->stream, self->type, batch, n, rate, mask, dy, dx, accumulate));
}

static base_status ops_copy_gpu(ops_context *self, int64_t count, const void *from, void *to, int accumulate)
{
    return gpu_launched(gpu_copy(self->stream, self->type, count, from, to, accumulate));
}

/* A launch takes GPU_JOIN_MAX inputs; a sum that goes on counts its own result as one. */
static base_status ops_add_gpu(ops_context *self, int inputs, int64_t count, const void *const *x, void *y)
{
    int taken = inputs < GPU_JOIN_MAX ? inputs : GPU_JOIN_MAX;
    BASE_TRY(gpu_launched(gpu_add(self->stream, self->type, taken, count, x, y)));
    while (taken < inputs) {
        const void *more[GPU_JOIN_MAX] = {y};
        int joined = 1;
        while (joined < GPU_JOIN_MAX && taken < inputs)
            more[joined++] = x[taken++];
        BASE_TRY(gpu_launched(gpu_add(self->stream, self->type, joined, count, more, y)));
    }
    return BASE_OK;
}

static base_status ops_concat_gpu(ops_context *self, int inputs, int64_t rows, const int64_t *c, const void *const *x,
                                  void *y)
{
    int64_t total = 0, from = 0;
    for (int i = 0; i < inputs; i++)
        total += c[i];
    for (int i = 0; i < inputs; from += c[i++])
        BASE_TRY(gpu_launched(gpu_concat(self->stream, self->type, rows, total, from, c[i], x[i], y)));
    return BASE_OK;
}

static base_status ops_concat_backward_gpu(ops_context *self, int64_t rows, int64_t total, int64_t from, int64_t c,
                                           const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return BASE_OK;
    return gpu_launched(gpu_concat_backward(self->stream, self->type, rows, total, from, c, dy, dx, accumulate));
}

/* ---- loss, optimizers, data ---- */

static base_status ops_softmax_cross_entropy_gpu(ops_context *self, int64_t batch, int64_t n, const void *logits,
                                                 const int32_t *labels, float scale, void *dlogits, double result[2])
{
    return gpu_launched(gpu_softmax_cross_entropy(self->stream, self->type, batch, n, logits, labels, scale, dlogits,
                                                  result, self->step, self->scratch));
}

static base_status ops_mean_squared_error_gpu(ops_context *self, int64_t batch, int64_t n, const void *outputs,
                                              const int32_t *labels, float scale, void *doutputs, double result[2])
{
    return gpu_launched(gpu_mean_squared_error(self->stream, self->type, batch, n, outputs, labels, scale, doutputs,
                                               result, self->step, self->scratch));
}

static base_status ops_sgd_update_gpu(ops_context *self, const ops_sgd *op, int64_t count, const float *g, float *p,
                                      float *v)
{
    return gpu_launched(gpu_sgd_update(self->stream, op, self->step, count, g, p, v, narrow_of(self, p)));
}

static base_status ops_adam_update_gpu(ops_context *self, const ops_adam *op, int64_t count, const float *g, float *p,
                                       float *m, float *v)
{
    return gpu_launched(gpu_adam_update(self->stream, op, self->step, count, g, p, m, v, narrow_of(self, p)));
}

static base_status ops_sum_of_squares_gpu(ops_context *self, int64_t count, const float *x, int accumulate,
                                          double *result)
{
    return gpu_launched(gpu_sum_of_squares(self->stream, count, x, accumulate, result, self->scratch));
}

static base_status ops_clip_gpu(ops_context *self, double clip_norm, const double *sum_of_squares)
{
    return gpu_launched(gpu_clip(self->stream, clip_norm, sum_of_squares, self->step));
}

static base_status ops_gather_samples_gpu(ops_context *self, int64_t batch, int64_t size, int64_t c,
                                          const uint8_t *pixels, const int32_t *all_labels, int chosen,
                                          const float *scale, const float *shift, void *x, int32_t *labels)
{
    return gpu_launched(gpu_gather_samples(self->stream, self->type, batch, size, c, pixels, all_labels,
                                           chosen ? self->step : NULL, scale, shift, x, labels));
}

const ops_table ops_gpu = {
#if defined(DDPT_GPU_HIP)
    .name = "hip",
#else
    .name = "cuda",
#endif
    .asynchronous = 1,
    .fuses = 1,
    .open = ops_open_gpu,
    .close = ops_close_gpu,
    .libraries = ops_libraries_gpu,
    .element_bytes = ops_element_bytes_gpu,
    .bind_params = ops_bind_params_gpu,
    .params_changed = ops_params_changed_gpu,
    .begin_step = ops_begin_step_gpu,
    .gemm = ops_gemm_gpu,
    .dense_forward = ops_dense_forward_gpu,
    .dense_backward = ops_dense_backward_gpu,
    .conv2d_create = ops_conv2d_create_gpu,
    .conv2d_destroy = ops_conv2d_destroy_gpu,
    .conv2d_forward = ops_conv2d_forward_gpu,
    .conv2d_backward = ops_conv2d_backward_gpu,
    .max_pool_forward = ops_max_pool_forward_gpu,
    .max_pool_backward = ops_max_pool_backward_gpu,
    .avg_pool_forward = ops_avg_pool_forward_gpu,
    .avg_pool_backward = ops_avg_pool_backward_gpu,
    .batch_norm_sums = ops_batch_norm_sums_gpu,
    .batch_norm_statistics = ops_batch_norm_statistics_gpu,
    .batch_norm_running = ops_batch_norm_running_gpu,
    .batch_norm_forward = ops_batch_norm_forward_gpu,
    .batch_norm_backward_sums = ops_batch_norm_backward_sums_gpu,
    .batch_norm_backward = ops_batch_norm_backward_gpu,
    .activation_forward = ops_activation_forward_gpu,
    .activation_backward = ops_activation_backward_gpu,
    .dropout_forward = ops_dropout_forward_gpu,
    .dropout_backward = ops_dropout_backward_gpu,
    .copy = ops_copy_gpu,
    .add = ops_add_gpu,
    .concat = ops_concat_gpu,
    .concat_backward = ops_concat_backward_gpu,
    .softmax_cross_entropy = ops_softmax_cross_entropy_gpu,
    .mean_squared_error = ops_mean_squared_error_gpu,
    .sgd_update = ops_sgd_update_gpu,
    .adam_update = ops_adam_update_gpu,
    .sum_of_squares = ops_sum_of_squares_gpu,
    .clip = ops_clip_gpu,
    .gather_samples = ops_gather_samples_gpu,
};
