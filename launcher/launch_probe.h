/* launch_probe.h: the GPUs of this machine, seen by a process that is gone afterwards: a driver leaves threads, open
 * devices and hundreds of megabytes in whoever asks it, and the launcher stays as long as its job. */
#ifndef LAUNCH_PROBE_H
#define LAUNCH_PROBE_H

#include "base_status.h"
#include "run_plugin.h"

enum { LAUNCH_GPUS_MAX = 64 };

typedef struct launch_probe {
    int count;          /* at most LAUNCH_GPUS_MAX */
    char missing[1024]; /* where there are none: why, and what to do */
    char variable[32];  /* of the environment, which names those that a process sees: "CUDA_VISIBLE_DEVICES" */
    char buses[LAUNCH_GPUS_MAX][RUN_PLUGIN_BUS]; /* (count) "": not known */
} launch_probe;

/* BASE_ERROR: no process can be started. GPUs that are not there, or a driver that takes its process down, are no
 * failure. */
base_status launch_probe_gpus(launch_probe *found);

#endif
