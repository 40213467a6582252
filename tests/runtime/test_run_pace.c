/* How many steps lie between two meetings of the ranks, and how soon they meet when one of them wishes to. */
#include "comm/comm_test.h"

#include "run_pace.h"
#include "run_signal.h"

#include <math.h>
#include <signal.h>

static comm_group *group;

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

/* Steps of a block that is as long as they come, of which `begins` is called before each on the last rank. Returns the
 * step after which the ranks meet; 0: not all after the same, or a failure. */
static int64_t first_meeting(void (*begins)(run_pace *pace, int64_t done))
{
    run_pace pace;
    int meets = 0, good = 1;
    int64_t done = 1000, ends[2];
    run_pace_start(&pace, group, done);
    run_pace_met(&pace, done, 0.0);
    pace.met_time = INFINITY; /* nobody is in a hurry */
    while (good && !meets && done < 3000) {
        if (rank == size - 1)
            begins(&pace, done);
        good = run_pace_meets(&pace, ++done, NULL, &meets) == BASE_OK;
    }
    ends[0] = good ? done : -1;
    ends[1] = -ends[0];
    good = comm_small_all_reduce(group, ends, 2, COMM_I64, COMM_MIN) == BASE_OK;
    return good && ends[0] == -ends[1] ? done : 0;
}

static void nothing(run_pace *pace, int64_t done)
{
    (void)pace;
    (void)done;
}

static void ranks_meet_at_the_end_of_a_block(void **state)
{
    (void)state;
    EVERYWHERE(first_meeting(nothing) == 2000);
}

enum { EVENT = 1137 };

/* A lone rank hears it before the next step, several within twice the steps between two questions. */
static int is_soon(int64_t met)
{
    return size == 1 ? met == EVENT + 1 : met > EVENT && met <= EVENT + 1 + 2 * RUN_PACE_ASK_MOST;
}

static void become_slow(run_pace *pace, int64_t done)
{
    if (done == EVENT)
        pace->met_time = -INFINITY;
}

static void slow_steps_end_a_block(void **state)
{
    (void)state;
    EVERYWHERE(is_soon(first_meeting(become_slow)));
}

static void tell_to_stop(run_pace *pace, int64_t done)
{
    (void)pace;
    if (done == EVENT)
        raise(SIGTERM);
}

static void request_to_stop_ends_a_block(void **state)
{
    (void)state;
    run_signal_install();
    EVERYWHERE(is_soon(first_meeting(tell_to_stop)));
}

/* What is under way is taken in before they meet, and not taken for a wish in the next block. */
static void other_meetings_leave_nothing_under_way(void **state)
{
    (void)state;
    run_pace pace;
    int meets = 0, good = 1;
    run_pace_start(&pace, group, 0);
    run_pace_met(&pace, 0, 0.0);
    for (int64_t done = 1; done <= 20; done++) {
        meets = done == 20;
        good = good && run_pace_meets(&pace, done, NULL, &meets) == BASE_OK;
    }
    EVERYWHERE(good && meets && !pace.under_way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_round_and_fit_the_period),
        cmocka_unit_test(steps_are_bounded),
        cmocka_unit_test(ranks_meet_at_the_end_of_a_block),
        cmocka_unit_test(slow_steps_end_a_block),
        cmocka_unit_test(other_meetings_leave_nothing_under_way),
        cmocka_unit_test(request_to_stop_ends_a_block), /* which is not forgotten */
    };
    test_open_world();
    const comm_group_options options = {.timeout_ms = 60 * 1000};
    int failed = comm_group_create(world, &options, &group) != BASE_OK || cmocka_run_group_tests(tests, NULL, NULL);
    comm_group_destroy(&group);
    return test_close_world(failed);
}
