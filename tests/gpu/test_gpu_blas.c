/* What gpu_blas.c asks of cuBLASLt, and which of the algorithms that it is offered it takes. */
#include "cublaslt_emulated.h"
#include "gpu_blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cublasLt.h>

enum { LARGEST = 40 * 340 }; /* elements of a matrix */

/* A product and its memory: floats, or bfloat16 in their place. */
typedef struct fixture {
    gpu_blas *blas;
    gpu_product p;
    float a[LARGEST], b[LARGEST], c[LARGEST], before[LARGEST], bias[64];
    int objects;
} fixture;

static const cublaslt_emulated_algorithm one_part = {.parts = 1, .workspace = 32 << 20};

/* The heuristics' answer, best first. */
static void offer(int count, const cublaslt_emulated_algorithm *algorithms)
{
    memset(cublaslt_emulated.ran, 0, sizeof cublaslt_emulated.ran);
    cublaslt_emulated.asked = 0;
    cublaslt_emulated.count = count;
    for (int i = 0; i < count; i++)
        cublaslt_emulated.algorithms[i] = algorithms[i];
}

static fixture *start(ops_precision precision)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->objects = cublaslt_emulated.objects;
    assert_int_equal(gpu_blas_open(precision, &f->blas), BASE_OK);
    return f;
}

static void stop(fixture *f)
{
    gpu_blas_close(&f->blas);
    assert_int_equal(cublaslt_emulated.objects, f->objects);
    free(f);
}

static float get(gpu_type type, const void *x, int64_t i)
{
    return cublaslt_emulated_get(type == GPU_BF16 ? CUDA_R_16BF : CUDA_R_32F, x, i);
}

static void put(gpu_type type, void *x, int64_t i, float value)
{
    cublaslt_emulated_put(type == GPU_BF16 ? CUDA_R_16BF : CUDA_R_32F, x, i, value);
}

/* Integers, whose sums are exact. */
static void fill(gpu_type type, void *x, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525 + 1013904223;
        put(type, x, i, (float)(seed >> 30) - 1.0f);
    }
}

/* Matrices with `pad` elements behind each row. */
static void prepare(fixture *f, gpu_type type, gpu_type c_type, int trans, int64_t m, int64_t n, int64_t k, int pad)
{
    f->p = (gpu_product){.type = type,
                         .c_type = c_type,
                         .trans_a = trans & 1,
                         .trans_b = trans >> 1,
                         .m = m,
                         .n = n,
                         .k = k,
                         .lda = (trans & 1 ? m : k) + pad,
                         .ldb = (trans >> 1 ? k : n) + pad,
                         .ldc = n + pad,
                         .a = f->a,
                         .b = f->b,
                         .c = f->c};
    fill(type, f->a, LARGEST, 1);
    fill(type, f->b, LARGEST, 2);
    fill(c_type, f->c, LARGEST, 3);
    fill(c_type, f->bias, 64, 4);
    memcpy(f->before, f->c, sizeof f->c);
}

static float a_at(const gpu_product *p, int64_t row, int64_t i)
{
    return get(p->type, p->a, p->trans_a ? i * p->lda + row : row * p->lda + i);
}

static float b_at(const gpu_product *p, int64_t i, int64_t column)
{
    return get(p->type, p->b, p->trans_b ? column * p->ldb + i : i * p->ldb + column);
}

static float expected(const fixture *f, int64_t row, int64_t column)
{
    const gpu_product *p = &f->p;
    float sum = p->accumulate ? get(p->c_type, f->before, row * p->ldc + column) : 0.0f;
    for (int64_t i = 0; i < p->k; i++)
        sum += a_at(p, row, i) * b_at(p, i, column);
    if (p->epilogue == GPU_EPILOGUE_BIAS || p->epilogue == GPU_EPILOGUE_BIAS_RELU)
        sum += get(p->c_type, p->bias, column);
    if (p->epilogue == GPU_EPILOGUE_RELU || p->epilogue == GPU_EPILOGUE_BIAS_RELU)
        sum = sum > 0.0f ? sum : 0.0f;
    return sum;
}

/* c, and nothing behind its rows. */
static void multiply_and_check(fixture *f)
{
    const gpu_product *p = &f->p;
    float rounded[1];
    assert_int_equal(gpu_blas_multiply(f->blas, NULL, p), BASE_OK);
    for (int64_t row = 0; row < p->m; row++)
        for (int64_t column = 0; column < p->ldc; column++) {
            const int64_t at = row * p->ldc + column;
            put(p->c_type, rounded, 0, column < p->n ? expected(f, row, column) : get(p->c_type, f->before, at));
            assert_true(get(p->c_type, p->c, at) == get(p->c_type, rounded, 0));
        }
    for (int64_t column = 0; column < p->n && p->epilogue == GPU_EPILOGUE_BIAS_GRADIENT; column++) {
        float sum = 0.0f;
        for (int64_t i = 0; i < p->k; i++)
            sum += b_at(p, i, column);
        assert_true(get(p->c_type, p->bias, column) == sum);
    }
}

static const int64_t shapes[][3] = {{1, 1, 1}, {3, 10, 13}, {7, 4, 32}, {5, 1, 9}, {1, 8, 300}, {32, 33, 7}};

static void all_shapes(fixture *f, gpu_type type, gpu_type c_type)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int trans = 0; trans < 4; trans++)
            for (gpu_epilogue e = GPU_EPILOGUE_NONE; e <= GPU_EPILOGUE_BIAS_GRADIENT; e++) {
                prepare(f, type, c_type, trans, shapes[i][0], shapes[i][1], shapes[i][2], trans == 2 ? 3 : 0);
                f->p.epilogue = e;
                f->p.bias = e == GPU_EPILOGUE_NONE || e == GPU_EPILOGUE_RELU ? NULL : f->bias;
                f->p.accumulate = e == GPU_EPILOGUE_NONE && trans == 1;
                const int gradient = e == GPU_EPILOGUE_BIAS_GRADIENT;
                assert_int_equal(gpu_blas_can(f->blas, &f->p), !gradient || !f->p.trans_b);
                if (!gradient || !f->p.trans_b)
                    multiply_and_check(f);
            }
}

static void products(void **state)
{
    (void)state;
    for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++) {
        fixture *f = start(p);
        offer(1, &one_part);
        all_shapes(f, p == OPS_BF16 ? GPU_BF16 : GPU_F32, p == OPS_BF16 ? GPU_BF16 : GPU_F32);
        if (p == OPS_BF16)
            all_shapes(f, GPU_BF16, GPU_F32);
        stop(f);
    }
}

static void the_same_product_is_asked_for_once(void **state)
{
    (void)state;
    fixture *f = start(OPS_FP32);
    offer(1, &one_part);
    prepare(f, GPU_F32, GPU_F32, 0, 4, 6, 8, 0);
    for (int i = 0; i < 3; i++)
        multiply_and_check(f);
    assert_int_equal(cublaslt_emulated.asked, 1);
    f->p.a = f->a + 1; /* of another alignment */
    multiply_and_check(f);
    assert_int_equal(cublaslt_emulated.asked, 2);
    stop(f);
}

/* 100 in 12 parts are 8 each and some more; in 3 they are 33, which no stage divides; in 4 they are equal. */
static void sums_that_may_be_wrong_are_passed_over(void **state)
{
    (void)state;
    static const int parts[] = {1, 3, 4};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const cublaslt_emulated_algorithm offered[] = {{12, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 64, 0, 0, 0},
                                                       {parts[i], CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 64, 0, 0, 0}};
        fixture *f = start(OPS_BF16);
        offer(2, offered);
        prepare(f, GPU_BF16, GPU_F32, 1, 4, 6, 100, 0);
        multiply_and_check(f);
        assert_int_equal(cublaslt_emulated.ran[0] * 10 + cublaslt_emulated.ran[1], 1);
        stop(f);
    }
}

/* All that are named first cut k badly, or do not run. */
static void sums_in_one_part_are_asked_for_then(void **state)
{
    (void)state;
    for (int refuses = 0; refuses < 2; refuses++) {
        cublaslt_emulated_algorithm offered[9] = {{0}};
        for (int i = 0; i < 8; i++)
            offered[i] = (cublaslt_emulated_algorithm){
                refuses ? 4 : 12, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 64, refuses, 0, 0};
        offered[8] = one_part;
        fixture *f = start(OPS_BF16);
        offer(9, offered);
        prepare(f, GPU_BF16, GPU_F32, 1, 4, 6, 100, 0);
        multiply_and_check(f);
        multiply_and_check(f);
        assert_int_equal(cublaslt_emulated.ran[0], refuses);
        assert_int_equal(cublaslt_emulated.ran[8], 2);
        assert_int_equal(cublaslt_emulated.asked, 2);
        stop(f);
    }
}

static void sums_in_place_and_in_narrow_types_are_not_taken(void **state)
{
    (void)state;
    const cublaslt_emulated_algorithm offered[] = {{4, CUBLASLT_REDUCTION_SCHEME_INPLACE, 64, 0, 0, 0},
                                                   {4, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 64, 0, 0, 0},
                                                   {1, CUBLASLT_REDUCTION_SCHEME_NONE, (size_t)64 << 20, 0, 0, 0},
                                                   {4, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 64, 0, 0, 0}};
    fixture *f = start(OPS_BF16);
    offer(4, offered);
    prepare(f, GPU_BF16, GPU_BF16, 0, 4, 6, 100, 0);
    multiply_and_check(f);
    assert_int_equal(cublaslt_emulated.ran[3], 1);
    stop(f);
}

static void an_algorithm_that_is_refused_gives_way(void **state)
{
    (void)state;
    const cublaslt_emulated_algorithm offered[] = {{1, 0, 0, 1, 0, 0}, {1, 0, 0, 1, 0, 0}, {1, 0, 0, 0, 0, 0}};
    fixture *f = start(OPS_FP32);
    offer(3, offered);
    prepare(f, GPU_F32, GPU_F32, 0, 4, 6, 8, 0);
    multiply_and_check(f);
    multiply_and_check(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cublaslt_emulated.ran[i], i < 2 ? 1 : 2);
    stop(f);
}

static void no_algorithm_is_an_error_of_the_device(void **state)
{
    (void)state;
    const cublaslt_emulated_algorithm refused = {1, 0, 0, 1, 0, 0};
    for (int count = 0; count < 2; count++) {
        fixture *f = start(OPS_FP32);
        offer(count, &refused);
        prepare(f, GPU_F32, GPU_F32, 0, 4, 6, 8, 0);
        assert_int_equal(gpu_blas_can(f->blas, &f->p), count);
        assert_int_equal(gpu_blas_multiply(f->blas, NULL, &f->p), BASE_DEVICE);
        assert_non_null(strstr(base_status_message(), "4 x 6 x 8"));
        assert_int_equal(gpu_blas_can(f->blas, &f->p), 0);
        base_status_clear();
        stop(f);
    }
}

/* Nothing is computed here. */
static void a_gradient_does_not_slow_a_large_product(void **state)
{
    (void)state;
    static const cublaslt_emulated_algorithm fast = {1, 0, 0, 0, 66, 1}, all = {1, 0, 0, 0, 66, 0},
                                             old = {1, 0, 0, 0, 21, 0};
    for (int large = 0; large < 2; large++)
        for (int has = 0; has < 2; has++) {
            const cublaslt_emulated_algorithm offered[] = {has ? all : fast, old};
            fixture *f = start(OPS_BF16);
            offer(2, offered);
            prepare(f, GPU_BF16, GPU_F32, 1, 4096, 4096, large ? 512 : 32, 0);
            assert_int_equal(gpu_blas_can(f->blas, &f->p), 1);
            f->p.epilogue = GPU_EPILOGUE_BIAS_GRADIENT;
            f->p.bias = f->bias;
            assert_int_equal(gpu_blas_can(f->blas, &f->p), has || !large);
            f->p.epilogue = GPU_EPILOGUE_BIAS;
            assert_int_equal(gpu_blas_can(f->blas, &f->p), 1);
            stop(f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(the_same_product_is_asked_for_once),
        cmocka_unit_test(sums_that_may_be_wrong_are_passed_over),
        cmocka_unit_test(sums_in_one_part_are_asked_for_then),
        cmocka_unit_test(sums_in_place_and_in_narrow_types_are_not_taken),
        cmocka_unit_test(an_algorithm_that_is_refused_gives_way),
        cmocka_unit_test(a_gradient_does_not_slow_a_large_product),
        cmocka_unit_test(no_algorithm_is_an_error_of_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
