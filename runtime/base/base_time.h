/* base_time.h: a monotonic clock, and where the time of a step goes. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

typedef enum base_phase {
    BASE_PHASE_DATA, /* waiting for a batch */
    BASE_PHASE_FORWARD,
    BASE_PHASE_BACKWARD,
    BASE_PHASE_REDUCE, /* exposed communication: nothing left to compute */
    BASE_PHASE_UPDATE,
    BASE_PHASE_OTHER,
    BASE_PHASE_COUNT
} base_phase;

/* Exactly one phase is running at any time, so that the phases of a step add up to its length. */
typedef struct base_phases {
    double seconds[BASE_PHASE_COUNT];
    base_phase running;
    double since;
} base_phases;

/* Seconds since an arbitrary point; never runs backwards. */
double base_time_now(void);

/* Seconds since the system started this process, loading of libraries included; NaN where /proc does not say. */
double base_time_since_start(void);

/* Set all phases to zero and start `first`. */
void base_phases_start(base_phases *self, base_phase first);

/* End the running phase and start `next`; returns the one that ended, so that a caller can go back to it. */
base_phase base_phases_switch(base_phases *self, base_phase next);

/* "data", "forward", ... as in run.json and steps.csv. */
const char *base_phase_name(base_phase phase);

#endif
