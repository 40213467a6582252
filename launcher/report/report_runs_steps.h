/* report_runs_steps.h: lengths of steps from a run's steps.csv. Local.
 */
#ifndef REPORT_RUNS_STEPS_H
#define REPORT_RUNS_STEPS_H

#include "scaling.h"

/* Fill trial->steps, steps_s (malloc'd), steps_count and step_s from `path`: the steps after `resumed_from`, which this
 * run did itself, without their warm-up. A line of a run that logged every k-th step counts as one length, the mean of
 * k. Of very many lines every so many-th is kept. BASE_DATA names file and line. */
base_status report_runs_steps(const char *path, int64_t resumed_from, scaling_trial *trial);

#endif
