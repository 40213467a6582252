#include "run_net.h"

#include "run_init.h"
#include "run_net_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* ---- addresses ---- */

static void *at(run_net *self, size_t offset)
{
    return offset == RUN_NO_OFFSET ? NULL : (char *)self->activations + offset;
}

float *run_net_param(run_net *self, int param)
{
    return (float *)comm_slab_data(self->params) + self->o.plan->param_offset[param];
}

float *run_net_param_gradient(run_net *self, int param)
{
    return (float *)comm_slab_data(self->gradients) + self->o.plan->param_offset[param];
}

void *run_net_param_sum(run_net *self, int param)
{
    const run_plan *plan = self->o.plan;
    const run_bucket *bucket = &plan->buckets[plan->param_bucket[param]];
    if (bucket->form != RUN_BUCKET_WIDE)
        return run_net_param_gradient(self, param);
    return (double *)comm_slab_data(self->wide) + bucket->wide + (plan->param_offset[param] - bucket->begin);
}

/* This rank's rows of a tensor of the operand slab. */
static float *rows_of(run_net *self, size_t offset, int tensor)
{
    int64_t row = self->first_sample * base_shape_count(self->o.graph->nodes[tensor].shape);
    return (float *)comm_slab_data(self->operands) + offset + row;
}

void *run_net_value_out(run_net *self, int node)
{
    int tensor = self->o.graph->nodes[node].tensor;
    const run_plan_node *plan = &self->o.plan->nodes[tensor];
    return plan->joint_value != RUN_NO_OFFSET ? rows_of(self, plan->joint_value, tensor) : at(self, plan->value);
}

const void *run_net_value(run_net *self, const run_net_batch *batch, int node)
{
    return self->o.graph->nodes[node].tensor == 0 ? batch->x : run_net_value_out(self, node);
}

void *run_net_gradient(run_net *self, int node)
{
    int tensor = self->o.graph->nodes[node].tensor;
    const run_plan_node *plan = &self->o.plan->nodes[tensor];
    return plan->joint_gradient != RUN_NO_OFFSET ? rows_of(self, plan->joint_gradient, tensor)
                                                 : at(self, plan->gradient);
}

void *run_net_z(run_net *self, int node)
{
    return at(self, self->o.plan->nodes[node].z);
}

uint8_t *run_net_bytes_of(run_net *self, int node)
{
    return at(self, self->o.plan->nodes[node].bytes);
}

comm_slab *run_net_params(run_net *self)
{
    return self->params;
}

comm_slab *run_net_gradients(run_net *self)
{
    return self->gradients;
}

comm_slab *run_net_wide(run_net *self)
{
    return self->wide;
}

comm_slab *run_net_operands(run_net *self)
{
    return self->operands;
}

/* ---- creation ---- */

/* The source may go when this returns. */
static base_status upload(run_net *self, void *to, const void *from, size_t nbytes)
{
    const base_device_table *table = self->o.device_table;
    BASE_TRY(table->copy(self->o.device, self->o.stream, to, from, nbytes));
    return table->stream_wait(self->o.device, self->o.stream);
}

enum { STATISTICS = 4, GRAIN = 64 }; /* arrays of a norm; elements to which each is aligned */

static size_t norm_stride(const run_node *node)
{
    return ((size_t)node->shape.c + GRAIN - 1) / GRAIN * GRAIN;
}

/* A running variance is 1 before the first step. */
static base_status fill_statistics(run_net *self, size_t elements)
{
    const run_graph *graph = self->o.graph;
    float *filled = calloc(elements + 1, sizeof *filled);
    if (!filled)
        return BASE_FAIL(BASE_ERROR, "out of memory for the statistics of batch normalisation");
    for (int n = 0; n < graph->node_count; n++)
        for (int64_t i = 0; graph->nodes[n].kind == RUN_NODE_BATCH_NORM && i < graph->nodes[n].shape.c; i++)
            filled[self->norms[n].running_var - (float *)self->statistics + i] = 1.0f;
    base_status status = upload(self, self->statistics, filled, elements * sizeof *filled);
    free(filled);
    return status;
}

static base_status create_norms(run_net *self)
{
    const run_graph *graph = self->o.graph;
    size_t channels = 0;
    for (int n = 0; n < graph->node_count; n++)
        if (graph->nodes[n].kind == RUN_NODE_BATCH_NORM)
            channels += norm_stride(&graph->nodes[n]);
    self->norms = BASE_NEW_ARRAY(self->arena, run_norm, graph->node_count);
    BASE_TRY(comm_slab_create(self->o.group, COMM_SLAB_OWN, COMM_F64, 2 * channels, &self->sums));
    if (!self->norms)
        return BASE_ERROR;
    BASE_TRY(
        self->o.device_table->memory_alloc(self->o.device, STATISTICS * channels * sizeof(float), &self->statistics));
    float *at = self->statistics;
    size_t sums = 0;
    for (int n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].kind != RUN_NODE_BATCH_NORM)
            continue;
        size_t stride = norm_stride(&graph->nodes[n]);
        self->norms[n] = (run_norm){at, at + stride, at + 2 * stride, at + 3 * stride, sums};
        at += STATISTICS * stride;
        sums += 2 * stride;
    }
    return fill_statistics(self, STATISTICS * channels);
}

static base_status create_nodes(run_net *self)
{
    const run_graph *graph = self->o.graph;
    int most_inputs = 1;
    self->convs = BASE_NEW_ARRAY(self->arena, ops_conv *, graph->node_count);
    if (!self->convs)
        return BASE_ERROR;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        if (node->input_count > most_inputs)
            most_inputs = node->input_count;
        if (node->kind == RUN_NODE_CONV2D)
            BASE_TRY(self->o.ops->conv2d_create(self->o.context, &self->o.fuse[n].conv, self->o.plan->batch, &self->convs[n]));
    }
    self->join = BASE_NEW_ARRAY(self->arena, const void *, most_inputs);
    self->join_channels = BASE_NEW_ARRAY(self->arena, int64_t, most_inputs);
    return self->join && self->join_channels ? BASE_OK : BASE_ERROR;
}

/* On a single copy each rank fills its slice; the agreement that ends the set-up makes them visible to all. */
static void fill_on_host(run_net *self)
{
    size_t begin = 0, end = self->o.plan->param_elements;
    if (comm_slab_is_one(self->params))
        comm_slice(end, comm_group_size(self->o.group), comm_group_rank(self->o.group), &begin, &end);
    run_init_fill(self->o.graph, self->o.plan, self->o.seed, begin, end, comm_slab_data(self->params));
}

static base_status fill_on_device(run_net *self)
{
    size_t elements = self->o.plan->param_elements;
    float *filled = calloc(elements + 1, sizeof *filled);
    if (!filled)
        return BASE_FAIL(BASE_ERROR, "out of memory for %zu parameters", elements);
    run_init_fill(self->o.graph, self->o.plan, self->o.seed, 0, elements, filled);
    base_status status = upload(self, comm_slab_data(self->params), filled, elements * sizeof *filled);
    free(filled);
    return status;
}

static base_status fill_params(run_net *self)
{
    if (self->o.ops->asynchronous)
        BASE_TRY(fill_on_device(self));
    else
        fill_on_host(self);
    return run_net_params_changed(self);
}

base_status run_net_create(const run_net_options *options, run_net **out)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "network"));
    run_net *self = BASE_NEW(arena, run_net);
    if (!self) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    self->o = *options;
    self->arena = arena;
    *out = self;
    const run_plan *plan = self->o.plan;
    comm_group *group = self->o.group;
    comm_slab_kind kind = options->one_copy ? COMM_SLAB_ONE : COMM_SLAB_OWN;
    BASE_TRY(comm_slab_create(group, kind, COMM_F32, plan->param_elements, &self->params));
    BASE_TRY(comm_slab_create(group, COMM_SLAB_OWN, COMM_F32, plan->param_elements, &self->gradients));
    BASE_TRY(comm_slab_create(group, COMM_SLAB_OWN, COMM_F64, plan->wide_elements, &self->wide));
    BASE_TRY(comm_slab_create(group, COMM_SLAB_ONE, COMM_F32, plan->operand_elements, &self->operands));
    BASE_TRY(create_norms(self));
    BASE_TRY(self->o.device_table->memory_alloc(self->o.device, self->o.plan->activation_bytes, &self->activations));
    BASE_TRY(self->o.ops->bind_params(self->o.context, comm_slab_data(self->params), (int64_t)plan->param_elements));
    BASE_TRY(create_nodes(self));
    return fill_params(self);
}

void run_net_destroy(run_net **out)
{
    run_net *self = *out;
    if (!self)
        return;
    for (int n = 0; self->convs && n < self->o.graph->node_count; n++)
        if (self->convs[n])
            self->o.ops->conv2d_destroy(&self->convs[n]);
    self->o.device_table->memory_free(self->o.device, &self->activations);
    self->o.device_table->memory_free(self->o.device, &self->statistics);
    comm_slab_destroy(&self->sums);
    comm_slab_destroy(&self->operands);
    comm_slab_destroy(&self->wide);
    comm_slab_destroy(&self->gradients);
    comm_slab_destroy(&self->params);
    base_arena *arena = self->arena;
    base_arena_destroy(&arena);
    *out = NULL;
}

void run_net_running(run_net *self, int node, float **mean, float **var)
{
    *mean = self->norms[node].running_mean;
    *var = self->norms[node].running_var;
}

base_status run_net_params_changed(run_net *self)
{
    return self->o.ops->params_changed(self->o.context, comm_slab_data(self->params),
                                       (int64_t)self->o.plan->param_elements);
}

static base_status digest_param(run_net *self, int p, XXH64_state_t *state)
{
    size_t nbytes = (size_t)self->o.graph->params[p].count * sizeof(float);
    if (!self->o.ops->asynchronous) {
        XXH64_update(state, run_net_param(self, p), nbytes);
        return BASE_OK;
    }
    void *copy = malloc(nbytes);
    if (!copy)
        return BASE_FAIL(BASE_ERROR, "out of memory for a copy of %s", self->o.graph->params[p].name);
    const base_device_table *table = self->o.device_table;
    base_status status = table->copy(self->o.device, self->o.stream, copy, run_net_param(self, p), nbytes);
    if (status == BASE_OK)
        status = table->stream_wait(self->o.device, self->o.stream);
    if (status == BASE_OK)
        XXH64_update(state, copy, nbytes);
    free(copy);
    return status;
}

base_status run_net_param_digest(run_net *self, char text[17])
{
    base_status status = BASE_OK;
    XXH64_state_t *state = XXH64_createState();
    if (!state)
        return BASE_FAIL(BASE_ERROR, "out of memory for a digest");
    XXH64_reset(state, 0);
    for (int p = 0; status == BASE_OK && p < self->o.graph->param_count; p++)
        status = digest_param(self, p, state);
    if (status == BASE_OK)
        snprintf(text, 17, "%016" PRIx64, (uint64_t)XXH64_digest(state));
    XXH64_freeState(state);
    return status;
}
