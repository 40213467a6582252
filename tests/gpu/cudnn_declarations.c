/* Compiled where NVIDIA's headers are: what gpu_cudnn_api.h says of cuDNN is what they say. The functions are declared
 * in both, which a compiler takes for compatible types alone. */
#include <cudnn.h>

#include "gpu_cudnn_api.h"

#define SAME(name, value) _Static_assert((int)CUDNN_##name == (value), "CUDNN_" #name);
GPUDNN_CONSTANTS(SAME)

_Static_assert(sizeof(cudnnStatus_t) == sizeof(gpudnnStatus_t) && sizeof(cudnnHandle_t) == sizeof(gpudnnHandle_t) &&
                   sizeof(cudnnBackendDescriptor_t) == sizeof(gpudnnDescriptor_t),
               "the types that are passed");
