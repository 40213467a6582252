/* launch_job.h: one MPI job on this machine, from its start to the end of its last process.
 *
 *     launcher -> guard -> mpiexec -> (its helpers) -> workers
 *
 * The guard (process_guard.h) ends all below it when the launcher is gone, the launcher all that the guard had if that
 * is gone, and a worker ends itself when its connection to the launcher does (launch_worker.h): whichever of them is
 * killed, and if it is two of them, no process is left.
 *
 * The launcher passes signals to the workers itself, since some MPIs take them for their own notices: SIGTERM, SIGUSR1,
 * SIGUSR2 and, for a terminal that was closed, SIGTERM for SIGHUP, to each worker as soon as it has joined; SIGINT at
 * once, with the end of all after some seconds or at the second one. SIGTSTP stops the workers, then the launcher.
 */
#ifndef LAUNCH_JOB_H
#define LAUNCH_JOB_H

#include "launch_end.h"
#include "launch_signals.h"

typedef struct launch_job_options {
    char *const *argv; /* of mpiexec, NULL behind the last */
    int workers;       /* that it starts */
    int prefix;        /* the rank before each line of their output */
} launch_job_options;

/* The caller's stdout and stderr serve mpiexec, and the workers through us (launch_output.h). A failure to start is
 * recorded, and so is stdout that could not be written in a job that ended well; else `end` tells how it went. `folder`
 * (LAUNCH_TEXT_MAX) becomes the run's if rank 0 told it. */
base_status launch_job_run(const launch_job_options *options, launch_signals *signals, launch_end *end, char *folder);

#endif
