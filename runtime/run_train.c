#include "run_step.h"

#include "base_log.h"
#include "run_balance.h"
#include "run_checkpoint.h"
#include "run_end.h"
#include "run_pace.h"
#include "run_progress.h"
#include "run_report.h"
#include "run_signal.h"
#include "run_stats.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* State of the loops of a run. */
typedef struct trainer {
    run_job *job;
    run_report *report;
    run_checkpoint *checkpoint;
    run_progress progress;
    run_outcome *outcome;
    ckpt_position at;  /* what is done, or on its way */
    ckpt_position met; /* what was done when the ranks met last */
    base_phases phases;
    run_balance_log *balance;
    run_monitor_record totals; /* for who watches */
    int64_t warm;              /* the step with which the warm-up ends */
    run_pace pace;
} trainer;

static void start_epoch(trainer *self, int64_t epoch)
{
    self->at.epoch = epoch;
    self->at.step_in_epoch = 0;
    self->at.epoch_loss_sum = self->at.epoch_correct_sum = 0.0;
    self->met = self->at;
}

static double epoch_accuracy(const trainer *self)
{
    return self->at.epoch_correct_sum / (double)run_position_samples(&self->at);
}

static void add_steps(ckpt_position *at, const run_step_result *result)
{
    at->loss = result->loss;
    at->epoch_loss_sum += result->loss_sum;
    at->epoch_correct_sum += result->correct;
}

/* What the phases hold now goes to who watches, under the last step. */
static void show(trainer *self)
{
    run_monitor_record *totals = &self->totals;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        totals->seconds[i] += self->phases.seconds[i];
    totals->step = self->at.step;
    totals->clock = self->phases.since;
    run_monitor_add(self->job->monitor, totals);
}

static int line_is_due(const run_job *job, int64_t step)
{
    int64_t every = job->config->train.log_every;
    return every > 0 && step % every == 0;
}

static void record_steps(trainer *self, const run_step_result *result)
{
    ckpt_position *at = &self->at;
    int64_t every = self->job->config->train.log_every;
    add_steps(at, result);
    run_progress_step(&self->progress, at->step, at->epoch + 1, result->samples, run_position_loss(&self->at),
                      epoch_accuracy(self));
    base_phases_switch(&self->phases, BASE_PHASE_OTHER);
    run_steps_line line = {.step = at->step,
                           .epoch = at->epoch + 1,
                           .steps = result->steps,
                           .samples = result->samples,
                           .loss = result->loss,
                           .lr = result->lr,
                           .phases = &self->phases,
                           .due = every == 0 || line_is_due(self->job, at->step),
                           .every = every == 0 ? self->pace.every : every};
    run_report_steps(self->report, &line);
    run_balance_log_add(self->balance, result->steps, &self->phases);
    double steps = (double)result->steps;
    self->totals.loss = result->loss;
    self->totals.loss_sum += result->steps == 1 ? result->loss : result->loss_sum / (double)result->samples * steps;
    self->totals.samples += result->samples;
}

/* Where the ranks have to know of one another, or a line is due. */
static int has_to_meet(const trainer *self, const ckpt_position *done)
{
    const run_job *job = self->job;
    return line_is_due(job, done->step) || done->step == self->warm || done->step >= job->total_steps ||
           done->step_in_epoch >= job->steps_per_epoch || run_checkpoint_is_due(self->checkpoint, done->step);
}

static base_status end_steps(trainer *self, const run_step_result *result)
{
    const ckpt_position *at = &self->at;
    if (self->job->ops->asynchronous) /* the ranks come to the same pace: they know the same times */
        run_pace_met(&self->pace, at->step, result->seconds / (double)result->steps);
    record_steps(self, result);
    if (result->interrupted)
        return BASE_FAIL(BASE_INTERRUPTED, "interrupted after step %" PRId64 " of %" PRId64, at->step,
                         self->job->total_steps);
    if (result->stopping)
        return BASE_FAIL(BASE_STOPPED, "stopped on request");
    base_phases_switch(&self->phases, BASE_PHASE_CHECKPOINT);
    base_status status = run_checkpoint_step(self->checkpoint, at, &result->votes);
    base_phases_switch(&self->phases, BASE_PHASE_OTHER);
    show(self);
    return status;
}

static base_status one_step(trainer *self)
{
    ckpt_position done = self->at;
    run_step_result result;
    run_checkpoint_vote vote = run_checkpoint_get_vote(self->checkpoint);
    done.step++;
    done.step_in_epoch++;
    run_step_order order = {.step = self->at.step, .meets = has_to_meet(self, &done), .vote = &vote};
    base_status status = BASE_OK;
    if (self->job->ops->asynchronous)
        status = run_pace_meets(&self->pace, done.step, &self->phases, &order.meets);
    if (status == BASE_OK)
        status = run_step_train(self->job, &order, &self->phases, &result);
    if (status != BASE_OK) {
        self->at = self->met; /* of the steps since then nobody knows what they came to */
        return status;
    }
    self->at = done;
    if (result.steps == 0)
        return BASE_OK;
    status = end_steps(self, &result);
    self->met = self->at;
    return status;
}

/* The last update can be the one that goes wrong. */
static base_status evaluate(trainer *self)
{
    run_outcome *outcome = self->outcome;
    base_phases_start(&self->phases, BASE_PHASE_EVALUATE);
    base_status status = run_step_evaluate(self->job, &self->phases, &outcome->test_loss, &outcome->test_accuracy);
    base_phases_switch(&self->phases, BASE_PHASE_OTHER);
    show(self);
    BASE_TRY(status);
    run_monitor_evaluated(self->job->monitor, self->at.step, outcome->test_loss, outcome->test_accuracy);
    return isfinite(outcome->test_loss) ? BASE_OK
                                        : BASE_FAIL(BASE_DIVERGED,
                                                    "the test loss is not finite after step %" PRId64 " (epoch %" PRId64
                                                    "): lower train.optimizer.lr, or set train.optimizer.clip_norm",
                                                    self->at.step, self->at.epoch + 1);
}

static base_status end_epoch(trainer *self)
{
    run_job *job = self->job;
    run_outcome *outcome = self->outcome;
    int64_t every = job->config->train.eval_every;
    int64_t epoch = self->at.epoch + 1;
    int last = self->at.step >= job->total_steps;
    double began = base_time_now();
    outcome->train_loss = run_position_loss(&self->at);
    outcome->train_accuracy = epoch_accuracy(self);
    outcome->test_loss = outcome->test_accuracy = NAN;
    if (last || (every > 0 && epoch % every == 0))
        BASE_TRY(evaluate(self));
    run_progress_epoch(&self->progress, self->at.step, epoch, outcome->train_loss, outcome->train_accuracy,
                       outcome->test_loss, outcome->test_accuracy, base_time_now() - began);
    return BASE_OK;
}

/* From wherever a checkpoint has put it: it may have been made in the middle of an epoch, or at its end before the
 * evaluation. */
static base_status train(trainer *self)
{
    run_job *job = self->job;
    int saved;
    self->met = self->at;
    /* A run that is done, but perhaps in another folder. */
    if (self->at.step >= job->total_steps)
        BASE_TRY(run_checkpoint_save(self->checkpoint, &self->at, &saved));
    for (;;) {
        while (self->at.step_in_epoch < job->steps_per_epoch && self->at.step < job->total_steps)
            BASE_TRY(one_step(self));
        self->outcome->epochs = run_position_epochs(&self->at);
        BASE_TRY(end_epoch(self));
        if (self->at.step >= job->total_steps)
            return BASE_OK;
        start_epoch(self, self->at.epoch + 1);
    }
}

static void print_start(const run_job *job)
{
    const run_data_info *data = run_data_get_info(job->train_data);
    char with[192];
    if (job->choice.plugin)
        snprintf(with, sizeof with, "%d GPU%s (%s), %s", job->choice.gpus, job->choice.gpus == 1 ? "" : "s",
                 job->choice.name, run_precision_name(job->config->train.precision));
    else
        snprintf(with, sizeof with, "%d thread%s each, %s", job->threads, job->threads == 1 ? "" : "s",
                 run_precision_name(job->config->train.precision));
    BASE_INFO("ddpt %s: %d rank%s on %d node%s (%s, %s), %s", DDPT_VERSION, job->info.size,
              job->info.size == 1 ? "" : "s", job->info.nodes, job->info.nodes == 1 ? "" : "s",
              comm_kind_name(comm_group_kind(job->group)),
              run_sync_name(job->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE), with);
    BASE_INFO("%s: %" PRId64 " parameters; %" PRId64 " training and %" PRId64 " test samples from %s",
              job->config->name, job->graph->parameters, data->samples, run_data_get_info(job->test_data)->samples,
              data->source);
}

/* The state that the run starts from, and the folder that it goes on in. */
static base_status begin(trainer *self, const run_train_options *options, run_resumed *resumed)
{
    run_job *job = self->job;
    self->at = (ckpt_position){.steps_per_epoch = job->steps_per_epoch,
                               .global_batch = job->train_sampler.batch,
                               .epoch_samples = job->train_sampler.samples};
    memset(resumed, 0, sizeof *resumed);
    if (options->init_from) {
        BASE_TRY(run_resume_model(job, options->init_from, resumed));
        BASE_INFO("parameters from %s, step %" PRId64, resumed->path, resumed->position.step);
        memset(resumed, 0, sizeof *resumed);
    }
    if (!options->resume)
        return BASE_OK;
    run_resume_options resume = *options->resume;
    resume.out = options->out;
    BASE_TRY(run_resume_load(job, &resume, resumed));
    if (resumed->found)
        self->at = resumed->position;
    return BASE_OK;
}

static int same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return a && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static base_status open_folder(trainer *self, const run_train_options *options, const run_resumed *resumed)
{
    const char *out = options->out ? options->out : self->job->config->out;
    if (!out && resumed->folder[0])
        out = resumed->folder;
    int same = resumed->found && resumed->folder[0] && same_folder(out, resumed->folder);
    run_report_options report = {.out = out,
                                 .command = options->command,
                                 .startup_s = base_time_since_start(),
                                 .resumed_from = resumed->found ? resumed->position.step : -1,
                                 .same_folder = same};
    BASE_TRY(run_report_create(self->job, &report, &self->report));
    const char *folder = run_report_folder(self->report);
    snprintf(self->outcome->folder, sizeof self->outcome->folder, "%s", folder);
    run_checkpoint_options checkpoint = {.folder = folder,
                                         .report = self->report,
                                         .phases = &self->phases,
                                         .saved_step = same ? resumed->position.step : -1};
    return run_checkpoint_create(self->job, &checkpoint, &self->checkpoint);
}

static void begin_watch(trainer *self, const run_observer *observer)
{
    const run_job *job = self->job;
    run_monitor_run run = {.name = job->config->name,
                           .folder = job->info.rank == 0 ? self->outcome->folder : "",
                           .host = job->info.host,
                           .rank = job->info.rank,
                           .size = job->info.size,
                           .parameters = job->graph->parameters,
                           .global_batch = job->train_sampler.batch,
                           .total_steps = job->total_steps,
                           .first_step = self->at.step,
                           .steps_per_epoch = job->steps_per_epoch,
                           .epochs = job->config->train.epochs,
                           .stall_timeout = job->config->train.stall_timeout};
    self->warm = self->at.step + run_stats_warmup(job->total_steps);
    run_pace_start(&self->pace, job->group, self->at.step);
    base_phases_start(&self->phases, BASE_PHASE_OTHER);
    show(self);
    if (observer)
        observer->begin(observer->context, self->job, &run);
    run_job_set_patience(self->job, 1);
}

/* The message stays. */
static void end_watch(const run_observer *observer, base_status status)
{
    char message[1024];
    if (!observer)
        return;
    snprintf(message, sizeof message, "%s", base_status_message());
    observer->end(observer->context, status);
    if (status != BASE_OK)
        BASE_FAIL(status, "%s", message);
}

static void print_resumed(const trainer *self, const run_resumed *resumed)
{
    int64_t step = self->at.step, wanted = self->job->total_steps;
    if (step > wanted)
        BASE_INFO("going on from %s, step %" PRId64 ": no step is left of the %" PRId64 " asked for", resumed->path,
                  step, wanted);
    else
        BASE_INFO("going on from %s, step %" PRId64 " of %" PRId64, resumed->path, step, wanted);
}

base_status run_train(run_job *job, const run_train_options *options, run_outcome *outcome)
{
    *outcome = (run_outcome){.train_loss = NAN, .train_accuracy = NAN, .test_loss = NAN, .test_accuracy = NAN};
    trainer self = {.job = job, .outcome = outcome, .phases = {.watch = run_monitor_watch(job->monitor)}};
    if (job->choice.plugin)
        self.phases.mark = job->choice.plugin->mark;
    run_resumed resumed;
    base_status status = begin(&self, options, &resumed);
    if (status == BASE_OK)
        status = comm_world_agree(job->world,
                                  run_balance_log_create(job->arena, job->total_steps, job->info.size, &self.balance));
    if (status == BASE_OK)
        status = open_folder(&self, options, &resumed);
    if (status == BASE_OK) {
        print_start(job);
        if (resumed.found)
            print_resumed(&self, &resumed);
        begin_watch(&self, options->observer);
        double began = base_time_now();
        run_progress_start(&self.progress, job, self.at.step);
        run_end ending = {.job = job,
                          .report = self.report,
                          .checkpoint = self.checkpoint,
                          .balance = self.balance,
                          .at = &self.at,
                          .outcome = outcome};
        status = run_end_lose(&ending, train(&self));
        run_progress_end(&self.progress);
        outcome->seconds = base_time_now() - began;
        end_watch(options->observer, status);
        status = run_end_reach(&ending, status);
    }
    run_checkpoint_destroy(&self.checkpoint);
    run_report_destroy(&self.report);
    return status;
}
