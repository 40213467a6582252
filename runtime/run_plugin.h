/* run_plugin.h: a back end that is loaded when it is asked for: libddpt_gpu.so. Nothing of it is linked, so that the
 * same program runs where its libraries (CUDA, NCCL) are not.
 */
#ifndef RUN_PLUGIN_H
#define RUN_PLUGIN_H

#include "base_device.h"
#include "base_services.h"
#include "comm_nccl.h"
#include "ops.h"

#include <stddef.h>

/* Grows with every change of what stands here or in the tables: plug-in and program belong to the same build. */
enum { RUN_PLUGIN_VERSION = 9 };

enum { RUN_PLUGIN_BUS = 32 }; /* room for an address as "0000:17:00.0", as in /sys/bus/pci/devices */

typedef struct run_plugin_gpu {
    char name[128], bus[RUN_PLUGIN_BUS];
    size_t memory_bytes, memory_free;
    int processors;            /* streaming multiprocessors, compute units */
    int architecture[2];       /* 9, 0 */
    int driver[2], runtime[2]; /* versions */
} run_plugin_gpu;

typedef struct run_plugin {
    int version;
    const char *name; /* "CUDA", "HIP" */
    /* What it computes with, for people: "cuBLASLt 13.1, cuDNN 9.19"; may load some of it. */
    void (*libraries)(char *text, size_t nbytes);
    const base_device_table *device;
    const ops_table *ops;
    const comm_nccl_table *nccl; /* NULL: none */
    /* GPUs that this process may use; BASE_DEVICE, with what to do, where there are none. */
    base_status (*count)(int *count);
    base_status (*locate)(int index, char bus[RUN_PLUGIN_BUS]); /* without opening it */
    base_status (*describe)(int index, run_plugin_gpu *gpu);
    int (*are_peers)(int a, int b); /* 1: linked directly */
    void (*mark)(const char *name); /* a phase of the run begins: for profilers; NULL where there is no such thing */
} run_plugin;

/* The one symbol of the library. NULL: made for another version of this header. */
typedef const run_plugin *run_plugin_entry(int version, const base_services *services);
#define RUN_PLUGIN_ENTRY "ddpt_plugin"

/* The GPU back end, loaded at the first call: from $DDPT_GPU_PLUGIN, else from the program's folder or ../lib beside
 * it. BASE_DEVICE, in one line, where it was not built or a library of it is missing. Not for two threads at once. */
base_status run_plugin_load(const run_plugin **plugin);

#endif
