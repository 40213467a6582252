/* scale_trial.h: one trial of a scaling experiment: the step loop of a configuration for some seconds, and what it
 * shows.
 *
 * Nothing is evaluated, recorded or saved. A warm-up comes first and is not counted; then every step is timed, or on a
 * GPU, which is not waited for after each step, blocks of steps of a tenth of a second. Where several ranks work, the
 * collective that the step loop uses is timed alone as well, on vectors from a few bytes to the size of the gradients.
 */
#ifndef SCALE_TRIAL_H
#define SCALE_TRIAL_H

#include "comm.h"
#include "run_config.h"
#include "scaling.h"

#include <stdatomic.h>

/* What is the same in all trials. */
typedef struct scale_trial_facts {
    int64_t gradient_bytes; /* that a step reduces */
    json_t *environment;    /* run_environment_json, of rank 0; NULL on others */
} scale_trial_facts;

/* Where ranks that have no part in a trial see that it gets on. */
typedef struct scale_beat {
    _Atomic uint64_t steps; /* taken */
    atomic_int is_stepping; /* the step loop runs: steps follow on each other */
    atomic_int of_rank_0;   /* whose beat it is */
} scale_beat;

/* Collective over `world`. `steps` are timed, in whole blocks; 0: as many as take about three seconds, 20 at least, on
 * the host 2000 at most. Fills `trial` (but for `repeat`) on rank 0, with steps_s malloc'd for its caller, and `facts`,
 * which may be NULL on all ranks. The same status on all ranks, its message names the number of workers;
 * BASE_INTERRUPTED after Ctrl-C or a signal that asks for the end. After BASE_PEER the world is not to be used again.
 * `beat`: this rank's steps are counted there; NULL: they are not. */
base_status scale_trial_run(comm_world *world, const run_config *config, int64_t steps, scale_beat *beat,
                            scaling_trial *trial, scale_trial_facts *facts);

#endif
