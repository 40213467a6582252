#include "run_step.h"

#include "base_failpoint.h"
#include "run_optim.h"
#include "run_signal.h"
#include "run_stats.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* Sums over ranks that travel beside the gradients. */
enum {
    SUM_LOSS,
    SUM_LAST_LOSS,
    SUM_CORRECT,
    SUM_SECONDS,
    SUM_INTERRUPTED,
    SUM_STOPPING,
    SUM_VOTE,
    SUM_COUNT = SUM_VOTE + sizeof(run_checkpoint_vote) / sizeof(double)
};

/* A step on its way. */
typedef struct step_work {
    run_job *job;
    base_phases *phases;
    run_net_batch batch;
    double lr;
} step_work;

/* Phases of a step that follows one without a meeting go on where that one's ended, with the wait for the device if it
 * is too far behind. */
static base_status begin_phases(const run_job *job, base_phases *phases)
{
    if (run_flight_steps(job->flight) == 0) {
        base_phases_start(phases, BASE_PHASE_DATA);
        return BASE_OK;
    }
    base_phases_switch(phases, BASE_PHASE_BACKWARD);
    BASE_TRY(run_flight_room(job->flight));
    base_phases_switch(phases, BASE_PHASE_DATA);
    return BASE_OK;
}

/* What the slots learn of a batch by begin_step. */
static base_status begin_step(run_job *job, ops_step step, const run_net_batch *batch)
{
    step.grad_scale = 1.0f;
    step.first_sample = batch->first_sample;
    step.samples = batch->samples;
    step.result = run_flight_result(job->flight);
    return job->ops->begin_step(job->context, &step);
}

static base_status take_batch(step_work *self, int64_t step)
{
    run_job *job = self->job;
    if (base_failpoint(job->rank_name, "data"))
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "no batch for step %" PRId64, step + 1);
    BASE_TRY(run_feed_next(job->train_feed, &self->batch));
    self->lr = run_optim_learning_rate(&job->config->train.optimizer, job->config->train.epochs, job->steps_per_epoch,
                                       step + job->step_offset);
    const ops_step begun = {.step = (uint64_t)step, .update = step + 1, .lr = (float)self->lr};
    return begin_step(job, begun, &self->batch);
}

static base_status compute(step_work *self)
{
    run_job *job = self->job;
    base_phases_switch(self->phases, BASE_PHASE_FORWARD);
    base_failpoint(job->rank_name, "forward");
    BASE_TRY(run_feed_gather(job->train_feed, &self->batch));
    BASE_TRY(run_net_forward(job->net, &self->batch, 1, self->phases));
    BASE_TRY(run_net_loss(job->net, &self->batch, 1, NULL));

    base_phases_switch(self->phases, BASE_PHASE_BACKWARD);
    base_failpoint(job->rank_name, "backward");
    for (int b = 0; b < job->backward->count; b++) {
        BASE_TRY(run_net_backward(job->net, &self->batch, b, self->phases));
        base_phases_touch(self->phases);
        BASE_TRY(run_reduce_ready(job->reduce, b, self->batch.global_count));
    }
    return BASE_OK;
}

static base_status update(step_work *self)
{
    base_phases_switch(self->phases, BASE_PHASE_UPDATE);
    base_failpoint(self->job->rank_name, "update");
    return run_reduce_finish(self->job->reduce, self->phases);
}

static base_status compute_and_update(void *work)
{
    BASE_TRY(compute(work));
    return update(work);
}

/* Which step and rank it was, for the message; only once a run. */
static base_status diverged(run_job *job, const run_flight_sums *own, int64_t step)
{
    int64_t size = job->info.size;
    int64_t first = own->bad_step == INT64_MAX ? INT64_MAX : own->bad_step * size + job->info.rank;
    BASE_TRY(comm_small_all_reduce(job->group, &first, 1, COMM_I64, COMM_MIN));
    /* Sums of finite parts can overflow too: then it is nobody's in particular. */
    int64_t rank = first == INT64_MAX ? 0 : first % size, at = first == INT64_MAX ? step : first / size;
    return BASE_FAIL(BASE_DIVERGED,
                     "the loss is not finite at step %" PRId64 " (epoch %" PRId64 ") on rank %" PRId64
                     ": lower train.optimizer.lr, or set train.optimizer.clip_norm",
                     at + 1, (at + job->step_offset) / job->steps_per_epoch + 1, rank);
}

/* The sums are there when the last rank has come; what is exposed of the gradients' way comes after. */
static base_status meet(const step_work *self, const run_step_order *order, run_step_result *result)
{
    run_job *job = self->job;
    run_flight_sums own;
    base_phases_switch(self->phases, BASE_PHASE_BACKWARD);
    BASE_TRY(run_flight_land(job->flight, &own));
    base_phases_switch(self->phases, BASE_PHASE_WAIT);
    double sums[SUM_COUNT] = {[SUM_LOSS] = own.loss,
                              [SUM_LAST_LOSS] = own.last_loss,
                              [SUM_CORRECT] = own.correct,
                              [SUM_SECONDS] = run_stats_step_seconds(self->phases),
                              [SUM_INTERRUPTED] = run_signal_interrupted(),
                              [SUM_STOPPING] = run_signal_stopping()};
    if (order->vote)
        memcpy(&sums[SUM_VOTE], order->vote, sizeof *order->vote);
    BASE_TRY(comm_small_all_reduce(job->group, sums, SUM_COUNT, COMM_F64, COMM_SUM));
    if (!isfinite(sums[SUM_LOSS])) {
        BASE_TRY(run_reduce_drain(job->reduce));
        return diverged(job, &own, order->step);
    }
    double count = (double)self->batch.global_count, loss = sums[SUM_LAST_LOSS] / count;
    *result = (run_step_result){.steps = own.steps,
                                .samples = own.samples,
                                .loss = loss,
                                .loss_sum = own.steps == 1 ? loss * count : sums[SUM_LOSS],
                                .correct = sums[SUM_CORRECT],
                                .lr = self->lr,
                                .seconds = sums[SUM_SECONDS] / job->info.size,
                                .interrupted = sums[SUM_INTERRUPTED] > 0.0,
                                .stopping = sums[SUM_STOPPING] > 0.0};
    memcpy(&result->votes, &sums[SUM_VOTE], sizeof result->votes);
    return BASE_OK;
}

base_status run_step_train(run_job *job, const run_step_order *order, base_phases *phases, run_step_result *result)
{
    step_work work = {.job = job, .phases = phases};
    *result = (run_step_result){0};
    BASE_TRY(begin_phases(job, phases));
    BASE_TRY(take_batch(&work, order->step));

    if (job->ops->asynchronous) {
        base_phases_switch(phases, BASE_PHASE_FORWARD);
        BASE_TRY(run_replay_step(job->replay, work.batch.count, work.batch.global_count, compute_and_update, &work));
        BASE_TRY(run_flight_depart(job->flight, order->step, work.batch.global_count));
        if (order->meets)
            BASE_TRY(meet(&work, order, result));
    } else {
        BASE_TRY(compute(&work));
        BASE_TRY(run_flight_depart(job->flight, order->step, work.batch.global_count));
        BASE_TRY(meet(&work, order, result));
        BASE_TRY(update(&work));
    }
    base_phases_switch(phases, BASE_PHASE_OTHER);
    return BASE_OK;
}

/* The ranks' wishes to end, on their way while a batch is computed. */
typedef struct ending {
    const base_phases *phases; /* or NULL */
    comm_request *request;
    int64_t wishes[2]; /* interrupted, stopping */
} ending;

static base_status wait_ending(ending *self)
{
    if (!self->request)
        return BASE_OK;
    base_phases_wait(self->phases);
    BASE_TRY(comm_request_wait(&self->request));
    base_phases_go_on(self->phases);
    if (self->wishes[0])
        return BASE_FAIL(BASE_INTERRUPTED, "interrupted during an evaluation");
    return self->wishes[1] ? BASE_FAIL(BASE_STOPPED, "stopped during an evaluation") : BASE_OK;
}

/* What the ranks wished when they began the batch before; then asks anew. */
static base_status check_ending(run_job *job, ending *self)
{
    BASE_TRY(wait_ending(self));
    self->wishes[0] = run_signal_interrupted();
    self->wishes[1] = run_signal_stopping();
    return comm_small_all_reduce_start(job->group, self->wishes, 2, COMM_I64, COMM_MAX, &self->request);
}

base_status run_step_evaluate(run_job *job, const base_phases *phases, double *loss, double *accuracy)
{
    ending under_way = {.phases = phases};
    int64_t steps = run_sampler_steps(&job->test_sampler);
    BASE_TRY(run_feed_seek(job->test_feed, 0, 0));
    for (int64_t s = 0; s < steps; s++) {
        BASE_TRY(check_ending(job, &under_way));
        /* Which rows of the shared operands are a rank's depends on the size of the batch: nobody may write those of
         * the short last one while others still work on one before. */
        if (s > 0 && s == steps - 1) {
            base_phases_wait(phases);
            BASE_TRY(comm_barrier(job->group));
            base_phases_go_on(phases);
        }
        base_failpoint(job->rank_name, "evaluate");
        run_net_batch batch;
        BASE_TRY(run_flight_room(job->flight));
        BASE_TRY(run_feed_next(job->test_feed, &batch));
        BASE_TRY(begin_step(job, (ops_step){0}, &batch));
        BASE_TRY(run_feed_gather(job->test_feed, &batch));
        BASE_TRY(run_net_forward(job->net, &batch, 0, NULL));
        BASE_TRY(run_net_loss(job->net, &batch, 0, NULL));
        BASE_TRY(run_flight_depart(job->flight, s, batch.count));
        if (phases)
            base_phases_touch(phases);
    }
    BASE_TRY(wait_ending(&under_way));
    run_flight_sums own;
    BASE_TRY(run_flight_land(job->flight, &own));
    double sums[3] = {own.loss, own.correct, (double)own.samples};
    base_phases_wait(phases);
    BASE_TRY(comm_small_all_reduce(job->group, sums, 3, COMM_F64, COMM_SUM));
    *loss = sums[0] / sums[2];
    *accuracy = sums[1] / sums[2];
    return BASE_OK;
}
