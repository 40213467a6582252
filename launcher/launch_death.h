/* launch_death.h: how a process ended that is not our child, as far as the system tells. */
#ifndef LAUNCH_DEATH_H
#define LAUNCH_DEATH_H

#include <sys/types.h>

/* Of the process `pid`, or -1 where the system has no such thing (Linux before 5.3). */
int launch_death_open(pid_t pid);

/* 1: *status is as wait would give it. For a process that is ending or has just ended; waits half a second at most.
 * `pidfd`: of launch_death_open. */
int launch_death_read(pid_t pid, int pidfd, int *status);

/* A signal that reaches this process or none. */
void launch_death_signal(pid_t pid, int pidfd, int signal);

#endif
