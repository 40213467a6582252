#include "view_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step of 12 ms by phase, in ms. */
static const double step_ms[BASE_PHASE_COUNT] = {
    [BASE_PHASE_DATA] = 0.4,   [BASE_PHASE_FORWARD] = 3.1, [BASE_PHASE_BACKWARD] = 5.6, [BASE_PHASE_WAIT] = 1.2,
    [BASE_PHASE_REDUCE] = 0.9, [BASE_PHASE_UPDATE] = 0.6,  [BASE_PHASE_OTHER] = 0.2};

enum { STRAGGLER = 5 };

static void fill_rank(const coordinator_run_view *run, coordinator_rank_view *rank, int r)
{
    rank->rank = r;
    snprintf(rank->host, sizeof rank->host, "node%02d", 1 + r / 4);
    rank->step = run->step;
    rank->phase = r % 3 == 0 ? BASE_PHASE_FORWARD : BASE_PHASE_BACKWARD;
    rank->silent_s = 0.1 * (r % 9);
    rank->stuck_s = 0.004;
    double own = 0.0, sum = 0.0;
    for (int p = 0; p < BASE_PHASE_COUNT; p++) {
        rank->phases_ms[p] = step_ms[p] * (base_phase_is_own((base_phase)p) ? 1.0 + 0.01 * (r * 7 % 5) : 1.0);
        if (run->size > 1 && r == STRAGGLER && p == BASE_PHASE_FORWARD)
            rank->phases_ms[p] *= 1.31;
        sum += rank->phases_ms[p];
        own += base_phase_is_own((base_phase)p) ? rank->phases_ms[p] : 0.0;
    }
    /* All steps end together: who was early waits. */
    if (run->size > 1)
        rank->phases_ms[BASE_PHASE_WAIT] = fmax(0.0, rank->phases_ms[BASE_PHASE_WAIT] + 12.0 - sum);
    else
        rank->phases_ms[BASE_PHASE_WAIT] = rank->phases_ms[BASE_PHASE_REDUCE] = 0.0;
    rank->own_ms = own;
    rank->steps_per_second = 1000.0 / 12.0;
    for (int p = 0; p < BASE_PHASE_COUNT; p++)
        rank->total_s[p] = rank->phases_ms[p] * 1e-3 * (double)run->step;
}

static void fill_curve(coordinator_run_view *run)
{
    run->curve_count = COORDINATOR_CURVE;
    for (int i = 0; i < COORDINATOR_CURVE; i++) {
        double x = (double)(i + 1) / COORDINATOR_CURVE;
        run->curve[i].step = (int64_t)(x * (double)run->step);
        run->curve[i].loss = 0.07 + 2.2 * exp(-9.0 * x) + 0.02 * sin(40.0 * x) * (1.0 - x);
    }
}

static void fill_plan(coordinator_run_view *run, const char *name, int size)
{
    snprintf(run->name, sizeof run->name, "%s", name);
    snprintf(run->folder, sizeof run->folder, "runs/%s-20261123-141500", name);
    snprintf(run->host, sizeof run->host, "node01");
    run->size = size;
    run->parameters = 1238730;
    run->global_batch = 1024;
    run->epochs = 10;
    run->steps_per_epoch = 5000;
    run->total_steps = 50000;
    run->loss = run->test_loss = run->test_accuracy = run->efficiency = run->elapsed_s = run->remaining_s = NAN;
}

static base_status fill_run(coordinator_run_view *run, const char *name, int size, double seconds)
{
    fill_plan(run, name, size);
    run->elapsed_s = 378.4 + seconds;
    run->step = (int64_t)(run->elapsed_s * 1000.0 / 12.0);
    run->step = run->step < run->total_steps ? run->step : run->total_steps;
    run->epoch = 1 + run->step / run->steps_per_epoch;
    run->remaining_s = (double)(run->total_steps - run->step) * 0.012;
    run->loss = 0.0731 + 0.001 * sin(seconds);
    run->test_loss = 0.0912;
    run->test_accuracy = 0.9743;
    run->samples_per_second = 85333.3;
    run->efficiency = size > 1 ? 0.775 : 0.939;
    fill_curve(run);
    run->ranks = calloc((size_t)size, sizeof *run->ranks);
    if (!run->ranks)
        return BASE_FAIL(BASE_ERROR, "not enough memory for %d ranks", size);
    run->rank_count = size;
    for (int r = 0; r < size; r++)
        fill_rank(run, &run->ranks[r], r);
    if (size > STRAGGLER) {
        run->straggler_count = 1;
        run->stragglers[0] = (coordinator_straggler){STRAGGLER, BASE_PHASE_FORWARD, 0.31, 0.083};
    }
    return BASE_OK;
}

static void fill_trouble(coordinator_run_view *run)
{
    run->ranks[2].silent_s = 12.3;
    run->ranks[2].stuck_s = 12.9;
    for (int r = 4; r < 7; r++) {
        run->ranks[r].stuck_s = 14.0 + r;
        run->ranks[r].phase = BASE_PHASE_WAIT;
        memset(run->ranks[r].phases_ms, 0, sizeof run->ranks[r].phases_ms);
    }
}

static void fill_hostile(coordinator_run_view *run)
{
    snprintf(run->name, sizeof run->name, "%s", VIEW_FIXTURE_NAME);
    snprintf(run->folder, sizeof run->folder, "runs/\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E/</div>%%s{}\r\n");
    snprintf(run->reason, sizeof run->reason, "</script><b>bold</b>");
    run->state = COORDINATOR_FAILED;
    for (int r = 0; r < run->rank_count; r++)
        snprintf(run->ranks[r].host, sizeof run->ranks[r].host, VIEW_FIXTURE_HOST);
    run->ranks[0].phases_ms[BASE_PHASE_DATA] = INFINITY;
    run->ranks[1].phases_ms[BASE_PHASE_DATA] = NAN;
    run->ranks[3].phases_ms[BASE_PHASE_DATA] = -5.0;
    run->ranks[1].own_ms = NAN;
    run->curve[200].loss = NAN;
    run->remaining_s = INFINITY;
}

static void end_run(coordinator_run_view *run, coordinator_run_state state, const char *reason)
{
    run->state = state;
    snprintf(run->reason, sizeof run->reason, "%s", reason);
    run->straggler_count = 0;
    if (state == COORDINATOR_DONE) {
        run->step = run->total_steps;
        run->epoch = run->epochs;
        run->elapsed_s = 600.2;
        run->remaining_s = 0.0;
    }
    if (state != COORDINATOR_DIVERGED)
        return;
    run->loss = NAN;
    for (int i = COORDINATOR_CURVE - 40; i < COORDINATOR_CURVE; i++)
        run->curve[i].loss = i < COORDINATOR_CURVE - 10 ? run->curve[i - 1].loss * 1.3 : INFINITY;
}

static base_status fill_one(coordinator_run_view *run, const char *name, double seconds)
{
    static const struct {
        const char *name;
        int size;
    } sizes[] = {{"solo", 1},     {"eight", 8},  {"sixtyfour", 64}, {"many", 512},  {"done", 8},
                 {"diverged", 8}, {"failed", 8}, {"trouble", 8},    {"hostile", 8}, {"waiting", 0}};
    int size = -1;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(name, sizes[i].name) == 0) {
            size = sizes[i].size;
            snprintf(run->id, sizeof run->id, "%032x", i);
        }
    if (size < 0)
        return BASE_FAIL(BASE_USAGE, "'%s' is no fixture", name);
    if (size == 0)
        return fill_plan(run, "digits", 8), BASE_OK;
    BASE_TRY(fill_run(run, "digits", size, seconds));
    if (strcmp(name, "done") == 0)
        end_run(run, COORDINATOR_DONE, "");
    if (strcmp(name, "diverged") == 0)
        end_run(run, COORDINATOR_DIVERGED, "the loss is no longer finite at step 31,533");
    if (strcmp(name, "failed") == 0)
        end_run(run, COORDINATOR_FAILED, "rank 3 (node01) was silent for 30 s; last seen at step 31,533 in forward");
    if (strcmp(name, "trouble") == 0)
        fill_trouble(run);
    if (strcmp(name, "hostile") == 0)
        fill_hostile(run);
    return BASE_OK;
}

base_status view_fixture_fill(const char *name, double seconds, coordinator_view *view)
{
    static const char *const several[] = {"eight", "hostile", "done"};
    coordinator_view_clear(view);
    snprintf(view->version, sizeof view->version, "0.1.0");
    snprintf(view->address, sizeof view->address, "ipc://@ddpt-fixture");
    view->uptime_s = 380.0 + seconds;
    view->counts = (coordinator_counts){.received = 3066,
                                        .accepted = 3024,
                                        .malformed = 7,
                                        .oversized = 1,
                                        .replayed = 2,
                                        .foreign = 4,
                                        .queries = 28,
                                        .refused = 3};
    int count = strcmp(name, "several") == 0 ? 3 : strcmp(name, "none") != 0;
    view->runs = calloc((size_t)count + 1, sizeof *view->runs);
    if (!view->runs)
        return BASE_FAIL(BASE_ERROR, "not enough memory for %d runs", count);
    for (view->run_count = 0; view->run_count < count;) {
        const char *which = count > 1 ? several[view->run_count] : name;
        base_status status = fill_one(&view->runs[view->run_count++], which, seconds);
        if (status != BASE_OK) {
            coordinator_view_clear(view);
            return status;
        }
    }
    return BASE_OK;
}
