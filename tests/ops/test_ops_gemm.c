#include "ops_reference.h"

#include "ops_host.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct gemm_shape {
    int64_t m, n, k, gap; /* gap: elements between rows */
} gemm_shape;

/* op(a) op(b) at (i, j), in double, and the sum of its products' sizes. */
static double product(int trans_a, int trans_b, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                      int64_t i, int64_t j, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t p = 0; p < k; p++) {
        double term =
            (double)(trans_a ? a[p * lda + i] : a[i * lda + p]) * (double)(trans_b ? b[j * ldb + p] : b[p * ldb + j]);
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* Whatever the order of a sum of n terms, it is off by at most n eps times the sum of their sizes, eps = 2^-24 (Higham,
 * Accuracy and Stability of Numerical Algorithms, 4.2); here the k products, each rounded too, and what was in c. */
static double allowed(int64_t k, double size, double was)
{
    return (double)(k + 1) * 0x1p-24 * (size + fabs(was));
}

static void check_result(const gemm_shape *s, int form, const float *a, int64_t lda, const float *b, int64_t ldb,
                         const float *before, const float *c, int64_t ldc)
{
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < ldc; j++) {
            float got = c[i * ldc + j], was = before[i * ldc + j];
            if (j >= s->n) {
                assert_true(got == was); /* the gap stays as it was */
                continue;
            }
            double size, before_it = form & 4 ? (double)was : 0;
            double want = product(form & 1, form >> 1 & 1, s->k, a, lda, b, ldb, i, j, &size) + before_it;
            if (!(fabs((double)got - want) <= allowed(s->k, size, before_it)))
                fail_msg("form %d, %lld x %lld x %lld: c(%lld, %lld) is %.9g, not %.9g", form, (long long)s->m,
                         (long long)s->n, (long long)s->k, (long long)i, (long long)j, (double)got, want);
        }
    }
}

/* Factors that are bfloat16 numbers are multiplied as they are in either precision, and bounds are the same. */
static void fill(uint64_t *seed, const ops_context *self, float *x, int64_t count)
{
    ops_reference_fill(seed, x, count, -1, 1);
    for (int64_t i = 0; i < count && self->bf16; i++)
        x[i] = ops_reference_bf16(x[i]);
}

/* form: bit 0 trans_a, bit 1 trans_b, bit 2 accumulate */
static uint64_t run_form(const ops_table *table, ops_context *self, const gemm_shape *s, int form)
{
    uint64_t seed = 7;
    int trans_a = form & 1, trans_b = form >> 1 & 1, accumulate = form >> 2;
    int64_t lda = (trans_a ? s->m : s->k) + s->gap, ldb = (trans_b ? s->k : s->n) + s->gap, ldc = s->n + s->gap;
    int64_t a_count = (trans_a ? s->k : s->m) * lda, b_count = (trans_b ? s->n : s->k) * ldb;
    float *a = ops_reference_floats(a_count), *b = ops_reference_floats(b_count);
    fill(&seed, self, a, a_count);
    fill(&seed, self, b, b_count);
    float *before = ops_reference_random(&seed, s->m * ldc, -1, 1), *c = ops_reference_floats(s->m * ldc);
    for (int64_t i = 0; i < s->m * ldc; i++) /* NaN where the result must not depend on what was there */
        c[i] = accumulate || i % ldc >= s->n ? before[i] : NAN;
    assert_int_equal(table->gemm(self, trans_a, trans_b, s->m, s->n, s->k, a, lda, b, ldb, accumulate, c, ldc),
                     BASE_OK);
    check_result(s, form, a, lda, b, ldb, before, c, ldc);
    uint64_t digest = ops_reference_digest(0, c, (size_t)(s->m * ldc) * sizeof *c);
    ops_reference_free(a);
    ops_reference_free(b);
    ops_reference_free(before);
    ops_reference_free(c);
    return digest;
}

static uint64_t run_shape(const ops_table *table, ops_context *self, const void *argument)
{
    uint64_t digest = 0;
    for (int form = 0; form < 8; form++) {
        uint64_t one = run_form(table, self, argument, form);
        digest = ops_reference_digest(digest, &one, sizeof one);
    }
    return digest;
}

static const gemm_shape shapes[] = {{1, 1, 1, 0},     {2, 3, 5, 2},     {17, 33, 7, 1},   {64, 10, 65, 0},
                                    {8, 530, 31, 3},  {300, 17, 9, 0},  {5, 1030, 3, 0},  {16, 96, 128, 0},
                                    {19, 150, 40, 5}, {270, 600, 5, 0}, {4, 5, 0, 1},     {0, 5, 3, 1},
                                    {4, 0, 3, 1},     {25, 300, 70, 2}, {70, 530, 260, 0}};

static void run_shapes(const char *library)
{
    if (!ops_reference_has(library))
        skip();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        ops_reference_run_with(run_shape, &shapes[i], library);
}

static void openblas_agrees_with_double(void **state)
{
    (void)state;
    run_shapes("openblas");
}

static void onednn_agrees_with_double(void **state)
{
    (void)state;
    run_shapes("onednn");
}

/* Emulated, products of bfloat16 are the same to the bit on every instruction set. */
typedef struct emulated {
    const gemm_shape *shape;
    uint64_t digest; /* 0: none yet */
} emulated;

static uint64_t run_bf16(const ops_table *table, ops_context *self, const void *argument)
{
    emulated *e = *(emulated *const *)argument;
    uint64_t digest = run_shape(table, self, e->shape);
    if (self->bf16->factor_bytes == sizeof(float)) {
        if (e->digest && e->digest != digest)
            fail_msg("%s: other results than another instruction set", table->name);
        e->digest = digest;
    }
    return digest;
}

static void bf16_agrees_with_double(void **state)
{
    (void)state;
    static const gemm_shape deep[] = {{65, 50, 1025, 1}, {3, 64, 513, 0}, {130, 49, 512, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        ops_reference_run_bf16(run_bf16, &(emulated *){&(emulated){.shape = &shapes[i]}}, "auto");
    for (size_t i = 0; i < sizeof deep / sizeof deep[0]; i++)
        ops_reference_run_bf16(run_bf16, &(emulated *){&(emulated){.shape = &deep[i]}}, "auto");
}

/* Products of one number each show how it was rounded. */
static uint64_t run_rounding(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { N = 50 };
    uint64_t seed = 9;
    float a[N] = {0x1.01p0F, 0x1.03p0F, -0x1.01p0F, -0x1.03p0F, 0x1.00ffp0F, 0x1.0101p0F, 0x1.ffp0F, 0.0F, 0x1p-100F};
    float b[N], c[N * N];
    ops_reference_fill(&seed, a + 9, N - 9, -3, 3);
    ops_reference_fill(&seed, b, N, -3, 3);
    for (int form = 0; form < 4; form++) {
        int trans_a = form & 1, trans_b = form >> 1;
        assert_int_equal(table->gemm(self, trans_a, trans_b, N, N, 1, a, trans_a ? N : 1, b, trans_b ? 1 : N, 0, c, N),
                         BASE_OK);
        for (int64_t i = 0; i < N * N; i++)
            if (c[i] != ops_reference_bf16(a[i / N]) * ops_reference_bf16(b[i % N]))
                fail_msg("form %d: %a times %a is %a", form, (double)a[i / N], (double)b[i % N], (double)c[i]);
    }
    float largest = FLT_MAX, one = 1.0F;
    assert_int_equal(table->gemm(self, 0, 0, 1, 1, 1, &largest, 1, &one, 1, 0, c, 1), BASE_OK);
    assert_true(isinf(c[0]));
    return 0;
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    ops_reference_run_bf16(run_rounding, NULL, "auto");
}

static uint64_t run_not_finite(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { M = 20, N = 40, K = 30 };
    uint64_t seed = 3;
    float *a = ops_reference_random(&seed, M * K, 0.1, 1), *b = ops_reference_random(&seed, K * N, 0.1, 1);
    float *c = ops_reference_floats(M * N);
    a[7 * K + 3] = NAN;
    b[11 * N + 9] = INFINITY;
    assert_int_equal(table->gemm(self, 0, 0, M, N, K, a, K, b, N, 0, c, N), BASE_OK);
    for (int64_t i = 0; i < M * N; i++) {
        if (i / N == 7)
            assert_true(isnan(c[i]));
        else
            assert_true(i % N == 9 ? isinf(c[i]) : isfinite(c[i]));
    }
    ops_reference_free(a);
    ops_reference_free(b);
    ops_reference_free(c);
    return 0;
}

static void nan_and_infinity_reach_the_result(void **state)
{
    (void)state;
    ops_reference_run_with(run_not_finite, NULL, "openblas");
    if (ops_reference_has("onednn"))
        ops_reference_run_with(run_not_finite, NULL, "onednn");
    ops_reference_run_bf16(run_not_finite, NULL, "auto");
}

static void precisions_that_are_not_here_are_refused(void **state)
{
    (void)state;
    const ops_table *generic = ops_host_isa("generic");
    ops_context *self = NULL;
    assert_int_equal(generic->open(&(ops_options){.precision = OPS_TF32}, &self), BASE_DEVICE);
    assert_non_null(strstr(base_status_message(), "tf32"));
    assert_int_equal(generic->open(&(ops_options){.precision = OPS_BF16}, &self), BASE_DEVICE);
    assert_non_null(strstr(base_status_message(), "AVX512_BF16"));
    assert_null(self);
}

static void unknown_library_is_refused(void **state)
{
    (void)state;
    ops_context *self = NULL;
    ops_options options = {.gemm = "mkl"};
    assert_int_equal(ops_host()->open(&options, &self), BASE_USAGE);
    assert_null(self);
    assert_non_null(strstr(base_status_message(), "mkl"));
}

static void libraries_are_named(void **state)
{
    (void)state;
    ops_context *self = NULL;
    ops_options options = {.gemm = "openblas"};
    assert_int_equal(ops_host()->open(&options, &self), BASE_OK);
    const char *text = ops_host()->libraries(self);
    assert_int_equal(strncmp(text, "OpenBLAS ", 9), 0);
    assert_non_null(strstr(text, "GEMM: openblas"));
    ops_host()->close(&self);
    assert_null(self);
}

static void instruction_set_can_be_named(void **state)
{
    (void)state;
    assert_string_equal(ops_host_isa("generic")->name, "host-generic");
    assert_null(ops_host_isa("z80"));
    for (const char *const *isa = (const char *const[]){"generic", "avx2", "avx512", NULL}; *isa; isa++) {
        const ops_table *table = ops_host_isa(*isa);
        if (table)
            assert_string_equal(table->name + strlen("host-"), *isa);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openblas_agrees_with_double),       cmocka_unit_test(onednn_agrees_with_double),
        cmocka_unit_test(bf16_agrees_with_double),           cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(nan_and_infinity_reach_the_result), cmocka_unit_test(precisions_that_are_not_here_are_refused),
        cmocka_unit_test(unknown_library_is_refused),        cmocka_unit_test(libraries_are_named),
        cmocka_unit_test(instruction_set_can_be_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
