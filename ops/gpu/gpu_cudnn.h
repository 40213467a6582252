/* gpu_cudnn.h: convolutions by cuDNN, where it is there and nobody forbids it (DDPT_GPU_CUDNN=0).
 *
 * Images are (B, H, W, C), filters (N, KH, KW, C): weights of ops.h, (KH, KW, C, N), are transposed before and after.
 * How a pass is computed is chosen by cuDNN's heuristics, without timing, among engines whose repeats are equal to the
 * bit: on tensor cores or not, as the precision says, never with factors or sums narrower than that, nor by Fourier
 * transforms or large Winograd tiles, which cost digits. Sums are in float.
 */
#ifndef GPU_CUDNN_H
#define GPU_CUDNN_H

#include "gpu_kernels.h"

typedef struct gpu_cudnn gpu_cudnn;
typedef struct gpu_cudnn_plan gpu_cudnn_plan; /* a pass over a batch of a certain size, made ready */

/* Tensors are of the precision's type but for what is named float. */
typedef enum gpu_cudnn_pass {
    GPU_CUDNN_FORWARD,                /* y = x * w */
    GPU_CUDNN_FORWARD_BIAS,           /* y = x * w + b */
    GPU_CUDNN_FORWARD_BIAS_RELU,      /* y = max(x * w + b, 0) */
    GPU_CUDNN_BACKWARD_DATA,          /* x = the gradient of x, of y its gradient */
    GPU_CUDNN_BACKWARD_DATA_ADD,      /* the same, added to what x holds */
    GPU_CUDNN_BACKWARD_WEIGHTS,       /* w = the gradient of w, float */
    GPU_CUDNN_BACKWARD_WEIGHTS_NARROW /* the same, rounded to the precision's type */
} gpu_cudnn_pass;

/* Addresses in device memory, multiples of 16. */
typedef struct gpu_cudnn_tensors {
    const void *x, *w, *y, *b; /* one of them is written, as the pass says; b (N), or NULL */
} gpu_cudnn_tensors;

/* "cuDNN 9.19"; "" where it is not there or not wanted. Before open too. */
void gpu_cudnn_describe(char *text, size_t nbytes);

/* NULL where it is not there, not wanted, or does not start. `device` NULL: the GPU in use; otherwise one that is
 * described in cuDNN's JSON (version 9.8), whose plans can be made on a machine without it, though not run. */
gpu_cudnn *gpu_cudnn_open(ops_precision precision, gpuStream_t stream, const char *device);
void gpu_cudnn_close(gpu_cudnn **self);

/* NULL where cuDNN has no engine for it that needs at most `workspace_most` bytes. */
gpu_cudnn_plan *gpu_cudnn_plan_create(gpu_cudnn *self, const ops_conv2d *op, gpu_cudnn_pass pass, int64_t batch,
                                      size_t workspace_most);
void gpu_cudnn_plan_destroy(gpu_cudnn_plan **plan);
/* Of the workspace of its runs. */
size_t gpu_cudnn_plan_bytes(const gpu_cudnn_plan *plan);

/* On the stream, without waiting or allocating there; 0 where it does not start. `workspace` is aligned to 256 bytes.
 */
int gpu_cudnn_run(gpu_cudnn *self, const gpu_cudnn_plan *plan, const gpu_cudnn_tensors *tensors, void *workspace);

#endif
