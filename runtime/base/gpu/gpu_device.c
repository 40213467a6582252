#include "gpu_device.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct base_device {
    int index;
};

/* The runtime's handles are pointers already. */
gpuStream_t gpu_stream_of(base_stream *stream)
{
    return (gpuStream_t)stream;
}

static gpuEvent_t event_of(base_event *event)
{
    return (gpuEvent_t)event;
}

base_status gpu_check(gpuError_t error, const char *what)
{
    if (error == gpuSuccess)
        return BASE_OK;
    return BASE_FAIL(BASE_DEVICE, "the GPU cannot %s: %s", what, gpuGetErrorString(error));
}

/* ---- what there is ---- */

#if defined(DDPT_GPU_HIP)
#define VENDOR "AMD"
#define DRIVER_HINT "load the amdgpu kernel module"
#else
#define VENDOR "NVIDIA"
#define DRIVER_HINT "install or load NVIDIA's driver"
#endif

base_status gpu_device_count(int *count)
{
    int driver = 0, runtime = 0;
    *count = 0;
    gpuError_t error = gpuGetDeviceCount(count);
    if (error == gpuSuccess && *count > 0)
        return BASE_OK;
    (void)gpuGetLastError(); /* else the next call would find it */
    *count = 0;
    gpuDriverGetVersion(&driver);
    gpuRuntimeGetVersion(&runtime);
    if (driver == 0)
        return BASE_FAIL(BASE_DEVICE, "no GPU can be used: there is no " VENDOR " driver on this machine (" DRIVER_HINT
                                      ", or use train.device = \"cpu\")");
    if (driver < runtime && error != gpuSuccess)
        return BASE_FAIL(BASE_DEVICE,
                         "no GPU can be used: the driver serves version %d.%d and this build needs %d.%d (update the "
                         "driver, or use train.device = \"cpu\"): %s",
                         driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10,
                         gpuGetErrorString(error));
    return BASE_FAIL(BASE_DEVICE,
                     "no GPU can be used: %s (look at CUDA_VISIBLE_DEVICES, or use train.device = \"cpu\")",
                     error == gpuSuccess ? "there is none" : gpuGetErrorString(error));
}

base_status gpu_device_locate(int index, char bus[GPU_DEVICE_BUS])
{
    BASE_TRY(gpu_check(gpuDeviceGetPCIBusId(bus, GPU_DEVICE_BUS, index), "say where it is"));
    for (char *letter = bus; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter); /* as the system writes it */
    return BASE_OK;
}

base_status gpu_device_describe(int index, gpu_device_facts *facts)
{
    gpuDeviceProp_t properties;
    size_t all = 0;
    memset(facts, 0, sizeof *facts);
    BASE_TRY(gpu_check(gpuGetDeviceProperties(&properties, index), "say what it is"));
    snprintf(facts->name, sizeof facts->name, "%.*s", (int)sizeof facts->name - 1, properties.name);
    facts->memory_bytes = properties.totalGlobalMem;
    facts->processors = properties.multiProcessorCount;
    facts->major = properties.major;
    facts->minor = properties.minor;
    BASE_TRY(gpu_device_locate(index, facts->bus));
    BASE_TRY(gpu_check(gpuDriverGetVersion(&facts->driver), "say its driver's version"));
    BASE_TRY(gpu_check(gpuRuntimeGetVersion(&facts->runtime), "say its runtime's version"));
    BASE_TRY(gpu_check(gpuSetDevice(index), "be opened"));
    return gpu_check(gpuMemGetInfo(&facts->memory_free, &all), "say how much memory is free");
}

int gpu_device_are_peers(int a, int b)
{
    int can = 0;
    return gpuDeviceCanAccessPeer(&can, a, b) == gpuSuccess && can;
}

/* ---- the table ---- */

static base_status open_gpu(base_device **self, int index)
{
    BASE_TRY(gpu_check(gpuSetDevice(index), "be opened"));
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for a device");
    (*self)->index = index;
    return BASE_OK;
}

static base_status attach_gpu(base_device *self)
{
    return gpu_check(gpuSetDevice(self->index), "be opened by another thread");
}

static void close_gpu(base_device **self)
{
    free(*self);
    *self = NULL;
}

static void info_gpu(const base_device *self, base_device_info *info)
{
    gpu_device_facts facts;
    *info = (base_device_info){.kind = BASE_DEVICE_GPU, .name = "GPU", .index = self->index};
    if (gpu_device_describe(self->index, &facts) != BASE_OK)
        return;
    info->memory_bytes = facts.memory_bytes;
    snprintf(info->name, sizeof info->name, "%s", facts.name);
}

static base_status alloc_gpu(base_device *self, size_t nbytes, void **memory)
{
    (void)self;
    size_t size = nbytes > 0 ? nbytes : 1;
    gpuError_t error = gpuMalloc(memory, size);
    if (error != gpuSuccess) {
        size_t left = 0, all = 0;
        *memory = NULL;
        (void)gpuGetLastError();
        gpuMemGetInfo(&left, &all);
        return BASE_FAIL(BASE_DEVICE,
                         "out of memory on the GPU: %.1f MiB are wanted, %.1f of %.1f MiB are free: use a smaller "
                         "train.batch or a smaller model: %s",
                         (double)nbytes * 0x1p-20, (double)left * 0x1p-20, (double)all * 0x1p-20,
                         gpuGetErrorString(error));
    }
    BASE_TRY(gpu_check(gpuMemsetAsync(*memory, 0, size, NULL), "clear memory"));
    return gpu_check(gpuStreamSynchronize(NULL), "clear memory");
}

static void free_gpu(base_device *self, void **memory)
{
    (void)self;
    if (*memory)
        gpuFree(*memory);
    *memory = NULL;
}

/* A checkpoint's thread pins its memory itself, and a thread's GPU is the first one until it says otherwise. */
static base_status alloc_pinned(base_device *self, size_t nbytes, void **memory)
{
    BASE_TRY(gpu_check(gpuSetDevice(self->index), "be opened"));
    BASE_TRY(gpu_check(gpuMallocHost(memory, nbytes > 0 ? nbytes : 1), "pin memory of the host"));
    memset(*memory, 0, nbytes);
    return BASE_OK;
}

static void free_pinned(base_device *self, void **memory)
{
    (void)self;
    if (*memory)
        gpuFreeHost(*memory);
    *memory = NULL;
}

static base_status register_pinned(base_device *self, void *memory, size_t nbytes)
{
    (void)self;
    gpuError_t error = gpuHostRegister(memory, nbytes, gpuHostRegisterDefault);
    if (error != gpuSuccess)
        (void)gpuGetLastError(); /* else the next call would find it */
    return gpu_check(error, "pin memory of the host");
}

static void unregister_pinned(base_device *self, void *memory)
{
    (void)self;
    gpuHostUnregister(memory);
}

static base_status copy_gpu(base_device *self, base_stream *stream, void *to, const void *from, size_t nbytes)
{
    (void)self;
    return gpu_check(gpuMemcpyAsync(to, from, nbytes, gpuMemcpyDefault, gpu_stream_of(stream)), "copy");
}

static base_status zero_gpu(base_device *self, base_stream *stream, void *memory, size_t nbytes)
{
    (void)self;
    return gpu_check(gpuMemsetAsync(memory, 0, nbytes, gpu_stream_of(stream)), "clear memory");
}

static base_status create_stream(base_device *self, base_stream **stream)
{
    gpuStream_t created = NULL;
    (void)self;
    *stream = NULL;
    BASE_TRY(gpu_check(gpuStreamCreateWithFlags(&created, gpuStreamNonBlocking), "make a stream"));
    *stream = (base_stream *)created;
    return BASE_OK;
}

static void destroy_stream(base_device *self, base_stream **stream)
{
    (void)self;
    if (*stream)
        gpuStreamDestroy(gpu_stream_of(*stream));
    *stream = NULL;
}

static base_status wait_stream(base_device *self, base_stream *stream)
{
    (void)self;
    return gpu_check(gpuStreamSynchronize(gpu_stream_of(stream)), "finish its work");
}

static base_status create_event(base_device *self, base_event **event)
{
    gpuEvent_t created = NULL;
    (void)self;
    *event = NULL;
    BASE_TRY(gpu_check(gpuEventCreateWithFlags(&created, gpuEventDisableTiming), "make an event"));
    *event = (base_event *)created;
    return BASE_OK;
}

static void destroy_event(base_device *self, base_event **event)
{
    (void)self;
    if (*event)
        gpuEventDestroy(event_of(*event));
    *event = NULL;
}

static base_status record_event(base_device *self, base_event *event, base_stream *stream)
{
    (void)self;
    return gpu_check(gpuEventRecord(event_of(event), gpu_stream_of(stream)), "record an event");
}

static base_status wait_event(base_device *self, base_event *event, base_stream *stream)
{
    (void)self;
    return gpu_check(gpuStreamWaitEvent(gpu_stream_of(stream), event_of(event), 0), "wait for an event");
}

static base_status event_done(base_device *self, base_event *event, int *done)
{
    (void)self;
    gpuError_t error = gpuEventQuery(event_of(event));
    *done = error == gpuSuccess;
    if (error == gpuErrorNotReady) {
        (void)gpuGetLastError(); /* an answer, not a failure */
        return BASE_OK;
    }
    return gpu_check(error, "do its work");
}

/* ---- graphs ---- */

/* Of this thread alone: others may go on calling what a capture forbids. */
static base_status begin_capture(base_device *self, base_stream *stream)
{
    (void)self;
    return gpu_check(gpuStreamBeginCapture(gpu_stream_of(stream), gpuStreamCaptureModeThreadLocal), "capture a step");
}

static base_status end_capture(base_device *self, base_stream *stream, base_graph **graph)
{
    gpuGraph_t captured = NULL;
    gpuGraphExec_t ready = NULL;
    (void)self;
    *graph = NULL;
    BASE_TRY(gpu_check(gpuStreamEndCapture(gpu_stream_of(stream), &captured), "capture a step"));
    gpuError_t error = gpuGraphInstantiate(&ready, captured, 0);
    gpuGraphDestroy(captured);
    BASE_TRY(gpu_check(error, "make a graph of a step"));
    *graph = (base_graph *)ready;
    return BASE_OK;
}

static base_status launch_graph(base_device *self, base_graph *graph, base_stream *stream)
{
    (void)self;
    return gpu_check(gpuGraphLaunch((gpuGraphExec_t)graph, gpu_stream_of(stream)), "start a step");
}

static void destroy_graph(base_device *self, base_graph **graph)
{
    (void)self;
    if (*graph)
        gpuGraphExecDestroy((gpuGraphExec_t)*graph);
    *graph = NULL;
}

const base_device_table gpu_device_table = {
#if defined(DDPT_GPU_HIP)
    .name = "hip",
#else
    .name = "cuda",
#endif
    .open = open_gpu,
    .close = close_gpu,
    .info = info_gpu,
    .thread_attach = attach_gpu,
    .memory_alloc = alloc_gpu,
    .memory_free = free_gpu,
    .host_alloc = alloc_pinned,
    .host_free = free_pinned,
    .host_register = register_pinned,
    .host_unregister = unregister_pinned,
    .copy = copy_gpu,
    .zero = zero_gpu,
    .stream_create = create_stream,
    .stream_destroy = destroy_stream,
    .stream_wait = wait_stream,
    .event_create = create_event,
    .event_destroy = destroy_event,
    .event_record = record_event,
    .event_wait = wait_event,
    .event_done = event_done,
    .capture_begin = begin_capture,
    .capture_end = end_capture,
    .graph_launch = launch_graph,
    .graph_destroy = destroy_graph};
