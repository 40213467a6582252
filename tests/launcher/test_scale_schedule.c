/* test_scale_schedule.c: the order of a sweep's trials. */
#include "scale_schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { POINTS = 5, REPEATS = 6 };

static void every_round_has_every_point(void **state)
{
    (void)state;
    scale_schedule schedule;
    scale_schedule_start(&schedule, POINTS, REPEATS, 1);
    for (int round = 0; round < REPEATS; round++) {
        int seen[POINTS] = {0};
        for (int i = 0; i < POINTS; i++) {
            int point = scale_schedule_next(&schedule);
            assert_in_range(point, 0, POINTS - 1);
            assert_int_equal(schedule.done[point], round);
            seen[point]++;
            scale_schedule_done(&schedule, 1.0, 0);
        }
        for (int i = 0; i < POINTS; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_int_equal(scale_schedule_next(&schedule), -1);
}

static void take_order(uint64_t seed, int order[POINTS * REPEATS])
{
    scale_schedule schedule;
    scale_schedule_start(&schedule, POINTS, REPEATS, seed);
    for (int i = 0; i < POINTS * REPEATS; i++) {
        order[i] = scale_schedule_next(&schedule);
        scale_schedule_done(&schedule, 1.0, 0);
    }
}

/* 1 in 120^5 that all rounds of a fair shuffle were alike. */
static void order_is_shuffled_by_the_seed(void **state)
{
    (void)state;
    int order[POINTS * REPEATS], again[POINTS * REPEATS], other[POINTS * REPEATS], alike = 0;
    take_order(1, order);
    take_order(1, again);
    take_order(2, other);
    assert_memory_equal(order, again, sizeof order);
    assert_memory_not_equal(order, other, sizeof order);
    for (int round = 1; round < REPEATS; round++)
        alike += memcmp(order, order + round * POINTS, POINTS * sizeof *order) == 0;
    assert_in_range(alike, 0, REPEATS - 2);
}

static void point_with_enough_gets_no_more(void **state)
{
    (void)state;
    scale_schedule schedule;
    int trials[POINTS] = {0};
    scale_schedule_start(&schedule, POINTS, REPEATS, 1);
    for (int point; (point = scale_schedule_next(&schedule)) >= 0;) {
        trials[point]++;
        scale_schedule_done(&schedule, 1.0, point == 3 && trials[point] == 2);
    }
    for (int i = 0; i < POINTS; i++)
        assert_int_equal(trials[i], i == 3 ? 2 : REPEATS);
}

static void all_with_enough_is_the_end(void **state)
{
    (void)state;
    scale_schedule schedule;
    int trials = 0;
    scale_schedule_start(&schedule, POINTS, REPEATS, 1);
    for (; scale_schedule_next(&schedule) >= 0; trials++)
        scale_schedule_done(&schedule, 1.0, schedule.round == 1);
    assert_int_equal(trials, 2 * POINTS);
}

/* Points of 1 s and 3 s, three trials each; what is not known yet is guessed by what is. */
static void time_left_is_that_of_the_trials_left(void **state)
{
    (void)state;
    static const double seconds[2] = {1.0, 3.0};
    scale_schedule schedule;
    scale_schedule_start(&schedule, 2, 3, 1);
    assert_true(scale_schedule_left(&schedule) == 0.0);
    int first = scale_schedule_next(&schedule);
    scale_schedule_done(&schedule, seconds[first], 0);
    assert_true(fabs(scale_schedule_left(&schedule) - 5.0 * seconds[first]) < 1e-12);
    scale_schedule_done(&schedule, seconds[1 - first], 0);
    assert_true(fabs(scale_schedule_left(&schedule) - 8.0) < 1e-12);
    int third = scale_schedule_next(&schedule);
    scale_schedule_done(&schedule, seconds[third], 1);
    assert_true(fabs(scale_schedule_left(&schedule) - 2.0 * seconds[1 - third]) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_round_has_every_point),          cmocka_unit_test(order_is_shuffled_by_the_seed),
        cmocka_unit_test(point_with_enough_gets_no_more),       cmocka_unit_test(all_with_enough_is_the_end),
        cmocka_unit_test(time_left_is_that_of_the_trials_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
