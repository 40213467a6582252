/* scale_launch.h: the trials of a sweep by jobs that are started for them, one a trial:
 *
 *     LAUNCHER PROGRAM scale --trials-only FOLDER/trial-PID.json --workers N ... CONFIG
 */
#ifndef SCALE_LAUNCH_H
#define SCALE_LAUNCH_H

#include "scale_sweep.h"

typedef struct scale_launch scale_launch;

/* `config` is the one that `options` name; both are borrowed. `folder` is there, and the jobs see it under the same
 * name. BASE_USAGE: options->launcher is none. From here to the close, Ctrl-C and SIGTERM end a trial, with
 * BASE_INTERRUPTED. */
base_status scale_launch_open(const scale_options *options, const run_config *config, const char *folder,
                              scale_launch **self);
void scale_launch_close(scale_launch **self);

/* A trial fails with the status of its job, whose own message it repeats. */
scale_runner scale_launch_runner(scale_launch *self);

#endif
