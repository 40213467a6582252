/* doctor_gpus.h: the GPUs of this machine as `ddpt doctor` shows them, or what is missing for them. */
#ifndef DOCTOR_GPUS_H
#define DOCTOR_GPUS_H

#include "base_arena.h"
#include "run_plugin.h"

#include <jansson.h>
#include <stdio.h>

typedef struct doctor_gpus {
    int expected;             /* the machine looks as if it had some */
    char missing[1024];       /* what, and what to do; "" where GPUs can be used */
    int nccl;                 /* its version, 22809 for 2.28.9; 0: it is not there */
    char nccl_missing[512];   /* why, and what to do; "" where it is there, or there are no GPUs */
    const run_plugin *plugin; /* NULL: not loaded */
    char libraries[128];      /* of the plug-in; "" where it is not loaded */
    int count;
    run_plugin_gpu *gpus; /* (count) */
} doctor_gpus;

/* BASE_ERROR when out of memory; GPUs that are not there are no failure. */
base_status doctor_gpus_probe(doctor_gpus *self, base_arena *arena);

void doctor_gpus_print(const doctor_gpus *self, FILE *to);

/* {"backend", "libraries", "missing", "nccl", "nccl_missing", "gpus": [{"name", "bus", "memory_bytes",
 * "memory_free_bytes", "processors", "architecture", "driver", "runtime", "peers"}]}; the caller owns it. */
json_t *doctor_gpus_json(const doctor_gpus *self);

#endif
