#include "run_checkpoint.h"

#include "base_failpoint.h"
#include "base_file.h"
#include "base_log.h"
#include "base_worker.h"
#include "ckpt_commit.h"
#include "ckpt_folder.h"
#include "ckpt_shard.h"
#include "run_checkpoint_manifest.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PAGE_BYTES = 4096, MESSAGE_BYTES = 384, WAIT_MS_MAX = 500 };

/* IDLE; WRITING: the ranks' threads write their shards; COMMITTING: rank 0's thread puts the manifest in place. All
 * ranks are in the same phase: it changes on sums that all of them see. */
typedef enum save_phase { IDLE, WRITING, COMMITTING } save_phase;

/* What a rank tells the others of its shard; the checksums of its pieces follow. */
typedef struct shard_report {
    int64_t status;
    double seconds; /* from the staging until the shard was on disk */
    char message[MESSAGE_BYTES];
} shard_report;

struct run_checkpoint {
    run_job *job;
    base_arena *arena;
    run_report *report;
    const base_phases *phases;
    char ckpt[PATH_MAX];
    run_checkpoint_layout layout;
    base_worker *worker;
    save_phase phase;

    /* The save under way; the worker's while it works. */
    ckpt_position position;
    void *staging_memory;
    float *staging; /* (layout.state->save_elements) */
    size_t *piece_nbytes;
    uint64_t *checksums; /* (save_count) */
    char *own_report;    /* shard_report and checksums */
    char *reports;       /* (size) of them: those of all ranks */
    size_t report_nbytes;
    char *record;   /* run.json, rank 0 */
    double began;   /* clock: when the worker's part of this phase began ... */
    double ended;   /* ... and when it ended */
    double shard_s; /* the slowest rank's shard */

    double last_due; /* clock of the last save */
    run_report_checkpoints facts;
    double stall_s, write_s; /* sums */
};

/* ---- creation ---- */

/* In the worker: the system takes its time to hand out this much memory. */
static base_status prepare_staging(void *context)
{
    run_checkpoint *self = context;
    run_job *job = self->job;
    size_t nbytes = self->layout.state->save_elements * sizeof(float);
    BASE_TRY(job->device_table->host_alloc(job->device, nbytes + PAGE_BYTES, &self->staging_memory));
    self->staging = (float *)(((uintptr_t)self->staging_memory + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    return BASE_OK;
}

static int is_periodic(const run_config *config)
{
    return config->train.checkpoint.every_steps > 0 || config->train.checkpoint.every_minutes > 0.0;
}

/* A save that cannot make a folder here says so when it comes to that. */
static int is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* What other saves and other runs left in the folder; rank 0. Checkpoints of another course of the run must not stay
 * where the next --resume finds them; with all else a run can live. */
static base_status tidy_folder(run_checkpoint *self, int64_t saved_step)
{
    int count = 0;
    if (!is_folder(self->ckpt))
        return BASE_OK;
    if (ckpt_folder_clean(self->ckpt) != BASE_OK)
        BASE_WARN("%s: what is left of a save that did not end stays", base_status_message());
    BASE_TRY(ckpt_folder_set_aside(self->ckpt, saved_step, &count));
    if (count > 0)
        BASE_WARN("%s: set aside %d checkpoint%s that this run does not go on from (step-*.aside)", self->ckpt, count,
                  count == 1 ? "" : "s");
    /* The run before may have ended between its last save and the removal of older ones. */
    int keep = (int)self->job->config->train.checkpoint.keep;
    if (saved_step >= 0 && ckpt_folder_keep(self->ckpt, saved_step, keep) != BASE_OK)
        BASE_WARN("%s: older checkpoints stay", base_status_message());
    base_status_clear();
    return BASE_OK;
}

static base_status open_folder(run_checkpoint *self, const run_checkpoint_options *options)
{
    run_job *job = self->job;
    base_status status = BASE_OK;
    if (job->info.rank == 0) {
        if ((size_t)snprintf(self->ckpt, sizeof self->ckpt, "%s/ckpt", options->folder) >= sizeof self->ckpt)
            status = BASE_FAIL(BASE_ERROR, "the folder name %s is too long", options->folder);
        else
            status = tidy_folder(self, options->saved_step);
    }
    BASE_TRY(comm_world_agree(job->world, status));
    self->facts.last_step = options->saved_step;
    BASE_TRY(comm_world_bcast(job->world, &self->facts.last_step, sizeof self->facts.last_step, 0));
    return comm_world_bcast(job->world, self->ckpt, sizeof self->ckpt, 0);
}

static base_status create_local(run_checkpoint *self)
{
    const run_state *state = self->layout.state;
    self->piece_nbytes = BASE_NEW_ARRAY(self->arena, size_t, state->save_count);
    self->checksums = BASE_NEW_ARRAY(self->arena, uint64_t, state->save_count);
    self->report_nbytes = sizeof(shard_report) + (size_t)self->layout.most_pieces * sizeof(uint64_t);
    self->reports = BASE_NEW_ARRAY(self->arena, char, (size_t)self->job->info.size * self->report_nbytes);
    self->own_report = BASE_NEW_ARRAY(self->arena, char, self->report_nbytes);
    if (!self->piece_nbytes || !self->checksums || !self->reports || !self->own_report)
        return BASE_ERROR;
    for (int i = 0; i < state->save_count; i++)
        self->piece_nbytes[i] = state->save[i].count * sizeof(float);
    BASE_TRY(base_worker_create(&self->worker));
    if (is_periodic(self->job->config))
        base_worker_start(self->worker, prepare_staging, self);
    return BASE_OK;
}

base_status run_checkpoint_create(run_job *job, const run_checkpoint_options *options, run_checkpoint **out)
{
    base_arena *arena = NULL;
    base_status status = base_arena_create(&arena, "checkpoints");
    run_checkpoint *self = status == BASE_OK ? BASE_NEW(arena, run_checkpoint) : NULL;
    BASE_TRY(comm_world_agree(job->world, self ? BASE_OK : BASE_ERROR));
    *out = self;
    self->job = job;
    self->arena = arena;
    self->report = options->report;
    self->phases = options->phases;
    self->last_due = base_time_now();
    BASE_TRY(open_folder(self, options));
    BASE_TRY(run_checkpoint_layout_create(job, arena, &self->layout));
    return comm_world_agree(job->world, create_local(self));
}

void run_checkpoint_destroy(run_checkpoint **out)
{
    run_checkpoint *self = *out;
    if (!self)
        return;
    base_worker_destroy(&self->worker);
    if (self->staging_memory)
        self->job->device_table->host_free(self->job->device, &self->staging_memory);
    free(self->record);
    base_arena *arena = self->arena;
    base_arena_destroy(&arena);
    *out = NULL;
}

/* ---- jobs of the worker ---- */

/* All exponent bits set: infinite or not a number. Branchless, so that it runs at the speed of memory. */
static int is_finite(const float *values, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
    }
    return !bad;
}

static base_status write_shard(void *context)
{
    run_checkpoint *self = context;
    const run_state *state = self->layout.state;
    if (!self->staging)
        return BASE_FAIL(BASE_ERROR, "no memory for a copy of %" PRIu64 " numbers", state->save_elements);
    if (!is_finite(self->staging, state->save_elements))
        return BASE_FAIL(BASE_DIVERGED, "its numbers are not all finite");
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "shard"));
    const char *step = ckpt_folder_step_path(self->ckpt, self->position.step, arena);
    const char *path = step ? ckpt_folder_shard_path(step, self->job->info.rank, arena) : NULL;
    base_status status = path ? base_file_make_folder(step) : BASE_ERROR;
    if (status == BASE_OK)
        status = ckpt_shard_write(path, self->staging, state->save_count, self->piece_nbytes, self->checksums);
    base_arena_destroy(&arena);
    self->ended = base_time_now();
    return status;
}

static const uint64_t *checksums_of(void *context, int rank)
{
    const run_checkpoint *self = context;
    return (const uint64_t *)(self->reports + (size_t)rank * self->report_nbytes + sizeof(shard_report));
}

static base_status commit(void *context)
{
    run_checkpoint *self = context;
    base_arena *arena;
    const ckpt_manifest *manifest;
    BASE_TRY(base_arena_create(&arena, "manifest"));
    base_status status = run_checkpoint_manifest(&self->layout, &self->position, checksums_of, self, arena, &manifest);
    if (status == BASE_OK)
        status = ckpt_commit(self->ckpt, manifest, (int)self->job->config->train.checkpoint.keep);
    base_arena_destroy(&arena);
    BASE_TRY(status);
    self->ended = base_time_now();
    if (self->record && run_report_write_text(self->report, self->record) != BASE_OK)
        BASE_WARN("%s", base_status_message());
    return BASE_OK;
}

/* ---- the course of a save ---- */

static void end_save(run_checkpoint *self, const char *failure)
{
    self->phase = IDLE;
    free(self->record);
    self->record = NULL;
    if (failure) {
        self->facts.failures++;
        if (self->facts.last_step >= 0)
            BASE_WARN("the checkpoint of step %" PRId64 " is not saved: %s; that of step %" PRId64 " remains",
                      self->position.step, failure, self->facts.last_step);
        else
            BASE_WARN("the checkpoint of step %" PRId64 " is not saved: %s", self->position.step, failure);
        return;
    }
    self->facts.last_step = self->position.step;
    self->facts.saves++;
    self->write_s += self->shard_s + (self->ended - self->began);
    BASE_DEBUG("checkpoint of step %" PRId64 " saved: shards %.1f ms, commit %.1f ms", self->position.step,
               1e3 * self->shard_s, 1e3 * (self->ended - self->began));
}

static const shard_report *report_of(const run_checkpoint *self, int rank)
{
    return (const shard_report *)(self->reports + (size_t)rank * self->report_nbytes);
}

/* The first rank's whose shard could not be written, or NULL. */
static const char *first_failure(const run_checkpoint *self, char text[MESSAGE_BYTES + 32])
{
    for (int r = 0; r < self->job->info.size; r++) {
        const shard_report *report = report_of(self, r);
        if (report->status == BASE_OK)
            continue;
        int used = self->job->info.size > 1 ? snprintf(text, 32, "rank %d: ", r) : 0;
        snprintf(text + used, MESSAGE_BYTES, "%s", report->message);
        return text;
    }
    return NULL;
}

/* All shards are written, or have failed. */
static base_status gather_shards(run_checkpoint *self)
{
    run_job *job = self->job;
    char text[MESSAGE_BYTES + 32];
    shard_report report = {.status = base_worker_result(self->worker), .seconds = self->ended - self->began};
    snprintf(report.message, sizeof report.message, "%s", report.status == BASE_OK ? "" : base_status_message());
    memcpy(self->own_report, &report, sizeof report);
    memcpy(self->own_report + sizeof report, self->checksums,
           (size_t)self->layout.state->save_count * sizeof(uint64_t));
    base_failpoint(job->rank_name, "gather");
    base_phases_wait(self->phases);
    BASE_TRY(comm_world_all_gather(job->world, self->own_report, self->report_nbytes, self->reports));
    base_phases_go_on(self->phases);
    const char *failure = first_failure(self, text);
    if (failure) {
        ckpt_abandon(self->ckpt, self->position.step, job->info.rank, 0);
        base_phases_wait(self->phases);
        BASE_TRY(comm_world_agree(job->world, BASE_OK)); /* a barrier: the folder goes last */
        base_phases_go_on(self->phases);
        if (job->info.rank == 0 && is_folder(self->ckpt))
            ckpt_abandon(self->ckpt, self->position.step, 0, 1);
        end_save(self, failure);
        return BASE_OK;
    }
    self->shard_s = 0.0;
    for (int r = 0; r < job->info.size; r++)
        self->shard_s = fmax(self->shard_s, report_of(self, r)->seconds);
    self->phase = COMMITTING;
    self->began = base_time_now();
    if (job->info.rank == 0)
        base_worker_start(self->worker, commit, self);
    return BASE_OK;
}

static int has_failed(run_checkpoint *self)
{
    return self->phase == COMMITTING && self->job->info.rank == 0 && base_worker_result(self->worker) != BASE_OK;
}

run_checkpoint_vote run_checkpoint_get_vote(run_checkpoint *self)
{
    const run_config_train *train = &self->job->config->train;
    run_checkpoint_vote vote = {0};
    if (self->phase != IDLE && base_worker_idle(self->worker)) {
        vote.written = 1.0;
        vote.failed = has_failed(self);
    }
    if (self->job->info.rank == 0 && train->checkpoint.every_minutes > 0.0)
        vote.due = base_time_now() - self->last_due >= 60.0 * train->checkpoint.every_minutes;
    return vote;
}

/* Goes to the next phase once all ranks have done their part of this one. */
static base_status advance(run_checkpoint *self, const run_checkpoint_vote *sums)
{
    if (self->phase == IDLE || sums->written < self->job->info.size)
        return BASE_OK;
    if (self->phase == WRITING)
        return gather_shards(self);
    /* Rank 0 alone warns, and it alone knows the reason. */
    const char *failure = NULL;
    if (sums->failed > 0.0)
        failure = has_failed(self) ? base_status_message() : "";
    end_save(self, failure);
    return BASE_OK;
}

base_status run_checkpoint_finish(run_checkpoint *self)
{
    /* A slow disk of one rank is no reason for the others to think that it is gone: all meet before their bound. */
    double bound_ms = 250.0 * self->job->config->train.stall_timeout;
    int wait_ms = bound_ms > 0.0 && bound_ms < WAIT_MS_MAX ? (int)bound_ms : WAIT_MS_MAX;
    while (self->phase != IDLE) {
        base_worker_wait(self->worker, wait_ms);
        run_checkpoint_vote sums = run_checkpoint_get_vote(self);
        base_phases_wait(self->phases);
        BASE_TRY(comm_small_all_reduce(self->job->group, &sums, sizeof sums / sizeof(double), COMM_F64, COMM_SUM));
        base_phases_go_on(self->phases);
        BASE_TRY(advance(self, &sums));
    }
    return BASE_OK;
}

static void take_record(run_checkpoint *self)
{
    const ckpt_position *at = &self->position;
    if (self->job->info.rank != 0)
        return;
    run_report_result result = {.status = BASE_OK,
                                .steps = at->step,
                                .epochs = run_position_epochs(at),
                                .train_loss = run_position_loss(at),
                                .test_loss = NAN,
                                .test_accuracy = NAN,
                                .checkpoints = run_checkpoint_get_facts(self)};
    result.checkpoints.last_step = at->step;
    result.checkpoints.saves++;
    self->record = run_report_text(self->report, &result);
}

static base_status stage(run_checkpoint *self)
{
    run_job *job = self->job;
    const run_state *state = self->layout.state;
    base_worker_wait(self->worker, -1);
    /* A rank without memory for it saves nothing, but takes part. */
    if (!self->staging && prepare_staging(self) != BASE_OK)
        return BASE_OK;
    float *to = self->staging;
    for (int i = 0; i < state->save_count; i++) {
        const run_span *span = &state->save[i];
        BASE_TRY(job->device_table->copy(job->device, job->stream, to, span->data, span->count * sizeof(float)));
        to += span->count;
    }
    return job->device_table->stream_wait(job->device, job->stream);
}

/* Nobody goes on to change parameters that are one copy before all have taken their share of them: each takes what it
 * alone updates. */
static base_status start(run_checkpoint *self, const ckpt_position *position)
{
    BASE_TRY(run_checkpoint_finish(self));
    self->position = *position;
    self->last_due = base_time_now();
    BASE_TRY(stage(self));
    self->began = base_time_now();
    base_failpoint(self->ckpt, "staged");
    self->phase = WRITING;
    base_worker_start(self->worker, write_shard, self);
    take_record(self);
    return BASE_OK;
}

int run_checkpoint_is_due(const run_checkpoint *self, int64_t step)
{
    int64_t every = self->job->config->train.checkpoint.every_steps;
    return step >= self->job->total_steps || (every > 0 && step % every == 0);
}

static int is_due(const run_checkpoint *self, const ckpt_position *position, const run_checkpoint_vote *sums)
{
    return sums->due > 0.0 || run_checkpoint_is_due(self, position->step);
}

base_status run_checkpoint_step(run_checkpoint *self, const ckpt_position *position, const run_checkpoint_vote *sums)
{
    if (self->phase == IDLE && !is_due(self, position, sums))
        return BASE_OK;
    double began = base_time_now();
    BASE_TRY(advance(self, sums));
    if (is_due(self, position, sums)) {
        BASE_TRY(start(self, position));
        if (!self->job->config->train.checkpoint.async)
            BASE_TRY(run_checkpoint_finish(self));
    }
    self->stall_s += base_time_now() - began;
    return BASE_OK;
}

base_status run_checkpoint_save(run_checkpoint *self, const ckpt_position *position, int *saved)
{
    BASE_TRY(run_checkpoint_finish(self));
    if (self->facts.last_step != position->step) {
        BASE_TRY(start(self, position));
        BASE_TRY(run_checkpoint_finish(self));
    }
    *saved = self->facts.last_step == position->step;
    return BASE_OK;
}

run_report_checkpoints run_checkpoint_get_facts(const run_checkpoint *self)
{
    run_report_checkpoints facts = self->facts;
    double ends = (double)(facts.saves + facts.failures);
    facts.stall_ms = ends > 0.0 ? 1e3 * self->stall_s / ends : NAN;
    facts.write_ms = facts.saves > 0 ? 1e3 * self->write_s / (double)facts.saves : NAN;
    return facts;
}
