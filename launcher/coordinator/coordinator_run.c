#include "coordinator_run.h"

#include <math.h>
#include <string.h>

/* Where the run itself has no limit: after this it counts as silent. */
#define SILENT_S 30.0

/* How long what a rank said of itself has been void: not at all while it reports. */
static double unheard(const coordinator_run *run, const coordinator_rank *rank, double now)
{
    double age = now - rank->heard;
    return age > coordinator_run_late(run) ? age : 0.0;
}

void coordinator_rank_fill(const coordinator_run *run, const coordinator_rank *rank, double now,
                           coordinator_rank_view *view)
{
    const telemetry_window *window = &rank->window;
    *view = (coordinator_rank_view){.rank = rank->rank,
                                    .step = rank->at.step,
                                    .phase = rank->at.phase,
                                    .silent_s = now - rank->heard,
                                    .stuck_s = rank->at.stuck + unheard(run, rank, now),
                                    .lost_summaries = rank->lost};
    memcpy(view->host, rank->host, sizeof view->host);
    memcpy(view->total_s, rank->at.total, sizeof view->total_s);
    if (window->steps == 0)
        return;
    double to_ms = 1e3 / (double)window->steps;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        view->phases_ms[i] = to_ms * window->phases[i];
    view->own_ms = to_ms * coordinator_straggler_own(window->phases);
    view->steps_per_second = window->seconds > 0.0 ? (double)window->steps / window->seconds : 0.0;
}

/* Mean over the ranks of the share of their time that goes into the mathematics; NaN before the first step. */
static double efficiency(const coordinator_run *run)
{
    double sum = 0.0;
    int count = 0;
    for (int i = 0; i < run->rank_count; i++) {
        const double *total = run->ranks[i]->at.total;
        double all = 0.0;
        for (int p = 0; p < BASE_PHASE_COUNT; p++)
            all += total[p];
        if (all <= 0.0)
            continue;
        sum += (total[BASE_PHASE_FORWARD] + total[BASE_PHASE_BACKWARD] + total[BASE_PHASE_UPDATE]) / all;
        count++;
    }
    return count ? sum / count : NAN;
}

static coordinator_run_state state_of(const coordinator_run *run, double now)
{
    double limit = run->facts.stall_timeout > 0.0 ? run->facts.stall_timeout : SILENT_S;
    return run->end == COORDINATOR_RUNNING && now - run->heard >= limit ? COORDINATOR_SILENT : run->end;
}

static int64_t steps_done(const coordinator_run *run)
{
    int64_t step = run->facts.first_step;
    for (int i = 0; i < run->rank_count; i++)
        if (run->ranks[i]->at.step > step)
            step = run->ranks[i]->at.step;
    return step;
}

static int64_t epoch_of(const telemetry_run *facts, int64_t step)
{
    int64_t epoch = facts->steps_per_epoch > 0 ? step / facts->steps_per_epoch : 0;
    return epoch < facts->epochs ? epoch + 1 : facts->epochs;
}

/* At the pace up to the last summary, `elapsed` after the start and `since` before now. */
static double remaining(const telemetry_run *facts, coordinator_run_state state, int64_t step, double elapsed,
                        double since)
{
    if (state == COORDINATOR_DONE)
        return 0.0;
    if (state != COORDINATOR_RUNNING || step <= facts->first_step)
        return NAN;
    double left = elapsed * (double)(facts->total_steps - step) / (double)(step - facts->first_step);
    return fmax(left - since, 0.0);
}

/* What all ranks say alike is taken from the lowest. */
static void fill_from_first(const coordinator_rank *first, const telemetry_run *facts, double now,
                            coordinator_run_view *view)
{
    const telemetry_window *window = &first->window;
    if (window->steps > 0)
        view->loss = window->loss_sum / (double)window->steps;
    if (window->seconds > 0.0)
        view->samples_per_second = (double)window->samples / window->seconds;
    view->test_loss = first->at.test_loss;
    view->test_accuracy = first->at.test_accuracy;
    double since = view->state == COORDINATOR_RUNNING ? now - first->heard : 0.0;
    view->elapsed_s = first->at.elapsed + since;
    view->remaining_s = remaining(facts, view->state, view->step, first->at.elapsed, since);
    if (first->rank == 0)
        memcpy(view->host, first->host, sizeof view->host);
}

void coordinator_run_fill(const coordinator_run *run, double now, coordinator_run_view *view)
{
    const telemetry_run *facts = &run->facts;
    int64_t step = steps_done(run);
    *view = (coordinator_run_view){.state = state_of(run, now),
                                   .size = (int)facts->size,
                                   .parameters = facts->parameters,
                                   .global_batch = facts->global_batch,
                                   .total_steps = facts->total_steps,
                                   .steps_per_epoch = facts->steps_per_epoch,
                                   .epochs = facts->epochs,
                                   .step = step,
                                   .epoch = epoch_of(facts, step),
                                   .loss = NAN,
                                   .test_loss = NAN,
                                   .test_accuracy = NAN,
                                   .elapsed_s = NAN,
                                   .remaining_s = NAN,
                                   .efficiency = efficiency(run),
                                   .straggler_count = run->straggler_count,
                                   .rank_count = run->rank_count};
    memcpy(view->id, facts->id, sizeof view->id);
    memcpy(view->name, facts->name, sizeof view->name);
    memcpy(view->folder, facts->folder, sizeof view->folder);
    memcpy(view->reason, run->reason, sizeof view->reason);
    memcpy(view->stragglers, run->stragglers, sizeof view->stragglers);
    view->curve_count = coordinator_curve_read(&run->curve, view->curve);
    if (run->rank_count > 0)
        fill_from_first(run->ranks[0], facts, now, view);
}
