/* gpu_nccl_api.h: the names of NCCL. They come from its header where the toolkit has it; elsewhere, and for RCCL, which
 * has the same interface, what is used of it is declared here. The library is found when it is asked for and linked
 * nowhere, so that a GPU is of use without it.
 */
#ifndef GPU_NCCL_API_H
#define GPU_NCCL_API_H

#include "gpu_api.h"

#if defined(DDPT_GPU_HIP)
#define GPU_NCCL_LIBRARY "librccl.so.1"
#define GPU_NCCL_NAME "RCCL"
#else
#define GPU_NCCL_LIBRARY "libnccl.so.2"
#define GPU_NCCL_NAME "NCCL"
#endif

#if !defined(DDPT_GPU_HIP) && __has_include(<nccl.h>)

#include <nccl.h>

#else

#include <limits.h>
#include <stddef.h>

typedef struct ncclComm *ncclComm_t;
typedef struct ncclUniqueId {
    char internal[128];
} ncclUniqueId;
typedef enum ncclResult_t {
    ncclSuccess = 0,
    ncclSystemError = 2,
    ncclRemoteError = 6,
    ncclInProgress = 7
} ncclResult_t;
typedef enum ncclRedOp_t { ncclSum = 0 } ncclRedOp_t;
typedef enum ncclDataType_t { ncclInt64 = 4, ncclUint64 = 5, ncclFloat32 = 7, ncclFloat64 = 8 } ncclDataType_t;

/* As of 2.14, the first that has it; a newer library takes an older configuration and its defaults for the rest. */
typedef struct ncclConfig_t {
    size_t size;
    unsigned magic, version;
    int blocking;
} ncclConfig_t;
#define NCCL_CONFIG_INITIALIZER                                                                                        \
    {                                                                                                                  \
        sizeof(ncclConfig_t), 0xcafebeef, 21400, INT_MIN                                                               \
    }

ncclResult_t ncclGetVersion(int *version);
ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank, ncclConfig_t *config);
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error);
const char *ncclGetErrorString(ncclResult_t result);
const char *ncclGetLastError(ncclComm_t comm);
ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, gpuStream_t stream);
ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, gpuStream_t stream);
ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                           gpuStream_t stream);
ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, gpuStream_t stream);
ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           gpuStream_t stream);
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

#endif

#endif
