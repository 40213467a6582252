#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Guards differ from memory to memory, and are large as floats and as bfloat16 (about 1e15 and more): what a kernel
 * copies from behind one tensor to behind another shows, and so does what it adds up. */
enum { GUARD = 512, GUARD_BYTE = 0x58, GUARD_BYTES = 32, ARRAYS = 4096 };

typedef struct device_array {
    unsigned char *base;
    size_t nbytes;
    int byte; /* of the guards */
} device_array;

gpuStream_t gpu_test_stream;
int gpu_test_precision = GPU_TEST_OF_TYPE;

static double largest_error[OPS_BF16 + 1];

static device_array arrays[ARRAYS];
static int array_count;
static void *host_arrays[ARRAYS];
static int host_count;

void gpu_test_expect(gpuError_t error, const char *what, int line)
{
    if (error != gpuSuccess)
        fail_msg("line %d: %s: %s", line, what, gpuGetErrorString(error));
}

int gpu_test_begin_group(void **state)
{
    (void)state;
    int count = 0;
    if (gpuGetDeviceCount(&count) != gpuSuccess || count == 0) {
        fprintf(stderr, "skipped: there is no GPU\n");
        exit(77);
    }
    return gpuStreamCreateWithFlags(&gpu_test_stream, gpuStreamNonBlocking) != gpuSuccess;
}

int gpu_test_end_group(void **state)
{
    static const char *const names[] = {"fp32", "tf32", "bf16"};
    (void)state;
    for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++)
        if (largest_error[p] > 0.0)
            printf("largest error in %s: %.2g\n", names[p], largest_error[p]);
    return gpuStreamDestroy(gpu_test_stream) != gpuSuccess;
}

void *gpu_test_host(size_t nbytes)
{
    assert_in_range(host_count, 0, ARRAYS - 1);
    return host_arrays[host_count++] = ops_reference_alloc(nbytes);
}

void *gpu_test_memory(size_t nbytes)
{
    assert_in_range(array_count, 0, ARRAYS - 1);
    device_array *a = &arrays[array_count];
    void *base = NULL;
    GPU_TEST(gpuMalloc(&base, nbytes + 2 * GUARD));
    *a = (device_array){.base = base, .nbytes = nbytes, .byte = GUARD_BYTE + array_count % GUARD_BYTES};
    array_count++;
    GPU_TEST(gpuMemsetAsync(a->base, a->byte, GUARD, gpu_test_stream));
    GPU_TEST(gpuMemsetAsync(a->base + GUARD, 0xff, nbytes, gpu_test_stream));
    GPU_TEST(gpuMemsetAsync(a->base + GUARD + nbytes, a->byte, GUARD, gpu_test_stream));
    return a->base + GUARD;
}

static void read_device(void *host, const void *device, size_t nbytes)
{
    GPU_TEST(gpuMemcpyAsync(host, device, nbytes, gpuMemcpyDefault, gpu_test_stream));
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
}

static void check_guard(const device_array *a, const unsigned char *guard, const char *where)
{
    for (int i = 0; i < GUARD; i++)
        if (guard[i] != a->byte)
            fail_msg("byte %d of the guard %s device memory of %zu bytes was overwritten", i, where, a->nbytes);
}

/* All guards with one wait. */
void gpu_test_check(void)
{
    unsigned char *guards = NULL;
    GPU_TEST(gpuMallocHost((void **)&guards, (size_t)array_count * 2 * GUARD + 1));
    for (int i = 0; i < array_count; i++) {
        const unsigned char *base = arrays[i].base;
        unsigned char *to = guards + (size_t)i * 2 * GUARD;
        GPU_TEST(gpuMemcpyAsync(to, base, GUARD, gpuMemcpyDefault, gpu_test_stream));
        GPU_TEST(gpuMemcpyAsync(to + GUARD, base + GUARD + arrays[i].nbytes, GUARD, gpuMemcpyDefault, gpu_test_stream));
    }
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    for (int i = 0; i < array_count; i++) {
        check_guard(&arrays[i], guards + (size_t)i * 2 * GUARD, "before");
        check_guard(&arrays[i], guards + (size_t)i * 2 * GUARD + GUARD, "behind");
    }
    GPU_TEST(gpuFreeHost(guards));
    for (int i = 0; i < host_count; i++)
        ops_reference_check(host_arrays[i]);
}

int gpu_test_end(void **state)
{
    (void)state;
    gpu_test_check();
    while (array_count > 0)
        GPU_TEST(gpuFree(arrays[--array_count].base));
    while (host_count > 0)
        ops_reference_free(host_arrays[--host_count]);
    return 0;
}

size_t gpu_test_size(gpu_type type, int64_t count)
{
    return (size_t)count * (type == GPU_BF16 ? 2 : 4);
}

void *gpu_test_tensor(gpu_type type, int64_t count)
{
    return gpu_test_memory(gpu_test_size(type, count));
}

void gpu_test_write(void *device, const void *host, size_t nbytes)
{
    GPU_TEST(gpuMemcpyAsync(device, host, nbytes, gpuMemcpyDefault, gpu_test_stream));
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
}

void *gpu_test_upload(const void *host, size_t nbytes)
{
    void *device = gpu_test_memory(nbytes);
    gpu_test_write(device, host, nbytes);
    return device;
}

void *gpu_test_download(const void *device, size_t nbytes)
{
    void *host = gpu_test_host(nbytes);
    read_device(host, device, nbytes);
    return host;
}

static uint16_t bf16_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)(isnan(x) ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float bf16_float(uint16_t bits)
{
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float gpu_test_bf16(float x)
{
    return bf16_float(bf16_bits(x));
}

void *gpu_test_upload_tensor(gpu_type type, float *x, int64_t count)
{
    if (type == GPU_F32)
        return gpu_test_upload(x, gpu_test_size(type, count));
    uint16_t *narrow = gpu_test_host(gpu_test_size(type, count));
    for (int64_t i = 0; i < count; i++) {
        narrow[i] = bf16_bits(x[i]);
        x[i] = bf16_float(narrow[i]);
    }
    return gpu_test_upload(narrow, gpu_test_size(type, count));
}

float *gpu_test_download_tensor(gpu_type type, const void *device, int64_t count)
{
    void *host = gpu_test_download(device, gpu_test_size(type, count));
    if (type == GPU_F32)
        return host;
    float *x = gpu_test_host((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = bf16_float(((const uint16_t *)host)[i]);
    return x;
}

void *gpu_test_random(gpu_type type, uint64_t *state, int64_t count, double low, double high, float **host)
{
    float *x = gpu_test_host((size_t)count * sizeof *x);
    ops_reference_fill(state, x, count, low, high);
    if (host)
        *host = x;
    return gpu_test_upload_tensor(type, x, count);
}

double gpu_test_tolerance(gpu_type type)
{
    return type == GPU_BF16 ? 1.5e-2 : 1e-5;
}

const char *gpu_test_type_name(gpu_type type)
{
    return type == GPU_BF16 ? "bf16" : "fp32";
}

/* Of numbers that are not equal and not both NaN; infinite where only one is a number. */
static double error_of(double got, double want)
{
    const double error = got == want || (isnan(want) && isnan(got)) ? 0.0 : fabs(got - want) / (1.0 + fabs(want));
    return isnan(error) ? INFINITY : error;
}

static void record_error(gpu_type type, double error)
{
    if (gpu_test_precision == GPU_TEST_OF_NONE)
        return;
    double *largest = &largest_error[gpu_test_precision >= 0 ? gpu_test_precision
                                     : type == GPU_BF16      ? OPS_BF16
                                                             : OPS_FP32];
    *largest = fmax(*largest, error);
}

void gpu_test_near_within(const char *what, gpu_type type, const void *device, const double *want, int64_t count,
                          double tolerance)
{
    const float *got = gpu_test_download_tensor(type, device, count);
    for (int64_t i = 0; i < count; i++) {
        const double error = error_of((double)got[i], want[i]);
        record_error(type, error);
        if (error > tolerance)
            fail_msg("%s[%lld of %lld, %s] is %.9g, expected %.9g within %g", what, (long long)i, (long long)count,
                     gpu_test_type_name(type), (double)got[i], want[i], tolerance);
    }
}

void gpu_test_near(const char *what, gpu_type type, const void *device, const double *want, int64_t count)
{
    gpu_test_near_within(what, type, device, want, count, gpu_test_tolerance(type));
}

void gpu_test_near_doubles(const char *what, const double *device, const double *want, int64_t count, double tolerance)
{
    const double *got = gpu_test_download(device, (size_t)count * sizeof *got);
    for (int64_t i = 0; i < count; i++)
        if (error_of(got[i], want[i]) > tolerance)
            fail_msg("%s[%lld of %lld] is %.17g, expected %.17g within %g", what, (long long)i, (long long)count,
                     got[i], want[i], tolerance);
}

void gpu_test_same(const char *what, const void *device, const void *want, size_t nbytes)
{
    const unsigned char *got = gpu_test_download(device, nbytes), *expected = want;
    for (size_t i = 0; i < nbytes; i++)
        if (got[i] != expected[i])
            fail_msg("byte %zu of %s (%zu bytes) is %u, expected %u", i, what, nbytes, got[i], expected[i]);
}

uint64_t gpu_test_digest(const void *device, size_t nbytes)
{
    return ops_reference_digest(0, gpu_test_download(device, nbytes), nbytes);
}
