/* How many steps lie between two meetings of the ranks. */
#include "run_pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void steps_are_round_and_fit_the_period(void **state)
{
    (void)state;
    static const struct {
        double step_seconds;
        int64_t steps;
    } cases[] = {{10.0, 1},  {0.3, 1},   {0.16, 1},    {0.15, 2},   {0.061, 2},
                 {0.059, 5}, {0.01, 20}, {0.003, 100}, {1e-4, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(run_pace_steps(cases[i].step_seconds), cases[i].steps);
}

static void steps_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(run_pace_steps(0.0), RUN_PACE_MOST);
    assert_int_equal(run_pace_steps(1e-9), RUN_PACE_MOST);
    assert_int_equal(run_pace_steps(NAN), RUN_PACE_MOST);
    assert_int_equal(run_pace_steps(INFINITY), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_round_and_fit_the_period),
        cmocka_unit_test(steps_are_bounded),
    };
    return cmocka_run_group_tests_name("run_pace", tests, NULL, NULL);
}
