/* launch_end.h: how a job ended: what failed first, and what status and words that makes. */
#ifndef LAUNCH_END_H
#define LAUNCH_END_H

#include "launch_crew.h"
#include "launch_signals.h"

typedef enum launch_cause {
    LAUNCH_NONE,
    LAUNCH_SPOKE,   /* a worker ended with a status of its own */
    LAUNCH_LOST,    /* a worker ended without a word */
    LAUNCH_HELPER,  /* a process that mpiexec has started to start the workers ended before them */
    LAUNCH_MPIEXEC, /* mpiexec ended before its workers */
    LAUNCH_GUARD,   /* the process that guards mpiexec ended before it */
    LAUNCH_LATE     /* not all workers came */
} launch_cause;

/* How long the workers may take to join the job. */
enum { LAUNCH_JOIN_S = 300 };

/* What failed first. */
typedef struct launch_failure {
    launch_cause cause;
    int index;       /* LAUNCH_SPOKE, LAUNCH_LOST: which worker */
    int known;       /* wait_status is */
    int wait_status; /* LAUNCH_LOST: of the worker; else of that process */
    long pid;        /* of that process */
} launch_failure;

typedef struct launch_end {
    base_status status;
    int may_restart;            /* another try may end better */
    char text[LAUNCH_TEXT_MAX]; /* "": all is well */
} launch_end;

/* Both are LAUNCH_LOST, and came at nearly the same time, so that their order is uncertain. 1: the later one is more
 * likely the cause: it crashed, where the first was killed, as an MPI does with the others when one has crashed. */
int launch_end_outranks(const launch_failure *later, const launch_failure *first);

/* `signals` that the launcher got. */
void launch_end_judge(const launch_failure *failure, const launch_crew *crew, const launch_signals *signals,
                      launch_end *end);

#endif
