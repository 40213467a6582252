/* run_loader.h: batches as the kernels want them, or what a device makes them of, prepared ahead by a background
 * thread.
 *
 * Two buffers: while the step computes on one, the thread gathers and normalises the next. The thread sleeps on a futex
 * when all are full; it blocks all signals. After creation nothing is allocated. What a batch holds depends on the
 * sampler, the epoch and the step alone, not on `background`.
 */
#ifndef RUN_LOADER_H
#define RUN_LOADER_H

#include "base_arena.h"
#include "base_device.h"
#include "base_status.h"
#include "ops.h"
#include "run_data.h"
#include "run_sampler.h"

typedef struct run_loader run_loader;

typedef enum run_loader_content {
    RUN_LOADER_FLOATS, /* x and labels, for the host's kernels */
    RUN_LOADER_BYTES,  /* pixels and labels, for a device that has slot gather_samples */
    RUN_LOADER_INDICES /* indices alone, for one that also has the data set in its memory */
} run_loader_content;

typedef struct run_batch {
    int64_t epoch; /* from 0 */
    int64_t step_in_epoch;
    run_share share;
    const void *x;          /* (share_count, H, W, C), normalised, aligned to 64 bytes */
    const int32_t *labels;  /* (share_count) */
    const uint8_t *pixels;  /* (share_count, H, W, C) */
    const int64_t *indices; /* (share_count) of the samples in the data set */
    int last_in_epoch;
} run_batch;

typedef struct run_loader_options {
    const run_data *data;
    const ops_table *ops; /* for FLOATS */
    run_sampler sampler;  /* its `samples` may be less than the data's, not more */
    run_loader_content content;
    int background;                        /* 0: prepares in run_loader_next itself (evaluation of small sets) */
    int keep;                              /* a batch stays until this many newer ones were asked for; 0 means 1 */
    const base_device_table *device_table; /* of the memory of batches, from which the device copies; NULL: the host */
    base_device *device;
} run_loader_options;

/* Batches from the first step of epoch 0 on, without end: after the last step of an epoch comes the next epoch. All is
 * borrowed until destroy. Local. */
base_status run_loader_create(const run_loader_options *options, run_loader **self);
void run_loader_destroy(run_loader **self);

/* The next batch; the `keep`-th before it is given back by this call. Local. */
base_status run_loader_next(run_loader *self, run_batch *batch);

/* Go on from another place (start of an evaluation). All batches in hand are given back. Waits for those that the
 * thread is preparing. Local. */
base_status run_loader_seek(run_loader *self, int64_t epoch, int64_t step_in_epoch);

#endif
