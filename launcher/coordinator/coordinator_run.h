/* coordinator_run.h: what a coordinator keeps of a run and its ranks. Private to coordinator_state and its parts.
 *
 * Times are those of the clock that coordinator_state is given.
 */
#ifndef COORDINATOR_RUN_H
#define COORDINATOR_RUN_H

#include "coordinator_curve.h"
#include "coordinator_state.h"
#include "telemetry_wire.h"

typedef struct coordinator_rank {
    int rank;
    char host[64];
    telemetry_progress at;   /* of the last summary */
    telemetry_window window; /* the last that had steps */
    uint64_t process_before; /* the one that at.process replaced; 0: none */
    uint64_t lost;           /* summaries */
    double heard;
    int fresh; /* the window has not been judged yet */
    int slow;  /* windows in a row in which it was slower than the others */
    int told;  /* to end, since its last summary */
    coordinator_route route;
} coordinator_rank;

typedef struct coordinator_run {
    telemetry_run facts;
    uint64_t number;           /* of runs, in the order in which they came */
    coordinator_run_state end; /* RUNNING until then */
    char reason[TELEMETRY_REASON_TEXT];
    int condemned;  /* it has lost a rank ... */
    int speaker;    /* ... and this one says so; -1: that one did */
    double heard;   /* any rank */
    double back;    /* since when it has been heard without a break */
    double stepped; /* when a step last ended, which takes all ranks; -INFINITY before */
    int rank_count, rank_room;
    coordinator_rank **ranks; /* those that have spoken, ascending */
    coordinator_curve curve;
    int straggler_count;
    coordinator_straggler stragglers[COORDINATOR_STRAGGLERS];
} coordinator_run;

/* Without a summary for so long a rank is late, and what it said of itself no longer holds. */
static inline double coordinator_run_late(const coordinator_run *run)
{
    return telemetry_interval(run->facts.stall_timeout) + 0.5;
}

/* A rank is lost: its number, with `reason` filled; -1: none is. */
int coordinator_stall_find(const coordinator_run *run, double now, char reason[TELEMETRY_REASON_TEXT]);

/* Judge the windows of all ranks once each has a new one; the verdict stays until the next. */
void coordinator_straggler_judge(coordinator_run *run, double now);

/* Time in the phases that count as a rank's own in a step, without checkpoint and evaluation; s. */
double coordinator_straggler_own(const double phases[BASE_PHASE_COUNT]);

/* All but the ranks themselves. */
void coordinator_run_fill(const coordinator_run *run, double now, coordinator_run_view *view);
void coordinator_rank_fill(const coordinator_run *run, const coordinator_rank *rank, double now,
                           coordinator_rank_view *view);

#endif
