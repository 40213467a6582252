/* gpu_api.h: the one place that knows whose GPU it is. Kernels and host code use these names; CUDA, HIP and the
 * emulator of the tests (tests/gpu/gpu_emulator.h: kernels run on the CPU, thread by thread) stand behind them.
 *
 * DDPT_GPU_EMULATED or DDPT_GPU_HIP chooses; CUDA otherwise. The runtime's functions are those of CUDA with gpu for
 * cuda, and mean the same. C and C++.
 */
#ifndef GPU_API_H
#define GPU_API_H

#if defined(DDPT_GPU_EMULATED)

#include "gpu_emulator.h"
#define GPU_WARP 32

#elif defined(DDPT_GPU_HIP)

#include <hip/hip_runtime.h>
#define GPU_WARP 64 /* gfx9 */
#define GPU_ALIAS(name) hip##name

#else

#include <cuda_runtime.h>
#define GPU_WARP 32
#define GPU_ALIAS(name) cuda##name

#endif

#if defined(GPU_ALIAS)

typedef GPU_ALIAS(Error_t) gpuError_t;
typedef GPU_ALIAS(Stream_t) gpuStream_t;
typedef GPU_ALIAS(Event_t) gpuEvent_t;
typedef GPU_ALIAS(Graph_t) gpuGraph_t;
typedef GPU_ALIAS(GraphExec_t) gpuGraphExec_t;

#define gpuSuccess GPU_ALIAS(Success)
#define gpuErrorNotReady GPU_ALIAS(ErrorNotReady)
#define gpuGetErrorString GPU_ALIAS(GetErrorString)
#define gpuGetLastError GPU_ALIAS(GetLastError)

#define gpuGetDeviceCount GPU_ALIAS(GetDeviceCount)
#define gpuSetDevice GPU_ALIAS(SetDevice)
#define gpuGetDeviceProperties GPU_ALIAS(GetDeviceProperties)
#define gpuDeviceSynchronize GPU_ALIAS(DeviceSynchronize)
#define gpuDeviceGetPCIBusId GPU_ALIAS(DeviceGetPCIBusId)
#define gpuDeviceCanAccessPeer GPU_ALIAS(DeviceCanAccessPeer)
#define gpuDriverGetVersion GPU_ALIAS(DriverGetVersion)
#define gpuRuntimeGetVersion GPU_ALIAS(RuntimeGetVersion)
#define gpuMemGetInfo GPU_ALIAS(MemGetInfo)

#define gpuMalloc GPU_ALIAS(Malloc)
#define gpuFree GPU_ALIAS(Free)
#define gpuHostRegisterDefault GPU_ALIAS(HostRegisterDefault)
#define gpuHostRegister GPU_ALIAS(HostRegister)
#define gpuHostUnregister GPU_ALIAS(HostUnregister)
#define gpuMemcpyDefault GPU_ALIAS(MemcpyDefault)
#define gpuMemcpyAsync GPU_ALIAS(MemcpyAsync)
#define gpuMemsetAsync GPU_ALIAS(MemsetAsync)

#define gpuStreamNonBlocking GPU_ALIAS(StreamNonBlocking)
#define gpuStreamCreateWithFlags GPU_ALIAS(StreamCreateWithFlags)
#define gpuStreamDestroy GPU_ALIAS(StreamDestroy)
#define gpuStreamSynchronize GPU_ALIAS(StreamSynchronize)
#define gpuStreamQuery GPU_ALIAS(StreamQuery)
#define gpuStreamWaitEvent GPU_ALIAS(StreamWaitEvent)
#define gpuEventDisableTiming GPU_ALIAS(EventDisableTiming)
#define gpuEventCreateWithFlags GPU_ALIAS(EventCreateWithFlags)
#define gpuEventDestroy GPU_ALIAS(EventDestroy)
#define gpuEventRecord GPU_ALIAS(EventRecord)
#define gpuEventQuery GPU_ALIAS(EventQuery)
#define gpuEventSynchronize GPU_ALIAS(EventSynchronize)

#define gpuStreamCaptureModeThreadLocal GPU_ALIAS(StreamCaptureModeThreadLocal)
#define gpuStreamBeginCapture GPU_ALIAS(StreamBeginCapture)
#define gpuStreamEndCapture GPU_ALIAS(StreamEndCapture)
#define gpuGraphInstantiate GPU_ALIAS(GraphInstantiateWithFlags)
#define gpuGraphLaunch GPU_ALIAS(GraphLaunch)
#define gpuGraphDestroy GPU_ALIAS(GraphDestroy)
#define gpuGraphExecDestroy GPU_ALIAS(GraphExecDestroy)

#if defined(DDPT_GPU_HIP)
typedef hipDeviceProp_t gpuDeviceProp_t;
#define gpuMallocHost(pointer, size) hipHostMalloc(pointer, size, 0)
#define gpuFreeHost hipHostFree
#else
typedef struct cudaDeviceProp gpuDeviceProp_t;
#define gpuMallocHost cudaMallocHost
#define gpuFreeHost cudaFreeHost
#endif

#if defined(__cplusplus)
/* Put a kernel on a stream; the value is the error of the launch. A kernel with template arguments stands in
 * parentheses. */
#define GPU_LAUNCH(kernel, blocks, threads, stream, ...)                                                               \
    (kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__), gpuGetLastError())

/* All threads of a warp take part. */
#if defined(DDPT_GPU_HIP)
#define gpu_shuffle_down(value, by) __shfl_down((value), (by))
#define gpu_shuffle_xor(value, mask) __shfl_xor((value), (mask))
#else
#define gpu_shuffle_down(value, by) __shfl_down_sync(0xffffffffu, (value), (by))
#define gpu_shuffle_xor(value, mask) __shfl_xor_sync(0xffffffffu, (value), (mask))
#endif
#endif

#endif

#endif
