/* telemetry_sender.h: the thread of a worker that tells a coordinator once a second how the rank's run goes.
 *
 * Training never waits for it. A summary that cannot be sent is dropped; the next one says as much, since summaries
 * carry sums since the start of the run. The thread reconnects by itself. When the coordinator says that a rank is
 * lost, it prints the reason, if it is this rank that is to speak for all, and raises the monitor's alarm with it, upon
 * which the step loop leaves with BASE_PEER; nobody else prints it. If that does not happen within a second (the loop
 * hangs in something else than a wait for peers), it ends the process with status 6.
 */
#ifndef TELEMETRY_SENDER_H
#define TELEMETRY_SENDER_H

#include "coordinator_key.h"
#include "run_monitor.h"

typedef struct telemetry_sender telemetry_sender;

typedef struct telemetry_sender_options {
    const coordinator_key *coordinator; /* where it is, and what lets us in; copied */
    const char *run_id;                 /* 32 hexadecimal digits, the same on all ranks; copied */
    const run_monitor_run *run;         /* copied */
    run_monitor *monitor;               /* borrowed until stop; this thread becomes its watcher */
} telemetry_sender_options;

/* Local. Starts the thread, all signals blocked in it; does not wait for a connection. */
base_status telemetry_sender_start(const telemetry_sender_options *options, telemetry_sender **self);

/* Local. Sends a last summary with how the run ended, waits for it to leave at most `linger_ms`, ends the thread. */
void telemetry_sender_stop(telemetry_sender **self, base_status status, int linger_ms);

#endif
