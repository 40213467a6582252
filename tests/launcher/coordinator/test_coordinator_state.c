/* What a coordinator makes of summaries: whom it believes, what it keeps, what it shows. */
#include "telemetry_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static coordinator_state *state_of(void **state)
{
    return *state;
}

static int make_state(void **state)
{
    coordinator_state *self;
    base_status status = coordinator_state_create(&self);
    *state = self;
    return status == BASE_OK ? 0 : -1;
}

static int drop_state(void **state)
{
    coordinator_state *self = *state;
    coordinator_state_destroy(&self);
    return 0;
}

static coordinator_verdict take(coordinator_state *self, const telemetry_summary *summary, double now)
{
    return coordinator_state_take(self, summary, &(coordinator_route){.nbytes = 0}, now);
}

static void take_well(coordinator_state *self, unsigned run, int rank, int size, int seconds)
{
    telemetry_summary summary = telemetry_test_summary(run, rank, size, 0, seconds);
    assert_int_equal(take(self, &summary, seconds), COORDINATOR_ACCEPTED);
}

/* Of one run; the caller clears it. */
static coordinator_view look(coordinator_state *self, unsigned run, double now)
{
    coordinator_view view = {0};
    assert_int_equal(coordinator_state_view(self, now, telemetry_test_run_id(run), 1, &view), BASE_OK);
    return view;
}

static coordinator_run_state run_state(coordinator_state *self, unsigned run, double now)
{
    coordinator_view view = look(self, run, now);
    assert_int_equal(view.run_count, 1);
    coordinator_run_state state = view.runs[0].state;
    coordinator_view_clear(&view);
    return state;
}

/* ---- what it shows ---- */

static void view_has_the_numbers_of_the_run(void **state)
{
    coordinator_state *self = state_of(state);
    take_well(self, 1, 2, 4, 60);
    take_well(self, 1, 0, 4, 60);
    coordinator_view view = look(self, 1, 60.5);
    const coordinator_run_view *run = &view.runs[0];
    assert_string_equal(run->name, "test");
    assert_string_equal(run->folder, "runs/test");
    assert_string_equal(run->host, "node0");
    assert_int_equal(run->state, COORDINATOR_RUNNING);
    assert_int_equal(run->size, 4);
    assert_int_equal(run->rank_count, 2);
    assert_int_equal(run->step, 600);
    assert_int_equal(run->epoch, 2);
    assert_int_equal(run->total_steps, TEST_STEPS);
    assert_near(run->samples_per_second, 1280.0, 1e-9);
    assert_near(run->elapsed_s, 60.5, 1e-9);
    assert_near(run->remaining_s, 60.0 * (5000 - 600) / 600 - 0.5, 1e-9);
    assert_near(run->efficiency, 0.78, 1e-9); /* 40 + 30 + 8 of 100 ms */
    double sum = 0.0;
    for (int step = 591; step <= 600; step++)
        sum += 1.0 / step;
    assert_near(run->loss, sum / 10, 1e-12);
    assert_true(isnan(run->test_loss));
    const coordinator_rank_view *rank = &run->ranks[1];
    assert_int_equal(rank->rank, 2);
    assert_string_equal(rank->host, "node2");
    assert_near(rank->phases_ms[BASE_PHASE_FORWARD], 40.0, 1e-9);
    assert_near(rank->own_ms, 85.0, 1e-9); /* without wait and reduce */
    assert_near(rank->total_s[BASE_PHASE_BACKWARD], 18.0, 1e-9);
    assert_near(rank->steps_per_second, 10.0, 1e-9);
    assert_near(rank->silent_s, 0.5, 1e-9);
    coordinator_view_clear(&view);
}

static void own_time_leaves_out_what_lies_between_steps(void **state)
{
    coordinator_state *self = state_of(state);
    telemetry_summary summary = telemetry_test_summary(1, 0, 1, 0, 10);
    summary.at.window.phases[BASE_PHASE_EVALUATE] = 5.0;
    summary.at.window.phases[BASE_PHASE_CHECKPOINT] = 1.0;
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_ACCEPTED);
    coordinator_view view = look(self, 1, 10.0);
    assert_near(view.runs[0].ranks[0].own_ms, 85.0, 1e-9);
    assert_near(view.runs[0].ranks[0].phases_ms[BASE_PHASE_EVALUATE], 500.0, 1e-9);
    coordinator_view_clear(&view);
}

/* A second without the end of a step does not make what was seen before unseen. */
static void last_window_with_steps_stays(void **state)
{
    coordinator_state *self = state_of(state);
    take_well(self, 1, 0, 1, 10);
    telemetry_summary summary = telemetry_test_summary(1, 0, 1, 0, 10);
    summary.at.sequence++;
    summary.at.window = (telemetry_window){0};
    assert_int_equal(take(self, &summary, 11.0), COORDINATOR_ACCEPTED);
    coordinator_view view = look(self, 1, 11.0);
    assert_near(view.runs[0].ranks[0].phases_ms[BASE_PHASE_FORWARD], 40.0, 1e-9);
    coordinator_view_clear(&view);
}

static void runs_are_shown_newest_first(void **state)
{
    coordinator_state *self = state_of(state);
    coordinator_view view = {0};
    for (unsigned run = 1; run <= 3; run++)
        take_well(self, run, 0, 1, (int)run);
    assert_int_equal(coordinator_state_view(self, 5.0, "", 0, &view), BASE_OK);
    assert_int_equal(view.run_count, 3);
    for (unsigned run = 1; run <= 3; run++)
        assert_string_equal(view.runs[3 - run].id, telemetry_test_run_id(run));
    assert_null(view.runs[0].ranks);
    coordinator_view_clear(&view);
}

static void ranks_are_shown_in_order(void **state)
{
    coordinator_state *self = state_of(state);
    enum { SIZE = 101 };
    for (int i = 0; i < SIZE; i++)
        take_well(self, 1, i * 37 % SIZE, SIZE, 1);
    coordinator_view view = look(self, 1, 1.0);
    assert_int_equal(view.runs[0].rank_count, SIZE);
    for (int i = 0; i < SIZE; i++)
        assert_int_equal(view.runs[0].ranks[i].rank, i);
    coordinator_view_clear(&view);
}

/* ---- whom it believes ---- */

static void gaps_are_counted(void **state)
{
    coordinator_state *self = state_of(state);
    const int seconds[] = {100, 101, 105, 106, 120};
    for (int i = 0; i < 5; i++)
        take_well(self, 1, 0, 1, seconds[i]);
    coordinator_view view = look(self, 1, 120.0);
    assert_int_equal(view.runs[0].ranks[0].lost_summaries, 3 + 13);
    coordinator_view_clear(&view);
}

static void replayed_is_told(void **state)
{
    coordinator_state *self = state_of(state);
    telemetry_summary old = telemetry_test_summary(1, 0, 2, 0, 9), summary = telemetry_test_summary(1, 0, 2, 0, 10);
    take_well(self, 1, 0, 2, 10);
    assert_int_equal(take(self, &summary, 11.0), COORDINATOR_REPLAYED);
    assert_int_equal(take(self, &old, 11.0), COORDINATOR_REPLAYED);
    take_well(self, 1, 1, 2, 10); /* another rank has numbers of its own */
    take_well(self, 1, 0, 2, 11);
}

static void process_that_was_replaced_is_replayed(void **state)
{
    coordinator_state *self = state_of(state);
    telemetry_summary first = telemetry_test_summary(1, 0, 1, 111, 10);
    telemetry_summary second = telemetry_test_summary(1, 0, 1, 222, 3);
    assert_int_equal(take(self, &first, 10.0), COORDINATOR_ACCEPTED);
    assert_int_equal(take(self, &second, 11.0), COORDINATOR_FOREIGN);  /* the first one is still there */
    assert_int_equal(take(self, &second, 15.0), COORDINATOR_ACCEPTED); /* with fewer steps, as after a resume */
    first.at.sequence += 100;
    assert_int_equal(take(self, &first, 16.0), COORDINATOR_REPLAYED);
    coordinator_view view = look(self, 1, 16.0);
    assert_int_equal(view.runs[0].step, 30);
    assert_int_equal(view.runs[0].ranks[0].lost_summaries, 0);
    coordinator_view_clear(&view);
}

static void contradiction_is_foreign(void **state)
{
    coordinator_state *self = state_of(state);
    take_well(self, 1, 0, 4, 10);
    telemetry_summary size = telemetry_test_summary(1, 1, 5, 0, 10), name = telemetry_test_summary(1, 1, 4, 0, 10);
    strcpy(name.run.name, "other");
    assert_int_equal(take(self, &size, 10.0), COORDINATOR_FOREIGN);
    assert_int_equal(take(self, &name, 10.0), COORDINATOR_FOREIGN);
    telemetry_summary back[4];
    for (int i = 0; i < 4; i++)
        back[i] = telemetry_test_summary(1, 0, 4, 0, 11);
    back[0].at.step = 99;
    back[1].at.total[BASE_PHASE_UPDATE] = 0.0;
    back[2].at.elapsed = 9.0;
    back[3].at.samples = 1;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(self, &back[i], 11.0), COORDINATOR_FOREIGN);
    take_well(self, 1, 0, 4, 11); /* none of them was kept */
}

static void impossible_numbers_are_foreign(void **state)
{
    coordinator_state *self = state_of(state);
    telemetry_summary summary = telemetry_test_summary(1, 3, 4, 0, 10);
    const telemetry_summary good = summary;
    int64_t *const counts[] = {
        &summary.rank,           &summary.run.parameters,      &summary.run.global_batch, &summary.run.total_steps,
        &summary.run.first_step, &summary.run.steps_per_epoch, &summary.run.epochs,       &summary.at.step,
        &summary.at.samples,     &summary.at.test_step,        &summary.at.window.steps,  &summary.at.window.samples};
    double *const times[] = {&summary.run.stall_timeout,   &summary.at.elapsed,        &summary.at.stuck,
                             &summary.at.since_step,       &summary.at.total[0],       &summary.at.total[8],
                             &summary.at.window.phases[4], &summary.at.window.seconds, &summary.at.window.longest_step};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        summary = good;
        *counts[i] = -1;
        assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
        *counts[i] = INT64_MIN;
        assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
    }
    const double bad[] = {-1e-9, NAN, INFINITY, -INFINITY, 1e300};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            summary = good;
            *times[i] = bad[k];
            assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
        }
    }
    summary = good;
    summary.rank = 4;
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
    summary = good;
    summary.run.size = COORDINATOR_RANKS_MAX + 1;
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
    summary = good;
    summary.at.test_accuracy = 1.5;
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
    summary = good;
    summary.run.first_step = 101; /* of 100 */
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FOREIGN);
    coordinator_view view = look(self, 1, 10.0);
    assert_int_equal(view.run_count, 0);
    coordinator_view_clear(&view);
    assert_int_equal(take(self, &good, 10.0), COORDINATOR_ACCEPTED);
}

/* A run that diverges is one of those that are watched for it. */
static void loss_may_be_anything(void **state)
{
    coordinator_state *self = state_of(state);
    telemetry_summary summary = telemetry_test_summary(1, 0, 1, 0, 10);
    summary.at.loss = summary.at.loss_sum = summary.at.window.loss_sum = NAN;
    summary.at.test_loss = INFINITY;
    assert_int_equal(take(self, &summary, 10.0), COORDINATOR_ACCEPTED);
    coordinator_view view = look(self, 1, 10.0);
    assert_true(isnan(view.runs[0].loss));
    assert_true(isinf(view.runs[0].test_loss));
    coordinator_view_clear(&view);
}

/* ---- how runs end ---- */

static void gravest_end_counts(void **state)
{
    coordinator_state *self = state_of(state);
    const coordinator_run_state ends[] = {COORDINATOR_DONE, COORDINATOR_FAILED, COORDINATOR_FAILED,
                                          COORDINATOR_STOPPED};
    const char *const reasons[] = {"", "", "the disk is full", "never mind"};
    for (int rank = 0; rank < 4; rank++)
        take_well(self, 1, rank, 4, 10);
    for (int rank = 0; rank < 4; rank++) {
        telemetry_summary summary = telemetry_test_summary(1, rank, 4, 0, 11);
        summary.at.state = ends[rank];
        strcpy(summary.reason, reasons[rank]);
        assert_int_equal(take(self, &summary, 11.0), COORDINATOR_ACCEPTED);
    }
    coordinator_view view = look(self, 1, 1000.0);
    assert_int_equal(view.runs[0].state, COORDINATOR_FAILED);
    assert_string_equal(view.runs[0].reason, "the disk is full");
    coordinator_view_clear(&view);
}

static void nobody_speaks_is_silent_until_somebody_does(void **state)
{
    coordinator_state *self = state_of(state);
    take_well(self, 1, 0, 2, 10);
    take_well(self, 1, 1, 2, 11);
    assert_int_equal(run_state(self, 1, 40.9), COORDINATOR_RUNNING);
    assert_int_equal(run_state(self, 1, 41.0), COORDINATOR_SILENT);
    take_well(self, 1, 0, 2, 50);
    assert_int_equal(run_state(self, 1, 50.0), COORDINATOR_RUNNING);
}

static void resumed_run_goes_on(void **state)
{
    coordinator_state *self = state_of(state);
    for (int second = 1; second <= 20; second++)
        take_well(self, 1, 0, 2, second);
    telemetry_summary end = telemetry_test_summary(1, 0, 2, 0, 21), again = telemetry_test_summary(1, 0, 2, 77, 16);
    end.at.state = COORDINATOR_FAILED;
    strcpy(end.reason, "killed");
    take_well(self, 1, 1, 2, 21);
    assert_int_equal(take(self, &end, 21.0), COORDINATOR_ACCEPTED);
    again.run.first_step = 150;
    again.at.loss_sum = 20.0; /* since then */
    assert_int_equal(take(self, &again, 30.0), COORDINATOR_ACCEPTED);
    coordinator_view view = look(self, 1, 30.0);
    const coordinator_run_view *run = &view.runs[0];
    assert_int_equal(run->state, COORDINATOR_RUNNING);
    assert_string_equal(run->reason, "");
    assert_int_equal(run->step, 160);
    assert_int_equal(run->rank_count, 1); /* the other one has not come back yet */
    assert_int_equal(run->curve[run->curve_count - 1].step, 160);
    assert_near(run->curve[run->curve_count - 1].loss, 2.0, 1e-12);
    assert_int_equal(run->curve[run->curve_count - 2].step, 150);
    coordinator_view_clear(&view);
}

/* ---- how much it keeps ---- */

static void room_is_for_runs_that_are_there(void **state)
{
    coordinator_state *self = state_of(state);
    for (unsigned run = 1; run <= COORDINATOR_RUNS_MAX; run++)
        take_well(self, run, 0, 1, 10);
    telemetry_summary another = telemetry_test_summary(COORDINATOR_RUNS_MAX + 1, 0, 1, 0, 11);
    assert_int_equal(take(self, &another, 11.0), COORDINATOR_FULL);
    telemetry_summary end = telemetry_test_summary(5, 0, 1, 0, 12);
    end.at.state = COORDINATOR_DONE;
    assert_int_equal(take(self, &end, 12.0), COORDINATOR_ACCEPTED);
    assert_int_equal(take(self, &another, 12.0), COORDINATOR_ACCEPTED);
    coordinator_view view = look(self, 5, 12.0);
    assert_int_equal(view.run_count, 0);
    coordinator_view_clear(&view);
    /* The quiet one: all others have spoken since. */
    for (unsigned run = 1; run <= COORDINATOR_RUNS_MAX; run++)
        if (run != 5 && run != 9)
            take_well(self, run, 0, 1, 41);
    another = telemetry_test_summary(COORDINATOR_RUNS_MAX + 2, 0, 1, 0, 11);
    assert_int_equal(take(self, &another, 41.0), COORDINATOR_ACCEPTED);
    view = look(self, 9, 41.0);
    assert_int_equal(view.run_count, 0);
    coordinator_view_clear(&view);
}

/* Who has the key and means ill, or a test of ours, invents runs and ranks without end. */
static void memory_is_bounded(void **state)
{
    coordinator_state *self = state_of(state);
    coordinator_view view = {0};
    telemetry_summary summary = telemetry_test_summary(1, 0, COORDINATOR_RANKS_MAX, 0, 10);
    for (int i = 0; i < COORDINATOR_RANKS_MAX + 100; i++) {
        if (i == COORDINATOR_RANKS_MAX)
            memcpy(summary.run.id, telemetry_test_run_id(2), sizeof summary.run.id);
        summary.rank = i % COORDINATOR_RANKS_MAX;
        assert_int_equal(take(self, &summary, 10.0),
                         i < COORDINATOR_RANKS_MAX ? COORDINATOR_ACCEPTED : COORDINATOR_FULL);
    }
    for (unsigned run = 0; run < 100000; run++) {
        memcpy(summary.run.id, telemetry_test_run_id(100 + run), sizeof summary.run.id);
        assert_int_equal(take(self, &summary, 10.0), COORDINATOR_FULL);
    }
    assert_int_equal(coordinator_state_view(self, 10.0, "", 1, &view), BASE_OK);
    int64_t ranks = 0;
    for (int i = 0; i < view.run_count; i++)
        ranks += view.runs[i].rank_count;
    assert_int_equal(ranks, COORDINATOR_RANKS_MAX);
    assert_in_range(view.run_count, 1, COORDINATOR_RUNS_MAX);
    coordinator_view_clear(&view);
}

static void ranks_of_forgotten_runs_make_room(void **state)
{
    coordinator_state *self = state_of(state);
    for (unsigned run = 1; run <= 5; run++) {
        telemetry_summary summary = telemetry_test_summary(run, 0, 60000, 0, 10);
        for (summary.rank = 0; summary.rank < 60000; summary.rank++)
            assert_int_equal(take(self, &summary, run), COORDINATOR_ACCEPTED);
        summary = telemetry_test_summary(run, 0, 60000, 0, 11);
        summary.at.state = COORDINATOR_DONE;
        assert_int_equal(take(self, &summary, run), COORDINATOR_ACCEPTED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_state, drop_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(view_has_the_numbers_of_the_run),
        TEST(own_time_leaves_out_what_lies_between_steps),
        TEST(last_window_with_steps_stays),
        TEST(runs_are_shown_newest_first),
        TEST(ranks_are_shown_in_order),
        TEST(gaps_are_counted),
        TEST(replayed_is_told),
        TEST(process_that_was_replaced_is_replayed),
        TEST(contradiction_is_foreign),
        TEST(impossible_numbers_are_foreign),
        TEST(loss_may_be_anything),
        TEST(gravest_end_counts),
        TEST(nobody_speaks_is_silent_until_somebody_does),
        TEST(resumed_run_goes_on),
        TEST(room_is_for_runs_that_are_there),
        TEST(memory_is_bounded),
        TEST(ranks_of_forgotten_runs_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
