/* gpu_emulator.h: a GPU for the tests of machines that have none: gpu_api.h's names on the CPU.
 *
 * It is as unhelpful as a GPU may be. Work waits in its stream until somebody must see its end, so that a missing
 * wait shows. Device memory holds NaN bytes at first and cannot be touched (SIGSEGV) but by kernels and copies while
 * they run. The threads of a block are fibers, run one after the other from meeting point to meeting point
 * (__syncthreads, shuffles), forwards and backwards by turns, and so are blocks and the branches of a graph. A kernel
 * in which not all threads come to a meeting point, or that is given an address of pageable memory, ends the program
 * with a line on stderr. Copies into shared memory come as late as they may. There is one device. Calls may come from
 * any thread; one at a time runs. With DDPT_EMULATED_FAULT=N its work fails from the N-th query of an event on, for
 * good, as a GPU's does after an illegal address.
 */
#ifndef GPU_EMULATOR_H
#define GPU_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

typedef enum gpuError_t {
    gpuSuccess = 0,
    gpuErrorInvalidValue = 1,
    gpuErrorMemoryAllocation = 2,
    gpuErrorInvalidConfiguration = 9,
    gpuErrorInvalidDevice = 101,
    gpuErrorNotReady = 600,
    gpuErrorIllegalAddress = 700,
    gpuErrorStreamCaptureUnsupported = 900,
    gpuErrorStreamCaptureUnjoined = 904
} gpuError_t;

typedef struct gpu_emulator_stream *gpuStream_t; /* NULL: the default stream, one like the others */
typedef struct gpu_emulator_event *gpuEvent_t;
typedef struct gpu_emulator_graph *gpuGraph_t;
typedef struct gpu_emulator_exec *gpuGraphExec_t;

enum { gpuMemcpyDefault = 4 };
enum { gpuHostRegisterDefault = 0 };
enum { gpuStreamNonBlocking = 1 };
enum { gpuEventDisableTiming = 2 };
enum { gpuStreamCaptureModeThreadLocal = 1 };

typedef struct gpuDeviceProp_t {
    char name[256];
    size_t totalGlobalMem;
    int multiProcessorCount, major, minor;
} gpuDeviceProp_t;

const char *gpuGetErrorString(gpuError_t error);
gpuError_t gpuGetLastError(void);

gpuError_t gpuGetDeviceCount(int *count);
gpuError_t gpuSetDevice(int device);
gpuError_t gpuGetDeviceProperties(gpuDeviceProp_t *properties, int device);
gpuError_t gpuDeviceSynchronize(void);
gpuError_t gpuDeviceGetPCIBusId(char *text, int size, int device);
gpuError_t gpuDeviceCanAccessPeer(int *can, int device, int peer);
gpuError_t gpuDriverGetVersion(int *version);
gpuError_t gpuRuntimeGetVersion(int *version);
gpuError_t gpuMemGetInfo(size_t *available, size_t *total);

gpuError_t gpuMallocBytes(void **memory, size_t nbytes);
gpuError_t gpuFree(void *memory);
gpuError_t gpuMallocHostBytes(void **memory, size_t nbytes);
gpuError_t gpuFreeHost(void *memory);
gpuError_t gpuHostRegister(void *memory, size_t nbytes, unsigned flags);
gpuError_t gpuHostUnregister(void *memory);
#define gpuMalloc(memory, nbytes) gpuMallocBytes((void **)(memory), (nbytes))
#define gpuMallocHost(memory, nbytes) gpuMallocHostBytes((void **)(memory), (nbytes))
/* From pageable memory the source is read at once; to pageable memory the copy is done at once, as CUDA does. */
gpuError_t gpuMemcpyAsync(void *to, const void *from, size_t nbytes, int kind, gpuStream_t stream);
gpuError_t gpuMemsetAsync(void *memory, int byte, size_t nbytes, gpuStream_t stream);

gpuError_t gpuStreamCreateWithFlags(gpuStream_t *stream, unsigned flags);
gpuError_t gpuStreamDestroy(gpuStream_t stream);
gpuError_t gpuStreamSynchronize(gpuStream_t stream);
gpuError_t gpuStreamQuery(gpuStream_t stream); /* each call lets the stream go on by one step */
gpuError_t gpuStreamWaitEvent(gpuStream_t stream, gpuEvent_t event, unsigned flags);
gpuError_t gpuEventCreateWithFlags(gpuEvent_t *event, unsigned flags);
gpuError_t gpuEventDestroy(gpuEvent_t event);
gpuError_t gpuEventRecord(gpuEvent_t event, gpuStream_t stream);
gpuError_t gpuEventQuery(gpuEvent_t event);
gpuError_t gpuEventSynchronize(gpuEvent_t event);

gpuError_t gpuStreamBeginCapture(gpuStream_t stream, int mode);
gpuError_t gpuStreamEndCapture(gpuStream_t stream, gpuGraph_t *graph);
gpuError_t gpuGraphInstantiate(gpuGraphExec_t *exec, gpuGraph_t graph, unsigned long long flags);
gpuError_t gpuGraphLaunch(gpuGraphExec_t exec, gpuStream_t stream);
gpuError_t gpuGraphDestroy(gpuGraph_t graph);
gpuError_t gpuGraphExecDestroy(gpuGraphExec_t exec);

#if defined(__cplusplus)
}
#include "gpu_emulator_device.h"
#endif

#endif
