/* Small products against sums in double: ends of tiles, rows that do not begin at 16 bytes, cuts along K, what comes
 * before and after, and two of them in one launch. */
#include "gpu_small.h"
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct wish {
    int trans_a, trans_b, accumulate;
    int64_t m, n, k, extra; /* extra: elements between rows */
    int bias, relu, drop, gate, sums;
} wish;

typedef struct made {
    gpu_small p;
    float *a, *b, *c, *bias, *gated_by;
    gpu_drop drop;
    ops_step step;
    int64_t count; /* of c with its gaps */
} made;

static float *scratch;
static uint32_t *arrivals;

static made make(const wish *w, uint64_t *state)
{
    made s = {.p = {.trans_a = w->trans_a,
                    .trans_b = w->trans_b,
                    .accumulate = w->accumulate,
                    .m = w->m,
                    .n = w->n,
                    .k = w->k,
                    .lda = (w->trans_a ? w->m : w->k) + w->extra,
                    .ldb = (w->trans_b ? w->k : w->n) + w->extra,
                    .ldc = w->n + w->extra}};
    s.count = w->m * s.p.ldc;
    s.p.a = gpu_test_random(GPU_F32, state, (w->trans_a ? w->k : w->m) * s.p.lda, -1.0, 1.0, &s.a);
    s.p.b = gpu_test_random(GPU_F32, state, (w->trans_b ? w->n : w->k) * s.p.ldb, -1.0, 1.0, &s.b);
    s.p.c = gpu_test_random(GPU_F32, state, s.count, -1.0, 1.0, &s.c);
    s.p.relu = w->relu;
    if (w->bias)
        s.p.bias = gpu_test_random(GPU_F32, state, w->n, -1.0, 1.0, &s.bias);
    if (w->gate) {
        s.p.gate = 1.25f;
        s.p.gated_by = gpu_test_random(GPU_F32, state, s.count, -1.0, 1.0, &s.gated_by);
    }
    if (w->sums)
        s.p.column_sums = gpu_test_tensor(GPU_F32, w->n);
    s.step = (ops_step){.step = 12, .first_sample = 77};
    s.drop =
        (gpu_drop){.rate = 0.3f, .seed = 99, .random_stream = 40000, .step = gpu_test_upload(&s.step, sizeof s.step)};
    return s;
}

static int is_kept(const made *s, int64_t row, int64_t column)
{
    const base_random random = base_random_stream(s->drop.seed, s->drop.random_stream, s->step.step);
    uint32_t words[4];
    base_random_block(&random, (uint32_t)(s->step.first_sample + row), (uint32_t)(column / 4), words);
    return (double)words[column % 4] >= (double)s->drop.rate * 0x1p32;
}

static double wanted(const wish *w, const made *s, int64_t i, int64_t j)
{
    double sum = 0.0;
    const int64_t at = i * s->p.ldc + j;
    for (int64_t k = 0; k < w->k; k++)
        sum += (double)(w->trans_a ? s->a[k * s->p.lda + i] : s->a[i * s->p.lda + k]) *
               (double)(w->trans_b ? s->b[j * s->p.ldb + k] : s->b[k * s->p.ldb + j]);
    if (w->bias)
        sum += (double)s->bias[j];
    if (w->relu && sum < 0.0)
        sum = 0.0;
    if (w->drop)
        sum = is_kept(s, i, j) ? sum / (double)(1.0f - s->drop.rate) : 0.0;
    if (w->gate)
        sum = s->gated_by[at] <= 0.0f ? 0.0 : sum * (double)s->p.gate;
    return sum + (w->accumulate ? (double)s->c[at] : 0.0);
}

static void check(const wish *w, const made *s, double tolerance)
{
    double *want = gpu_test_host((size_t)s->count * sizeof *want);
    for (int64_t i = 0; i < w->m; i++)
        for (int64_t j = 0; j < s->p.ldc; j++)
            want[i * s->p.ldc + j] = j < w->n ? wanted(w, s, i, j) : (double)s->c[i * s->p.ldc + j];
    gpu_test_near_within("c", GPU_F32, s->p.c, want, s->count, tolerance);
    if (!w->sums)
        return;
    double *sums = gpu_test_host((size_t)w->n * sizeof *sums);
    for (int64_t j = 0; j < w->n; j++) {
        sums[j] = 0.0;
        for (int64_t k = 0; k < w->k; k++)
            sums[j] += (double)s->b[k * s->p.ldb + j];
    }
    gpu_test_near_within("column sums", GPU_F32, s->p.column_sums, sums, w->n, 1e-5);
}

/* The sums are those of the terms' sizes, up to the root of their number. */
static double tolerance_of(const wish *w, int exact)
{
    return (exact ? 2e-6 : 1e-3) * sqrt((double)w->k + 1.0);
}

static void run(int exact, int count, const wish *w, uint64_t *state)
{
    made s[GPU_SMALL_MAX] = {0};
    gpu_small p[GPU_SMALL_MAX] = {0};
    for (int i = 0; i < count; i++) {
        s[i] = make(&w[i], state);
        p[i] = s[i].p;
        p[i].drop = w[i].drop ? &s[i].drop : NULL;
        assert_true(gpu_small_can(&p[i]));
    }
    GPU_TEST(gpu_small_multiply(gpu_test_stream, exact, count, p, scratch, arrivals));
    for (int i = 0; i < count; i++)
        check(&w[i], &s[i], tolerance_of(&w[i], exact));
    const uint32_t *left = gpu_test_download(arrivals, GPU_SMALL_TILES * sizeof *left);
    for (int i = 0; i < GPU_SMALL_TILES; i++)
        assert_int_equal(left[i], 0);
}

static void begin(void)
{
    static const uint32_t none[GPU_SMALL_TILES];
    scratch = gpu_test_memory(GPU_SCRATCH_FLOATS * sizeof *scratch);
    arrivals = gpu_test_upload(none, sizeof none);
}

static void shapes(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < GPU_TEST_LONG(20, 200); i++) {
        wish w = {.trans_a = i % 3 == 1,
                  .trans_b = i % 3 == 2,
                  .accumulate = i % 4 == 3,
                  .m = ops_reference_int(&random, 1, 80),
                  .n = ops_reference_int(&random, 1, 140),
                  .k = ops_reference_int(&random, 1, i % 5 == 0 ? 400 : 90),
                  .extra = i % 2 ? 0 : ops_reference_int(&random, 0, 5),
                  .bias = i % 2,
                  .relu = i % 7 < 3,
                  .drop = i % 5 == 2,
                  .gate = i % 6 == 1};
        w.sums = !w.trans_b && i % 2;
        begin();
        run(i % 2, 1, &w, &random);
        gpu_test_end(NULL);
    }
}

/* Rows of whole packs, as most layers have them; more outputs than blocks are wanted, and few with a long K. */
static void layers(void **state)
{
    (void)state;
    uint64_t random = 4;
    const wish cases[][2] = {
        {{.m = 128, .n = 64, .k = 96, .bias = 1, .relu = 1, .drop = 1}},
        {{.m = 20, .n = 10, .k = 1024, .bias = 1}},
        {{.trans_a = 1, .m = 96, .n = 128, .k = 128, .sums = 1},
         {.trans_b = 1, .m = 128, .n = 96, .k = 128, .gate = 1}},
        {{.trans_a = 1, .m = 512, .n = 10, .k = 300, .sums = 1},
         {.trans_b = 1, .m = 300, .n = 512, .k = 10, .gate = 1}},
        {{.trans_a = 1, .m = 7, .n = 5, .k = 900, .sums = 1},
         {.trans_b = 1, .m = 3, .n = 7, .k = 800, .accumulate = 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int exact = 0; exact < 2; exact++) {
            begin();
            run(exact, cases[i][1].m ? 2 : 1, cases[i], &random);
            gpu_test_end(NULL);
        }
}

static void repeats_are_equal(void **state)
{
    (void)state;
    uint64_t random = 5;
    const wish w = {.m = 30, .n = 70, .k = 200};
    begin();
    made s = make(&w, &random);
    uint64_t digest[3];
    for (int i = 0; i < 3; i++) {
        GPU_TEST(gpu_small_multiply(gpu_test_stream, 1, 1, &s.p, scratch, arrivals));
        digest[i] = gpu_test_digest(s.p.c, (size_t)s.count * sizeof(float));
    }
    assert_true(digest[0] == digest[1] && digest[1] == digest[2]);
}

/* In fp32 no sum may be worse than those of floats one after the other are on average. */
static void fp32_is_fp32(void **state)
{
    (void)state;
    uint64_t random = 6;
    const wish w = {.m = 32, .n = 64, .k = 2000};
    begin();
    made s = make(&w, &random);
    GPU_TEST(gpu_small_multiply(gpu_test_stream, 1, 1, &s.p, scratch, arrivals));
    const float *got = gpu_test_download_tensor(GPU_F32, s.p.c, s.count);
    double ours = 0.0, floats = 0.0;
    for (int64_t i = 0; i < w.m; i++)
        for (int64_t j = 0; j < w.n; j++) {
            float sum = 0.0f;
            for (int64_t k = 0; k < w.k; k++)
                sum += s.a[i * s.p.lda + k] * s.b[k * s.p.ldb + j];
            const double want = wanted(&w, &s, i, j);
            ours += pow((double)got[i * s.p.ldc + j] - want, 2.0);
            floats += pow((double)sum - want, 2.0);
        }
    assert_true(ours <= floats);
}

static void what_is_not_small(void **state)
{
    (void)state;
    const gpu_small both = {.trans_a = 1, .trans_b = 1, .m = 8, .n = 8, .k = 8};
    const gpu_small large = {.m = 4096, .n = 4096, .k = 8}, empty = {.m = 8, .n = 8};
    assert_false(gpu_small_can(&both));
    assert_false(gpu_small_can(&large));
    assert_false(gpu_small_can(&empty));
}

int main(void)
{
    gpu_test_precision = GPU_TEST_OF_NONE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(shapes, gpu_test_end),
        cmocka_unit_test_teardown(layers, gpu_test_end),
        cmocka_unit_test_teardown(repeats_are_equal, gpu_test_end),
        cmocka_unit_test_teardown(fp32_is_fp32, gpu_test_end),
        cmocka_unit_test_teardown(what_is_not_small, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
