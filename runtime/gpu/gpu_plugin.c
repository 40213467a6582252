/* gpu_plugin.c: libddpt_gpu.so as the program sees it (run_plugin.h). */
#include "gpu_device.h"
#include "gpu_mark.h"
#include "gpu_nccl.h"
#include "gpu_ops.h"
#include "run_plugin.h"

#include <stdio.h>
#include <string.h>

static void split_version(int version, int parts[2])
{
    parts[0] = version / 1000;
    parts[1] = version % 1000 / 10;
}

static base_status describe(int index, run_plugin_gpu *gpu)
{
    gpu_device_facts facts;
    BASE_TRY(gpu_device_describe(index, &facts));
    *gpu = (run_plugin_gpu){.memory_bytes = facts.memory_bytes,
                            .memory_free = facts.memory_free,
                            .processors = facts.processors,
                            .architecture = {facts.major, facts.minor}};
    snprintf(gpu->name, sizeof gpu->name, "%s", facts.name);
    snprintf(gpu->bus, sizeof gpu->bus, "%s", facts.bus);
    split_version(facts.driver, gpu->driver);
    split_version(facts.runtime, gpu->runtime);
    return BASE_OK;
}

static const run_plugin plugin = {.version = RUN_PLUGIN_VERSION,
#if defined(DDPT_GPU_HIP)
                                  .name = "HIP",
                                  .nccl = &gpu_nccl_table,
#elif defined(DDPT_GPU_EMULATED)
                                  .name = "emulated", /* NCCL knows real GPUs alone */
#else
                                  .name = "CUDA",
                                  .nccl = &gpu_nccl_table,
#endif
                                  .libraries = gpu_describe_libraries,
                                  .device = &gpu_device_table,
                                  .ops = &ops_gpu,
                                  .count = gpu_device_count,
                                  .locate = gpu_device_locate,
                                  .describe = describe,
                                  .are_peers = gpu_device_are_peers,
                                  .mark = GPU_MARK};

__attribute__((visibility("default"))) run_plugin_entry ddpt_plugin;

const run_plugin *ddpt_plugin(int version, const base_services *services)
{
    if (version != RUN_PLUGIN_VERSION)
        return NULL;
    base_services_connect(services);
    return &plugin;
}
