/* gpu_ops_test.h: what the tests of the GPU's table share: a context a precision, and parameters bound to it. */
#ifndef GPU_OPS_TEST_H
#define GPU_OPS_TEST_H

#include "gpu_ops.h"
#include "gpu_test.h"

typedef struct gpu_ops_test {
    ops_precision precision;
    gpu_type type;    /* of tensors */
    double tolerance; /* of what went through a product: |got - want| <= tolerance (1 + |want|) */
    ops_context *self;
} gpu_ops_test;

/* On gpu_test_stream. `workspace_bytes` as in ops_options. */
gpu_ops_test gpu_ops_test_open(ops_precision precision, size_t workspace_bytes);
/* Also ends the test's memory. */
void gpu_ops_test_close(gpu_ops_test *test);

/* `count` random parameters in device memory, bound; *host are the numbers that products see. */
float *gpu_ops_test_params(const gpu_ops_test *test, uint64_t *state, int64_t count, double high, float **host);

/* Fails with the status' message. */
#define GPU_OPS(call) gpu_ops_test_expect((call), #call, __LINE__)
void gpu_ops_test_expect(base_status status, const char *what, int line);

/* For each precision. */
void gpu_ops_test_all(void (*run)(gpu_ops_test *test));

#endif
