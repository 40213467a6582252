/* launch_restart.h: when a job that failed is started again. */
#ifndef LAUNCH_RESTART_H
#define LAUNCH_RESTART_H

enum { LAUNCH_RESTARTS_MAX = 1000 };

typedef struct launch_restart {
    int most; /* within any `window_s` */
    double window_s;
    int delay_ms;                      /* of the second in a row */
    int count;                         /* of those below */
    double times[LAUNCH_RESTARTS_MAX]; /* s; of the restarts within the window, oldest first */
} launch_restart;

/* 1: the job may start again at `now` (s, of a monotonic clock), after *delay_ms: none at first, then that of `self`,
 * doubled each time until it is a minute. It counts as done. 0: there were as many restarts as are allowed. */
int launch_restart_again(launch_restart *self, double now, int *delay_ms);

#endif
