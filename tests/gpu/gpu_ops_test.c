#include "gpu_ops_test.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void gpu_ops_test_expect(base_status status, const char *what, int line)
{
    if (status != BASE_OK)
        fail_msg("line %d: %s: %s", line, what, base_status_message());
}

gpu_ops_test gpu_ops_test_open(ops_precision precision, size_t workspace_bytes)
{
    static const double tolerances[] = {1e-5, 2e-3, 1.5e-2};
    gpu_ops_test test = {
        .precision = precision, .type = precision == OPS_BF16 ? GPU_BF16 : GPU_F32, .tolerance = tolerances[precision]};
    const ops_options options = {
        .stream = (base_stream *)gpu_test_stream, .precision = precision, .workspace_bytes = workspace_bytes};
    gpu_test_precision = precision;
    GPU_OPS(ops_gpu.open(&options, &test.self));
    assert_true(*ops_gpu.libraries(test.self) != '\0');
    assert_int_equal(ops_gpu.element_bytes(test.self), gpu_test_size(test.type, 1));
    return test;
}

void gpu_ops_test_close(gpu_ops_test *test)
{
    gpu_test_end(NULL);
    gpu_test_precision = GPU_TEST_OF_TYPE;
    ops_gpu.close(&test->self);
    assert_null(test->self);
}

float *gpu_ops_test_params(const gpu_ops_test *test, uint64_t *state, int64_t count, double high, float **host)
{
    float *params = gpu_test_random(GPU_F32, state, count, -high, high, host);
    GPU_OPS(ops_gpu.bind_params(test->self, params, count));
    GPU_OPS(ops_gpu.params_changed(test->self, params, count));
    for (int64_t i = 0; i < count && test->type == GPU_BF16; i++)
        (*host)[i] = gpu_test_bf16((*host)[i]);
    return params;
}

void gpu_ops_test_all(void (*run)(gpu_ops_test *test))
{
    for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++) {
        gpu_ops_test test = gpu_ops_test_open(p, 0);
        run(&test);
        gpu_ops_test_close(&test);
    }
}
