/* run_loader.h: batches as the kernels want them, prepared ahead by a background thread.
 *
 * Two buffers: while the step computes on one, the thread gathers and normalises the next. The thread sleeps on a futex
 * when both are full; it blocks all signals. After creation nothing is allocated. What a batch holds depends on the
 * sampler, the epoch and the step alone, not on `background`.
 */
#ifndef RUN_LOADER_H
#define RUN_LOADER_H

#include "base_arena.h"
#include "base_status.h"
#include "ops.h"
#include "run_data.h"
#include "run_sampler.h"

typedef struct run_loader run_loader;

typedef struct run_batch {
    int64_t epoch; /* from 0 */
    int64_t step_in_epoch;
    run_share share;
    const float *x;        /* (share_count, H, W, C), normalised, aligned to 64 bytes */
    const int32_t *labels; /* (share_count) */
    int last_in_epoch;
} run_batch;

/* Batches from (epoch, step_in_epoch) on, without end: after the last step of an epoch comes the next epoch. The data
 * and the ops table are borrowed until destroy, the sampler is copied; its `samples` may be less than the data's, not
 * more. Local. `background` 0: prepares in run_loader_next itself (evaluation of small sets). */
base_status run_loader_create(const run_data *data, const ops_table *ops, const run_sampler *sampler, int64_t epoch,
                              int64_t step_in_epoch, int background, run_loader **self);
void run_loader_destroy(run_loader **self);

/* The next batch; the one before is given back by this call. Local. */
base_status run_loader_next(run_loader *self, run_batch *batch);

/* Go on from another place (start of an evaluation). The batch in hand is given back. Waits for the batches that the
 * thread is preparing, two at most. Local. */
base_status run_loader_seek(run_loader *self, int64_t epoch, int64_t step_in_epoch);

#endif
