/* base_time.h: a monotonic clock, and where the time of a step goes. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdatomic.h>
#include <stdint.h>

typedef enum base_phase {
    BASE_PHASE_DATA, /* waiting for a batch */
    BASE_PHASE_FORWARD,
    BASE_PHASE_BACKWARD,
    BASE_PHASE_WAIT,   /* at the reduce, until the last rank has come to it */
    BASE_PHASE_REDUCE, /* exposed communication: nothing left to compute */
    BASE_PHASE_UPDATE,
    BASE_PHASE_OTHER,
    BASE_PHASE_CHECKPOINT, /* between steps: holding still for a checkpoint */
    BASE_PHASE_EVALUATE,   /* between steps */
    BASE_PHASE_COUNT
} base_phase;

/* What another thread sees of the phases while they run. */
typedef struct base_watch {
    atomic_int phase;
    _Atomic uint64_t progress;
} base_watch;

/* Something got done. One thread writes. */
static inline void base_watch_touch(base_watch *self)
{
    uint64_t seen = atomic_load_explicit(&self->progress, memory_order_relaxed);
    atomic_store_explicit(&self->progress, seen + 1, memory_order_relaxed);
}

/* Exactly one phase is running at any time, so that the phases of a step add up to its length. */
typedef struct base_phases {
    double seconds[BASE_PHASE_COUNT];
    base_phase running;
    double since;
    base_watch *watch;              /* NULL: nobody watches; set once, before the first start */
    void (*mark)(const char *name); /* is told of every phase that begins; NULL: nobody is; set as `watch` */
} base_phases;

/* Seconds since an arbitrary point; never runs backwards. */
double base_time_now(void);

/* Seconds since the system started this process, loading of libraries included; NaN where /proc does not say. */
double base_time_since_start(void);

/* The time since *looked (0 at first), which becomes `now`, as far as this process was awake in it: no more than
 * BASE_AWAKE_S counts, so whoever measures a wait looks at least that often. One that a scheduler or Ctrl-Z had stopped
 * has not waited, nor have its peers. */
#define BASE_AWAKE_S 0.5
double base_time_awake(double *looked, double now);

/* Set all phases to zero and start `first`. */
void base_phases_start(base_phases *self, base_phase first);

/* End the running phase and start `next`; returns the one that ended, so that a caller can go back to it. */
base_phase base_phases_switch(base_phases *self, base_phase next);

/* The running phase got somewhere. */
void base_phases_touch(const base_phases *self);

/* The running phase waits for other ranks from here on: whoever watches sees BASE_PHASE_WAIT, and the time still counts
 * for the running phase. It ends with base_phases_go_on or the next switch. `self` may be NULL: nobody watches. */
void base_phases_wait(const base_phases *self);
void base_phases_go_on(const base_phases *self);

/* 1: a rank does this for itself; 0: it waits for others (wait, reduce). */
int base_phase_is_own(base_phase phase);

/* The phases of run.json and steps.csv: reduce is all exposed communication, waiting included, and what lies between
 * steps is other. Returns the phase under which `phase` is recorded. */
base_phase base_phase_recorded(base_phase phase);

/* "data", "forward", ... */
const char *base_phase_name(base_phase phase);

#endif
