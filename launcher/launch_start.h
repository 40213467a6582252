/* launch_start.h: mpiexec behind its guard (process_guard.h), held by a life line. */
#ifndef LAUNCH_START_H
#define LAUNCH_START_H

#include "base_status.h"

#include <signal.h>
#include <sys/types.h>

enum { LAUNCH_STRANGERS_MAX = 64 };

typedef struct launch_tree {
    pid_t guard;
    int life;  /* the end of it ends all; -1: it has */
    int ended; /* to read mpiexec's wait status from; its end is that of the guard */
    int stranger_count;
    pid_t strangers[LAUNCH_STRANGERS_MAX]; /* children that this process had before */
} launch_tree;

/* `mask`: of the new processes. BASE_ERROR: it cannot be started. */
base_status launch_start(char *const *argv, const sigset_t *mask, launch_tree *self);

/* Ends all at once; they will be gone when `ended` is at its end. */
void launch_start_cut(launch_tree *self);

/* The guard is gone, or is killed now: ends what may be left. *status: the guard's wait status. */
void launch_start_clear(launch_tree *self, int *status);

#endif
