#include "run_end.h"

#include "base_log.h"
#include "run_signal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* `message`: of `status`; `balance`: NULL where it is not known. */
static base_status write_record(run_end *self, base_status status, const char *message, const run_balance *balance)
{
    run_outcome *outcome = self->outcome;
    outcome->steps = self->at->step;
    if (isnan(outcome->train_loss))
        outcome->train_loss = run_position_loss(self->at);
    /* A device that a lost peer has kept from its work may hold anything. */
    int known = status != BASE_PEER || !self->job->ops->asynchronous;
    base_status digest = known ? run_net_param_digest(self->job->net, outcome->param_digest) : status;
    run_report_result result = {.status = status,
                                .reason = status == BASE_OK ? NULL : message,
                                .steps = self->at->step,
                                .epochs = outcome->epochs,
                                .train_loss = outcome->train_loss,
                                .test_loss = outcome->test_loss,
                                .test_accuracy = outcome->test_accuracy,
                                .checkpoints = run_checkpoint_get_facts(self->checkpoint),
                                .balance = balance};
    if (digest == BASE_OK)
        snprintf(result.param_digest, sizeof result.param_digest, "%s", outcome->param_digest);
    return run_report_write(self->report, &result);
}

base_status run_end_lose(run_end *self, base_status found)
{
    base_status status = run_job_lose_rank(self->job, found);
    self->lost |= status != found;
    return status;
}

/* Rank 0 writes the record and ends the job. It finds a peer that says nothing when the others do; the words of one
 * that is lost it hears when it waits next. */
static void record_failure(run_end *self, base_status status)
{
    enum { RECORD_MS = 900, HEAR_MS = 2000, HEAR_UNBOUND_MS = 60000 }; /* all ends within two seconds of the bound */
    char message[1024];
    comm_world *world = self->job->world;
    int bound = run_job_wait_bound_ms(self->job), hear_ms = bound == COMM_FOREVER ? HEAR_UNBOUND_MS : HEAR_MS + bound;
    snprintf(message, sizeof message, "%s", base_status_message());
    comm_world_lose(world, message);
    if (self->job->info.rank != 0)
        self->outcome->stay_ms = RECORD_MS + (self->lost || comm_world_lost(world) ? hear_ms : 0);
    else if (write_record(self, status, message, NULL) != BASE_OK)
        BASE_WARN("%s", base_status_message());
    BASE_FAIL(status, "%s", message);
}

/* Saves what there is when the run ends on request. */
static base_status stop(run_end *self)
{
    int saved = 0;
    BASE_TRY(run_checkpoint_save(self->checkpoint, self->at, &saved));
    if (saved)
        return BASE_FAIL(BASE_STOPPED,
                         "stopped on request after step %" PRId64 " of %" PRId64 ", which is saved: --resume goes on",
                         self->at->step, self->job->total_steps);
    return BASE_FAIL(BASE_CKPT, "stopped on request after step %" PRId64 " of %" PRId64 ", which could not be saved",
                     self->at->step, self->job->total_steps);
}

/* How the run ends, known to all ranks, with the save under way done. */
static base_status end(run_end *self, base_status status)
{
    char message[1024];
    if (status == BASE_STOPPED)
        status = run_end_lose(self, stop(self));
    if (status == BASE_PEER)
        return status;
    snprintf(message, sizeof message, "%s", base_status_message());
    BASE_TRY(run_end_lose(self, run_checkpoint_finish(self->checkpoint)));
    run_job_set_patience(self->job, 0); /* rank 0 writes to a disk that may be slow */
    run_signal_disarm();
    run_balance balance;
    BASE_TRY(run_balance_gather(self->job->world, self->balance, &balance));
    base_status written =
        comm_world_agree(self->job->world, write_record(self, status, message, balance.steps > 0 ? &balance : NULL));
    if (status != BASE_OK)
        return BASE_FAIL(status, "%s", message);
    BASE_TRY(written);
    if (run_checkpoint_get_facts(self->checkpoint).last_step != self->at->step)
        return BASE_FAIL(BASE_CKPT, "training is done, but its last step, %" PRId64 ", could not be saved",
                         self->at->step);
    return BASE_OK;
}

base_status run_end_reach(run_end *self, base_status status)
{
    /* A lost peer leaves nobody to agree with; every other end is reached by all ranks. */
    int agreed = status == BASE_OK || status == BASE_STOPPED || status == BASE_INTERRUPTED || status == BASE_DIVERGED;
    if (agreed)
        status = end(self, status);
    if (!agreed || status == BASE_PEER)
        record_failure(self, status);
    return status;
}
