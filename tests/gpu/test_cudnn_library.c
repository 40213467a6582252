/* The real cuDNN where it is installed, on a machine with or without a GPU: every function that is named is found, and
 * for GPUs that are only described it has an engine for every pass of common convolutions. Skipped without the library.
 */
#include "gpu_cudnn.h"
#include "gpu_cudnn_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As cuDNN writes them. */
#define DEVICE(name, version, processors, l2, memory)                                                                  \
    "{\"deviceName\":\"" name "\",\"deviceVer\":" version ",\"multiProcessorCount\":" processors                       \
    ",\"l2CacheSize\":" l2 ",\"maxSharedMemoryPerBlockOptin\":" memory                                                 \
    ",\"cudaDeviceId\":0,\"driverVer\":13000,\"maxGridSize\":[2147483647,65535,65535],"                                \
    "\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"smClockRateKHz\":1755000,\"memClockRateKHz\":2619000,"   \
    "\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"reservedSharedMemoryPerBlock\":1024,"                         \
    "\"maxRegistersPerSM\":65536,\"pciDeviceId\":0,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,"                   \
    "\"maxThreadsPerSM\":2048,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":80000000000}"

static const char *const devices[] = {DEVICE("NVIDIA H200", "900", "132", "62914560", "232448"),
                                      DEVICE("NVIDIA A100-SXM4-80GB", "800", "108", "41943040", "166912")};

static const ops_conv2d convs[] = {
    /* h, w, c, n; kernel; stride; padding */
    {28, 28, 1, 32, 3, 3, 1, 1, 0, 0, OPS_RELU, 0}, {26, 26, 32, 64, 3, 3, 1, 1, 0, 0, OPS_RELU, 1},
    {32, 32, 3, 16, 3, 3, 1, 1, 1, 1, OPS_RELU, 0}, {32, 32, 16, 32, 3, 3, 2, 2, 1, 1, OPS_RELU, 1},
    {32, 32, 3, 32, 3, 3, 1, 1, 1, 1, OPS_RELU, 0}, {16, 16, 32, 64, 3, 3, 1, 1, 1, 1, OPS_RELU, 1},
    {8, 8, 64, 128, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, {8, 8, 13, 10, 3, 5, 1, 1, 1, 2, OPS_TANH, 1},
    {17, 13, 5, 7, 5, 3, 1, 2, 2, 0, OPS_GELU, 1},  {8, 8, 64, 128, 1, 1, 2, 2, 0, 0, OPS_RELU, 1},
};

static int find_library(void **state)
{
    (void)state;
    if (!gpudnn_find()) {
        fprintf(stderr, "skipped: there is no cuDNN\n");
        exit(77);
    }
    return 0;
}

static void version(void **state)
{
    (void)state;
    char text[32];
    gpu_cudnn_describe(text, sizeof text);
    assert_memory_equal(text, "cuDNN ", 6);
    print_message("%s\n", text);
    setenv("DDPT_GPU_CUDNN", "0", 1);
    gpu_cudnn_describe(text, sizeof text);
    assert_string_equal(text, "");
    unsetenv("DDPT_GPU_CUDNN");
}

static void has_plan(gpu_cudnn *cudnn, const ops_conv2d *op, gpu_cudnn_pass pass, int64_t batch)
{
    const size_t most = 256 << 20;
    gpu_cudnn_plan *plan = gpu_cudnn_plan_create(cudnn, op, pass, batch, most);
    if (!plan)
        fail_msg("no engine for pass %d of (%lld, %lld, %lld, %lld) -> %lld", (int)pass, (long long)batch,
                 (long long)op->h, (long long)op->w, (long long)op->c, (long long)op->n);
    assert_true(gpu_cudnn_plan_bytes(plan) <= most);
    gpu_cudnn_plan_destroy(&plan);
    assert_null(plan);
}

static void all_passes(gpu_cudnn *cudnn, ops_precision precision, int64_t batch)
{
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        for (gpu_cudnn_pass pass = GPU_CUDNN_FORWARD; pass <= GPU_CUDNN_BACKWARD_WEIGHTS_NARROW; pass++) {
            const int narrow = precision == OPS_BF16, backward = pass >= GPU_CUDNN_BACKWARD_DATA;
            if (pass < GPU_CUDNN_BACKWARD_WEIGHTS && (!backward || convs[i].wants_dx))
                has_plan(cudnn, &convs[i], pass, batch);
            if (pass == (narrow ? GPU_CUDNN_BACKWARD_WEIGHTS_NARROW : GPU_CUDNN_BACKWARD_WEIGHTS))
                has_plan(cudnn, &convs[i], pass, batch);
        }
}

static void skip_old(void)
{
    print_message("skipped: this cuDNN is older than 9.8, and takes no description of a GPU in place of one\n");
    skip();
}

static void engines_for_every_pass(void **state)
{
    (void)state;
    if (gpudnn.GetVersion() < 90800)
        skip_old();
    for (size_t d = 0; d < sizeof devices / sizeof *devices; d++)
        for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++) {
            gpu_cudnn *cudnn = gpu_cudnn_open(p, NULL, devices[d]);
            assert_non_null(cudnn);
            all_passes(cudnn, p, 128);
            all_passes(cudnn, p, 3);
            all_passes(cudnn, p, 1);
            gpu_cudnn_close(&cudnn);
            assert_null(cudnn);
        }
}

static void what_it_does_not_take(void **state)
{
    (void)state;
    if (gpudnn.GetVersion() < 90800)
        skip_old();
    gpu_cudnn *cudnn = gpu_cudnn_open(OPS_BF16, NULL, devices[0]);
    const ops_conv2d no = {4, 4, 8, 8, 5, 5, 1, 1, 0, 0, OPS_RELU, 1}; /* a kernel that does not fit */
    assert_null(gpu_cudnn_plan_create(cudnn, &no, GPU_CUDNN_FORWARD, 4, 1 << 20));
    gpu_cudnn_close(&cudnn);
    assert_null(gpu_cudnn_open(OPS_BF16, NULL, "{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version),
        cmocka_unit_test(engines_for_every_pass),
        cmocka_unit_test(what_it_does_not_take),
    };
    return cmocka_run_group_tests(tests, find_library, NULL);
}
