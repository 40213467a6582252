/* scale_sweep.h: the trials of a scaling experiment, one after another, whoever makes them. */
#ifndef SCALE_SWEEP_H
#define SCALE_SWEEP_H

#include "scale_options.h"

/* How trials are made: by ranks of this job (scale_job.h) or by jobs that are started for them (scale_launch.h). With
 * ranks, all of them go through the sweep together, and rank 0 has the trials. */
typedef struct scale_runner {
    void *self;
    /* One trial, added to `sweep`, whose environment and gradient_bytes are filled if they are not yet. `steps` as in
     * scale_options. */
    base_status (*run)(void *self, int workers, int repeat, int64_t steps, scaling_sweep *sweep);
    /* Rank 0's `flag` for all ranks; NULL: there is one. */
    base_status (*share)(void *self, int *flag);
} scale_runner;

/* Who is told of each trial that counts, where the trials are (rank 0). */
typedef struct scale_keeper {
    void *self;
    void (*keep)(void *self);
} scale_keeper;

/* All trials that `options` ask for, after a short one that does not count: at the largest number of workers, which
 * shows early what cannot be done. A number of workers gets no more repeats once the 95 % interval of its step is
 * narrow. One line on stderr per trial. After a failure `sweep` holds what was measured before. */
base_status scale_sweep_run(const scale_runner *runner, const scale_options *options, const scale_keeper *keeper,
                            scaling_sweep *sweep);

/* Tell the readers of the report (environment.warnings of report_sweep.h). */
void scale_sweep_warn(scaling_sweep *sweep, const char *text);

#endif
