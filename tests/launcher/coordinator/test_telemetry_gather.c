/* Summaries of what a monitor shows, with a clock of the test's own. */
#include "telemetry_test.h"

#include "telemetry_gather.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct scene {
    run_monitor *monitor;
    run_monitor_record record;
    telemetry_gather gather;
} scene;

static int begin(void **state)
{
    static scene self;
    self = (scene){.record = {.clock = 100.0}};
    *state = &self;
    if (run_monitor_create(&self.monitor) != BASE_OK)
        return -1;
    run_monitor_run run = telemetry_test_monitor_run(3, 8);
    telemetry_gather_start(&self.gather, &run, telemetry_test_run_id(5), self.monitor, 77, 100.0);
    return 0;
}

static int end(void **state)
{
    scene *self = *state;
    run_monitor_destroy(&self->monitor);
    return 0;
}

static void steps(scene *self, int count)
{
    for (int i = 0; i < count; i++)
        telemetry_test_step(self->monitor, &self->record);
}

static const telemetry_summary *take(scene *self, double now)
{
    telemetry_gather_look(&self->gather, now);
    const telemetry_message *message = telemetry_gather_take(&self->gather, now);
    assert_int_equal(message->kind, TELEMETRY_SUMMARY);
    return &message->summary;
}

static void first_summary_stands_on_its_own(void **state)
{
    scene *self = *state;
    const telemetry_summary *summary = take(self, 100.0);
    assert_string_equal(summary->run.id, telemetry_test_run_id(5));
    assert_string_equal(summary->run.name, "test");
    assert_string_equal(summary->host, "node3");
    assert_int_equal(summary->rank, 3);
    assert_int_equal(summary->run.size, 8);
    assert_int_equal(summary->run.total_steps, TEST_STEPS);
    assert_near(summary->run.stall_timeout, 30.0, 0.0);
    assert_int_equal(summary->at.process, 77);
    assert_int_equal(summary->at.sequence, 1);
    assert_int_equal(summary->at.state, COORDINATOR_RUNNING);
    assert_int_equal(summary->at.step, 0);
    assert_int_equal(summary->at.window.steps, 0);
    assert_true(isnan(summary->at.test_loss));
    /* It is fit to be sent and taken. */
    size_t nbytes;
    telemetry_message message;
    uint8_t *bytes = telemetry_wire_pack(&self->gather.message, &nbytes);
    assert_true(telemetry_wire_unpack(bytes, nbytes, &message));
    free(bytes);
}

static void summary_has_sums_and_window(void **state)
{
    scene *self = *state;
    steps(self, 200); /* more than are read at a time */
    take(self, 120.5);
    telemetry_gather_sent(&self->gather);
    steps(self, 10);
    run_monitor_evaluated(self->monitor, 200, 0.5, 0.75);
    const telemetry_progress *at = &take(self, 121.25)->at;
    assert_int_equal(at->sequence, 2);
    assert_int_equal(at->step, 210);
    assert_int_equal(at->samples, 210 * TEST_BATCH);
    assert_near(at->elapsed, 21.25, 1e-9);
    assert_near(at->since_step, 0.25, 1e-9);
    assert_near(at->total[BASE_PHASE_FORWARD], 210 * 0.040, 1e-9);
    assert_near(at->loss, 1.0 / 210, 1e-12);
    assert_int_equal(at->test_step, 200);
    assert_near(at->test_accuracy, 0.75, 0.0);
    assert_int_equal(at->window.steps, 10);
    assert_int_equal(at->window.samples, 10 * TEST_BATCH);
    assert_near(at->window.seconds, 1.0, 1e-9);
    assert_near(at->window.phases[BASE_PHASE_BACKWARD], 0.3, 1e-9);
    assert_near(at->window.longest_step, 0.1, 1e-9);
    double sum = 0.0;
    for (int step = 201; step <= 210; step++)
        sum += 1.0 / step;
    assert_near(at->window.loss_sum, sum, 1e-9);
}

static void longest_step_leaves_out_what_lies_between(void **state)
{
    scene *self = *state;
    steps(self, 3);
    self->record.seconds[BASE_PHASE_EVALUATE] += 5.0;
    self->record.seconds[BASE_PHASE_CHECKPOINT] += 5.0;
    self->record.seconds[BASE_PHASE_DATA] += 0.5;
    steps(self, 3);
    assert_near(take(self, 101.0)->at.window.longest_step, 0.6, 1e-9);
}

/* Nothing is lost but resolution: the next one has the same number, and the steps of both. */
static void summary_that_did_not_leave_is_made_up_for(void **state)
{
    scene *self = *state;
    steps(self, 10);
    take(self, 101.0);
    steps(self, 10);
    const telemetry_progress *at = &take(self, 102.0)->at;
    assert_int_equal(at->sequence, 1);
    assert_int_equal(at->window.steps, 20);
    telemetry_gather_sent(&self->gather);
    at = &take(self, 103.0)->at;
    assert_int_equal(at->sequence, 2);
    assert_int_equal(at->window.steps, 0);
    assert_near(at->window.seconds, 0.0, 0.0);
    assert_int_equal(at->step, 20);
}

static void ring_that_ran_over_costs_no_sum(void **state)
{
    scene *self = *state;
    steps(self, RUN_MONITOR_RING + 1000);
    const telemetry_progress *at = &take(self, 1000.0)->at;
    assert_int_equal(at->step, RUN_MONITOR_RING + 1000);
    assert_int_equal(at->window.steps, RUN_MONITOR_RING + 1000);
    assert_near(at->total[BASE_PHASE_UPDATE], 0.008 * (RUN_MONITOR_RING + 1000), 1e-6);
}

/* ---- whether the rank gets anywhere ---- */

/* Looks every tenth of a second; returns when it was told to send at once, or `until`. */
static double look(scene *self, double from, double until)
{
    for (int i = 0; from + 0.1 * i < until + 0.05; i++)
        if (telemetry_gather_look(&self->gather, from + 0.1 * i))
            return from + 0.1 * i;
    return until;
}

static void stuck_time_is_exact_and_sent_at_once(void **state)
{
    scene *self = *state;
    assert_near(look(self, 100.0, 200.0), 130.0, 0.11);
    assert_near(take(self, 130.0)->at.stuck, 30.0, 0.11);
    assert_true(take(self, 130.0)->at.stuck >= 30.0 - 0.11);
    assert_near(look(self, 130.1, 140.0), 140.0, 0.0); /* once */
    atomic_fetch_add(&run_monitor_watch(self->monitor)->progress, 1);
    assert_near(look(self, 140.1, 150.0), 140.1, 1e-9);
    assert_near(take(self, 140.1)->at.stuck, 0.0, 0.0);
}

static void rank_that_moves_is_not_stuck(void **state)
{
    scene *self = *state;
    for (int i = 0; i < 100; i++) {
        double from = 100.0 + i;
        atomic_fetch_add(&run_monitor_watch(self->monitor)->progress, 1);
        assert_near(look(self, from, from + 0.9), from + 0.9, 0.0);
        assert_true(take(self, from + 0.9)->at.stuck < 0.95);
    }
}

/* A batch system may stop all processes for an hour: nobody has waited. */
static void suspended_time_does_not_count(void **state)
{
    scene *self = *state;
    look(self, 100.0, 105.0);
    assert_int_equal(telemetry_gather_look(&self->gather, 3705.0), 0);
    assert_true(take(self, 3705.0)->at.stuck < 6.0);
    assert_true(take(self, 3705.0)->at.stuck > 4.8);
}

/* ---- the end ---- */

static void end_has_state_and_reason(void **state)
{
    scene *self = *state;
    static const struct {
        base_status status;
        coordinator_run_state state;
        const char *reason;
    } ends[] = {{BASE_OK, COORDINATOR_DONE, ""},
                {BASE_STOPPED, COORDINATOR_STOPPED, ""},
                {BASE_INTERRUPTED, COORDINATOR_STOPPED, ""},
                {BASE_DIVERGED, COORDINATOR_DIVERGED, "why"},
                {BASE_PEER, COORDINATOR_FAILED, "why"},
                {BASE_ERROR, COORDINATOR_FAILED, "why"}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        telemetry_gather_end(&self->gather, ends[i].status, "why");
        const telemetry_summary *summary = take(self, 100.0);
        assert_int_equal(summary->at.state, ends[i].state);
        assert_string_equal(summary->reason, ends[i].reason);
        self->gather.message.summary.reason[0] = '\0';
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_summary_stands_on_its_own),
        TEST(summary_has_sums_and_window),
        TEST(longest_step_leaves_out_what_lies_between),
        TEST(summary_that_did_not_leave_is_made_up_for),
        TEST(ring_that_ran_over_costs_no_sum),
        TEST(stuck_time_is_exact_and_sent_at_once),
        TEST(rank_that_moves_is_not_stuck),
        TEST(suspended_time_does_not_count),
        TEST(end_has_state_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
