#include "coordinator_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* A thread that gets no turn for a moment is no rank that is gone. */
#define LEAST_SILENCE_S 1.0

/* What was said of a rank, as the end of a sentence. */
static void write_reason(char text[TELEMETRY_REASON_TEXT], const coordinator_run *run, const coordinator_rank *rank,
                         const char *what, double seconds)
{
    snprintf(text, TELEMETRY_REASON_TEXT,
             "rank %d (%s) %s for %.1f s: last seen in %s after step %" PRId64 " of %" PRId64 "; ending the run",
             rank->rank, rank->host, what, seconds, base_phase_name(rank->at.phase), rank->at.step,
             run->facts.total_steps);
}

static int is_late(const coordinator_run *run, const coordinator_rank *rank, double now)
{
    return now - rank->heard > coordinator_run_late(run);
}

static const coordinator_rank *find_stuck(const coordinator_run *run, double now)
{
    const coordinator_rank *found = NULL;
    for (int i = 0; i < run->rank_count; i++) {
        const coordinator_rank *rank = run->ranks[i];
        if (!is_late(run, rank, now) && base_phase_is_own(rank->at.phase) &&
            rank->at.stuck >= run->facts.stall_timeout && (!found || rank->at.stuck > found->at.stuck))
            found = rank;
    }
    return found;
}

/* Every step that ends has the work of all ranks in it: where only the way to the coordinator is broken, steps go on.
 * And where that was broken for all, not all are back at once. */
static double silence(const coordinator_run *run, const coordinator_rank *rank, double now)
{
    return now - fmax(rank->heard, fmax(run->stepped, run->back));
}

static const coordinator_rank *find_silent(const coordinator_run *run, double now)
{
    const coordinator_rank *found = NULL;
    double limit = fmax(run->facts.stall_timeout, LEAST_SILENCE_S);
    if (now - run->heard > coordinator_run_late(run))
        return NULL; /* nobody speaks */
    for (int i = 0; i < run->rank_count; i++) {
        const coordinator_rank *rank = run->ranks[i];
        if (silence(run, rank, now) >= limit && (!found || rank->heard < found->heard))
            found = rank;
    }
    return found;
}

static int all_wait(const coordinator_run *run, double now)
{
    for (int i = 0; i < run->rank_count; i++) {
        const coordinator_rank *rank = run->ranks[i];
        if (is_late(run, rank, now) || base_phase_is_own(rank->at.phase) || rank->at.stuck < run->facts.stall_timeout)
            return 0;
    }
    return run->rank_count > 0;
}

/* The lowest number that no rank with a summary has. */
static int first_unheard(const coordinator_run *run)
{
    int i = 0;
    while (i < run->rank_count && run->ranks[i]->rank == i)
        i++;
    return i;
}

static int find_among_waiting(const coordinator_run *run, char reason[TELEMETRY_REASON_TEXT])
{
    const coordinator_rank *least = run->ranks[0], *most = run->ranks[0];
    for (int i = 1; i < run->rank_count; i++) {
        const coordinator_rank *rank = run->ranks[i];
        if (rank->at.step < least->at.step)
            least = rank;
        if (rank->at.step > most->at.step)
            most = rank;
    }
    if (least->at.step < most->at.step) {
        write_reason(reason, run, least, "has fewer steps than others, and all have waited for each other",
                     least->at.stuck);
        return least->rank;
    }
    int unheard = first_unheard(run);
    if (unheard < run->facts.size) {
        snprintf(reason, TELEMETRY_REASON_TEXT,
                 "rank %d has never been heard of, and the others have waited for %.1f s after step %" PRId64
                 " of %" PRId64 "; ending the run",
                 unheard, least->at.stuck, least->at.step, run->facts.total_steps);
        return unheard;
    }
    write_reason(reason, run, least, "and all others have waited for each other", least->at.stuck);
    return least->rank;
}

int coordinator_stall_find(const coordinator_run *run, double now, char reason[TELEMETRY_REASON_TEXT])
{
    if (run->facts.stall_timeout <= 0.0)
        return -1;
    const coordinator_rank *lost = find_stuck(run, now);
    if (lost) {
        write_reason(reason, run, lost, "has not got anywhere", lost->at.stuck);
        return lost->rank;
    }
    lost = find_silent(run, now);
    if (lost) {
        write_reason(reason, run, lost, "has been silent", now - lost->heard);
        return lost->rank;
    }
    return all_wait(run, now) ? find_among_waiting(run, reason) : -1;
}
