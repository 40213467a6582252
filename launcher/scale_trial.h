/* scale_trial.h: one trial of a scaling experiment: the step loop of a configuration for some seconds, and what it
 * shows.
 *
 * Nothing is evaluated, recorded or saved. A warm-up comes first and is not counted; then every step is timed. Where
 * several ranks work, the collective that the step loop uses is timed alone as well, on vectors from a few bytes to the
 * size of the gradients.
 */
#ifndef SCALE_TRIAL_H
#define SCALE_TRIAL_H

#include "comm.h"
#include "run_config.h"
#include "scaling.h"

/* What is the same in all trials. */
typedef struct scale_trial_facts {
    int64_t gradient_bytes; /* that a step reduces */
    json_t *environment;    /* run_environment_json, of rank 0; NULL on others */
} scale_trial_facts;

/* Collective over `world`. `steps` are timed; 0: as many as take about three seconds, 20 at least, 2000 at most. Fills
 * `trial` (but for `repeat`) on rank 0, with steps_s malloc'd for its caller, and `facts`, which may be NULL on all
 * ranks. The same status on all ranks, its message names the number of workers; BASE_INTERRUPTED after Ctrl-C. After
 * BASE_PEER the world is not to be used again. */
base_status scale_trial_run(comm_world *world, const run_config *config, int64_t steps, scaling_trial *trial,
                            scale_trial_facts *facts);

#endif
