/* The GPU's slots for products and dense layers against references in double. */
#include "gpu_layer_test.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- gemm ---- */

static void gemm_case(gpu_ops_test *t, int64_t m, int64_t n, int64_t k, int form)
{
    const int trans_a = form & 1, trans_b = form >> 1 & 1, accumulate = form >> 2;
    const int64_t lda = (trans_a ? m : k) + 3, ldb = (trans_b ? k : n) + 5, ldc = n + 2;
    const int64_t a_count = (trans_a ? k : m) * lda, b_count = (trans_b ? n : k) * ldb, c_count = m * ldc;
    uint64_t state = (uint64_t)(m * 7 + n * 3 + k);
    const double high = gpu_layer_test_spread(0.3, k);
    float *a, *b, *c;
    void *device_a = gpu_test_random(t->type, &state, a_count, -1.0, 1.0, &a);
    void *device_b = gpu_test_random(t->type, &state, b_count, -high, high, &b);
    void *device_c = gpu_test_random(t->type, &state, c_count, -1.0, 1.0, &c);
    double *want = gpu_test_host((size_t)c_count * sizeof *want);
    if (!accumulate)
        gpu_layer_test_poison(t, device_c, m, n, ldc);
    for (int64_t i = 0; i < c_count; i++) {
        const int64_t row = i / ldc, column = i % ldc;
        want[i] = column < n && !accumulate ? 0.0 : (double)c[i];
        for (int64_t j = 0; column < n && j < k; j++)
            want[i] += (double)a[trans_a ? j * lda + row : row * lda + j] *
                       (double)b[trans_b ? column * ldb + j : j * ldb + column];
    }
    GPU_OPS(ops_gpu.gemm(t->self, trans_a, trans_b, m, n, k, device_a, lda, device_b, ldb, accumulate, device_c, ldc));
    gpu_test_near_within("c", t->type, device_c, want, c_count, t->tolerance);
    gpu_test_end(NULL);
}

static void run_gemm(gpu_ops_test *t)
{
    uint64_t state = 11;
    for (int form = 0; form < 8; form++)
        for (int i = 0; i < 3; i++)
            gemm_case(t, ops_reference_int(&state, 1, 40), ops_reference_int(&state, 1, 40),
                      ops_reference_int(&state, 1, 70), form);
    for (int form = 0; form < 8; form += 4)
        gemm_case(t, 5, 7, 0, form);
    gemm_case(t, 0, 7, 3, 0);
    gemm_case(t, 7, 0, 3, 0);
    gemm_case(t, 64, 64, 512, 1);
}

static void products(void **state)
{
    (void)state;
    gpu_ops_test_all(run_gemm);
}

/* ---- layers ---- */

static void run_dense(gpu_ops_test *t)
{
    uint64_t state = 5;
    for (int i = 0; i < 25; i++) {
        gpu_layer l = {.batch = ops_reference_int(&state, 1, 40),
                       .dense = 1,
                       .bias = i % 3 != 0,
                       .accumulate = i % 2,
                       .op = {1, 1, 0, 0, 1, 1, 1, 1, 0, 0, (ops_activation)(i % OPS_ACTIVATION_COUNT), i % 4 != 0}};
        l.op.c = ops_reference_int(&state, 1, 70);
        l.op.n = ops_reference_int(&state, 1, 70);
        gpu_layer_test_case(t, &l);
    }
    gpu_layer_test_case(t, &(gpu_layer){.op = {1, 1, 33, 10, 1, 1, 1, 1, 0, 0, OPS_RELU, 1}, .dense = 1, .bias = 1});
}

/* Of the sizes of the examples, for which libraries have kernels of their own, and sizes beside them. */
static void run_large_dense(gpu_ops_test *t)
{
    static const struct {
        int64_t m, k, n;
        ops_activation activation;
    } sizes[] = {{GPU_TEST_LONG(16, 128), 784, 512, OPS_RELU},
                 {GPU_TEST_LONG(15, 127), 783, 509, OPS_RELU},
                 {GPU_TEST_LONG(16, 128), 512, 10, OPS_IDENTITY},
                 {GPU_TEST_LONG(3, 33), 4096, 136, OPS_GELU},
                 {GPU_TEST_LONG(70, 600), 40, 1000, OPS_IDENTITY}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        gpu_layer_test_case(t,
                            &(gpu_layer){.op = {1, 1, sizes[i].k, sizes[i].n, 1, 1, 1, 1, 0, 0, sizes[i].activation, 1},
                                         .batch = sizes[i].m,
                                         .dense = 1,
                                         .bias = 1,
                                         .accumulate = (int)i % 2});
}

static void dense_layers(void **state)
{
    (void)state;
    gpu_ops_test_all(run_dense);
}

static void large_dense_layers(void **state)
{
    (void)state;
    gpu_ops_test_all(run_large_dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(products, gpu_test_end),
        cmocka_unit_test_teardown(dense_layers, gpu_test_end),
        cmocka_unit_test_teardown(large_dense_layers, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
