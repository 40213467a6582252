/* some_gpus.c: a GPU back end without GPUs: $DDPT_TEST_GPUS of them, as `ddpt doctor` and `ddpt launch` see them. With
 * $DDPT_TEST_GPUS = crash it takes its process down; with $DDPT_TEST_NO_NCCL it has no NCCL. Loaded by
 * $DDPT_GPU_PLUGIN. */
#include "run_plugin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static base_status count(int *count)
{
    const char *text = getenv("DDPT_TEST_GPUS");
    if (text && strcmp(text, "crash") == 0)
        raise(SIGKILL);
    *count = text ? atoi(text) : 0;
    return *count > 0 ? BASE_OK : BASE_FAIL(BASE_DEVICE, "no GPU can be used: this one is for tests");
}

static base_status locate(int index, char bus[RUN_PLUGIN_BUS])
{
    snprintf(bus, RUN_PLUGIN_BUS, "ffff:%02x:00.0", (unsigned)index & 0xff);
    return BASE_OK;
}

static base_status describe(int index, run_plugin_gpu *gpu)
{
    *gpu = (run_plugin_gpu){.memory_bytes = (size_t)16 << 30,
                            .memory_free = (size_t)12 << 30,
                            .processors = 7,
                            .architecture = {9, 0},
                            .driver = {13, 1},
                            .runtime = {13, 0}};
    snprintf(gpu->name, sizeof gpu->name, "GPU of a test");
    return locate(index, gpu->bus);
}

static int are_peers(int a, int b)
{
    return a / 2 == b / 2;
}

static base_status load_nccl(int *version)
{
    *version = 22809;
    return getenv("DDPT_TEST_NO_NCCL") ? BASE_FAIL(BASE_DEVICE, "NCCL is not there: install it") : BASE_OK;
}

static const comm_nccl_table nccl = {.load = load_nccl};

static void describe_libraries(char *text, size_t nbytes)
{
    snprintf(text, nbytes, "cuBLASLt 13.1");
}

static const run_plugin plugin = {.version = RUN_PLUGIN_VERSION,
                                  .name = "CUDA",
                                  .libraries = describe_libraries,
                                  .nccl = &nccl,
                                  .count = count,
                                  .locate = locate,
                                  .describe = describe,
                                  .are_peers = are_peers};

__attribute__((visibility("default"))) run_plugin_entry ddpt_plugin;

const run_plugin *ddpt_plugin(int version, const base_services *services)
{
    base_services_connect(services);
    return version == RUN_PLUGIN_VERSION ? &plugin : NULL;
}
