#include "run_resume.h"

#include "base_log.h"
#include "ckpt_reader.h"
#include "run_checkpoint.h"
#include "run_config_diff.h"
#include "run_resume_find.h"
#include "run_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A load in progress. */
typedef struct loader {
    run_job *job;
    base_arena *arena;
    const run_state *state;
    char graph_digest[17], data_digest[17];
    int model_only, allow_config_change;
    int fresh_states; /* optimizer tensors that started from zero */
} loader;

/* ---- does it fit? ---- */

static void shape_text(const ckpt_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < tensor->dim_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64, i ? " x " : "", tensor->dims[i]);
}

static int same_shape(const ckpt_tensor *a, const ckpt_tensor *b)
{
    return a->dtype == b->dtype && a->dim_count == b->dim_count &&
           memcmp(a->dims, b->dims, (size_t)a->dim_count * sizeof *a->dims) == 0;
}

static base_status check_tensor(const loader *self, const ckpt_reader *reader, const ckpt_tensor *mine)
{
    const char *path = ckpt_reader_path(reader);
    const ckpt_tensor *theirs = ckpt_manifest_find(ckpt_reader_manifest(reader), mine->name);
    if (mine->role == CKPT_ROLE_OPTIMIZER_STATE && (!theirs || !same_shape(mine, theirs))) {
        if (self->model_only || self->allow_config_change)
            return BASE_OK;
        return BASE_FAIL(
            BASE_CKPT,
            "%s has no optimizer state %s: --allow-config-change starts it from zero, --init-from takes the "
            "parameters alone",
            path, mine->name);
    }
    if (!theirs || theirs->role != mine->role)
        return BASE_FAIL(BASE_CKPT, "%s holds another graph: it has no %s %s", path, ckpt_role_name(mine->role),
                         mine->name);
    if (same_shape(mine, theirs))
        return BASE_OK;
    char here[128], there[128];
    shape_text(mine, here, sizeof here);
    shape_text(theirs, there, sizeof there);
    return BASE_FAIL(BASE_CKPT, "%s holds another graph: %s is %s there, %s here", path, mine->name, there, here);
}

/* Does a line of run_config_diff tell of a key that a run may change on its way although the digest of its
 * configuration has it? Where the data lie is one if they are the same; what they are tested with; and how a new model
 * begins. */
static int is_free(const char *line, int same_data)
{
    static const char *const always[] = {"data.test_files", "data.test_samples"};
    static const char *const with_same_data[] = {"data.path", "data.train_files", "data.train_samples"};
    size_t n = strcspn(line, " ");
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strlen(always[i]) == n && strncmp(line, always[i], n) == 0)
            return 1;
    for (size_t i = 0; same_data && i < sizeof with_same_data / sizeof *with_same_data; i++)
        if (strlen(with_same_data[i]) == n && strncmp(line, with_same_data[i], n) == 0)
            return 1;
    return strncmp(line, "model.layers.", strlen("model.layers.")) == 0 && n > 5 &&
           strncmp(line + n - 5, ".init", 5) == 0;
}

static base_status check_config(const loader *self, const ckpt_reader *reader)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    const char *const *lines;
    char list[1400] = "";
    int count, same_data = strcmp(manifest->data_digest, self->data_digest) == 0;
    size_t used = 0;
    if (strcmp(manifest->config_digest, self->job->config->digest) == 0)
        return BASE_OK;
    BASE_TRY(run_config_diff(manifest->config_json, self->job->config->echo, 1, self->arena, &lines, &count));
    for (int i = 0; i < count && used < sizeof list; i++)
        if (!is_free(lines[i], same_data))
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? "; " : "", lines[i]);
    if (count > 0 && used == 0)
        return BASE_OK;
    return BASE_FAIL(BASE_CKPT,
                     "%s was made with another configuration: %s: change it back, or go on with the new one by "
                     "--allow-config-change",
                     ckpt_reader_path(reader), used ? list : "its digest differs");
}

static base_status check_data(const loader *self, const ckpt_reader *reader)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    int64_t there = manifest->position.epoch_samples, here = self->job->train_sampler.samples;
    if (there != here)
        return BASE_FAIL(BASE_CKPT,
                         "%s was made with %" PRId64 " training samples, the data have %" PRId64
                         " now: use the same data, or go on with these by --allow-config-change",
                         ckpt_reader_path(reader), there, here);
    if (manifest->data_digest[0] && strcmp(manifest->data_digest, self->data_digest) != 0)
        return BASE_FAIL(
            BASE_CKPT,
            "%s was made with other training data than those of %s: use the same data, or go on with these "
            "by --allow-config-change",
            ckpt_reader_path(reader), run_data_get_info(self->job->train_data)->source);
    return BASE_OK;
}

/* The model may not lack what the checkpoint has. */
static base_status check_surplus(const loader *self, const ckpt_reader *reader)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    int mine = 0, theirs = 0;
    for (int t = 0; t < self->state->tensor_count; t++)
        mine += self->state->tensors[t].role != CKPT_ROLE_OPTIMIZER_STATE;
    for (int t = 0; t < manifest->tensor_count; t++)
        theirs += manifest->tensors[t].role != CKPT_ROLE_OPTIMIZER_STATE;
    if (mine == theirs) /* all of mine are among them */
        return BASE_OK;
    for (int t = 0; t < manifest->tensor_count; t++) {
        const ckpt_tensor *tensor = &manifest->tensors[t];
        int known = tensor->role == CKPT_ROLE_OPTIMIZER_STATE;
        for (int i = 0; i < self->state->tensor_count && !known; i++)
            known = strcmp(self->state->tensors[i].name, tensor->name) == 0;
        if (!known)
            return BASE_FAIL(BASE_CKPT, "%s holds another graph: it has a %s %s, the configuration has not",
                             ckpt_reader_path(reader), ckpt_role_name(tensor->role), tensor->name);
    }
    return BASE_OK;
}

/* Other layers can have the same parameters: another activation, another order. */
static base_status check_graph(const loader *self, const ckpt_reader *reader)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    const char *const *lines;
    const char *line = "";
    int count;
    if (strcmp(manifest->graph_digest, self->graph_digest) == 0)
        return BASE_OK;
    BASE_TRY(run_config_diff(manifest->config_json, self->job->config->echo, 1, self->arena, &lines, &count));
    for (int i = 0; i < count && !line[0]; i++)
        if (strncmp(lines[i], "model.", strlen("model.")) == 0 && !is_free(lines[i], 1))
            line = lines[i];
    return BASE_FAIL(BASE_CKPT, "%s holds another graph than the configuration%s%s", ckpt_reader_path(reader),
                     line[0] ? ": " : "", line);
}

static base_status check(loader *self, const ckpt_reader *reader)
{
    int trains_on = !self->model_only, evaluates = self->job->purpose == RUN_JOB_EVALUATE;
    if (ckpt_reader_manifest(reader)->position.epoch > INT32_MAX)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: its epoch is %" PRId64, ckpt_reader_path(reader),
                         ckpt_reader_manifest(reader)->position.epoch);
    if (trains_on && !self->allow_config_change) {
        BASE_TRY(check_config(self, reader));
        BASE_TRY(check_data(self, reader));
    }
    for (int t = 0; t < self->state->tensor_count; t++)
        BASE_TRY(check_tensor(self, reader, &self->state->tensors[t]));
    BASE_TRY(check_surplus(self, reader));
    if (evaluates || (trains_on && !self->allow_config_change))
        return check_graph(self, reader);
    if (check_graph(self, reader) != BASE_OK)
        BASE_WARN("%s, with the same parameters", base_status_message());
    return BASE_OK;
}

/* ---- reading ---- */

typedef struct take_context {
    run_job *job;
    const run_span *span;
} take_context;

static base_status take(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count, const void *elements)
{
    (void)tensor;
    const take_context *to = context;
    run_job *job = to->job;
    return job->device_table->copy(job->device, job->stream, to->span->data + (first - to->span->first), elements,
                                   count * sizeof(float));
}

static base_status load_span(loader *self, ckpt_reader *reader, const run_span *span)
{
    run_job *job = self->job;
    const ckpt_tensor *mine = &self->state->tensors[span->tensor];
    const ckpt_tensor *theirs = ckpt_manifest_find(ckpt_reader_manifest(reader), mine->name);
    if (mine->role == CKPT_ROLE_OPTIMIZER_STATE && (!theirs || !same_shape(mine, theirs))) {
        self->fresh_states++;
        return job->device_table->zero(job->device, job->stream, span->data, span->count * sizeof(float));
    }
    take_context context = {job, span};
    return ckpt_reader_read(reader, theirs, span->first, span->count, take, &context);
}

static base_status load(loader *self, ckpt_reader *reader)
{
    run_job *job = self->job;
    BASE_TRY(check(self, reader));
    self->fresh_states = 0;
    for (int i = 0; i < self->state->load_count; i++) {
        const run_span *span = &self->state->load[i];
        if (!self->model_only || self->state->tensors[span->tensor].role != CKPT_ROLE_OPTIMIZER_STATE)
            BASE_TRY(load_span(self, reader, span));
    }
    BASE_TRY(run_net_params_changed(job->net));
    return job->device_table->stream_wait(job->device, job->stream);
}

/* Collective: rank 0 reads the manifest for all. */
static base_status open_reader(loader *self, const char *path, ckpt_reader **reader)
{
    comm_world *world = self->job->world;
    uint8_t *bytes = NULL;
    uint64_t nbytes = 0;
    base_status status = BASE_OK;
    if (self->job->info.rank == 0) {
        size_t n = 0;
        status = ckpt_reader_load_manifest(path, &bytes, &n);
        nbytes = n;
    }
    BASE_TRY(comm_world_agree(world, status));
    BASE_TRY(comm_world_bcast(world, &nbytes, sizeof nbytes, 0));
    if (self->job->info.rank != 0)
        bytes = malloc((size_t)nbytes + 1);
    status = comm_world_agree(world, bytes ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a manifest"));
    if (status == BASE_OK)
        status = comm_world_bcast(world, bytes, (size_t)nbytes, 0);
    if (status == BASE_OK)
        status = comm_world_agree(world, ckpt_reader_open(path, bytes, (size_t)nbytes, reader));
    free(bytes);
    return status;
}

/* ---- where to go on ---- */

/* With another batch or other data the epoch goes on after the last step that the samples seen so far make whole; the
 * count of updates is what it was. */
static void convert_position(const run_job *job, ckpt_position *at)
{
    int64_t samples = job->train_sampler.samples, batch = job->train_sampler.batch;
    if (at->global_batch == batch && at->epoch_samples == samples)
        return;
    int64_t steps = job->steps_per_epoch, seen = run_position_samples(at);
    int64_t in_epoch = at->step_in_epoch >= at->steps_per_epoch || seen / batch >= steps ? steps : seen / batch;
    at->step_in_epoch = in_epoch;
    at->steps_per_epoch = steps;
    at->global_batch = batch;
    at->epoch_samples = samples;
    double scale = seen > 0 ? (double)run_position_samples(at) / (double)seen : 0.0;
    at->epoch_loss_sum *= scale;
    at->epoch_correct_sum *= scale;
}

/* Collective: the checkpoint at `path`, into the job. */
static base_status try_checkpoint(loader *self, const char *path, run_resumed *resumed)
{
    ckpt_reader *reader = NULL;
    BASE_TRY(open_reader(self, path, &reader));
    base_status status = comm_world_agree(self->job->world, load(self, reader));
    if (status == BASE_OK) {
        resumed->found = 1;
        resumed->position = ckpt_reader_manifest(reader)->position;
        snprintf(resumed->path, sizeof resumed->path, "%s", path);
    }
    ckpt_reader_close(&reader);
    return status;
}

/* Collective: the newest that can be used. */
static base_status try_all(loader *self, const run_resume_candidates *found, run_resumed *resumed)
{
    char first[1800] = "";
    base_status status = BASE_OK;
    for (int i = 0; i < found->count; i++) {
        const char *path = found->paths + (size_t)i * PATH_MAX;
        status = try_checkpoint(self, path, resumed);
        if (status != BASE_CKPT)
            break;
        if (i == 0)
            snprintf(first, sizeof first, "%s", base_status_message());
        else
            BASE_DEBUG("%s", base_status_message());
    }
    if (status == BASE_OK && first[0])
        BASE_WARN("%s; going on from %s", first, resumed->path);
    if (status != BASE_CKPT)
        return status;
    if (found->count == 1)
        return BASE_FAIL(BASE_CKPT, "%s", first);
    return BASE_FAIL(BASE_CKPT, "%s; nor can %s before it be used", first,
                     found->count == 2 ? "the one" : "any of those");
}

static base_status load_newest(run_job *job, loader *self, const run_resume_options *options, run_resumed *resumed)
{
    run_resume_candidates found;
    BASE_TRY(comm_world_agree(job->world, base_arena_create(&self->arena, "resume")));
    base_status status = run_state_describe(job, self->arena, &self->state);
    if (status == BASE_OK)
        status = run_state_graph_digest(job, self->graph_digest);
    if (status == BASE_OK && !self->model_only)
        status = run_data_digest(job->train_data, self->data_digest);
    status = comm_world_agree(job->world, status);
    if (status == BASE_OK)
        status = run_resume_find(job, options, self->arena, &found);
    if (status == BASE_OK && found.count > 0) {
        snprintf(resumed->folder, sizeof resumed->folder, "%s", found.folder);
        status = try_all(self, &found, resumed);
    }
    if (status == BASE_OK && self->fresh_states > 0 && !self->model_only)
        BASE_WARN("%s has no such optimizer state: it starts from zero", resumed->path);
    base_arena_destroy(&self->arena);
    return status;
}

base_status run_resume_load(run_job *job, const run_resume_options *options, run_resumed *resumed)
{
    loader self = {.job = job, .allow_config_change = options->allow_config_change};
    memset(resumed, 0, sizeof *resumed);
    BASE_TRY(load_newest(job, &self, options, resumed));
    if (!resumed->found)
        return BASE_OK;
    ckpt_position *at = &resumed->position;
    convert_position(job, at);
    job->step_offset = at->epoch * job->steps_per_epoch + at->step_in_epoch - at->step;
    run_job_limit_steps(job);
    int64_t epoch_ended = at->step_in_epoch >= at->steps_per_epoch;
    return comm_world_agree(
        job->world, run_feed_seek(job->train_feed, at->epoch + epoch_ended, epoch_ended ? 0 : at->step_in_epoch));
}

base_status run_resume_model(run_job *job, const char *path, run_resumed *resumed)
{
    loader self = {.job = job, .model_only = 1};
    run_resume_options options = {.path = path};
    memset(resumed, 0, sizeof *resumed);
    return load_newest(job, &self, &options, resumed);
}
