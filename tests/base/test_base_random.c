#include "base_random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Random123's kat_vectors for philox4x32 with 10 rounds. */
static void philox_gives_the_published_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[4];
        base_random_philox(vectors[i].counter, vectors[i].key, out);
        assert_memory_equal(out, vectors[i].answer, sizeof out);
    }
}

/* The layout that the header states: whoever draws the same numbers elsewhere (a GPU) relies on it. */
static void counter_has_the_stated_layout(void **state)
{
    (void)state;
    base_random random = base_random_stream(0x0123456789abcdefu, 0x1234, 0x0000a1b2c3d4e5f6u);
    const uint32_t key[2] = {0x89abcdef, 0x01234567};
    const uint32_t counter[4] = {77, 55, 0xc3d4e5f6, 0x1234a1b2};
    uint32_t direct[4], drawn[4];
    base_random_philox(counter, key, direct);
    base_random_block(&random, 55, 77, drawn);
    assert_memory_equal(drawn, direct, sizeof drawn);
}

static void every_coordinate_matters(void **state)
{
    (void)state;
    base_random usual = base_random_stream(1, 2, 3),
                others[] = {
                    base_random_stream(2, 2, 3), base_random_stream(1ull << 32 | 1, 2, 3), base_random_stream(1, 3, 3),
                    base_random_stream(1, 2, 4), base_random_stream(1, 2, 1ull << 40 | 3),
                };
    uint32_t a[4], b[4];
    base_random_block(&usual, 4, 5, a);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        base_random_block(&others[i], 4, 5, b);
        assert_memory_not_equal(a, b, sizeof a);
    }
    base_random_block(&usual, 5, 5, b);
    assert_memory_not_equal(a, b, sizeof a);
    base_random_block(&usual, 4, 6, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void uniform_is_below_one(void **state)
{
    (void)state;
    assert_true(base_random_uniform(0) == 0.0f);
    assert_true(base_random_uniform(0xff) == 0.0f);
    assert_true(base_random_uniform(0x100) == 0x1p-24f);
    assert_true(base_random_uniform(0x80000000) == 0.5f);
    assert_true(base_random_uniform(0xffffffff) == 1.0f - 0x1p-24f);
}

/* Mean and variance of n draws, within six standard errors: fails by chance once in 5e8, and the draws never change. */
static void moments_are_right(void **state)
{
    (void)state;
    enum { BLOCKS = 50000 };
    const double n = 4.0 * BLOCKS;
    base_random random = base_random_stream(7, BASE_STREAM_INIT, 0);
    double sum = 0.0, squares = 0.0, normal_sum = 0.0, normal_squares = 0.0;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t words[4];
        float normal[4];
        base_random_block(&random, 0, i, words);
        base_random_normal(words[0], words[1], normal);
        base_random_normal(words[2], words[3], normal + 2);
        for (int w = 0; w < 4; w++) {
            double u = (double)base_random_uniform(words[w]) - 0.5;
            sum += u;
            squares += u * u;
            normal_sum += (double)normal[w];
            normal_squares += (double)normal[w] * (double)normal[w];
        }
    }
    assert_true(fabs(sum / n) < 6.0 * sqrt(1.0 / 12.0 / n));
    assert_true(fabs(squares / n - 1.0 / 12.0) < 6.0 * sqrt(1.0 / 180.0 / n));
    assert_true(fabs(normal_sum / n) < 6.0 * sqrt(1.0 / n));
    assert_true(fabs(normal_squares / n - 1.0) < 6.0 * sqrt(2.0 / n));
}

static void normal_is_finite_for_all_words(void **state)
{
    (void)state;
    static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            float out[2];
            base_random_normal(words[i], words[j], out);
            assert_true(isfinite(out[0]) && isfinite(out[1]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(counter_has_the_stated_layout),
        cmocka_unit_test(every_coordinate_matters),
        cmocka_unit_test(uniform_is_below_one),
        cmocka_unit_test(moments_are_right),
        cmocka_unit_test(normal_is_finite_for_all_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
