/* scale_job.h: the trials of a sweep by the ranks of this MPI job: the first n of them work, the others sleep. */
#ifndef SCALE_JOB_H
#define SCALE_JOB_H

#include "scale_sweep.h"

typedef struct scale_job scale_job;

/* Collective. Reads the configuration and completes `options`: numbers of workers up to the ranks of the world. All
 * workers of all trials get the same number of threads: train.threads, or else the cores that the largest number of
 * workers finds, shared among them. On failure all ranks return the same status. */
base_status scale_job_open(comm_world *world, scale_options *options, scale_job **self);
void scale_job_close(scale_job **self);

/* The configuration as it was given. */
const run_config *scale_job_config(const scale_job *self);

scale_runner scale_job_runner(scale_job *self);

#endif
