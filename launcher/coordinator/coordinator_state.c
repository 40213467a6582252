#include "coordinator_state.h"

#include "coordinator_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run of which nothing was heard for so long may be forgotten when room is needed: should it still be there, its next
 * summary brings it back. */
#define QUIET_S 30.0

struct coordinator_state {
    int run_count, rank_count;
    uint64_t numbered;                           /* runs so far */
    coordinator_run *runs[COORDINATOR_RUNS_MAX]; /* in the order in which they came */
};

base_status coordinator_state_create(coordinator_state **self)
{
    *self = calloc(1, sizeof **self);
    return *self ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the coordinator");
}

/* ---- runs come and go ---- */

static void drop_ranks(coordinator_state *self, coordinator_run *run)
{
    for (int i = 0; i < run->rank_count; i++)
        free(run->ranks[i]);
    self->rank_count -= run->rank_count;
    run->rank_count = 0;
    run->straggler_count = 0;
}

static void forget(coordinator_state *self, int index)
{
    coordinator_run *run = self->runs[index];
    drop_ranks(self, run);
    free(run->ranks);
    free(run);
    self->run_count--;
    memmove(&self->runs[index], &self->runs[index + 1], (size_t)(self->run_count - index) * sizeof *self->runs);
}

void coordinator_state_destroy(coordinator_state **out)
{
    coordinator_state *self = *out;
    if (!self)
        return;
    while (self->run_count > 0)
        forget(self, self->run_count - 1);
    free(self);
    *out = NULL;
}

/* Of the runs that may go the one that was heard last the longest ago; 0: none may. */
static int make_room(coordinator_state *self, const coordinator_run *except, double now)
{
    int found = -1;
    for (int i = 0; i < self->run_count; i++) {
        const coordinator_run *run = self->runs[i];
        if (run != except && (run->end != COORDINATOR_RUNNING || now - run->heard >= QUIET_S) &&
            (found < 0 || run->heard < self->runs[found]->heard))
            found = i;
    }
    if (found < 0)
        return 0;
    forget(self, found);
    return 1;
}

static coordinator_run *find_run(const coordinator_state *self, const char *id)
{
    for (int i = 0; i < self->run_count; i++)
        if (strcmp(self->runs[i]->facts.id, id) == 0)
            return self->runs[i];
    return NULL;
}

static coordinator_run *add_run(coordinator_state *self, const telemetry_run *facts, double now)
{
    if (self->run_count == COORDINATOR_RUNS_MAX && !make_room(self, NULL, now))
        return NULL;
    coordinator_run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->facts = *facts;
    run->number = ++self->numbered;
    run->heard = run->back = now;
    run->stepped = -INFINITY;
    coordinator_curve_restart(&run->curve, facts->first_step);
    self->runs[self->run_count++] = run;
    return run;
}

/* ---- ranks ---- */

/* Where the rank is, or where it would have to be. */
static int rank_index(const coordinator_run *run, int rank)
{
    int low = 0, high = run->rank_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (run->ranks[middle]->rank < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static coordinator_rank *find_rank(const coordinator_run *run, int rank)
{
    int index = rank_index(run, rank);
    return index < run->rank_count && run->ranks[index]->rank == rank ? run->ranks[index] : NULL;
}

static int grow(coordinator_run *run)
{
    if (run->rank_count < run->rank_room)
        return 1;
    int room = run->rank_room ? 2 * run->rank_room : 8;
    coordinator_rank **ranks = realloc(run->ranks, (size_t)room * sizeof *ranks);
    if (!ranks)
        return 0;
    run->ranks = ranks;
    run->rank_room = room;
    return 1;
}

static coordinator_rank *add_rank(coordinator_state *self, coordinator_run *run, int rank, double now)
{
    while (self->rank_count >= COORDINATOR_RANKS_MAX)
        if (!make_room(self, run, now))
            return NULL;
    coordinator_rank *added = grow(run) ? calloc(1, sizeof *added) : NULL;
    if (!added)
        return NULL;
    int index = rank_index(run, rank);
    memmove(&run->ranks[index + 1], &run->ranks[index], (size_t)(run->rank_count - index) * sizeof *run->ranks);
    run->ranks[index] = added;
    run->rank_count++;
    self->rank_count++;
    added->rank = rank;
    return added;
}

/* ---- what may be believed ---- */

/* Longer than any run, and short enough for sums of it. */
static int is_time(double seconds)
{
    return seconds >= 0.0 && seconds <= 1e12;
}

static int are_times(const double seconds[BASE_PHASE_COUNT])
{
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (!is_time(seconds[i]))
            return 0;
    return 1;
}

static int is_possible_run(const telemetry_run *run)
{
    return run->size >= 1 && run->size <= COORDINATOR_RANKS_MAX && run->parameters >= 0 && run->global_batch >= 0 &&
           run->total_steps >= 0 && run->first_step >= 0 && run->steps_per_epoch >= 0 && run->epochs >= 0 &&
           is_time(run->stall_timeout);
}

static int is_possible_window(const telemetry_window *window)
{
    return window->steps >= 0 && window->samples >= 0 && is_time(window->seconds) && is_time(window->longest_step) &&
           are_times(window->phases);
}

/* Losses may be anything: they are what the run is watched for. */
static int is_possible(const telemetry_summary *summary)
{
    const telemetry_progress *at = &summary->at;
    return is_possible_run(&summary->run) && summary->rank >= 0 && summary->rank < summary->run.size &&
           at->step >= summary->run.first_step && at->samples >= 0 && at->test_step >= 0 && is_time(at->elapsed) &&
           is_time(at->stuck) && is_time(at->since_step) && are_times(at->total) && is_possible_window(&at->window) &&
           !(at->test_accuracy < 0.0 || at->test_accuracy > 1.0);
}

/* Of the same process: what is done stays done. */
static int follows(const telemetry_progress *at, const telemetry_progress *before)
{
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (at->total[i] < before->total[i])
            return 0;
    return at->step >= before->step && at->samples >= before->samples && at->elapsed >= before->elapsed;
}

/* A process takes another's place only when that has fallen silent or has ended. */
static coordinator_verdict judge_next(const coordinator_run *run, const coordinator_rank *rank,
                                      const telemetry_progress *at, double now)
{
    if (at->process == rank->process_before)
        return COORDINATOR_REPLAYED;
    if (at->process != rank->at.process)
        return now - rank->heard > coordinator_run_late(run) || rank->at.state != COORDINATOR_RUNNING
                   ? COORDINATOR_ACCEPTED
                   : COORDINATOR_FOREIGN;
    if (at->sequence <= rank->at.sequence)
        return COORDINATOR_REPLAYED;
    return follows(at, &rank->at) ? COORDINATOR_ACCEPTED : COORDINATOR_FOREIGN;
}

/* ---- a summary ---- */

/* The run goes on in new processes. */
static void restart(coordinator_state *self, coordinator_run *run, const telemetry_run *facts)
{
    if (run->end != COORDINATOR_RUNNING)
        drop_ranks(self, run);
    run->end = COORDINATOR_RUNNING;
    run->condemned = 0;
    run->reason[0] = '\0';
    run->stepped = -INFINITY;
    run->facts = *facts;
    coordinator_curve_restart(&run->curve, facts->first_step);
}

/* All ranks end for the same reason, but not all know it: the gravest counts, and the first who says why. */
static void take_end(coordinator_run *run, const telemetry_summary *summary)
{
    if (summary->at.state > run->end) {
        run->end = summary->at.state;
        run->reason[0] = '\0';
    }
    if (summary->at.state == run->end && !run->reason[0])
        memcpy(run->reason, summary->reason, sizeof run->reason);
}

static void take_rank(coordinator_rank *rank, const telemetry_summary *summary, const coordinator_route *from,
                      double now)
{
    const telemetry_progress *at = &summary->at;
    if (rank->at.process == at->process) {
        rank->lost += at->sequence - rank->at.sequence - 1;
    } else {
        rank->process_before = rank->at.process;
        rank->window = (telemetry_window){0};
        rank->lost = 0;
        rank->slow = rank->fresh = 0;
    }
    memcpy(rank->host, summary->host, sizeof rank->host);
    rank->at = *at;
    rank->heard = now;
    rank->told = 0;
    rank->route = *from;
    if (at->window.steps > 0) {
        rank->window = at->window;
        rank->fresh = 1;
    }
}

static void take_run(coordinator_run *run, const telemetry_summary *summary, double now)
{
    if (now - run->heard > coordinator_run_late(run))
        run->back = now;
    run->heard = now;
    if (summary->at.step > summary->run.first_step)
        run->stepped = fmax(run->stepped, now - summary->at.since_step);
    if (!run->facts.folder[0])
        memcpy(run->facts.folder, summary->run.folder, sizeof run->facts.folder);
    if (summary->at.state != COORDINATOR_RUNNING)
        take_end(run, summary);
    if (summary->rank == run->ranks[0]->rank)
        coordinator_curve_add(&run->curve, summary->at.step, summary->at.loss_sum);
}

coordinator_verdict coordinator_state_take(coordinator_state *self, const telemetry_summary *summary,
                                           const coordinator_route *from, double now)
{
    if (!is_possible(summary))
        return COORDINATOR_FOREIGN;
    int number = (int)summary->rank;
    coordinator_run *run = find_run(self, summary->run.id);
    if (run && (run->facts.size != summary->run.size || strcmp(run->facts.name, summary->run.name) != 0))
        return COORDINATOR_FOREIGN;
    coordinator_rank *rank = run ? find_rank(run, number) : NULL;
    coordinator_verdict verdict = rank ? judge_next(run, rank, &summary->at, now) : COORDINATOR_ACCEPTED;
    if (verdict != COORDINATOR_ACCEPTED)
        return verdict;
    if (!run)
        run = add_run(self, &summary->run, now);
    if (!run)
        return COORDINATOR_FULL;
    if (rank && rank->at.process != summary->at.process && (run->end != COORDINATOR_RUNNING || rank == run->ranks[0])) {
        restart(self, run, &summary->run);
        rank = find_rank(run, number);
    }
    if (!rank)
        rank = add_rank(self, run, number, now);
    if (!rank)
        return COORDINATOR_FULL;
    take_rank(rank, summary, from, now);
    take_run(run, summary, now);
    return COORDINATOR_ACCEPTED;
}

/* ---- time passes ---- */

static void tell(coordinator_run *run, coordinator_end end, void *context)
{
    telemetry_end message;
    memcpy(message.run_id, run->facts.id, sizeof message.run_id);
    memcpy(message.reason, run->reason, sizeof message.reason);
    for (int i = 0; i < run->rank_count; i++) {
        coordinator_rank *rank = run->ranks[i];
        if (rank->told || rank->at.state != COORDINATOR_RUNNING)
            continue;
        rank->told = 1;
        message.speak = rank->rank == run->speaker;
        end(context, &rank->route, &message);
    }
}

/* Of the ranks the one that was heard last speaks: it can, even if it is the one that is stuck. */
static void condemn(coordinator_run *run)
{
    const coordinator_rank *speaker = run->ranks[0];
    for (int i = 1; i < run->rank_count; i++)
        if (run->ranks[i]->heard > speaker->heard)
            speaker = run->ranks[i];
    run->end = COORDINATOR_FAILED;
    run->condemned = 1;
    run->speaker = speaker->rank;
}

/* A rank has ended alone, as one does whose GPU fails: it has said why, and the others wait for it in vain. */
static void condemn_silently(coordinator_run *run)
{
    run->condemned = 1;
    run->speaker = -1;
    if (!run->reason[0])
        snprintf(run->reason, sizeof run->reason, "a rank has failed and did not say why");
}

void coordinator_state_tick(coordinator_state *self, double now, coordinator_end end, void *context)
{
    for (int i = 0; i < self->run_count; i++) {
        coordinator_run *run = self->runs[i];
        if (run->end == COORDINATOR_RUNNING) {
            coordinator_straggler_judge(run, now);
            if (coordinator_stall_find(run, now, run->reason) >= 0)
                condemn(run);
        } else if (run->end == COORDINATOR_FAILED && !run->condemned) {
            condemn_silently(run);
        }
        if (run->condemned)
            tell(run, end, context);
    }
}

/* ---- views ---- */

static int fill(const coordinator_run *run, double now, int ranks, coordinator_run_view *view)
{
    coordinator_run_fill(run, now, view);
    if (!ranks)
        return 1;
    view->ranks = calloc((size_t)run->rank_count + 1, sizeof *view->ranks);
    if (!view->ranks)
        return 0;
    for (int i = 0; i < run->rank_count; i++)
        coordinator_rank_fill(run, run->ranks[i], now, &view->ranks[i]);
    return 1;
}

base_status coordinator_state_view(const coordinator_state *self, double now, const char *run_id, int ranks,
                                   coordinator_view *view)
{
    view->runs = calloc((size_t)self->run_count + 1, sizeof *view->runs);
    int whole = view->runs != NULL;
    for (int i = self->run_count - 1; i >= 0 && whole; i--) {
        const coordinator_run *run = self->runs[i];
        if (!*run_id || strcmp(run_id, run->facts.id) == 0)
            whole = fill(run, now, ranks, &view->runs[view->run_count++]);
    }
    if (whole)
        return BASE_OK;
    coordinator_view_clear(view);
    return BASE_FAIL(BASE_ERROR, "out of memory for what the coordinator knows");
}
