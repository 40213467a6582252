/* gpu_test.h: what the tests of the GPU's kernels share: device memory between guard zones, tensors of either type, and
 * comparison with references in double.
 *
 * The tests speak gpu_kernels.h and gpu_api.h only, so that they run on the emulator and on a GPU. Random numbers and
 * references are those of ops_reference.h. Whatever these calls give, host or device memory, lives until gpu_test_end,
 * the teardown of every test, which checks the guards of all of it; a test of many cases may call it after each.
 * Failures are cmocka failures of the running test.
 */
#ifndef GPU_TEST_H
#define GPU_TEST_H

#include "gpu_kernels.h"
#include "ops_reference.h"

/* The stream of the tests. */
extern gpuStream_t gpu_test_stream;

/* Whose errors are compared: that of the open context (gpu_ops_test.h), or one of these. The end of a group prints the
 * largest error of each, which run.sh holds against bounds for results about 1: of sums of many large terms, tests have
 * bounds of their own. */
enum { GPU_TEST_OF_TYPE = -1, GPU_TEST_OF_NONE = -2 };
extern int gpu_test_precision;

/* A shape that takes several rounds of a grid: the emulator's grids are small (gpu_kernel.cuh). */
#if defined(DDPT_GPU_EMULATED)
#define GPU_TEST_LONG(on_emulator, on_gpu) (on_emulator)
#else
#define GPU_TEST_LONG(on_emulator, on_gpu) (on_gpu)
#endif

/* Setup and teardown of a group, teardown of a test: a test is cmocka_unit_test_teardown(name, gpu_test_end). */
int gpu_test_begin_group(void **state);
int gpu_test_end_group(void **state);
int gpu_test_end(void **state);

/* Fails with the error's text. */
#define GPU_TEST(call) gpu_test_expect((call), #call, __LINE__)
void gpu_test_expect(gpuError_t error, const char *what, int line);

/* Device memory, aligned to 256 bytes, of 0xff bytes: NaN. */
void *gpu_test_memory(size_t nbytes);
void *gpu_test_tensor(gpu_type type, int64_t count);
size_t gpu_test_size(gpu_type type, int64_t count); /* bytes */
/* Host memory, also guarded and of 0xff bytes. */
void *gpu_test_host(size_t nbytes);

/* A copy of host memory in new device memory, and back in new host memory once the stream has ended. */
void *gpu_test_upload(const void *host, size_t nbytes);
void *gpu_test_download(const void *device, size_t nbytes);
void gpu_test_write(void *device, const void *host, size_t nbytes); /* over device memory there is */

/* The same for tensors, which are floats on the host. upload rounds x itself to what the type holds. */
void *gpu_test_upload_tensor(gpu_type type, float *x, int64_t count);
float *gpu_test_download_tensor(gpu_type type, const void *device, int64_t count);
/* A new random tensor; *host (may be NULL) becomes the same numbers. */
void *gpu_test_random(gpu_type type, uint64_t *state, int64_t count, double low, double high, float **host);

/* Rounded to bfloat16, to nearest, ties to even. */
float gpu_test_bf16(float x);

/* 1e-5 for fp32, 1.5e-2 for bf16. */
double gpu_test_tolerance(gpu_type type);
const char *gpu_test_type_name(gpu_type type);
/* |got - want| / (1 + |want|), the error, is at most `tolerance` for each of `count` elements of a tensor; NaN only
 * where NaN is wanted. */
void gpu_test_near(const char *what, gpu_type type, const void *device, const double *want, int64_t count);
void gpu_test_near_within(const char *what, gpu_type type, const void *device, const double *want, int64_t count,
                          double tolerance);
void gpu_test_near_doubles(const char *what, const double *device, const double *want, int64_t count, double tolerance);
/* The same bytes as host memory. */
void gpu_test_same(const char *what, const void *device, const void *want, size_t nbytes);
/* A digest of device memory (ops_reference_digest), for runs that must be equal to the bit. */
uint64_t gpu_test_digest(const void *device, size_t nbytes);

/* Ends the stream and checks the guards of all memory so far. */
void gpu_test_check(void);

#endif
