/* gpu_kernels.h: the kernels of the GPU back end, as C calls. What they compute is said in ops.h, slot by slot.
 *
 * Every call puts its work on `stream`, allocates nothing, waits for nothing and may be captured into a graph: whatever
 * differs from step to step (ops_step) is read from device memory. The value is the error of the launch, gpuSuccess (0)
 * where there is none; with no elements nothing is launched.
 *
 * Tensors whose pointers are void are of type `type`, aligned to 16 bytes; arithmetic is in float, what is named double
 * in double. Sums are taken in an order that depends on the shape alone, without atomics: repeats are equal to the bit.
 * `scratch` holds GPU_SCRATCH_FLOATS floats and is free again for the next call on the same stream.
 */
#ifndef GPU_KERNELS_H
#define GPU_KERNELS_H

#include "gpu_api.h"
#include "ops.h"

#if defined(__cplusplus)
extern "C" {
#endif

typedef enum gpu_type { GPU_F32, GPU_BF16 } gpu_type;

/* The emulator's is small, so that tensors of tests outgrow it. */
#if defined(DDPT_GPU_EMULATED)
enum { GPU_SCRATCH_FLOATS = 1 << 16 };
#else
enum { GPU_SCRATCH_FLOATS = 1 << 20 };
#endif

/* Dropout: masks equal to the host's, those of the streams of base_random.h; step and first sample from `step` (device
 * memory). */
typedef struct gpu_drop {
    float rate;
    uint64_t seed;
    uint32_t random_stream;
    const ops_step *step;
} gpu_drop;

/* ---- elementwise ---- */

gpuError_t gpu_activation_forward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t count,
                                  const void *x, void *y);
gpuError_t gpu_activation_backward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t count,
                                   const void *x, const void *y, const void *dy, void *dx, int accumulate);
/* After a product without bias: y (rows, n) = f(y + b), z (may be NULL) = y + b; b (n) of `type`, or NULL. With `drop`
 * (or NULL) y goes through dropout, rows being samples. */
gpuError_t gpu_bias_activation(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t rows, int64_t n,
                               const void *b, const gpu_drop *drop, void *y, void *z);
/* dx[i] = x[i] <= 0 ? 0 : gate dx[i]. */
gpuError_t gpu_gate(gpuStream_t stream, gpu_type type, int64_t count, float gate, const void *x, void *dx);
/* dy (rows, n) *= f' by y or z; db (n) floats = sums of the result over its rows, or NULL. */
gpuError_t gpu_bias_activation_backward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t rows,
                                        int64_t n, const void *y, const void *z, void *dy, float *db, float *scratch);
gpuError_t gpu_copy(gpuStream_t stream, gpu_type type, int64_t count, const void *from, void *to, int accumulate);
enum { GPU_JOIN_MAX = 8 }; /* inputs a call; more are added in several */
gpuError_t gpu_add(gpuStream_t stream, gpu_type type, int inputs, int64_t count, const void *const *x, void *y);
/* y (rows, total) gets x (rows, c) as its columns from `from` on; backward the other way. */
gpuError_t gpu_concat(gpuStream_t stream, gpu_type type, int64_t rows, int64_t total, int64_t from, int64_t c,
                      const void *x, void *y);
gpuError_t gpu_concat_backward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t total, int64_t from, int64_t c,
                               const void *dy, void *dx, int accumulate);
/* float to `type` and back. */
gpuError_t gpu_narrow(gpuStream_t stream, gpu_type type, int64_t count, const float *from, void *to);
gpuError_t gpu_widen(gpuStream_t stream, gpu_type type, int64_t count, const void *from, float *to);

/* ---- dropout and data ---- */

gpuError_t gpu_dropout_forward(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const gpu_drop *drop,
                               const void *x, void *y, uint8_t *mask);
gpuError_t gpu_dropout_backward(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, float rate,
                                const uint8_t *mask, const void *dy, void *dx, int accumulate);
/* x (batch, size)[i][j] = pixels[sample[i] * size + j] * scale[j % c] + shift[j % c], labels[i] =
 * all_labels[sample[i]], the samples being those of `step` (device memory), or i itself where it is NULL. */
gpuError_t gpu_gather_samples(gpuStream_t stream, gpu_type type, int64_t batch, int64_t size, int64_t c,
                              const uint8_t *pixels, const int32_t *all_labels, const ops_step *step,
                              const float *scale, const float *shift, void *x, int32_t *labels);

/* ---- pooling and convolution ---- */

/* `drop`: y goes through it; or NULL. */
gpuError_t gpu_max_pool_forward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *x,
                                const gpu_drop *drop, void *y, uint8_t *winner);
gpuError_t gpu_max_pool_backward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *dy,
                                 const uint8_t *winner, void *dx, int accumulate);
gpuError_t gpu_avg_pool_forward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *x,
                                void *y);
gpuError_t gpu_avg_pool_backward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *dy,
                                 void *dx, int accumulate);
/* columns (batch OH OW, kernel_h kernel_w C) of x (batch, H, W, C), and the sum back into dx. */
gpuError_t gpu_im2col(gpuStream_t stream, gpu_type type, const ops_conv2d *op, int64_t batch, const void *x,
                      void *columns);
gpuError_t gpu_col2im(gpuStream_t stream, gpu_type type, const ops_conv2d *op, int64_t batch, const void *columns,
                      void *dx, int accumulate);
/* to (columns, rows) = from (rows, columns) transposed; the second from `type` to float. */
gpuError_t gpu_transpose(gpuStream_t stream, gpu_type type, int64_t rows, int64_t columns, const void *from, void *to);
gpuError_t gpu_transpose_to_float(gpuStream_t stream, gpu_type type, int64_t rows, int64_t columns, const void *from,
                                  float *to);

/* ---- batch normalisation ---- */

gpuError_t gpu_batch_norm_sums(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, const void *x, double *sums,
                               float *scratch);
gpuError_t gpu_batch_norm_statistics(gpuStream_t stream, int64_t c, const double *sums, int64_t count, float momentum,
                                     float eps, float *mean, float *invstd, float *running_mean, float *running_var);
gpuError_t gpu_batch_norm_running(gpuStream_t stream, int64_t c, const float *running_mean, const float *running_var,
                                  float eps, float *mean, float *invstd);
/* gamma and beta are the float master parameters. */
gpuError_t gpu_batch_norm_forward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, ops_activation activation,
                                  const void *x, const float *mean, const float *invstd, const float *gamma,
                                  const float *beta, void *y, void *z);
/* dgamma and dbeta: this rank's share, floats. */
gpuError_t gpu_batch_norm_backward_sums(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c,
                                        ops_activation activation, const void *x, const float *mean,
                                        const float *invstd, const void *y, const void *z, void *dy, double *sums,
                                        float *dgamma, float *dbeta, float *scratch);
gpuError_t gpu_batch_norm_backward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, const void *x,
                                   const float *mean, const float *invstd, const float *gamma, const double *sums,
                                   int64_t count, const void *dy, void *dx, int accumulate);

/* ---- loss ---- */

/* `result` (2 doubles) is written or, where it is NULL, the result of `step` (device memory); dlogits NULL: evaluation.
 */
gpuError_t gpu_softmax_cross_entropy(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const void *logits,
                                     const int32_t *labels, float scale, void *dlogits, double *result,
                                     const ops_step *step, float *scratch);
gpuError_t gpu_mean_squared_error(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const void *outputs,
                                  const int32_t *labels, float scale, void *doutputs, double *result,
                                  const ops_step *step, float *scratch);

/* ---- optimizers ---- */

/* *to (device memory) = *step, which may change as soon as this returns: it travels with the launch. */
gpuError_t gpu_begin_step(gpuStream_t stream, const ops_step *step, ops_step *to);
/* lr, grad_scale and the number of the update come from `step`. `narrow` (may be NULL): the parameters
 * once more, in bfloat16, for the next forward pass. */
gpuError_t gpu_sgd_update(gpuStream_t stream, const ops_sgd *op, const ops_step *step, int64_t count, const float *g,
                          float *p, float *v, void *narrow);
gpuError_t gpu_adam_update(gpuStream_t stream, const ops_adam *op, const ops_step *step, int64_t count, const float *g,
                           float *p, float *m, float *v, void *narrow);
/* *result in device memory. */
gpuError_t gpu_sum_of_squares(gpuStream_t stream, int64_t count, const float *x, int accumulate, double *result,
                              float *scratch);
/* step->grad_scale = clip_norm / norm where norm = sqrt of *sum_of_squares is larger, else 1. */
gpuError_t gpu_clip(gpuStream_t stream, double clip_norm, const double *sum_of_squares, ops_step *step);

#if defined(__cplusplus)
}
#endif

#endif
