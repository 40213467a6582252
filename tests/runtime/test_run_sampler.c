/* The order of an epoch is a permutation that looks random; shards cover it once whatever the number of ranks. */
#include "run_sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static run_sampler sampler_of(int64_t samples)
{
    return (run_sampler){.samples = samples, .batch = 128, .seed = 1, .shuffle = 1, .rank = 0, .size = 1};
}

static int64_t *epoch_order(const run_sampler *sampler, int64_t epoch)
{
    int64_t *order = calloc((size_t)sampler->samples, sizeof *order);
    assert_non_null(order);
    run_sampler_indices(sampler, epoch, 0, sampler->samples, order);
    return order;
}

/* Every sample comes exactly once. */
static void assert_permutation(const int64_t *order, int64_t samples)
{
    char *seen = calloc((size_t)samples, 1);
    assert_non_null(seen);
    for (int64_t i = 0; i < samples; i++) {
        assert_in_range(order[i], 0, samples - 1);
        assert_int_equal(seen[order[i]]++, 0);
    }
    free(seen);
}

static void epoch_is_a_permutation(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 17, 100, 255, 256, 257, 1000, 4096, 60000, 65537};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        run_sampler sampler = sampler_of(sizes[i]);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            int64_t *order = epoch_order(&sampler, epoch);
            assert_permutation(order, sizes[i]);
            free(order);
        }
    }
}

static void without_shuffle_position_is_sample(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(1000);
    sampler.shuffle = 0;
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(run_sampler_index(&sampler, 5, i), i);
}

/* Two independent permutations agree in one place on average; Poisson: more than 10 with probability 1e-8. */
static void epochs_and_seeds_differ(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(60000), other = sampler;
    other.seed = UINT64_C(1) << 32 | 1;
    int64_t *first = epoch_order(&sampler, 0), *second = epoch_order(&sampler, 1), *third = epoch_order(&other, 0);
    int fixed = 0, same_epochs = 0, same_seeds = 0;
    for (int64_t i = 0; i < 60000; i++) {
        fixed += first[i] == i;
        same_epochs += first[i] == second[i];
        same_seeds += first[i] == third[i];
    }
    assert_in_range(fixed, 0, 10);
    assert_in_range(same_epochs, 0, 10);
    assert_in_range(same_seeds, 0, 10);
    free(first);
    free(second);
    free(third);
}

static void one_index_equals_many(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(60000);
    int64_t some[50];
    run_sampler_indices(&sampler, 3, 1234, 50, some);
    for (int64_t i = 0; i < 50; i++)
        assert_int_equal(run_sampler_index(&sampler, 3, 1234 + i), some[i]);
}

/* Position in tenths against sample in tenths: 81 degrees of freedom; the 99.99 % point of chi-square is 135. */
static void order_looks_uniform(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(60000);
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        int64_t *order = epoch_order(&sampler, epoch);
        double counts[10][10] = {{0}}, chi_square = 0;
        for (int64_t i = 0; i < 60000; i++)
            counts[i / 6000][order[i] / 6000] += 1;
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < 10; j++)
                chi_square += (counts[i][j] - 600) * (counts[i][j] - 600) / 600;
        assert_true(chi_square < 135);
        free(order);
    }
}

/* Steps from one sample to the next: a linear congruence would have few different ones. */
static void neighbours_are_scattered(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(60000);
    int64_t *order = epoch_order(&sampler, 0);
    double counts[20] = {0}, chi_square = 0;
    for (int64_t i = 0; i + 1 < 60000; i++)
        counts[(order[i + 1] - order[i] + 60000) % 60000 / 3000] += 1;
    for (int i = 0; i < 20; i++)
        chi_square += (counts[i] - 59999 / 20.0) * (counts[i] - 59999 / 20.0) / (59999 / 20.0);
    assert_true(chi_square < 52); /* 19 degrees of freedom, 99.99 % */
    free(order);
}

/* Which of 5 samples comes first, over 10,000 epochs: 4 degrees of freedom, 99.99 % point 23.5. */
static void small_sets_are_shuffled_evenly(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(5);
    for (int64_t position = 0; position < 5; position++) {
        double counts[5] = {0}, chi_square = 0;
        for (int64_t epoch = 0; epoch < 10000; epoch++)
            counts[run_sampler_index(&sampler, epoch, position)] += 1;
        for (int i = 0; i < 5; i++)
            chi_square += (counts[i] - 2000) * (counts[i] - 2000) / 2000;
        assert_true(chi_square < 23.5);
    }
}

/* All ranks' shares of all steps, in order, are 0 .. samples - 1. */
static void assert_shares_cover(int64_t samples, int64_t batch, int size)
{
    run_sampler sampler = {.samples = samples, .batch = batch, .size = size};
    int64_t next = 0, largest = 0;
    for (int64_t step = 0; step < run_sampler_steps(&sampler); step++) {
        int64_t most = 0, least = INT64_MAX;
        for (sampler.rank = 0; sampler.rank < size; sampler.rank++) {
            run_share share = run_sampler_share(&sampler, step);
            assert_int_equal(share.position, step * batch);
            assert_int_equal(share.position + share.share_begin, next);
            next += share.share_count;
            most = share.share_count > most ? share.share_count : most;
            least = share.share_count < least ? share.share_count : least;
        }
        assert_true(most - least <= 1);
        largest = most > largest ? most : largest;
    }
    assert_int_equal(next, samples);
    assert_int_equal(run_sampler_share_max(&sampler), largest);
}

static void shares_cover_every_sample_once(void **state)
{
    (void)state;
    static const int64_t samples[] = {1, 2, 5, 100, 1000, 1001, 60000}, batches[] = {1, 3, 7, 64, 128, 1000, 100000};
    for (int size = 1; size <= 9; size++)
        for (size_t s = 0; s < sizeof samples / sizeof *samples; s++)
            for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
                assert_shares_cover(samples[s], batches[b], size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoch_is_a_permutation),
        cmocka_unit_test(without_shuffle_position_is_sample),
        cmocka_unit_test(epochs_and_seeds_differ),
        cmocka_unit_test(one_index_equals_many),
        cmocka_unit_test(order_looks_uniform),
        cmocka_unit_test(neighbours_are_scattered),
        cmocka_unit_test(small_sets_are_shuffled_evenly),
        cmocka_unit_test(shares_cover_every_sample_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
