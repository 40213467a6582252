/* run_monitor.h: what a rank shows of itself while it trains, for a thread that watches it.
 *
 * The step loop writes, without locks, allocations or system calls; one watching thread reads when it likes and never
 * holds the loop up. Steps go to a ring that is overwritten when nobody reads; since a record carries sums since the
 * start of the run, a reader that was too late loses resolution and no time. The other way there is one bit: the
 * watcher can tell the loop that a peer is lost, upon which waits for peers end.
 */
#ifndef RUN_MONITOR_H
#define RUN_MONITOR_H

#include "base_alarm.h"
#include "base_status.h"
#include "base_time.h"

#include <stdint.h>

typedef struct run_monitor run_monitor;

/* Facts that do not change while the run lasts. */
typedef struct run_monitor_run {
    const char *name;   /* of the configuration */
    const char *folder; /* of the run; on ranks other than 0 "" */
    const char *host;
    int rank, size;
    int64_t parameters, global_batch;
    int64_t total_steps, first_step, steps_per_epoch, epochs;
    double stall_timeout; /* s; 0: never */
} run_monitor_run;

/* How a step ended, with sums over all steps since the run began (this process's, from first_step on). */
typedef struct run_monitor_record {
    int64_t step; /* steps done, from the first of the run: first_step is included */
    double clock; /* base_time_now() at its end */
    double loss;  /* of this step, mean over all ranks' samples */
    double loss_sum;
    int64_t samples;                  /* sum; of all ranks */
    double seconds[BASE_PHASE_COUNT]; /* sums; of this rank */
} run_monitor_record;

/* What the loop is doing at this moment. */
typedef struct run_monitor_now {
    int64_t step;     /* steps done */
    base_phase phase; /* that is running */
    uint64_t
        progress; /* grows whenever the loop gets anywhere: a phase, a node of the graph, a batch of an evaluation */
} run_monitor_now;

/* What the last evaluation found: NaN before the first. */
typedef struct run_monitor_test {
    int64_t step;
    double loss, accuracy;
} run_monitor_test;

enum { RUN_MONITOR_RING = 4096 }; /* records */

base_status run_monitor_create(run_monitor **self);
void run_monitor_destroy(run_monitor **self);

/* ---- the loop's side ---- */

/* Where the loop's phases report to (base_phases.watch). */
base_watch *run_monitor_watch(run_monitor *self);
void run_monitor_add(run_monitor *self, const run_monitor_record *record);
void run_monitor_evaluated(run_monitor *self, int64_t step, double loss, double accuracy);

/* ---- the watcher's side: one thread ---- */

/* Up to `most` records that followed those read before, oldest first; *missed grows by those that were overwritten
 * before they were read. Returns how many. */
int run_monitor_read(run_monitor *self, run_monitor_record *records, int most, int64_t *missed);
run_monitor_now run_monitor_get_now(const run_monitor *self);
run_monitor_test run_monitor_get_test(const run_monitor *self);

/* Raised by the watcher: a peer is lost (base_alarm.h). */
base_alarm *run_monitor_alarm(run_monitor *self);

#endif
