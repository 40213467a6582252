#include "run_step.h"

#include "base_failpoint.h"
#include "run_optim.h"
#include "run_signal.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* Sums over ranks that travel beside the gradients. */
enum {
    SUM_LOSS,
    SUM_CORRECT,
    SUM_INTERRUPTED,
    SUM_STOPPING,
    SUM_VOTE,
    SUM_COUNT = SUM_VOTE + sizeof(run_checkpoint_vote) / sizeof(double)
};

static run_net_batch net_batch(const run_batch *batch, int64_t step)
{
    return (run_net_batch){.x = batch->x,
                           .labels = batch->labels,
                           .count = batch->share.share_count,
                           .first_sample = batch->share.share_begin,
                           .global_count = batch->share.count,
                           .step = (uint64_t)step};
}

/* Which rank it was, for the message; only once a run. */
static base_status diverged(run_job *job, double own_loss, int64_t step)
{
    int64_t first = isfinite(own_loss) ? INT64_MAX : job->info.rank;
    BASE_TRY(comm_small_all_reduce(job->group, &first, 1, COMM_I64, COMM_MIN));
    /* Sums of finite parts can overflow too: then it is nobody's in particular. */
    return BASE_FAIL(BASE_DIVERGED,
                     "the loss is not finite at step %" PRId64 " (epoch %" PRId64 ") on rank %" PRId64
                     ": lower train.optimizer.lr, or set train.optimizer.clip_norm",
                     step + 1, (step + job->step_offset) / job->steps_per_epoch + 1, first == INT64_MAX ? 0 : first);
}

base_status run_step_train(run_job *job, int64_t step, const run_checkpoint_vote *vote, base_phases *phases,
                           run_step_result *result)
{
    base_phases_start(phases, BASE_PHASE_DATA);
    run_batch loaded;
    base_failpoint(job->rank_name, "data");
    BASE_TRY(run_loader_next(job->train_loader, &loaded));
    run_net_batch batch = net_batch(&loaded, step);

    base_phases_switch(phases, BASE_PHASE_FORWARD);
    base_failpoint(job->rank_name, "forward");
    double sums[SUM_COUNT] = {0};
    BASE_TRY(run_net_forward(job->net, &batch, 1, phases));
    BASE_TRY(run_net_loss(job->net, &batch, 1, sums));
    double own_loss = sums[SUM_LOSS];
    sums[SUM_INTERRUPTED] = run_signal_interrupted();
    sums[SUM_STOPPING] = run_signal_stopping();
    if (vote)
        memcpy(&sums[SUM_VOTE], vote, sizeof *vote);

    base_phases_switch(phases, BASE_PHASE_BACKWARD);
    base_failpoint(job->rank_name, "backward");
    for (int b = 0; b < job->backward->count; b++) {
        BASE_TRY(run_net_backward(job->net, &batch, b, phases));
        base_phases_touch(phases);
        BASE_TRY(run_reduce_ready(job->reduce, b, batch.global_count));
    }

    /* The sums are there when the last rank has come; what is exposed of the gradients' way comes after. */
    base_phases_switch(phases, BASE_PHASE_WAIT);
    BASE_TRY(comm_small_all_reduce(job->group, sums, SUM_COUNT, COMM_F64, COMM_SUM));
    if (!isfinite(sums[SUM_LOSS])) {
        BASE_TRY(run_reduce_drain(job->reduce));
        return diverged(job, own_loss, step);
    }
    double lr = run_optim_learning_rate(&job->config->train.optimizer, job->config->train.epochs, job->steps_per_epoch,
                                        step + job->step_offset);
    base_phases_switch(phases, BASE_PHASE_UPDATE);
    base_failpoint(job->rank_name, "update");
    BASE_TRY(run_reduce_finish(job->reduce, lr, step + 1, phases));

    base_phases_switch(phases, BASE_PHASE_OTHER);
    *result = (run_step_result){.samples = batch.global_count,
                                .loss = sums[SUM_LOSS] / (double)batch.global_count,
                                .correct = sums[SUM_CORRECT],
                                .lr = lr,
                                .interrupted = sums[SUM_INTERRUPTED] > 0.0,
                                .stopping = sums[SUM_STOPPING] > 0.0};
    memcpy(&result->votes, &sums[SUM_VOTE], sizeof result->votes);
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
    double sums[3] = {0}; /* loss, right answers, samples */
    ending under_way = {.phases = phases};
    int64_t steps = run_sampler_steps(&job->test_sampler);
    BASE_TRY(run_loader_seek(job->test_loader, 0, 0));
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
        run_batch loaded;
        double part[2];
        BASE_TRY(run_loader_next(job->test_loader, &loaded));
        run_net_batch batch = net_batch(&loaded, 0);
        BASE_TRY(run_net_forward(job->net, &batch, 0, NULL));
        BASE_TRY(run_net_loss(job->net, &batch, 0, part));
        if (phases)
            base_phases_touch(phases);
        sums[0] += part[0];
        sums[1] += part[1];
        sums[2] += (double)batch.count;
    }
    BASE_TRY(wait_ending(&under_way));
    base_phases_wait(phases);
    BASE_TRY(comm_small_all_reduce(job->group, sums, 3, COMM_F64, COMM_SUM));
    *loss = sums[0] / sums[2];
    *accuracy = sums[1] / sums[2];
    return BASE_OK;
}
