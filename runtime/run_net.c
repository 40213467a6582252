#include "run_net.h"

#include "run_init.h"
#include "run_net_memory.h"

#include <inttypes.h>
#include <stdio.h>
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

static base_status create_norm(run_net *self, int64_t c, run_norm *norm)
{
    norm->mean = BASE_NEW_ARRAY(self->arena, float, c);
    norm->invstd = BASE_NEW_ARRAY(self->arena, float, c);
    norm->running_mean = BASE_NEW_ARRAY(self->arena, float, c);
    norm->running_var = BASE_NEW_ARRAY(self->arena, float, c);
    norm->sums = BASE_NEW_ARRAY(self->arena, double, 2 * c);
    if (!norm->mean || !norm->invstd || !norm->running_mean || !norm->running_var || !norm->sums)
        return BASE_ERROR;
    for (int64_t i = 0; i < c; i++)
        norm->running_var[i] = 1.0f;
    return BASE_OK;
}

static base_status create_nodes(run_net *self)
{
    const run_graph *graph = self->o.graph;
    int most_inputs = 1;
    self->norms = BASE_NEW_ARRAY(self->arena, run_norm, graph->node_count);
    self->convs = BASE_NEW_ARRAY(self->arena, ops_conv *, graph->node_count);
    if (!self->norms || !self->convs)
        return BASE_ERROR;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        if (node->input_count > most_inputs)
            most_inputs = node->input_count;
        if (node->kind == RUN_NODE_BATCH_NORM)
            BASE_TRY(create_norm(self, node->shape.c, &self->norms[n]));
        if (node->kind == RUN_NODE_CONV2D)
            BASE_TRY(self->o.ops->conv2d_create(self->o.context, &node->conv, self->o.plan->batch, &self->convs[n]));
    }
    self->join = BASE_NEW_ARRAY(self->arena, const void *, most_inputs);
    self->join_channels = BASE_NEW_ARRAY(self->arena, int64_t, most_inputs);
    return self->join && self->join_channels ? BASE_OK : BASE_ERROR;
}

/* On a single copy each rank fills its slice; the agreement that ends the set-up makes them visible to all. */
static void fill_params(run_net *self)
{
    size_t begin = 0, end = self->o.plan->param_elements;
    if (comm_slab_is_one(self->params))
        comm_slice(end, comm_group_size(self->o.group), comm_group_rank(self->o.group), &begin, &end);
    run_init_fill(self->o.graph, self->o.plan, self->o.seed, begin, end, comm_slab_data(self->params));
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
    BASE_TRY(self->o.device_table->memory_alloc(self->o.device, self->o.plan->activation_bytes, &self->activations));
    BASE_TRY(create_nodes(self));
    fill_params(self);
    return BASE_OK;
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

base_status run_net_param_digest(run_net *self, char text[17])
{
    XXH64_state_t *state = XXH64_createState();
    if (!state)
        return BASE_FAIL(BASE_ERROR, "out of memory for a digest");
    XXH64_reset(state, 0);
    for (int p = 0; p < self->o.graph->param_count; p++)
        XXH64_update(state, run_net_param(self, p), (size_t)self->o.graph->params[p].count * sizeof(float));
    snprintf(text, 17, "%016" PRIx64, (uint64_t)XXH64_digest(state));
    XXH64_freeState(state);
    return BASE_OK;
}
