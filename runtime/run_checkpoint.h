/* run_checkpoint.h: when and how a run saves its state.
 *
 * A save in the order of its parts: every rank copies its share (run_state.h) to a staging buffer, which is all that
 * the step loop waits for; a background thread of every rank writes the buffer as one shard; once all have (the ranks'
 * votes in a later step tell, or run_checkpoint_finish), the checksums are gathered to rank 0, whose thread commits:
 * manifest, then run.json, then what is older than `keep` goes. A save that is under way when the next is due is
 * finished first. A failed save is warned about once, and training goes on with the last good checkpoint in place. A
 * state that is not finite is not saved. All functions are Collective unless they say otherwise.
 */
#ifndef RUN_CHECKPOINT_H
#define RUN_CHECKPOINT_H

#include "ckpt_manifest.h"
#include "run_job.h"
#include "run_report.h"

typedef struct run_checkpoint run_checkpoint;

typedef struct run_checkpoint_options {
    /* Rank 0's count. */
    const char *folder;        /* the run's folder */
    run_report *report;        /* rank 0 writes its record with every checkpoint */
    const base_phases *phases; /* of the loop that is held up, told of waits for other ranks */
    int64_t saved_step;        /* of the checkpoint that the run goes on from; -1: a new run */
} run_checkpoint_options;

/* Samples of the epoch done so far. */
static inline int64_t run_position_samples(const ckpt_position *at)
{
    int64_t whole = at->epoch_samples / at->global_batch; /* steps of a full batch */
    return at->step_in_epoch <= whole ? at->step_in_epoch * at->global_batch : at->epoch_samples;
}

/* Mean loss over these samples. */
static inline double run_position_loss(const ckpt_position *at)
{
    return at->epoch_loss_sum / (double)run_position_samples(at);
}

/* Whole epochs done. */
static inline int64_t run_position_epochs(const ckpt_position *at)
{
    return at->epoch + (at->step_in_epoch >= at->steps_per_epoch);
}

/* Clears the rests of saves that did not end. Checkpoints that are in the folder already and that this run does not go
 * on from are set aside with a warning: all of them for a new run, newer ones for one that is resumed. */
base_status run_checkpoint_create(run_job *job, const run_checkpoint_options *options, run_checkpoint **self);
void run_checkpoint_destroy(run_checkpoint **self); /* Local; waits for this rank's write under way */

/* Local. What this rank brings into the sums of a step: is a save due by the clock (rank 0), is its part of the save
 * under way done, and did the commit fail (rank 0). */
typedef struct run_checkpoint_vote {
    double due, written, failed;
} run_checkpoint_vote;
run_checkpoint_vote run_checkpoint_get_vote(run_checkpoint *self);

/* Local. Is a save due after step `step` (counted from 1), whatever the clock says? */
int run_checkpoint_is_due(const run_checkpoint *self, int64_t step);

/* After a step: `sums` of all ranks' votes. Moves a save under way on; starts one when it is due (by the steps, the
 * clock, or because the run ends at this step). Returns failures of communication alone. */
base_status run_checkpoint_step(run_checkpoint *self, const ckpt_position *position, const run_checkpoint_vote *sums);

/* Save now, whether due or not (nothing happens if `position` is saved already), and wait until it is on disk. *saved:
 * 1 if it is. */
base_status run_checkpoint_save(run_checkpoint *self, const ckpt_position *position, int *saved);

/* Wait until the save under way, if any, is committed or given up. */
base_status run_checkpoint_finish(run_checkpoint *self);

/* What was saved, the same on all ranks once run_checkpoint_finish has returned; stall_ms: mean time that the step loop
 * was held up for a save; write_ms: mean time from the staging until the slowest rank's shard was on disk, and of the
 * commit, without what lay between them for want of a step's end. Local. */
run_report_checkpoints run_checkpoint_get_facts(const run_checkpoint *self);

#endif
