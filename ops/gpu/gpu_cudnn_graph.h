/* gpu_cudnn_graph.h: descriptors of cuDNN's backend API, and a pass of a convolution as a graph of operations. Internal
 * to gpu_cudnn.
 */
#ifndef GPU_CUDNN_GRAPH_H
#define GPU_CUDNN_GRAPH_H

#include "gpu_cudnn.h"
#include "gpu_cudnn_api.h"

enum { GPU_CUDNN_PARTS_MAX = 24 };

/* What a plan is made of, in that order. Once something has failed, the calls that follow do nothing. */
typedef struct gpu_cudnn_parts {
    gpudnnDescriptor_t made[GPU_CUDNN_PARTS_MAX];
    int count;
    int failed;
} gpu_cudnn_parts;

gpudnnDescriptor_t gpu_cudnn_make(gpu_cudnn_parts *parts, unsigned type);
/* Down to the first `count`. */
void gpu_cudnn_unmake(gpu_cudnn_parts *parts, int count);
void gpu_cudnn_check(gpu_cudnn_parts *parts, gpudnnStatus_t status);
void gpu_cudnn_set(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, unsigned type, int64_t count,
                   const void *elements);
void gpu_cudnn_set_kind(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, unsigned type,
                        unsigned value); /* one of their enumerations */
void gpu_cudnn_set_integers(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, int64_t count,
                            const int64_t *values);
void gpu_cudnn_set_part(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, gpudnnDescriptor_t part);
void gpu_cudnn_finish(gpu_cudnn_parts *parts, gpudnnDescriptor_t d);

/* Names of tensors within a graph; those from PRODUCT on exist between operations alone. */
enum { GPU_CUDNN_X = 1, GPU_CUDNN_W, GPU_CUDNN_Y, GPU_CUDNN_B, GPU_CUDNN_PRODUCT, GPU_CUDNN_SUM };

int gpu_cudnn_has_bias(gpu_cudnn_pass pass);

/* `type`: GPUDNN_DATA_x of the tensors; handle NULL: none. */
gpudnnDescriptor_t gpu_cudnn_graph(gpu_cudnn_parts *parts, gpudnnHandle_t handle, unsigned type, const ops_conv2d *op,
                                   gpu_cudnn_pass pass, int64_t batch);

#endif
