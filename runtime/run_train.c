#include "run_step.h"

#include "base_log.h"
#include "run_progress.h"
#include "run_report.h"
#include "run_signal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* State of the loops of a run. */
typedef struct trainer {
    run_job *job;
    run_report *report;
    run_progress progress;
    run_outcome *outcome;
    int64_t step;             /* done so far */
    double loss_sum, correct; /* of the epoch so far */
    int64_t samples;
} trainer;

static void start_epoch(trainer *self)
{
    self->loss_sum = self->correct = 0.0;
    self->samples = 0;
}

static double epoch_loss(const trainer *self)
{
    return self->samples ? self->loss_sum / (double)self->samples : NAN;
}

static double epoch_accuracy(const trainer *self)
{
    return self->samples ? self->correct / (double)self->samples : NAN;
}

static base_status one_step(trainer *self, int64_t epoch)
{
    run_job *job = self->job;
    base_phases phases;
    run_step_result result;
    BASE_TRY(run_step_train(job, self->step, &phases, &result));
    self->step++;
    self->loss_sum += result.loss * (double)result.samples;
    self->correct += result.correct;
    self->samples += result.samples;
    run_progress_step(&self->progress, self->step, epoch + 1, result.samples, epoch_loss(self), epoch_accuracy(self));
    base_phases_switch(&phases, BASE_PHASE_OTHER);
    run_report_line line = {.step = self->step,
                            .epoch = epoch + 1,
                            .samples = result.samples,
                            .loss = result.loss,
                            .lr = result.lr,
                            .phases = &phases};
    run_report_step(self->report, &line);
    return result.interrupted ? BASE_FAIL(BASE_INTERRUPTED, "interrupted after step %" PRId64 " of %" PRId64,
                                          self->step, job->total_steps)
                              : BASE_OK;
}

/* The last update can be the one that goes wrong. */
static base_status evaluate(trainer *self, int64_t epoch)
{
    run_outcome *outcome = self->outcome;
    BASE_TRY(run_step_evaluate(self->job, &outcome->test_loss, &outcome->test_accuracy));
    return isfinite(outcome->test_loss) ? BASE_OK
                                        : BASE_FAIL(BASE_DIVERGED,
                                                    "the test loss is not finite after step %" PRId64 " (epoch %" PRId64
                                                    "): lower train.optimizer.lr, or set train.optimizer.clip_norm",
                                                    self->step, epoch + 1);
}

static base_status end_epoch(trainer *self, int64_t epoch)
{
    run_job *job = self->job;
    run_outcome *outcome = self->outcome;
    int64_t every = job->config->train.eval_every;
    int last = self->step == job->total_steps;
    double began = base_time_now();
    outcome->train_loss = epoch_loss(self);
    outcome->train_accuracy = epoch_accuracy(self);
    outcome->test_loss = outcome->test_accuracy = NAN;
    if (last || (every > 0 && (epoch + 1) % every == 0))
        BASE_TRY(evaluate(self, epoch));
    run_progress_epoch(&self->progress, self->step, epoch + 1, outcome->train_loss, outcome->train_accuracy,
                       outcome->test_loss, outcome->test_accuracy, base_time_now() - began);
    return BASE_OK;
}

static base_status train(trainer *self)
{
    run_job *job = self->job;
    for (int64_t epoch = 0; self->step < job->total_steps; epoch++) {
        start_epoch(self);
        int64_t end = (epoch + 1) * job->steps_per_epoch;
        while (self->step < end && self->step < job->total_steps)
            BASE_TRY(one_step(self, epoch));
        self->outcome->epochs = self->step / job->steps_per_epoch;
        BASE_TRY(end_epoch(self, epoch));
    }
    return BASE_OK;
}

static void print_start(const run_job *job)
{
    const run_data_info *data = run_data_get_info(job->train_data);
    BASE_INFO("ddpt %s: %d rank%s on %d node%s (%s, %s), %d thread%s each", DDPT_VERSION, job->info.size,
              job->info.size == 1 ? "" : "s", job->info.nodes, job->info.nodes == 1 ? "" : "s",
              comm_kind_name(comm_group_kind(job->group)),
              run_sync_name(job->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE), job->threads,
              job->threads == 1 ? "" : "s");
    BASE_INFO("%s: %" PRId64 " parameters; %" PRId64 " training and %" PRId64 " test samples from %s",
              job->config->name, job->graph->parameters, data->samples, run_data_get_info(job->test_data)->samples,
              data->source);
    if (job->config->train.checkpoint.given)
        BASE_WARN("train.checkpoint is set, but this version of ddpt writes no checkpoints");
}

static base_status write_record(trainer *self, base_status status)
{
    run_outcome *outcome = self->outcome;
    outcome->steps = self->step;
    if (isnan(outcome->train_loss))
        outcome->train_loss = epoch_loss(self);
    base_status digest = run_net_param_digest(self->job->net, outcome->param_digest);
    run_report_result result = {.status = status,
                                .steps = self->step,
                                .epochs = outcome->epochs,
                                .train_loss = outcome->train_loss,
                                .test_loss = outcome->test_loss,
                                .test_accuracy = outcome->test_accuracy};
    if (digest == BASE_OK)
        snprintf(result.param_digest, sizeof result.param_digest, "%s", outcome->param_digest);
    return run_report_write(self->report, &result, 1);
}

/* Whoever leaves first ends the whole job, so the others give rank 0, which has found the same, the time to write the
 * record. */
static void record_failure(trainer *self, base_status status)
{
    enum { RECORD_S = 1 };
    char message[1024];
    snprintf(message, sizeof message, "%s", base_status_message());
    if (self->job->info.rank != 0)
        sleep(RECORD_S);
    else if (write_record(self, status) != BASE_OK)
        BASE_WARN("%s", base_status_message());
    BASE_FAIL(status, "%s", message);
}

base_status run_train(run_job *job, const run_train_options *options, run_outcome *outcome)
{
    *outcome = (run_outcome){.train_loss = NAN, .train_accuracy = NAN, .test_loss = NAN, .test_accuracy = NAN};
    trainer self = {.job = job, .outcome = outcome};
    run_report_options report = {
        .out = options->out, .command = options->command, .startup_s = base_time_since_start()};
    base_status status = run_report_create(job, &report, &self.report);
    if (status != BASE_OK) {
        run_report_destroy(&self.report);
        return status;
    }
    snprintf(outcome->folder, sizeof outcome->folder, "%s", run_report_folder(self.report));
    print_start(job);
    double began = base_time_now();
    run_progress_start(&self.progress, job, 0);
    status = train(&self);
    run_progress_end(&self.progress);
    outcome->seconds = base_time_now() - began;

    /* A lost peer leaves nobody to agree with; every other end is reached by all ranks. */
    if (status == BASE_OK || status == BASE_DIVERGED || status == BASE_INTERRUPTED) {
        char message[1024];
        snprintf(message, sizeof message, "%s", base_status_message());
        base_status written = comm_world_agree(job->world, write_record(&self, status));
        if (status == BASE_OK)
            status = written;
        else
            BASE_FAIL(status, "%s", message);
    } else {
        record_failure(&self, status);
    }
    run_report_destroy(&self.report);
    return status;
}
