/* gpu_device.h: the GPU back end's device table (base_device.h), and what the other halves of the plug-in need of it.
 */
#ifndef GPU_DEVICE_H
#define GPU_DEVICE_H

#include "base_device.h"
#include "gpu_api.h"

extern const base_device_table gpu_device_table;

/* GPUs that this process may use (CUDA_VISIBLE_DEVICES is honoured). BASE_DEVICE, with what to do, where there is no
 * driver, one that is too old, or no GPU. */
base_status gpu_device_count(int *count);

/* What `doctor` and the run record say of a GPU. */
enum { GPU_DEVICE_BUS = 32 };
typedef struct gpu_device_facts {
    char name[128], bus[GPU_DEVICE_BUS];
    size_t memory_bytes, memory_free;
    int processors; /* streaming multiprocessors, compute units */
    int major, minor;
    int driver, runtime; /* 13000: 13.0 */
} gpu_device_facts;
/* Its address on the PCI bus, "0000:17:00.0" in lower case; opens nothing. */
base_status gpu_device_locate(int index, char bus[GPU_DEVICE_BUS]);
base_status gpu_device_describe(int index, gpu_device_facts *facts);

/* 1 where GPU `a` can read the memory of GPU `b` over a link of theirs. */
int gpu_device_are_peers(int a, int b);

gpuStream_t gpu_stream_of(base_stream *stream);

/* BASE_DEVICE, with the runtime's words for `error`; BASE_OK for none. */
base_status gpu_check(gpuError_t error, const char *what);

#endif
