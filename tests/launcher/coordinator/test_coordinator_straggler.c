/* Who holds up the others, in which phase, and by how much: exact numbers. */
#include "telemetry_test.h"

#include <string.h>

enum { RANKS_MAX = 8 };

/* All ranks do 10 steps a window; a step lasts 100 ms, and what a rank does not use it waits. */
typedef struct scene {
    coordinator_state *state;
    int size, windows;
    double ms[RANKS_MAX][BASE_PHASE_COUNT]; /* a step; wait is filled in */
} scene;

static const double usual_ms[BASE_PHASE_COUNT] = {
    [BASE_PHASE_DATA] = 2.0,   [BASE_PHASE_FORWARD] = 20.0, [BASE_PHASE_BACKWARD] = 30.0,
    [BASE_PHASE_REDUCE] = 5.0, [BASE_PHASE_UPDATE] = 8.0,   [BASE_PHASE_OTHER] = 0.0};

static int begin(void **state)
{
    static scene self;
    self = (scene){.size = RANKS_MAX};
    for (int rank = 0; rank < RANKS_MAX; rank++)
        memcpy(self.ms[rank], usual_ms, sizeof usual_ms);
    *state = &self;
    return coordinator_state_create(&self.state) == BASE_OK ? 0 : -1;
}

static int end(void **state)
{
    scene *self = *state;
    coordinator_state_destroy(&self->state);
    return 0;
}

static void never(void *context, const coordinator_route *to, const telemetry_end *message)
{
    (void)context, (void)to;
    fail_msg("%s", message->reason);
}

static void report(scene *self, int rank)
{
    double *ms = self->ms[rank], sum = 0.0;
    telemetry_summary summary = telemetry_test_summary(1, rank, self->size, 0, self->windows);
    ms[BASE_PHASE_WAIT] = 0.0;
    for (int i = 0; i < BASE_PHASE_EVALUATE; i++)
        sum += i == BASE_PHASE_CHECKPOINT ? 0.0 : ms[i];
    ms[BASE_PHASE_WAIT] = 100.0 - sum;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        summary.at.window.phases[i] = 1e-3 * ms[i] * (double)summary.at.window.steps;
    assert_int_equal(coordinator_state_take(self->state, &summary, &(coordinator_route){0}, self->windows),
                     COORDINATOR_ACCEPTED);
}

static void windows(scene *self, int count)
{
    for (int i = 0; i < count; i++) {
        self->windows++;
        for (int rank = 0; rank < self->size; rank++)
            report(self, rank);
        coordinator_state_tick(self->state, self->windows, never, NULL);
        coordinator_state_tick(self->state, self->windows + 0.1, never, NULL); /* judges no window twice */
    }
}

static coordinator_run_view look(const scene *self)
{
    coordinator_view view = {0};
    assert_int_equal(coordinator_state_view(self->state, self->windows, "", 0, &view), BASE_OK);
    coordinator_run_view run = view.runs[0];
    coordinator_view_clear(&view);
    return run;
}

static void assert_straggler(const scene *self, int index, int rank, base_phase phase, double slower, double cost)
{
    coordinator_run_view run = look(self);
    assert_true(run.straggler_count > index);
    assert_int_equal(run.stragglers[index].rank, rank);
    assert_int_equal(run.stragglers[index].phase, phase);
    assert_near(run.stragglers[index].slower, slower, 1e-9);
    assert_near(run.stragglers[index].cost, cost, 1e-9);
}

/* "rank 5 is 31 % slower in forward": 26.2 ms instead of 20. Its own 66.2 ms instead of 60 cost 6.2 of 100. */
static void slow_rank_and_phase_are_named(void **state)
{
    scene *self = *state;
    self->ms[5][BASE_PHASE_FORWARD] = 26.2;
    self->ms[5][BASE_PHASE_BACKWARD] = 30.0;
    windows(self, 3);
    assert_straggler(self, 0, 5, BASE_PHASE_FORWARD, 0.31, 0.062);
    assert_int_equal(look(self).straggler_count, 1);
}

static void it_takes_three_windows_in_a_row(void **state)
{
    scene *self = *state;
    self->ms[5][BASE_PHASE_DATA] = 12.0;
    windows(self, 2);
    assert_int_equal(look(self).straggler_count, 0);
    self->ms[5][BASE_PHASE_DATA] = 2.0;
    windows(self, 1);
    self->ms[5][BASE_PHASE_DATA] = 12.0;
    windows(self, 2);
    assert_int_equal(look(self).straggler_count, 0);
    windows(self, 1);
    assert_straggler(self, 0, 5, BASE_PHASE_DATA, 5.0, 0.1);
    self->ms[5][BASE_PHASE_DATA] = 2.0;
    windows(self, 1);
    assert_int_equal(look(self).straggler_count, 0);
}

/* All-reduce makes everybody equally slow: time at the reduce is nobody's own. */
static void waiting_makes_no_straggler(void **state)
{
    scene *self = *state;
    self->ms[3][BASE_PHASE_REDUCE] = 30.0;
    self->ms[4][BASE_PHASE_EVALUATE] = 80.0; /* between steps */
    self->ms[4][BASE_PHASE_CHECKPOINT] = 80.0;
    windows(self, 5);
    assert_int_equal(look(self).straggler_count, 0);
}

static void little_is_no_straggler(void **state)
{
    scene *self = *state;
    self->ms[2][BASE_PHASE_UPDATE] = 8.0 + 0.05 * 60.0 - 0.01; /* just under 5 % of 60 ms */
    windows(self, 5);
    assert_int_equal(look(self).straggler_count, 0);
    self->ms[2][BASE_PHASE_UPDATE] = 8.0 + 0.05 * 60.0 + 0.01;
    windows(self, 3);
    assert_straggler(self, 0, 2, BASE_PHASE_UPDATE, 3.01 / 8.0, 0.0301);
}

/* Own times 60 +- 3 and 6: the median absolute deviation is 3, so that 9 ms are what chance does. */
static void spread_of_all_is_no_straggler(void **state)
{
    scene *self = *state;
    static const double more[RANKS_MAX - 1] = {-6.0, -3.0, -3.0, 0.0, 3.0, 3.0, 8.9};
    self->size = RANKS_MAX - 1;
    for (int rank = 0; rank < self->size; rank++)
        self->ms[rank][BASE_PHASE_BACKWARD] += more[rank];
    windows(self, 4);
    assert_int_equal(look(self).straggler_count, 0);
    self->ms[6][BASE_PHASE_BACKWARD] += 0.2;
    windows(self, 3);
    assert_straggler(self, 0, 6, BASE_PHASE_BACKWARD, 9.1 / 30.0, 0.091);
}

static void of_two_the_other_is_the_measure(void **state)
{
    scene *self = *state;
    self->size = 2;
    self->ms[1][BASE_PHASE_DATA] = 32.0;
    windows(self, 3);
    assert_straggler(self, 0, 1, BASE_PHASE_DATA, 15.0, 0.3);
    assert_int_equal(look(self).straggler_count, 1);
}

static void of_three_one_can_be_slow(void **state)
{
    scene *self = *state;
    self->size = 3;
    self->ms[0][BASE_PHASE_FORWARD] = 25.0;
    self->ms[1][BASE_PHASE_FORWARD] = 20.1;
    windows(self, 3);
    assert_straggler(self, 0, 0, BASE_PHASE_FORWARD, 4.9 / 20.1, 0.049);
}

/* What the others spend nothing on is measured against all that they do. */
static void phase_that_others_do_not_have(void **state)
{
    scene *self = *state;
    self->ms[7][BASE_PHASE_OTHER] = 15.0;
    windows(self, 3);
    assert_straggler(self, 0, 7, BASE_PHASE_OTHER, 15.0 / 60.0, 0.15);
}

static void worst_comes_first(void **state)
{
    scene *self = *state;
    self->ms[1][BASE_PHASE_FORWARD] = 24.0;
    self->ms[6][BASE_PHASE_BACKWARD] = 45.0;
    windows(self, 3);
    assert_straggler(self, 0, 6, BASE_PHASE_BACKWARD, 0.5, 0.15);
    assert_straggler(self, 1, 1, BASE_PHASE_FORWARD, 0.2, 0.04);
    assert_int_equal(look(self).straggler_count, 2);
}

static void single_rank_holds_up_nobody(void **state)
{
    scene *self = *state;
    self->size = 1;
    windows(self, 5);
    assert_int_equal(look(self).straggler_count, 0);
}

/* A rank whose way to the coordinator is broken does not stop the judgement of the others. */
static void silent_rank_is_left_out(void **state)
{
    scene *self = *state;
    self->ms[5][BASE_PHASE_FORWARD] = 26.2;
    windows(self, 1);
    for (int i = 0; i < 8; i++) {
        self->windows++;
        for (int rank = 0; rank < RANKS_MAX - 1; rank++) /* rank 7 speaks no more */
            report(self, rank);
        coordinator_state_tick(self->state, self->windows, never, NULL);
    }
    assert_straggler(self, 0, 5, BASE_PHASE_FORWARD, 0.31, 0.062);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slow_rank_and_phase_are_named),
        TEST(it_takes_three_windows_in_a_row),
        TEST(waiting_makes_no_straggler),
        TEST(little_is_no_straggler),
        TEST(spread_of_all_is_no_straggler),
        TEST(of_two_the_other_is_the_measure),
        TEST(of_three_one_can_be_slow),
        TEST(phase_that_others_do_not_have),
        TEST(worst_comes_first),
        TEST(single_rank_holds_up_nobody),
        TEST(silent_rank_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
