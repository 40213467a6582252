/* What the times of steps, or of blocks of them, say. Steps of n ms are those of number n, so that percentiles are
 * known. */
#include "run_stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* `count` additions of `steps` steps each, which last `first_s`, `more_s` longer with each, after the warm-up, which
 * lasts long. */
static run_performance measure(int count, int64_t steps, double first_s, double more_s)
{
    base_arena *arena;
    run_stats *stats;
    int64_t all = 10 * count * steps, warmup = run_stats_warmup(all);
    assert_int_equal(base_arena_create(&arena, "test"), BASE_OK);
    assert_int_equal(run_stats_create(arena, all, &stats), BASE_OK);
    base_phases phases = {.seconds = {[BASE_PHASE_FORWARD] = 100.0}};
    run_stats_add(stats, warmup, warmup, &phases);
    for (int i = 0; i < count; i++) {
        phases.seconds[BASE_PHASE_FORWARD] = (first_s + more_s * i) * (double)steps;
        run_stats_add(stats, steps, steps, &phases);
    }
    run_performance p = run_stats_performance(stats);
    base_arena_destroy(&arena);
    assert_int_equal(p.steps, count * steps);
    return p;
}

/* The same, of 1, 2, 3 ... ms. */
static run_performance performance_of(int count, int64_t steps)
{
    run_performance p = measure(count, steps, 1e-3, 1e-3);
    assert_true(fabs(p.step_ms_mean - 0.5 * (count + 1)) < 1e-9);
    assert_true(fabs(p.step_ms_min - 1.0) < 1e-9);
    return p;
}

static void steps_that_were_timed_have_percentiles(void **state)
{
    (void)state;
    run_performance p = performance_of(21, 1);
    assert_int_equal(p.blocks, 0);
    assert_true(fabs(p.step_ms_p50 - 11.0) < 1e-9);
    assert_true(fabs(p.step_ms_p90 - 19.0) < 1e-9);
    p = performance_of(2, 1);
    assert_true(fabs(p.step_ms_p50 - 1.0) < 1e-9);
}

static void percentiles_of_blocks_are_said_to_be(void **state)
{
    (void)state;
    run_performance p = performance_of(RUN_STATS_BLOCKS, 50);
    assert_int_equal(p.blocks, RUN_STATS_BLOCKS);
    assert_true(fabs(p.step_ms_p50 - 5.0) < 1e-9);
    assert_true(fabs(p.step_ms_p90 - 9.0) < 1e-9);
}

static void few_blocks_have_none(void **state)
{
    (void)state;
    run_performance p = performance_of(RUN_STATS_BLOCKS - 1, 50);
    assert_int_equal(p.blocks, RUN_STATS_BLOCKS - 1);
    assert_true(isnan(p.step_ms_p50) && isnan(p.step_ms_p90));
}

/* All take equally long, of which sums and quotients are rounded in different ways. */
static void least_is_not_above_the_mean(void **state)
{
    (void)state;
    for (int i = 1; i <= 1000; i++)
        for (int count = 1; count <= 12; count += 11) {
            run_performance p = measure(count, 30, 1e-3 * i / 7.0, 0.0);
            assert_true(p.step_ms_min <= p.step_ms_mean);
            assert_true(count == 1 || p.step_ms_min <= p.step_ms_p50);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_were_timed_have_percentiles),
        cmocka_unit_test(percentiles_of_blocks_are_said_to_be),
        cmocka_unit_test(few_blocks_have_none),
        cmocka_unit_test(least_is_not_above_the_mean),
    };
    return cmocka_run_group_tests_name("run_stats", tests, NULL, NULL);
}
