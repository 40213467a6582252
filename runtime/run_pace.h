/* run_pace.h: how often ranks meet that need not meet after every step (run_step.h).
 *
 * Where they meet, the host waits for the device, and the device then for the host: too often costs speed. But only
 * there requests to stop, a loss that is not finite and news for who watches are known to all. So they meet some times
 * a second, after every n-th step, n being 1, 2, 5, 10, 20, 50 and so on, as the steps before were long, and no more
 * than RUN_PACE_MOST.
 *
 * Steps may become slower before the ranks meet again, or one of them may be asked to stop. A rank that then wishes to
 * meet says so in a small all-reduce that is started every few steps and waited for a few steps later, when all others
 * have started it too: their devices' sums keep them together. So nobody waits for the device, and all know of the wish
 * after the same step. A lone rank meets itself whenever it wishes to.
 */
#ifndef RUN_PACE_H
#define RUN_PACE_H

#include "base_time.h"
#include "comm.h"

#include <stdint.h>

/* The largest such n whose steps take RUN_PACE_SECONDS at most; at least 1. Steps of no length, or NaN: the most. */
#define RUN_PACE_SECONDS 0.3
enum { RUN_PACE_MOST = 1000 };
int64_t run_pace_steps(double step_seconds);

/* A wish is known to all within twice so many steps: a 32nd of `every`, from 1 to RUN_PACE_ASK_MOST. */
enum { RUN_PACE_ASK_MOST = 16 };
int64_t run_pace_ask(int64_t every);

typedef struct run_pace {
    comm_group *group;       /* borrowed */
    int64_t every;           /* steps between meetings */
    int64_t met;             /* the steps that were done when the ranks met last */
    double met_time;         /* base_time_now() then */
    comm_request *under_way; /* the wishes of all; NULL: none are */
    int64_t wish;            /* in it; 1: some rank's */
} run_pace;

/* Local. `done` steps are behind the ranks, which know nothing of the pace yet and meet after the next. */
void run_pace_start(run_pace *self, comm_group *group, int64_t done);

/* Collective, before each step: do the ranks meet once `done` steps are done? *meets: 1: they do for another reason.
 * The same on all ranks. `phases`: whose running phase may wait for other ranks here; NULL: nobody watches. */
base_status run_pace_meets(run_pace *self, int64_t done, const base_phases *phases, int *meets);

/* Local. They have met; the steps since the time before took `step_seconds` each, as all ranks know. */
void run_pace_met(run_pace *self, int64_t done, double step_seconds);

#endif
