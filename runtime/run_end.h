/* run_end.h: how a training ends, with its record: all ranks together, or each by itself because one is lost. */
#ifndef RUN_END_H
#define RUN_END_H

#include "run_balance.h"
#include "run_checkpoint.h"
#include "run_report.h"
#include "run_step.h"

/* What an end is about; all of it is the training's. */
typedef struct run_end {
    run_job *job;
    run_report *report;
    run_checkpoint *checkpoint;
    run_balance_log *balance;
    const ckpt_position *at; /* what is done */
    run_outcome *outcome;
    int lost; /* this rank is, or was about to be when it heard of another: set by run_end_lose */
} run_end;

/* Local. How the loop has ended: a failure of this rank alone means that it is lost (run_job_lose_rank). */
base_status run_end_lose(run_end *self, base_status found);

/* Collective, with an end that all ranks know of, as BASE_OK or BASE_STOPPED, or with one that only this rank knows of.
 * The first are reached together: what is to be saved is, then rank 0 writes the record. Returns how the run ends. On
 * BASE_PEER rank 0 has written the record, if it could, and outcome->stay_ms is set; the others were told. */
base_status run_end_reach(run_end *self, base_status status);

#endif
