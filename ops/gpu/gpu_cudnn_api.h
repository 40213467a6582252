/* gpu_cudnn_api.h: what is used of cuDNN's backend API, as versions 8 and 9 have it. It is declared here and found when
 * it is asked for, so that neither a build nor a run needs it. tests/gpu/cudnn_declarations.c holds this against
 * NVIDIA's headers: integers stand here for their enumerations, which are compatible types.
 */
#ifndef GPU_CUDNN_API_H
#define GPU_CUDNN_API_H

#include "gpu_api.h"

#include <stddef.h>
#include <stdint.h>

/* CUDNN_x of their headers is GPUDNN_x here. */
#define GPUDNN_CONSTANTS(X)                                                                                            \
    X(STATUS_SUCCESS, 0)                                                                                               \
    X(DATA_FLOAT, 0)                                                                                                   \
    X(DATA_BFLOAT16, 9)                                                                                                \
    X(CROSS_CORRELATION, 1)                                                                                            \
    X(POINTWISE_ADD, 0)                                                                                                \
    X(POINTWISE_RELU_FWD, 100)                                                                                         \
    X(HEUR_MODE_A, 3)                                                                                                  \
    X(HEUR_MODE_FALLBACK, 2)                                                                                           \
    X(TYPE_HANDLE, 0)                                                                                                  \
    X(TYPE_DATA_TYPE, 1)                                                                                               \
    X(TYPE_BOOLEAN, 2)                                                                                                 \
    X(TYPE_INT64, 3)                                                                                                   \
    X(TYPE_FLOAT, 4)                                                                                                   \
    X(TYPE_VOID_PTR, 6)                                                                                                \
    X(TYPE_CONVOLUTION_MODE, 7)                                                                                        \
    X(TYPE_HEUR_MODE, 8)                                                                                               \
    X(TYPE_NUMERICAL_NOTE, 11)                                                                                         \
    X(TYPE_POINTWISE_MODE, 14)                                                                                         \
    X(TYPE_BACKEND_DESCRIPTOR, 15)                                                                                     \
    X(TYPE_CHAR, 24)                                                                                                   \
    X(BACKEND_POINTWISE_DESCRIPTOR, 0)                                                                                 \
    X(BACKEND_CONVOLUTION_DESCRIPTOR, 1)                                                                               \
    X(BACKEND_ENGINE_DESCRIPTOR, 2)                                                                                    \
    X(BACKEND_ENGINECFG_DESCRIPTOR, 3)                                                                                 \
    X(BACKEND_ENGINEHEUR_DESCRIPTOR, 4)                                                                                \
    X(BACKEND_EXECUTION_PLAN_DESCRIPTOR, 5)                                                                            \
    X(BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, 10)                                                            \
    X(BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, 11)                                                    \
    X(BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, 12)                                                      \
    X(BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 13)                                                                      \
    X(BACKEND_OPERATIONGRAPH_DESCRIPTOR, 15)                                                                           \
    X(BACKEND_VARIANT_PACK_DESCRIPTOR, 16)                                                                             \
    X(BACKEND_TENSOR_DESCRIPTOR, 17)                                                                                   \
    X(BACKEND_DEVICEPROP_DESCRIPTOR, 38)                                                                               \
    X(ATTR_POINTWISE_MODE, 0)                                                                                          \
    X(ATTR_POINTWISE_MATH_PREC, 1)                                                                                     \
    X(ATTR_CONVOLUTION_COMP_TYPE, 100)                                                                                 \
    X(ATTR_CONVOLUTION_CONV_MODE, 101)                                                                                 \
    X(ATTR_CONVOLUTION_DILATIONS, 102)                                                                                 \
    X(ATTR_CONVOLUTION_FILTER_STRIDES, 103)                                                                            \
    X(ATTR_CONVOLUTION_POST_PADDINGS, 104)                                                                             \
    X(ATTR_CONVOLUTION_PRE_PADDINGS, 105)                                                                              \
    X(ATTR_CONVOLUTION_SPATIAL_DIMS, 106)                                                                              \
    X(ATTR_ENGINEHEUR_MODE, 200)                                                                                       \
    X(ATTR_ENGINEHEUR_OPERATION_GRAPH, 201)                                                                            \
    X(ATTR_ENGINEHEUR_RESULTS, 202)                                                                                    \
    X(ATTR_ENGINEHEUR_DEVICEPROP, 204)                                                                                 \
    X(ATTR_ENGINECFG_ENGINE, 300)                                                                                      \
    X(ATTR_EXECUTION_PLAN_HANDLE, 400)                                                                                 \
    X(ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401)                                                                          \
    X(ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 402)                                                                         \
    X(ATTR_EXECUTION_PLAN_DEVICEPROP, 407)                                                                             \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 700)                                                                   \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 701)                                                                    \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, 702)                                                               \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_W, 703)                                                                       \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_X, 704)                                                                       \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_Y, 705)                                                                       \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 706)                                                                  \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 707)                                                                   \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, 708)                                                              \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, 709)                                                                      \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, 710)                                                                     \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, 711)                                                                     \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 712)                                                                \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 713)                                                                 \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, 714)                                                            \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, 715)                                                                   \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, 716)                                                                    \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, 717)                                                                   \
    X(ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 750)                                                                     \
    X(ATTR_OPERATION_POINTWISE_XDESC, 751)                                                                             \
    X(ATTR_OPERATION_POINTWISE_BDESC, 752)                                                                             \
    X(ATTR_OPERATION_POINTWISE_YDESC, 753)                                                                             \
    X(ATTR_OPERATIONGRAPH_HANDLE, 800)                                                                                 \
    X(ATTR_OPERATIONGRAPH_OPS, 801)                                                                                    \
    X(ATTR_TENSOR_BYTE_ALIGNMENT, 900)                                                                                 \
    X(ATTR_TENSOR_DATA_TYPE, 901)                                                                                      \
    X(ATTR_TENSOR_DIMENSIONS, 902)                                                                                     \
    X(ATTR_TENSOR_STRIDES, 903)                                                                                        \
    X(ATTR_TENSOR_UNIQUE_ID, 906)                                                                                      \
    X(ATTR_TENSOR_IS_VIRTUAL, 907)                                                                                     \
    X(ATTR_VARIANT_PACK_UNIQUE_IDS, 1000)                                                                              \
    X(ATTR_VARIANT_PACK_DATA_POINTERS, 1001)                                                                           \
    X(ATTR_VARIANT_PACK_WORKSPACE, 1003)                                                                               \
    X(ATTR_ENGINE_NUMERICAL_NOTE, 1303)                                                                                \
    X(ATTR_DEVICEPROP_JSON_REPRESENTATION, 2702)                                                                       \
    X(NUMERICAL_NOTE_TENSOR_CORE, 0)                                                                                   \
    X(NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, 1)                                                                           \
    X(NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, 2)                                                                   \
    X(NUMERICAL_NOTE_FFT, 3)                                                                                           \
    X(NUMERICAL_NOTE_NONDETERMINISTIC, 4)                                                                              \
    X(NUMERICAL_NOTE_WINOGRAD_TILE_6x6, 7)                                                                             \
    X(NUMERICAL_NOTE_WINOGRAD_TILE_13x13, 8)

#define GPUDNN_DEFINE(name, value) GPUDNN_##name = value,
enum { GPUDNN_CONSTANTS(GPUDNN_DEFINE) };

typedef struct cudnnContext *gpudnnHandle_t;
typedef void *gpudnnDescriptor_t;
typedef unsigned gpudnnStatus_t;

#if defined(__cplusplus)
extern "C" {
#endif

size_t cudnnGetVersion(void);
gpudnnStatus_t cudnnCreate(gpudnnHandle_t *handle);
gpudnnStatus_t cudnnDestroy(gpudnnHandle_t handle);
gpudnnStatus_t cudnnSetStream(gpudnnHandle_t handle, gpuStream_t stream);
gpudnnStatus_t cudnnBackendCreateDescriptor(unsigned type, gpudnnDescriptor_t *descriptor);
gpudnnStatus_t cudnnBackendDestroyDescriptor(gpudnnDescriptor_t descriptor);
gpudnnStatus_t cudnnBackendSetAttribute(gpudnnDescriptor_t descriptor, unsigned name, unsigned type, int64_t count,
                                        const void *elements);
gpudnnStatus_t cudnnBackendGetAttribute(gpudnnDescriptor_t descriptor, unsigned name, unsigned type, int64_t wanted,
                                        int64_t *count, void *elements);
gpudnnStatus_t cudnnBackendFinalize(gpudnnDescriptor_t descriptor);
gpudnnStatus_t cudnnBackendExecute(gpudnnHandle_t handle, gpudnnDescriptor_t plan, gpudnnDescriptor_t pack);

#if defined(__cplusplus)
}
#endif

#define GPUDNN_FUNCTIONS(X)                                                                                            \
    X(GetVersion)                                                                                                      \
    X(Create)                                                                                                          \
    X(Destroy)                                                                                                         \
    X(SetStream)                                                                                                       \
    X(BackendCreateDescriptor)                                                                                         \
    X(BackendDestroyDescriptor)                                                                                        \
    X(BackendSetAttribute)                                                                                             \
    X(BackendGetAttribute)                                                                                             \
    X(BackendFinalize)                                                                                                 \
    X(BackendExecute)

#define GPUDNN_DECLARE(name) __typeof__(cudnn##name) *name;
typedef struct gpudnn_functions {
    GPUDNN_FUNCTIONS(GPUDNN_DECLARE)
} gpudnn_functions;

/* 1: the library is there, and `gpudnn` holds its functions. It is looked for once. */
int gpudnn_find(void);
extern gpudnn_functions gpudnn;

#endif
