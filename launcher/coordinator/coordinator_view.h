/* coordinator_view.h: what a coordinator knows, as plain data, for whoever shows it: the terminal, the page, metrics.
 */
#ifndef COORDINATOR_VIEW_H
#define COORDINATOR_VIEW_H

#include "base_time.h"

#include <stdint.h>

typedef enum coordinator_run_state {
    COORDINATOR_RUNNING,
    COORDINATOR_DONE,
    COORDINATOR_STOPPED, /* on request, after saving, or by Ctrl-C */
    COORDINATOR_DIVERGED,
    COORDINATOR_FAILED, /* for any other reason, or a rank was lost */
    COORDINATOR_SILENT  /* no rank has spoken for its stall_timeout; it may come back */
} coordinator_run_state;

/* One rank. "Window": the time that its last summary covers, about a second. */
typedef struct coordinator_rank_view {
    int rank;
    char host[64];
    int64_t step;                       /* steps done */
    base_phase phase;                   /* that runs */
    double silent_s;                    /* since its last summary came */
    double stuck_s;                     /* since it last got anywhere */
    double steps_per_second;            /* in the window */
    double phases_ms[BASE_PHASE_COUNT]; /* mean a step, in the window; evaluation and checkpoint: time in them
                                           over the window's steps */
    double total_s[BASE_PHASE_COUNT];   /* sums since the run began */
    double own_ms;                      /* mean a step without wait and reduce */
    uint64_t lost_summaries;            /* gaps in its numbers */
} coordinator_rank_view;

/* Somebody who holds up the others: own time well above the median of the ranks for several windows. */
typedef struct coordinator_straggler {
    int rank;
    base_phase phase; /* in which it loses most */
    double slower;    /* 0.31: this phase takes it 31 % longer than the median rank */
    double cost;      /* share of the step that the others would save */
} coordinator_straggler;

/* A point of the loss curve. */
typedef struct coordinator_loss {
    int64_t step;
    double loss; /* mean over the steps since the point before */
} coordinator_loss;

enum { COORDINATOR_CURVE = 256, COORDINATOR_STRAGGLERS = 8 };

typedef struct coordinator_run_view {
    char id[33];                           /* hexadecimal */
    char name[64], folder[1024], host[64]; /* host of rank 0 */
    coordinator_run_state state;
    char reason[512]; /* of an end that was not asked for; "" */
    int size;         /* ranks */
    int64_t parameters, global_batch, total_steps, steps_per_epoch, epochs;
    int64_t step, epoch;                   /* steps done; epoch under way, from 1 */
    double loss, test_loss, test_accuracy; /* NaN where not known; loss: mean over the window */
    double samples_per_second;             /* in the window, of all ranks */
    double elapsed_s, remaining_s;         /* since the run began; NaN */
    double efficiency; /* since the run began: mean over the ranks of the share of their time in forward, backward and
                          update (the parallel efficiency of the POP methodology); NaN before the first step */
    int straggler_count;
    coordinator_straggler stragglers[COORDINATOR_STRAGGLERS];
    int curve_count;
    coordinator_loss curve[COORDINATOR_CURVE]; /* oldest first, over the whole run */
    int rank_count;                            /* that have spoken; ascending */
    coordinator_rank_view *ranks;
} coordinator_run_view;

/* Messages. received = accepted + malformed + oversized + replayed + foreign + queries. One of more than 1 MiB is in
 * none of them: ZeroMQ ends its connection, and its monitor has no event for that but the end of a connection. */
typedef struct coordinator_counts {
    uint64_t received, accepted, malformed, oversized, replayed, foreign, queries;
    uint64_t refused; /* connections without the key */
} coordinator_counts;

typedef struct coordinator_view {
    char version[32], address[256];
    double uptime_s;
    coordinator_counts counts;
    int run_count;
    coordinator_run_view *runs; /* newest first */
} coordinator_view;

/* Frees what the view owns (not itself); takes a half-filled one. */
void coordinator_view_clear(coordinator_view *self);

/* "running", "done", ... */
const char *coordinator_run_state_name(coordinator_run_state state);

#endif
