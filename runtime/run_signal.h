/* run_signal.h: signals that end a run. Ctrl-C (SIGINT) asks for a clean end at the next step, without a checkpoint;
 * the run ends within a second in any case. SIGTERM, SIGUSR1 and SIGUSR2, which batch systems send before they end a
 * job, ask for a checkpoint and then the end. */
#ifndef RUN_SIGNAL_H
#define RUN_SIGNAL_H

/* Catch SIGTERM, SIGUSR1 and SIGUSR2 from here on, without disturbing this thread; before MPI_Init, which a signal may
 * leave waiting for ever. Local. */
void run_signal_hold(void);

/* Install the handlers, and ignore SIGPIPE and SIGXFSZ; after MPI_Init, which installs its own. Local. */
void run_signal_install(void);

/* 1 once SIGINT has come. */
int run_signal_interrupted(void);

/* 1 once SIGTERM, SIGUSR1 or SIGUSR2 has come. */
int run_signal_stopping(void);

/* The end is under way in good order (the record is being written): take back the bound of a second. */
void run_signal_disarm(void);

#endif
