/* run_balance.h: how the ranks of a run shared the time of its steps: who was the slowest, where, and what it cost.
 *
 * An all-reduce makes every rank's step equally long, so that the length of a step says nothing about who is slow. A
 * rank's own time in a step is the step without the phases in which it waits for others (wait, reduce). With t(r, s)
 * the own time of rank r in step s and T(s) the length of the step,
 *
 *     mean T  =  mean t(slowest, s)                               the slowest rank on average, by phase
 *             +  mean (max over r of t(r, s) - t(slowest, s))     imbalance: not always the same rank is late
 *             +  mean (T(s) - max over r of t(r, s))              exposed communication
 *
 * where `slowest` is the rank whose mean own time is the longest.
 */
#ifndef RUN_BALANCE_H
#define RUN_BALANCE_H

#include "base_arena.h"
#include "base_time.h"
#include "comm.h"

#include <jansson.h>

typedef struct run_balance {
    int64_t steps;                     /* that were counted */
    int slowest;                       /* rank */
    double own_s[BASE_PHASE_COUNT];    /* mean a step, of the slowest rank; 0 for wait and reduce */
    double median_s[BASE_PHASE_COUNT]; /* mean a step, median over the other ranks, phase by phase, of own phases; of a
                                          single rank its own */
    double imbalance_s, exposed_s;     /* means a step; own + imbalance + exposed = the mean step */
} run_balance;

typedef struct run_balance_log run_balance_log; /* what one rank notes of its steps */

/* Room for a systematic sample of at most some thousand of `steps` steps; after the run's warm-up (run_stats.h). */
base_status run_balance_log_create(base_arena *arena, int64_t steps, int ranks, run_balance_log **self);
void run_balance_log_add(run_balance_log *self, int64_t steps, const base_phases *phases); /* of `steps` together */

/* Collective: all ranks noted the same steps. The result is the same on all ranks. */
base_status run_balance_gather(comm_world *world, const run_balance_log *log, run_balance *balance);

/* The object `balance` of run.json's `performance`; the caller owns it. Times in ms. */
json_t *run_balance_json(const run_balance *balance);

#endif
