/* launch_signals.h: the signals that reach the launcher, taken one by one where it waits. */
#ifndef LAUNCH_SIGNALS_H
#define LAUNCH_SIGNALS_H

#include "base_status.h"

#include <signal.h>

typedef struct launch_signals {
    int fd;          /* can be read when one has come */
    sigset_t before; /* the mask that was */
    int stop; /* the last of SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2, of all jobs, which ask for a save and the end; 0 */
    int interrupts; /* how many SIGINT, which asks for the end, of all jobs */
} launch_signals;

/* SIGHUP stays ignored where it was: the launcher of a job that nohup has started. */
base_status launch_signals_open(launch_signals *self);
void launch_signals_close(launch_signals *self);

/* The next that has come; 0: none. */
int launch_signals_next(launch_signals *self);

/* Waits for one that asks for the end, at most `ms`; 1: it has come, or had before. */
int launch_signals_wait(launch_signals *self, int ms);

/* "SIGTERM". */
const char *launch_signals_name(int signal);

#endif
