/* coordinator_state.h: what a coordinator knows, from the summaries that it was given. No sockets, no clock: the time
 * is an argument that never runs backwards, in seconds.
 */
#ifndef COORDINATOR_STATE_H
#define COORDINATOR_STATE_H

#include "base_status.h"
#include "coordinator_view.h"
#include "telemetry_wire.h"

enum {
    COORDINATOR_RUNS_MAX = 1024,   /* that are kept: one that has ended, or is quiet, goes when a new one comes */
    COORDINATOR_RANKS_MAX = 65536, /* of all runs together */
    COORDINATOR_ROUTE_BYTES = 31
};

/* Where a rank is to be answered. */
typedef struct coordinator_route {
    uint8_t nbytes; /* 0: nowhere */
    uint8_t bytes[COORDINATOR_ROUTE_BYTES];
} coordinator_route;

typedef enum coordinator_verdict {
    COORDINATOR_ACCEPTED,
    COORDINATOR_REPLAYED, /* not newer than what this process of the rank has sent, or of one that was replaced */
    COORDINATOR_FOREIGN,  /* contradicts what is known of its run, or cannot be true */
    COORDINATOR_FULL      /* there is no room for one more run or rank */
} coordinator_verdict;

typedef struct coordinator_state coordinator_state;

base_status coordinator_state_create(coordinator_state **self);
void coordinator_state_destroy(coordinator_state **self);

coordinator_verdict coordinator_state_take(coordinator_state *self, const telemetry_summary *summary,
                                           const coordinator_route *from, double now);

/* Called for every rank that is to hear that its run has lost a rank. */
typedef void (*coordinator_end)(void *context, const coordinator_route *to, const telemetry_end *message);

/* A rank of a run that is running is lost, after the run's stall timeout, which 0 switches off, if
 *   - it reports that it has not got anywhere for so long, in a phase in which it waits for nobody; or
 *   - nothing was heard of it for so long while others report, nor has any step ended, which would have had its part in
 *     it; or
 *   - all ranks report that they have waited for others for so long: then the one with the fewest steps is it, else
 *     one that never spoke, else the lowest.
 * Silence of less than a second is none. The run has then failed, and all its ranks are told, one of them to say so;
 * those that go on are told again with each of their summaries. A rank that reports that it has failed is lost at once,
 * whatever the timeout, and says so itself. To be called several times a second. */
void coordinator_state_tick(coordinator_state *self, double now, coordinator_end end, void *context);

/* Fills view->runs, newest first: of all runs (run_id ""), or of one. *view is empty before. BASE_ERROR when memory is
 * short, which leaves it empty. */
base_status coordinator_state_view(const coordinator_state *self, double now, const char *run_id, int ranks,
                                   coordinator_view *view);

#endif
