#include "run_report.h"

#include "base_file.h"
#include "base_json.h"
#include "run_environment.h"
#include "run_performance.h"
#include "run_steps.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct run_report {
    run_job *job;
    base_arena *arena;
    char folder[PATH_MAX - 32];
    char record[PATH_MAX]; /* run.json */
    pthread_mutex_t writing;
    int ended; /* its last text is written; of who writes */
    const char *command;
    int64_t resumed_from;
    char date[32];
    double startup_s;
    int64_t log_every; /* in effect */
    run_stats *stats;
    run_environment_places places;
    run_steps *steps;
};

/* ---- creation ---- */

base_status run_report_new_folder(const char *name, char *folder, size_t size)
{
    time_t now = time(NULL);
    struct tm local;
    char stamp[32];
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    /* Two runs may start in the same second. */
    for (int i = 1; i < 1000; i++) {
        int n = snprintf(folder, size, i == 1 ? "runs/%s-%s" : "runs/%s-%s-%d", name, stamp, i);
        if (n < 0 || (size_t)n >= size)
            return BASE_FAIL(BASE_ERROR, "the name of the config is too long for a folder: %s", name);
        BASE_TRY(base_file_make_folder("runs"));
        if (mkdir(folder, 0777) == 0)
            return BASE_OK;
        if (errno != EEXIST)
            return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make %s", folder);
    }
    return BASE_FAIL(BASE_ERROR, "there are too many folders like %s", folder);
}

static base_status choose_folder(run_report *self, const char *out)
{
    const run_config *config = self->job->config;
    const char *given = out ? out : config->out;
    size_t size = sizeof self->folder;
    if (!given)
        return run_report_new_folder(config->name, self->folder, size);
    int n = snprintf(self->folder, size, "%s", given);
    if (n < 0 || (size_t)n >= size)
        return BASE_FAIL(BASE_ERROR, "the folder name given for the run is too long (%zu characters)", strlen(given));
    return base_file_make_folder(self->folder);
}

static base_status create_on_root(run_report *self, const run_report_options *options)
{
    if (self->job->info.rank != 0)
        return BASE_OK;
    run_environment_date(self->date);
    self->command = base_arena_string(self->arena, options->command ? options->command : "");
    self->startup_s = options->startup_s;
    self->resumed_from = options->resumed_from;
    self->log_every = self->job->config->train.log_every > 0 ? self->job->config->train.log_every : 1;
    BASE_TRY(run_stats_create(self->arena, self->job->total_steps, &self->stats));
    BASE_TRY(choose_folder(self, options->out));
    snprintf(self->record, sizeof self->record, "%s/run.json", self->folder);
    int64_t kept = options->same_folder ? options->resumed_from : 0;
    BASE_TRY(run_steps_open(self->folder, kept, &self->steps));
    /* Of a run before this one: a record must not pass for that of a run that is killed. */
    unlink(self->record);
    return BASE_OK;
}

base_status run_report_create(run_job *job, const run_report_options *options, run_report **out)
{
    base_arena *arena = NULL;
    base_status status = base_arena_create(&arena, "report");
    run_report *self = status == BASE_OK ? BASE_NEW(arena, run_report) : NULL;
    BASE_TRY(comm_world_agree(job->world, self ? BASE_OK : BASE_ERROR));
    self->job = job;
    self->arena = arena;
    pthread_mutex_init(&self->writing, NULL);
    *out = self;
    BASE_TRY(run_environment_find(job, &self->places));
    return comm_world_agree(job->world, create_on_root(self, options));
}

void run_report_destroy(run_report **out)
{
    run_report *self = *out;
    if (!self)
        return;
    run_steps_close(&self->steps);
    run_environment_release(&self->places);
    pthread_mutex_destroy(&self->writing);
    base_arena *arena = self->arena;
    base_arena_destroy(&arena);
    *out = NULL;
}

const char *run_report_folder(const run_report *self)
{
    return self->folder;
}

void run_report_steps(run_report *self, const run_steps_line *line)
{
    if (self->job->info.rank != 0)
        return;
    run_stats_add(self->stats, line->steps, line->samples, line->phases);
    run_steps_add(self->steps, line);
    self->log_every = line->every;
}

/* ---- run.json ---- */

static const char *status_word(const run_report_result *result, int final)
{
    switch (result->status) {
    case BASE_OK: return final ? "done" : "running";
    case BASE_STOPPED:
    case BASE_INTERRUPTED: return "stopped";
    case BASE_DIVERGED: return "diverged";
    default: return "failed";
    }
}

static json_t *result_json(const run_report_result *result, int final)
{
    json_t *json = json_object();
    json_object_set_new(json, "status", json_string(status_word(result, final)));
    json_object_set_new(json, "reason", result->reason ? base_json_text(result->reason) : json_null());
    json_object_set_new(json, "epochs", json_integer(result->epochs));
    json_object_set_new(json, "steps", json_integer(result->steps));
    json_object_set_new(json, "train_loss", base_json_number(result->train_loss));
    json_object_set_new(json, "test_loss", base_json_number(result->test_loss));
    json_object_set_new(json, "test_accuracy", base_json_number(result->test_accuracy));
    json_object_set_new(json, "param_digest",
                        result->param_digest[0] ? json_string(result->param_digest) : json_null());
    return json;
}

static json_t *step_json(int64_t step)
{
    return step >= 0 ? json_integer(step) : json_null();
}

static json_t *checkpoint_json(const run_report *self, const run_report_checkpoints *facts)
{
    json_t *json = json_object();
    json_object_set_new(json, "resumed_from_step", step_json(self->resumed_from));
    json_object_set_new(json, "last_step", step_json(facts->last_step));
    json_object_set_new(json, "saves", json_integer(facts->saves));
    json_object_set_new(json, "failures", json_integer(facts->failures));
    json_object_set_new(json, "stall_ms", base_json_number(facts->stall_ms));
    json_object_set_new(json, "write_ms", base_json_number(facts->write_ms));
    return json;
}

static json_t *model_json(const run_graph *graph)
{
    json_t *json = json_object();
    json_object_set_new(json, "parameters", json_integer(graph->parameters));
    json_object_set_new(json, "flops_forward_per_sample", json_integer(graph->flops_forward));
    json_object_set_new(json, "flops_train_per_sample", json_integer(graph->flops_train));
    return json;
}

/* The machine's peak is measured at the end alone: it takes up to a tenth of a second. */
static json_t *performance_json(run_report *self, const run_report_result *result, int final)
{
    run_performance performance = run_stats_performance(self->stats);
    run_efficiency efficiency = {.gflops = NAN, .peak_gflops = NAN, .mfu = NAN};
    if (final && result->status != BASE_PEER) /* the job is about to be ended */
        efficiency = run_performance_efficiency(self->job, &performance);
    json_t *json = run_performance_json(&performance, &efficiency);
    json_object_set_new(json, "startup_s", base_json_number(self->startup_s));
    json_object_set_new(json, "balance", result->balance ? run_balance_json(result->balance) : json_null());
    return json;
}

static json_t *record_json(run_report *self, const run_report_result *result, int final)
{
    const run_job *job = self->job;
    const run_config *config = job->config;
    json_t *json = json_object();
    json_object_set_new(json, "schema", json_string("ddpt.run.v1"));
    json_object_set_new(json, "config", json_incref(config->echo));
    json_object_set_new(json, "config_digest", json_string(config->digest));
    json_object_set_new(json, "world_size", json_integer(job->info.size));
    json_object_set_new(json, "hosts", json_incref(self->places.hosts));
    json_object_set_new(json, "device", json_string(job->device_table->name));
    json_object_set_new(json, "threads_per_rank", json_integer(job->threads));
    json_object_set_new(json, "precision", json_string(run_precision_name(config->train.precision)));
    json_object_set_new(json, "comm", json_string(comm_kind_name(comm_group_kind(job->group))));
    json_object_set_new(json, "sync", json_string(run_sync_name(job->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE)));
    json_object_set_new(json, "log_every", json_integer(self->log_every));
    json_object_set_new(json, "model", model_json(job->graph));
    json_object_set_new(json, "result", result_json(result, final));
    json_object_set_new(json, "checkpoint", checkpoint_json(self, &result->checkpoints));
    json_object_set_new(json, "performance", performance_json(self, result, final));
    json_object_set_new(json, "environment", run_environment_json(job, &self->places, self->command, self->date));
    return json;
}

static char *record_text(run_report *self, const run_report_result *result, int final)
{
    json_t *json = record_json(self, result, final);
    /* 15 digits: 0.1 of the config stays 0.1. */
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(json);
    size_t n = text ? strlen(text) : 0;
    char *line = text ? realloc(text, n + 2) : NULL;
    if (line)
        memcpy(line + n, "\n", 2);
    else
        free(text);
    return line;
}

char *run_report_text(run_report *self, const run_report_result *result)
{
    run_steps_flush(self->steps);
    return record_text(self, result, 0);
}

static base_status write_record(run_report *self, const char *text, int final)
{
    base_status status = BASE_OK;
    pthread_mutex_lock(&self->writing);
    if (final || !self->ended)
        status = base_file_write(self->record, text, strlen(text));
    self->ended |= final;
    pthread_mutex_unlock(&self->writing);
    return status;
}

base_status run_report_write_text(run_report *self, const char *text)
{
    return write_record(self, text, 0);
}

base_status run_report_write(run_report *self, const run_report_result *result)
{
    if (self->job->info.rank != 0)
        return BASE_OK;
    char *text = record_text(self, result, 1);
    if (!text)
        return BASE_FAIL(BASE_ERROR, "out of memory for %s", self->record);
    base_status status = write_record(self, text, 1);
    free(text);
    base_status steps = run_steps_commit(self->steps, result->checkpoints.last_step >= 0);
    return status != BASE_OK ? status : steps;
}
