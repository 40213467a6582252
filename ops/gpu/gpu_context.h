/* gpu_context.h: what the GPU's slots share. Internal to ops/gpu.
 *
 * Everything that a slot needs beside its arguments is here and allocated by open, bind_params or a *_create slot, so
 * that a slot only puts work on the stream.
 */
#ifndef GPU_CONTEXT_H
#define GPU_CONTEXT_H

#include "gpu_blas.h"
#include "gpu_cudnn.h"
#include "gpu_device.h"
#include "gpu_kernels.h"
#include "gpu_small.h"

struct ops_context {
    gpuStream_t stream;
    ops_precision precision;
    gpu_type type; /* of the tensors */
    gpu_blas *blas;
    uint32_t *arrivals; /* of gpu_small, GPU_SMALL_TILES; NULL: all products are the library's */
    gpu_cudnn *cudnn;   /* once it was sought; NULL: not in use */
    int cudnn_sought;
    ops_step *step; /* in device memory */
    float *scratch; /* GPU_SCRATCH_FLOATS; of the running slot */
    void *patches;  /* a convolution's, or what cuDNN works in, of `patch_bytes`; of the running slot */
    size_t patch_bytes, patch_bytes_most;
    const float *params; /* bound ones */
    int64_t param_count;
    uint16_t *narrow; /* the same in bfloat16; NULL for tensors of floats */
    char libraries[64];
};

/* An error of a launch. */
base_status gpu_launched(gpuError_t error);

/* A parameter as products take it: itself, or at the same place of the narrow copy; NULL stays NULL. */
const void *gpu_operand(const ops_context *self, const float *param);

/* `count` elements behind a tensor's address. */
void *gpu_at(const ops_context *self, const void *tensor, int64_t count);

/* c_type's, M x N x K and its operands from x (M, K), w (K, N), y (M, N): y = x w, dx = dy w^T, dw = x^T dy. */
gpu_product gpu_product_forward(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *x, const float *w,
                                void *y);
gpu_product gpu_product_data(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *dy, const float *w,
                             void *dx, int accumulate);
gpu_product gpu_product_weights(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *x, const void *dy,
                                float *dw, int accumulate);

/* y (M, N) = f(x w + b), z = x w + b for activations that keep it. With `drop` (or NULL) y goes through dropout. */
base_status gpu_layer_forward(ops_context *self, ops_activation activation, const gpu_drop *drop, int64_t m, int64_t n,
                              int64_t k, const void *x, const float *w, const float *b, void *y, void *z);

/* The dropout of a fusion for the kernels, in *drop; NULL where it has none. */
const gpu_drop *gpu_drop_of(const ops_context *self, const ops_fusion *fusion, gpu_drop *drop);

/* Are ddpt's own products in use (gpu_small, gpu_implicit), and are they those of fp32, not TF32? */
int gpu_owns_products(const ops_context *self);
int gpu_is_exact(const ops_context *self);

/* Slots of other files. */
base_status ops_gemm_gpu(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *a,
                         int64_t lda, const void *b, int64_t ldb, int accumulate, void *c, int64_t ldc);
base_status ops_dense_forward_gpu(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                  const float *b, void *y, void *z);
base_status ops_dense_backward_gpu(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                   const void *y, const void *z, void *dy, float *dw, float *db, void *dx,
                                   int accumulate);
base_status ops_conv2d_create_gpu(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv);
void ops_conv2d_destroy_gpu(ops_conv **conv);
base_status ops_conv2d_forward_gpu(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                   const float *b, void *y, void *z);
base_status ops_conv2d_backward_gpu(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                    const void *y, const void *z, void *dy, void *dw, void *db, void *dx,
                                    int accumulate);

#endif
