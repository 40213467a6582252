/* gpu_conv.h: the ways of a convolution: implicit products (gpu_implicit.cu), which are ours and for floats; cuDNN
 * (gpu_conv_cudnn.c), which may say no to any pass of any batch; products with patches (gpu_conv.c). Internal to
 * ops/gpu.
 */
#ifndef GPU_CONV_H
#define GPU_CONV_H

#include "gpu_context.h"

typedef struct gpu_conv_cudnn gpu_conv_cudnn;

struct ops_conv {
    ops_context *context;
    ops_conv2d op;
    int64_t oh, ow;
    int64_t patch;   /* elements of one: KH KW C */
    int64_t samples; /* whose patches are there at a time */
    int direct;      /* x itself is the patches */
    int own;         /* by implicit products; the gradient of x too where own_data */
    int own_data;
    gpu_conv_cudnn *cudnn; /* NULL: never asked */
    size_t cudnn_bytes;    /* that it may use of the context's patches */
};

/* *cudnn stays NULL where cuDNN is not in use. Opens it for the context's first convolution. */
base_status gpu_conv_cudnn_create(ops_context *self, const ops_conv2d *op, gpu_conv_cudnn **cudnn);
void gpu_conv_cudnn_destroy(ops_context *self, gpu_conv_cudnn **cudnn);
/* Bytes of the context's patches that it wants at least. */
size_t gpu_conv_cudnn_bytes(const ops_context *self, const ops_conv *conv);

/* As the slots say. *done stays 0 where it is left to the other way, with nothing written. The gradient of x takes the
 * weights of the last forward pass. */
base_status gpu_conv_cudnn_forward(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                   const float *b, void *y, void *z, int *done);
base_status gpu_conv_cudnn_data(ops_context *self, ops_conv *conv, int64_t batch, const void *dz, void *dx,
                                int accumulate, int *done);
base_status gpu_conv_cudnn_weights(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const void *dz,
                                   float *dw, int *done);

#endif
