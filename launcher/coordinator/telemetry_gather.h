/* telemetry_gather.h: makes summaries of what a run monitor shows. No thread, no clock: the time is an argument, that
 * of base_time_now(). Private to telemetry_sender.
 */
#ifndef TELEMETRY_GATHER_H
#define TELEMETRY_GATHER_H

#include "run_monitor.h"
#include "telemetry_wire.h"

enum { TELEMETRY_GATHER_RECORDS = 64 }; /* that are read at a time */

typedef struct telemetry_gather {
    run_monitor *monitor;
    double began, looked;
    uint64_t progress;
    double stuck;
    run_monitor_record last; /* that was read; that of no step at first */
    run_monitor_record base; /* the last one of the window before */
    double longest_step;     /* of this window */
    run_monitor_record records[TELEMETRY_GATHER_RECORDS];
    telemetry_message message; /* a summary */
} telemetry_gather;

/* `process`: random, not 0. */
void telemetry_gather_start(telemetry_gather *self, const run_monitor_run *run, const char *run_id,
                            run_monitor *monitor, uint64_t process, double now);

/* See whether the rank gets anywhere; to be called several times a second. 1: a summary should go at once, since the
 * rank has just been stuck for its stall timeout, or has moved after more than half of that. Time in which the process
 * was suspended does not count. */
int telemetry_gather_look(telemetry_gather *self, double now);

/* The next summary. If it did not leave, the next one has its number and its window too. */
const telemetry_message *telemetry_gather_take(telemetry_gather *self, double now);
void telemetry_gather_sent(telemetry_gather *self);

/* What the summaries from now on say of how the run ended. */
void telemetry_gather_end(telemetry_gather *self, base_status status, const char *reason);

#endif
