/* gpu_implicit.h: convolutions of floats as products whose factors are gathered as they are needed: patches of the
 * image are never in memory (gpu_implicit.cu). What they compute is said in ops.h, slots conv2d_forward and
 * conv2d_backward. The order of sums depends on the shape alone.
 */
#ifndef GPU_IMPLICIT_H
#define GPU_IMPLICIT_H

#include "gpu_kernels.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* 1 where batches of up to max_batch can be done; of dx also where `wants_dx`, and the stride is 1. */
int gpu_implicit_can(const ops_conv2d *op, int64_t max_batch);
int gpu_implicit_can_data(const ops_conv2d *op);
/* Of the workspace that the gradient of w wants, whatever the batch. */
size_t gpu_implicit_bytes(const ops_conv2d *op);

/* exact: fp32, else TF32 (gpu_product.cuh). relu, b: what the activation is, and NULL for none. batch > 0. */
gpuError_t gpu_implicit_forward(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *x,
                                const float *w, const float *b, int relu, float *y);
/* gate as in ops_fusion, 0 for none, with the x of the forward pass. */
gpuError_t gpu_implicit_data(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *dz,
                             const float *w, float gate, const float *x, float *dx, int accumulate);
/* db NULL: no bias. */
gpuError_t gpu_implicit_weights(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *x,
                                const float *dz, float *dw, float *db, void *workspace);

#if defined(__cplusplus)
}
#endif

#endif
