#include "run_state.h"

#include "run_optim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* The lists under construction; their lengths are known before. */
typedef struct builder {
    run_job *job;
    base_arena *arena;
    run_state *state;
    ckpt_tensor *tensors;
    run_span *save, *load;
} builder;

static base_status add_tensor(builder *self, const char *name, ckpt_role role, int dim_count, const int64_t *dims)
{
    ckpt_tensor *tensor = &self->tensors[self->state->tensor_count++];
    *tensor = (ckpt_tensor){.name = name, .role = role, .dtype = CKPT_DTYPE_F32, .dim_count = dim_count, .elements = 1};
    for (int i = 0; i < dim_count; i++) {
        tensor->dims[i] = (uint64_t)dims[i];
        tensor->elements *= tensor->dims[i];
    }
    return name ? BASE_OK : BASE_ERROR;
}

/* Spans of the tensor that was added last. */
static void add_load(builder *self, size_t first, size_t count, float *data)
{
    if (count > 0)
        self->load[self->state->load_count++] =
            (run_span){.tensor = self->state->tensor_count - 1, .first = first, .count = count, .data = data};
}

static void add_save(builder *self, size_t first, size_t count, float *data)
{
    if (count == 0)
        return;
    self->save[self->state->save_count++] =
        (run_span){.tensor = self->state->tensor_count - 1, .first = first, .count = count, .data = data};
    self->state->save_elements += count;
}

/* A range of the parameter layout. */
typedef struct range {
    size_t begin, end;
} range;

static range intersect(range a, range b)
{
    size_t begin = a.begin > b.begin ? a.begin : b.begin, end = a.end < b.end ? a.end : b.end;
    return (range){begin, end > begin ? end : begin};
}

/* Where every rank holds all, each saves a slice. */
static range saved_part(const run_job *job, const run_reduce_part *part)
{
    size_t begin = 0, end = part->count;
    if (!run_reduce_owns_parts(job->reduce))
        comm_slice(part->count, job->info.size, job->info.rank, &begin, &end);
    return (range){part->begin + begin, part->begin + end};
}

static base_status add_param(builder *self, int p)
{
    run_job *job = self->job;
    const run_param *param = &job->graph->params[p];
    run_reduce_part part = run_reduce_get_part(job->reduce, job->plan->param_bucket[p]);
    size_t begin = job->plan->param_offset[p];
    range whole = {begin, begin + (size_t)param->count};
    range held = intersect(whole, (range){part.begin, part.begin + part.count});
    range saved = intersect(whole, saved_part(job, &part));

    comm_slab *slab = run_net_params(job->net);
    range loaded = comm_slab_is_one(slab) ? held : whole;
    float *data = comm_slab_data(slab);
    BASE_TRY(add_tensor(self, param->name, CKPT_ROLE_PARAMETER, param->dim_count, param->dims));
    add_save(self, saved.begin - begin, saved.end - saved.begin, data + saved.begin);
    add_load(self, loaded.begin - begin, loaded.end - loaded.begin, data + loaded.begin);

    run_optim *optim = run_reduce_optim(job->reduce);
    for (int s = 0; s < run_optim_state_count(optim); s++) {
        const char *name = base_arena_format(self->arena, "%s/%s", param->name, run_optim_state_name(optim, s));
        float *values = run_optim_state(optim, s) + part.state;
        BASE_TRY(add_tensor(self, name, CKPT_ROLE_OPTIMIZER_STATE, param->dim_count, param->dims));
        add_save(self, saved.begin - begin, saved.end - saved.begin, values + (saved.begin - part.begin));
        add_load(self, held.begin - begin, held.end - held.begin, values + (held.begin - part.begin));
    }
    return BASE_OK;
}

/* Every rank holds all running statistics; the ranks take turns in saving them. */
static base_status add_running(builder *self, const run_node *node, const char *what, float *data)
{
    size_t channels = (size_t)node->shape.c;
    int turn = self->state->tensor_count % self->job->info.size;
    const char *name = base_arena_format(self->arena, "%s/%s", node->name, what);
    BASE_TRY(add_tensor(self, name, CKPT_ROLE_RUNNING_STATISTIC, 1, (int64_t[]){node->shape.c}));
    add_save(self, 0, turn == self->job->info.rank ? channels : 0, data);
    add_load(self, 0, channels, data);
    return BASE_OK;
}

/* An evaluation has no reduce; it needs the model alone, and all of it. */
static base_status add_param_to_evaluate(builder *self, int p)
{
    const run_job *job = self->job;
    const run_param *param = &job->graph->params[p];
    range whole = {job->plan->param_offset[p], job->plan->param_offset[p] + (size_t)param->count}, mine = whole;
    comm_slab *slab = run_net_params(job->net);
    if (comm_slab_is_one(slab)) {
        size_t begin, end;
        comm_slice(job->plan->param_elements, job->info.size, job->info.rank, &begin, &end);
        mine = intersect(whole, (range){begin, end});
    }
    BASE_TRY(add_tensor(self, param->name, CKPT_ROLE_PARAMETER, param->dim_count, param->dims));
    add_load(self, mine.begin - whole.begin, mine.end - mine.begin, (float *)comm_slab_data(slab) + mine.begin);
    return BASE_OK;
}

static base_status add_all(builder *self)
{
    run_job *job = self->job;
    for (int p = 0; p < job->graph->param_count; p++)
        BASE_TRY(job->reduce ? add_param(self, p) : add_param_to_evaluate(self, p));
    for (int n = 0; n < job->graph->node_count; n++) {
        const run_node *node = &job->graph->nodes[n];
        if (node->kind != RUN_NODE_BATCH_NORM)
            continue;
        float *mean, *var;
        run_net_running(job->net, n, &mean, &var);
        BASE_TRY(add_running(self, node, "running_mean", mean));
        BASE_TRY(add_running(self, node, "running_var", var));
    }
    return BASE_OK;
}

base_status run_state_describe(run_job *job, base_arena *arena, const run_state **out)
{
    int states = job->reduce ? run_optim_state_count(run_reduce_optim(job->reduce)) : 0;
    int most = job->graph->param_count * (1 + states) + 2 * job->graph->node_count;
    builder self = {.job = job,
                    .arena = arena,
                    .state = BASE_NEW(arena, run_state),
                    .tensors = BASE_NEW_ARRAY(arena, ckpt_tensor, most),
                    .save = BASE_NEW_ARRAY(arena, run_span, most),
                    .load = BASE_NEW_ARRAY(arena, run_span, most)};
    if (!self.state || !self.tensors || !self.save || !self.load)
        return BASE_ERROR;
    self.state->tensors = self.tensors;
    self.state->save = self.save;
    self.state->load = self.load;
    BASE_TRY(add_all(&self));
    *out = self.state;
    return BASE_OK;
}

/* ---- graph digest ---- */

static void add_text(XXH64_state_t *hash, const char *text)
{
    XXH64_update(hash, text, strlen(text) + 1);
}

static void add_numbers(XXH64_state_t *hash, const int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, numbers[i]);
        add_text(hash, text);
    }
}

static void add_node(XXH64_state_t *hash, const run_node *node)
{
    const run_config_layer *layer = node->layer;
    add_text(hash, node->type);
    add_text(hash, node->name);
    for (int i = 0; i < node->input_count; i++)
        add_numbers(hash, (int64_t[]){node->inputs[i]}, 1);
    add_numbers(hash, (int64_t[]){node->shape.c, node->shape.h, node->shape.w, node->shape.flat, node->activation}, 5);
    if (!layer)
        return;
    add_numbers(hash, layer->kernel, 2);
    add_numbers(hash, layer->stride, 2);
    add_numbers(hash, layer->padding, 2);
}

base_status run_state_graph_digest(const run_job *job, char digest[17])
{
    const run_graph *graph = job->graph;
    XXH64_state_t *hash = XXH64_createState();
    if (!hash)
        return BASE_FAIL(BASE_ERROR, "out of memory for a digest");
    XXH64_reset(hash, 0);
    add_numbers(hash, (int64_t[]){job->config->model.loss}, 1);
    for (int n = 0; n < graph->node_count; n++)
        add_node(hash, &graph->nodes[n]);
    for (int p = 0; p < graph->param_count; p++) {
        add_text(hash, graph->params[p].name);
        add_numbers(hash, graph->params[p].dims, graph->params[p].dim_count);
    }
    snprintf(digest, 17, "%016" PRIx64, (uint64_t)XXH64_digest(hash));
    XXH64_freeState(hash);
    return BASE_OK;
}
