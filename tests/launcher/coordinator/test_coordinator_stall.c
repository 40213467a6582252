/* When a rank counts as lost: which, when, and who is told. Times are in seconds and exact. */
#include "telemetry_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIZE = 4 };

/* A run whose ranks all report every second; what one of them says can be changed. */
typedef struct scene {
    coordinator_state *state;
    double now;
    telemetry_summary ranks[SIZE];
    int quiet[SIZE]; /* it does not report any more */
    int told[SIZE];  /* times that it was told to end */
    int speaker;     /* who was told to say so; -1: nobody yet */
    char reason[TELEMETRY_REASON_TEXT];
} scene;

static int begin(void **state)
{
    static scene self;
    self = (scene){.speaker = -1};
    for (int rank = 0; rank < SIZE; rank++) {
        self.ranks[rank] = telemetry_test_summary(1, rank, SIZE, 0, 10);
        self.ranks[rank].at.sequence = 1;
    }
    *state = &self;
    return coordinator_state_create(&self.state) == BASE_OK ? 0 : -1;
}

static int end(void **state)
{
    scene *self = *state;
    coordinator_state_destroy(&self->state);
    return 0;
}

static void tell(void *context, const coordinator_route *to, const telemetry_end *message)
{
    scene *self = context;
    assert_int_equal(to->nbytes, 1);
    assert_string_equal(message->run_id, telemetry_test_run_id(1));
    self->told[to->bytes[0]]++;
    if (message->speak) {
        assert_true(self->speaker < 0 || self->speaker == to->bytes[0]);
        self->speaker = to->bytes[0];
    }
    strcpy(self->reason, message->reason);
}

static void report(scene *self, int rank)
{
    telemetry_summary *summary = &self->ranks[rank];
    const coordinator_route route = {.nbytes = 1, .bytes = {(uint8_t)rank}};
    assert_int_equal(coordinator_state_take(self->state, summary, &route, self->now), COORDINATOR_ACCEPTED);
    summary->at.sequence++;
}

/* Time passes in tenths of a second, in the first of every ten of which all ranks report that are not quiet. Their
 * stuck time and the age of their last step grow with the clock where they were set to grow, that is, are not 0.
 * Returns when a rank was told to end, or `until`. */
static double pass(scene *self, double until)
{
    int tenths = (int)lround(10.0 * self->now), last = (int)lround(10.0 * until);
    int told = self->told[0];
    for (; tenths <= last; tenths++) {
        double passed = 0.1 * tenths - self->now;
        self->now = 0.1 * tenths;
        for (int rank = 0; rank < SIZE; rank++) {
            telemetry_progress *at = &self->ranks[rank].at;
            at->stuck += at->stuck > 0.0 ? passed : 0.0;
            at->since_step += at->since_step > 0.0 ? passed : 0.0;
            at->elapsed += passed;
            if (tenths % 10 == 0 && !self->quiet[rank])
                report(self, rank);
        }
        coordinator_state_tick(self->state, self->now, tell, self);
        if (self->told[0] > told)
            return self->now;
    }
    return until;
}

/* All steps ended at this moment, and no more do. */
static void halt(scene *self)
{
    for (int rank = 0; rank < SIZE; rank++)
        self->ranks[rank].at.since_step = 1e-9;
}

static void wait_for_others(scene *self, int rank)
{
    self->ranks[rank].at.phase = BASE_PHASE_WAIT;
    self->ranks[rank].at.stuck = 1e-9;
}

static void assert_told(const scene *self, const char *reason)
{
    for (int rank = 0; rank < SIZE; rank++)
        assert_int_equal(self->told[rank], 1);
    assert_string_equal(self->reason, reason);
    assert_in_range(self->speaker, 0, SIZE - 1);
    assert_int_equal(self->quiet[self->speaker], 0);
    coordinator_view view = {0};
    assert_int_equal(coordinator_state_view(self->state, self->now, "", 1, &view), BASE_OK);
    assert_int_equal(view.runs[0].state, COORDINATOR_FAILED);
    assert_string_equal(view.runs[0].reason, reason);
    coordinator_view_clear(&view);
}

/* ---- stuck ---- */

static void rank_that_is_stuck_is_lost(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    self->ranks[2].at.stuck = 1e-9;
    wait_for_others(self, 0);
    wait_for_others(self, 1);
    wait_for_others(self, 3);
    assert_true(pass(self, 34.9) == 34.9);
    assert_int_equal(self->told[0], 0);
    /* The worker says so itself at 35.0, which here is the time of its summary. */
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_told(self, "rank 2 (node2) has not got anywhere for 30.0 s: last seen in forward after step 100 of 5000; "
                      "ending the run");
}

static void rank_that_moves_again_is_not_lost(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    self->ranks[2].at.stuck = 1e-9;
    pass(self, 34.0);
    self->ranks[2].at.stuck = 0.0;
    assert_true(pass(self, 60.0) == 60.0);
}

/* Whoever waits for others is their victim, not the culprit. */
static void waiting_is_no_offence(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    for (int rank = 1; rank < SIZE; rank++)
        wait_for_others(self, rank);
    assert_true(pass(self, 100.0) == 100.0); /* rank 0 gets somewhere, if no step ends */
}

static void timeout_of_0_is_for_ever(void **state)
{
    scene *self = *state;
    for (int rank = 0; rank < SIZE; rank++)
        self->ranks[rank].run.stall_timeout = 0.0;
    pass(self, 5.0);
    halt(self);
    self->ranks[1].at.stuck = 1e-9;
    self->quiet[2] = 1;
    assert_true(pass(self, 1000.0) == 1000.0);
}

static void run_that_has_ended_loses_nobody(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    for (int rank = 0; rank < SIZE; rank++)
        self->ranks[rank].at.state = COORDINATOR_DONE;
    pass(self, 6.0);
    self->quiet[1] = 1;
    self->ranks[2].at.stuck = 50.0;
    assert_true(pass(self, 100.0) == 100.0);
}

/* ---- silent ---- */

static void rank_that_is_silent_is_lost(void **state)
{
    scene *self = *state;
    pass(self, 5.0); /* its last summary */
    halt(self);
    self->quiet[3] = 1;
    for (int rank = 0; rank < 3; rank++)
        wait_for_others(self, rank);
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_told(self, "rank 3 (node3) has been silent for 30.0 s: last seen in forward after step 100 of 5000; ending "
                      "the run");
}

/* Only its way to the coordinator is broken: steps end, and it has its part in them. */
static void silent_rank_in_a_run_that_goes_on_is_not_lost(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    self->quiet[3] = 1;
    assert_true(pass(self, 100.0) == 100.0);
    halt(self);
    for (int rank = 0; rank < 3; rank++)
        wait_for_others(self, rank);
    assert_near(pass(self, 200.0), 130.0, 0.11); /* the last step ended at 100 */
    assert_non_null(strstr(self->reason, "rank 3 (node3) has been silent for 12"));
}

static void nobody_to_tell_when_all_are_silent(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    for (int rank = 0; rank < SIZE; rank++)
        self->quiet[rank] = 1;
    assert_true(pass(self, 100.0) == 100.0);
    /* Back after a break that was nobody's fault, one by one. */
    self->quiet[0] = 0;
    assert_true(pass(self, 110.0) == 110.0);
    for (int rank = 1; rank < SIZE; rank++)
        self->quiet[rank] = 0;
    assert_true(pass(self, 200.0) == 200.0);
}

static void one_of_all_does_not_come_back(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    for (int rank = 0; rank < SIZE; rank++)
        self->quiet[rank] = 1;
    pass(self, 100.0);
    for (int rank = 0; rank < 3; rank++)
        self->quiet[rank] = 0;
    assert_near(pass(self, 200.0), 130.0, 1e-9); /* the others are back since 100 */
}

/* Rank 0 is as good as any other: where it is gone, another one speaks. */
static void silent_rank_0_does_not_speak(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    self->quiet[0] = 1;
    for (int rank = 1; rank < SIZE; rank++)
        wait_for_others(self, rank);
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_told(self, "rank 0 (node0) has been silent for 30.0 s: last seen in forward after step 100 of 5000; ending "
                      "the run");
    assert_int_equal(self->speaker, 1);
}

/* With a short timeout summaries come more often, and a moment's delay of one is no stall. */
static void short_timeout_has_patience(void **state)
{
    scene *self = *state;
    for (int rank = 0; rank < SIZE; rank++) {
        self->ranks[rank].run.stall_timeout = 0.5;
        self->ranks[rank].at.step = 0; /* in the first, which is long */
    }
    for (int i = 0; i < 50; i++) {
        self->now = 0.1 * i;
        for (int rank = 0; rank < SIZE; rank++)
            if (rank > 0 || i % 9 == 0)
                report(self, rank);
        coordinator_state_tick(self->state, self->now, tell, self);
    }
    assert_int_equal(self->told[1], 0);
    assert_near(telemetry_interval(0.0), 1.0, 0.0);
    assert_near(telemetry_interval(30.0), 1.0, 0.0);
    assert_near(telemetry_interval(2.0), 0.5, 1e-12);
    assert_near(telemetry_interval(0.1), 0.1, 1e-12);
}

/* ---- all wait ---- */

static void rank_with_fewest_steps_is_named(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    for (int rank = 0; rank < SIZE; rank++)
        wait_for_others(self, rank);
    self->ranks[0].at.step = self->ranks[1].at.step = self->ranks[3].at.step = 101;
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_told(self, "rank 2 (node2) has fewer steps than others, and all have waited for each other for 30.0 s: last "
                      "seen in wait after step 100 of 5000; ending the run");
}

static void lowest_is_named_without_a_reason(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    for (int rank = 0; rank < SIZE; rank++)
        wait_for_others(self, rank);
    self->ranks[0].at.phase = BASE_PHASE_REDUCE;
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_told(self, "rank 0 (node0) and all others have waited for each other for 30.0 s: last seen in reduce after "
                      "step 100 of 5000; ending the run");
}

static void rank_that_never_spoke_is_named(void **state)
{
    scene *self = *state;
    self->quiet[1] = 1;
    pass(self, 5.0);
    halt(self);
    for (int rank = 0; rank < SIZE; rank++)
        wait_for_others(self, rank);
    assert_near(pass(self, 40.0), 35.0, 1e-9);
    assert_string_equal(self->reason,
                        "rank 1 has never been heard of, and the others have waited for 30.0 s after step "
                        "100 of 5000; ending the run");
    assert_int_equal(self->told[1], 0);
    assert_int_equal(self->told[3], 1);
}

/* ---- being told ---- */

static void who_goes_on_is_told_again(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    halt(self);
    self->ranks[2].at.stuck = 1e-9;
    pass(self, 40.0);
    assert_int_equal(self->told[0], 1);
    self->quiet[2] = 1;
    self->ranks[1].at.state = COORDINATOR_FAILED; /* has left */
    pass(self, 36.0);
    assert_int_equal(self->told[0], 2);
    assert_int_equal(self->told[1], 1);
    assert_int_equal(self->told[2], 1);
}

/* It has said why itself, and the others hear at the next look. */
static void rank_that_fails_alone_is_lost_at_once(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    self->ranks[1].at.state = COORDINATOR_FAILED;
    strcpy(self->ranks[1].reason, "its GPU has failed");
    report(self, 1);
    self->quiet[1] = 1;
    coordinator_state_tick(self->state, self->now, tell, self);
    for (int rank = 0; rank < SIZE; rank++)
        assert_int_equal(self->told[rank], rank != 1);
    assert_string_equal(self->reason, "its GPU has failed");
    assert_int_equal(self->speaker, -1);
}

static void rank_that_fails_without_a_word_is_lost_too(void **state)
{
    scene *self = *state;
    pass(self, 5.0);
    self->ranks[2].at.state = COORDINATOR_FAILED;
    report(self, 2);
    coordinator_state_tick(self->state, self->now, tell, self);
    assert_int_equal(self->told[0], 1);
    assert_string_equal(self->reason, "a rank has failed and did not say why");
}

static void single_rank_that_is_stuck_is_lost(void **state)
{
    scene *self = *state;
    const coordinator_route route = {.nbytes = 1};
    telemetry_summary summary = telemetry_test_summary(1, 0, 1, 0, 10);
    summary.at.stuck = 30.0;
    assert_int_equal(coordinator_state_take(self->state, &summary, &route, 1.0), COORDINATOR_ACCEPTED);
    coordinator_state_tick(self->state, 1.0, tell, self);
    assert_int_equal(self->told[0], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rank_that_is_stuck_is_lost),
        TEST(rank_that_moves_again_is_not_lost),
        TEST(waiting_is_no_offence),
        TEST(timeout_of_0_is_for_ever),
        TEST(run_that_has_ended_loses_nobody),
        TEST(rank_that_is_silent_is_lost),
        TEST(silent_rank_in_a_run_that_goes_on_is_not_lost),
        TEST(nobody_to_tell_when_all_are_silent),
        TEST(one_of_all_does_not_come_back),
        TEST(silent_rank_0_does_not_speak),
        TEST(short_timeout_has_patience),
        TEST(rank_with_fewest_steps_is_named),
        TEST(lowest_is_named_without_a_reason),
        TEST(rank_that_never_spoke_is_named),
        TEST(who_goes_on_is_told_again),
        TEST(rank_that_fails_alone_is_lost_at_once),
        TEST(rank_that_fails_without_a_word_is_lost_too),
        TEST(single_rank_that_is_stuck_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
