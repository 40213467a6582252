/* run_signal.h: Ctrl-C. The first asks for a clean end at the next step; the run ends within a second in any case. */
#ifndef RUN_SIGNAL_H
#define RUN_SIGNAL_H

/* Install the handlers, and ignore SIGPIPE; after MPI_Init, which installs its own. Local. */
void run_signal_install(void);

/* 1 once SIGINT has come. */
int run_signal_interrupted(void);

/* The end is under way in good order (the record is being written): take back the bound of a second. */
void run_signal_disarm(void);

#endif
