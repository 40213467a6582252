/* report_runs.h: a scaling experiment from runs that were made by hand, with `train` on different numbers of ranks.
 *
 * A run is a folder with run.json and steps.csv; it becomes one trial: the lengths of its steps after a warm-up (the
 * first tenth of the steps that this run did itself, at most 10), and the shares of a step from
 * `performance.balance`, or, in records without it, from `performance.phases_ms`. Runs on the same number of ranks are
 * repeats. Equal batches make strong scaling, equal batches a rank weak scaling. Local.
 */
#ifndef REPORT_RUNS_H
#define REPORT_RUNS_H

#include "scaling.h"

/* `sweep` is filled from nothing; after a failure there is nothing to clear. BASE_DATA: a file is missing or damaged
 * (file and line or key), a run did not end well, or the runs do not belong together (what differs). The runs may
 * differ in what does not change how long a step takes: where files lie, the seed, learning rates, the length of the
 * run, logging, evaluation and checkpoints. Of what else differs between them (processor, versions, hosts),
 * `environment.warnings` tells. */
base_status report_runs_read(int count, char *const *folders, scaling_sweep *sweep);

#endif
