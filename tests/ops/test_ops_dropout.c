/* Dropout: the mask is base_random's function of the element, whatever batch or instruction set computes it. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct shape {
    int64_t batch, n;
    float rate;
    int64_t first_sample;
} shape;

/* Of the random numbers. */
typedef struct origin {
    uint64_t seed;
    uint32_t stream;
    uint64_t step;
} origin;

static base_random random_of(const origin *o)
{
    return base_random_stream(o->seed, o->stream, o->step);
}

static void forward(const ops_table *table, ops_context *self, int64_t batch, int64_t n, float rate, const origin *o,
                    int64_t first_sample, const float *x, float *y, uint8_t *mask)
{
    const ops_step step = {.step = o->step, .first_sample = first_sample};
    assert_int_equal(table->begin_step(self, &step), BASE_OK);
    assert_int_equal(table->dropout_forward(self, batch, n, rate, o->seed, o->stream, x, y, mask), BASE_OK);
}

static int kept(const base_random *random, uint32_t sample, int64_t element, float rate)
{
    uint32_t words[4];
    base_random_block(random, sample, (uint32_t)(element / 4), words);
    return (double)words[element % 4] >= (double)rate * 4294967296.0;
}

static uint64_t mask_case(const ops_table *table, ops_context *self, const void *argument)
{
    const shape *s = argument;
    const int64_t count = s->batch * s->n;
    const origin from = {0x0123456789abcdefu, 40000, 0x123456789abu};
    const base_random random = random_of(&from);
    const float scale = 1.0f / (1.0f - s->rate);
    uint64_t state = 21;
    float *x = ops_reference_random(&state, count, -1.0, 1.0), *y = ops_reference_floats(count);
    float *dx = ops_reference_floats(count);
    uint8_t *mask = ops_reference_alloc((size_t)count);
    forward(table, self, s->batch, s->n, s->rate, &from, s->first_sample, x, y, mask);
    for (int64_t i = 0; i < count; i++) {
        int want = kept(&random, (uint32_t)(s->first_sample + i / s->n), i % s->n, s->rate);
        if (mask[i] != want)
            fail_msg("%s: mask[%lld] is %d, expected %d", table->name, (long long)i, mask[i], want);
        assert_true(y[i] == (want ? x[i] * scale : 0.0f));
    }
    uint64_t digest = ops_reference_digest(0, mask, (size_t)count);

    assert_int_equal(table->dropout_backward(self, s->batch, s->n, s->rate, mask, x, dx, 0), BASE_OK);
    assert_memory_equal(dx, y, (size_t)count * sizeof *y);
    assert_int_equal(table->dropout_backward(self, s->batch, s->n, s->rate, mask, x, dx, 1), BASE_OK);
    for (int64_t i = 0; i < count; i++) /* a fused multiply and add rounds once */
        assert_true(fabs((double)dx[i] - 2.0 * (double)y[i]) <= 2e-7 * fabs(2.0 * (double)y[i]));
    assert_int_equal(table->dropout_backward(self, s->batch, s->n, s->rate, mask, x, NULL, 0), BASE_OK);

    /* y over x. */
    forward(table, self, s->batch, s->n, s->rate, &from, s->first_sample, x, x, mask);
    assert_memory_equal(x, y, (size_t)count * sizeof *y);
    ops_reference_free(x);
    ops_reference_free(y);
    ops_reference_free(dx);
    ops_reference_free(mask);
    return digest;
}

static void mask_equals_the_scalar_generator(void **state)
{
    (void)state;
    static const shape cases[] = {
        {0, 512, 0.2f, 0},        {1, 1, 0.5f, 0},         {3, 10, 0.2f, 5},    {2, 33, 0.0f, 1},
        {5, 1023, 0.75f, 100},    {3, 1024, 0.999f, 7},    {2, 2051, 0.25f, 1}, {1, 5000, 1e-7f, 4294967295},
        {130, 512, 0.2f, 123456}, {70, 1500, 0.5f, 60000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(mask_case, &cases[i]);
}

/* Three ranks with shares 5, 4 and 4 of a batch of 13 together compute what one rank does. */
static uint64_t ranks_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { BATCH = 13, N = 70 };
    const origin from = {3, BASE_STREAM_OP + 4, 9};
    uint64_t state = 2;
    float *x = ops_reference_random(&state, BATCH * N, -1.0, 1.0), *whole = ops_reference_floats(BATCH * N);
    float *parts = ops_reference_floats(BATCH * N);
    uint8_t *mask = ops_reference_alloc(BATCH * N);
    forward(table, self, BATCH, N, 0.3f, &from, 0, x, whole, mask);
    for (int64_t rank = 0, first = 0; rank < 3; rank++) {
        int64_t share = rank == 0 ? 5 : 4;
        forward(table, self, share, N, 0.3f, &from, first, x + first * N, parts + first * N, mask);
        first += share;
    }
    assert_memory_equal(parts, whole, BATCH * N * sizeof *whole);
    ops_reference_free(x);
    ops_reference_free(whole);
    ops_reference_free(parts);
    ops_reference_free(mask);
    return 0;
}

static void mask_does_not_depend_on_ranks(void **state)
{
    (void)state;
    ops_reference_run(ranks_case, NULL);
}

static uint64_t dropped_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { N = 400 };
    const origin from = {1, BASE_STREAM_OP, 0};
    float *x = ops_reference_floats(N), *y = ops_reference_floats(N); /* all NaN */
    uint8_t *mask = ops_reference_alloc(N);
    forward(table, self, 1, N, 0.5f, &from, 0, x, y, mask);
    int count = 0;
    for (int i = 0; i < N; i++) {
        assert_true(mask[i] ? isnan(y[i]) : y[i] == 0.0f);
        count += mask[i];
    }
    assert_in_range(count, 160, 240); /* four standard deviations */
    ops_reference_free(x);
    ops_reference_free(y);
    ops_reference_free(mask);
    return 0;
}

static void dropped_elements_are_zero_whatever_they_were(void **state)
{
    (void)state;
    ops_reference_run(dropped_case, NULL);
}

/* A word that is exactly rate 2^32 keeps its element; the next rate up drops it. */
static uint64_t edge_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { N = 2048 };
    const origin from = {5, BASE_STREAM_OP, 1};
    const base_random random = random_of(&from);
    float x[N] = {0}, y[N];
    uint8_t mask[N];
    uint32_t words[4] = {1, 1, 1, 1};
    int64_t element = 0;
    for (; element < N; element++) { /* one in 256 words is a float times 2^32 */
        base_random_block(&random, 0, (uint32_t)(element / 4), words);
        if (words[element % 4] % 256 == 0)
            break;
    }
    assert_true(element < N);
    float rate = (float)words[element % 4] * 0x1p-32f;
    forward(table, self, 1, N, rate, &from, 0, x, y, mask);
    assert_int_equal(mask[element], 1);
    forward(table, self, 1, N, nextafterf(rate, 1.0f), &from, 0, x, y, mask);
    assert_int_equal(mask[element], 0);
    return 0;
}

static void a_word_equal_to_the_rate_is_kept(void **state)
{
    (void)state;
    ops_reference_run(edge_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_equals_the_scalar_generator),
        cmocka_unit_test(mask_does_not_depend_on_ranks),
        cmocka_unit_test(a_word_equal_to_the_rate_is_kept),
        cmocka_unit_test(dropped_elements_are_zero_whatever_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
