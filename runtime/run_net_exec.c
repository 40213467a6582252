#include "run_net.h"
#include "run_net_memory.h"

#include "base_random.h"

#define TABLE (self->o.ops)
#define CONTEXT (self->o.context)

static const run_node *input_node(const run_net *self, const run_node *node, int i)
{
    return &self->o.graph->nodes[node->inputs[i]];
}

static float *weight(run_net *self, const run_node *node)
{
    return run_net_param(self, node->first_param);
}

static float *bias(run_net *self, const run_node *node)
{
    return node->param_count > 1 ? run_net_param(self, node->first_param + 1) : NULL;
}

static int64_t rows(const run_node *node, const run_net_batch *batch)
{
    return batch->count * node->shape.h * node->shape.w;
}

static int64_t elements(const run_node *node, const run_net_batch *batch)
{
    return batch->count * base_shape_count(node->shape);
}

static double *sums_of(run_net *self, const run_norm *norm)
{
    return (double *)comm_slab_data(self->sums) + norm->sums;
}

/* Sums of batch normalisation over all ranks, so that their number does not change the mathematics. */
static base_status sum_over_group(run_net *self, const run_norm *norm, int64_t count, base_phases *phases)
{
    base_phase before = phases ? base_phases_switch(phases, BASE_PHASE_REDUCE) : BASE_PHASE_OTHER;
    BASE_TRY(comm_slab_sum(self->sums, norm->sums, (size_t)count));
    if (phases)
        base_phases_switch(phases, before);
    return BASE_OK;
}

/* ---- forward ---- */

static base_status forward_norm(run_net *self, const run_node *node, const run_net_batch *batch, int training,
                                const void *x, void *y, base_phases *phases)
{
    run_norm *norm = &self->norms[node->number];
    int64_t c = node->shape.c, all = batch->global_count * node->shape.h * node->shape.w;
    if (training) {
        BASE_TRY(TABLE->batch_norm_sums(CONTEXT, rows(node, batch), c, x, sums_of(self, norm)));
        BASE_TRY(sum_over_group(self, norm, 2 * c, phases));
        BASE_TRY(TABLE->batch_norm_statistics(CONTEXT, c, sums_of(self, norm), all, node->layer->momentum,
                                              node->layer->epsilon, norm->mean, norm->invstd, norm->running_mean,
                                              norm->running_var));
    } else {
        BASE_TRY(TABLE->batch_norm_running(CONTEXT, c, norm->running_mean, norm->running_var, node->layer->epsilon,
                                           norm->mean, norm->invstd));
    }
    return TABLE->batch_norm_forward(CONTEXT, rows(node, batch), c, node->activation, x, norm->mean, norm->invstd,
                                     weight(self, node), bias(self, node), y, run_net_z(self, node->number));
}

static base_status forward_dropout(run_net *self, const run_node *node, const run_net_batch *batch, int training,
                                   const void *x, void *y)
{
    int64_t n = base_shape_count(node->shape);
    if (training && self->o.fuse[node->number].absorbed)
        return BASE_OK;
    if (!training || node->layer->rate == 0.0f)
        return x == y ? BASE_OK : TABLE->copy(CONTEXT, batch->count * n, x, y, 0);
    return TABLE->dropout_forward(CONTEXT, batch->count, n, node->layer->rate, self->o.seed,
                                  BASE_STREAM_OP + (uint32_t)node->number, x, y, run_net_bytes_of(self, node->number));
}

static base_status forward_joined(run_net *self, const run_node *node, const run_net_batch *batch, void *y)
{
    for (int i = 0; i < node->input_count; i++) {
        self->join[i] = run_net_value(self, batch, node->inputs[i]);
        self->join_channels[i] = input_node(self, node, i)->shape.c;
    }
    if (node->kind == RUN_NODE_ADD)
        return TABLE->add(CONTEXT, node->input_count, elements(node, batch), self->join, y);
    return TABLE->concat(CONTEXT, node->input_count, rows(node, batch), self->join_channels, self->join, y);
}

static base_status forward_node(run_net *self, const run_node *node, const run_net_batch *batch, int training,
                                base_phases *phases)
{
    const void *x = run_net_value(self, batch, node->inputs[0]);
    void *y = run_net_value_out(self, node->number);
    void *z = run_net_z(self, node->number);
    const run_fuse_node *fused = &self->o.fuse[node->number];
    switch (node->kind) {
    case RUN_NODE_INPUT:
    case RUN_NODE_ALIAS: return BASE_OK;
    case RUN_NODE_DENSE:
        return TABLE->dense_forward(CONTEXT, training ? &fused->dense : &node->dense, batch->count, x,
                                    weight(self, node), bias(self, node), y, z);
    case RUN_NODE_CONV2D:
        return TABLE->conv2d_forward(CONTEXT, self->convs[node->number], batch->count, x, weight(self, node),
                                     bias(self, node), y, z);
    case RUN_NODE_MAX_POOL:
        return TABLE->max_pool_forward(CONTEXT, training ? &fused->pool : &node->pool, batch->count, x, y,
                                       training ? run_net_bytes_of(self, node->number) : NULL);
    case RUN_NODE_AVG_POOL: return TABLE->avg_pool_forward(CONTEXT, &node->pool, batch->count, x, y);
    case RUN_NODE_BATCH_NORM: return forward_norm(self, node, batch, training, x, y, phases);
    case RUN_NODE_ACTIVATION: return TABLE->activation_forward(CONTEXT, node->activation, elements(node, batch), x, y);
    case RUN_NODE_DROPOUT: return forward_dropout(self, node, batch, training, x, y);
    case RUN_NODE_ADD:
    case RUN_NODE_CONCAT: return forward_joined(self, node, batch, y);
    }
    return BASE_FAIL(BASE_ERROR, "node %s is of no known kind", node->name);
}

base_status run_net_forward(run_net *self, const run_net_batch *batch, int training, base_phases *phases)
{
    self->first_sample = batch->first_sample;
    /* The loader's buffer is this rank's own; a joint sum needs the input where all ranks see it. */
    if (training && self->o.plan->nodes[0].joint_value != RUN_NO_OFFSET)
        BASE_TRY(
            TABLE->copy(CONTEXT, elements(&self->o.graph->nodes[0], batch), batch->x, run_net_value_out(self, 0), 0));
    for (int n = 1; n < self->o.graph->node_count; n++) {
        BASE_TRY(forward_node(self, &self->o.graph->nodes[n], batch, training, phases));
        if (phases)
            base_phases_touch(phases);
    }
    return BASE_OK;
}

base_status run_net_loss(run_net *self, const run_net_batch *batch, int training, double result[2])
{
    const run_node *out = &self->o.graph->nodes[self->o.graph->output];
    const void *y = run_net_value(self, batch, out->number);
    void *dy = training ? run_net_gradient(self, out->number) : NULL;
    float scale = 1.0f / (float)batch->global_count;
    if (self->o.loss == RUN_LOSS_MEAN_SQUARED_ERROR)
        return TABLE->mean_squared_error(CONTEXT, batch->count, out->shape.c, y, batch->labels, scale, dy, result);
    return TABLE->softmax_cross_entropy(CONTEXT, batch->count, out->shape.c, y, batch->labels, scale, dy, result);
}

/* ---- backward ---- */

static base_status backward_norm(run_net *self, const run_node *node, const run_net_batch *batch, void *dy, void *dx,
                                 int accumulate, base_phases *phases)
{
    run_norm *norm = &self->norms[node->number];
    int64_t c = node->shape.c, all = batch->global_count * node->shape.h * node->shape.w;
    const void *x = run_net_value(self, batch, node->inputs[0]);
    BASE_TRY(TABLE->batch_norm_backward_sums(
        CONTEXT, rows(node, batch), c, node->activation, x, norm->mean, norm->invstd,
        run_net_value(self, batch, node->number), run_net_z(self, node->number), dy, sums_of(self, norm),
        run_net_param_sum(self, node->first_param), run_net_param_sum(self, node->first_param + 1)));
    if (!dx)
        return BASE_OK;
    BASE_TRY(sum_over_group(self, norm, 2 * c, phases));
    return TABLE->batch_norm_backward(CONTEXT, rows(node, batch), c, x, norm->mean, norm->invstd, weight(self, node),
                                      sums_of(self, norm), all, dy, dx, accumulate);
}

static base_status backward_dropout(run_net *self, const run_node *node, const run_net_batch *batch, const void *dy,
                                    void *dx, int accumulate)
{
    int64_t n = base_shape_count(node->shape);
    if (self->o.fuse[node->number].absorbed)
        return BASE_OK;
    if (node->layer->rate == 0.0f)
        return dx == dy ? BASE_OK : TABLE->copy(CONTEXT, batch->count * n, dy, dx, accumulate);
    return TABLE->dropout_backward(CONTEXT, batch->count, n, node->layer->rate, run_net_bytes_of(self, node->number),
                                   dy, dx, accumulate);
}

static base_status backward_joined(run_net *self, const run_node *node, const run_backward_node *step,
                                   const run_net_batch *batch, const void *dy)
{
    int64_t from = 0;
    for (int i = 0; i < node->input_count; i++) {
        const run_gradient *to = &step->inputs[i];
        int64_t c = input_node(self, node, i)->shape.c;
        void *dx = to->tensor < 0 ? NULL : run_net_gradient(self, to->tensor);
        if (dx && node->kind == RUN_NODE_ADD)
            BASE_TRY(TABLE->copy(CONTEXT, elements(node, batch), dy, dx, to->accumulate));
        if (dx && node->kind == RUN_NODE_CONCAT)
            BASE_TRY(
                TABLE->concat_backward(CONTEXT, rows(node, batch), node->shape.c, from, c, dy, dx, to->accumulate));
        from += c;
    }
    return BASE_OK;
}

static base_status backward_dense(run_net *self, const run_node *node, const run_net_batch *batch, const void *y,
                                  const void *z, void *dy, void *dx, int accumulate)
{
    int weight_param = node->first_param;
    const ops_dense *op = &self->o.fuse[node->number].dense;
    const void *x = run_net_value(self, batch, node->inputs[0]);
    float *dw = run_net_param_gradient(self, weight_param);
    float *db = node->param_count > 1 ? run_net_param_gradient(self, weight_param + 1) : NULL;
    if (TABLE->dense_backward)
        return TABLE->dense_backward(CONTEXT, op, batch->count, x, weight(self, node), y, z, dy, dw, db, dx,
                                     accumulate);
    BASE_TRY(TABLE->dense_backward_data(CONTEXT, op, batch->count, weight(self, node), y, z, dy, dx, accumulate));
    if (self->o.plan->buckets[self->o.plan->param_bucket[weight_param]].form == RUN_BUCKET_JOINT)
        return BASE_OK;
    return TABLE->dense_backward_weights(CONTEXT, op, batch->count, 0, op->k, x, dy, dw, db);
}

base_status run_net_joint_gradient(run_net *self, const run_bucket *bucket, int64_t global_count, int64_t from,
                                   int64_t to, int bias)
{
    const run_node *node = &self->o.graph->nodes[bucket->node];
    const float *operands = comm_slab_data(self->operands);
    const float *x = operands + self->o.plan->nodes[input_node(self, node, 0)->tensor].joint_value;
    const float *dz = operands + self->o.plan->nodes[node->number].joint_gradient;
    float *db = bias && node->param_count > 1 ? run_net_param_gradient(self, node->first_param + 1) : NULL;
    return TABLE->dense_backward_weights(CONTEXT, &node->dense, global_count, from, to, x, dz,
                                         run_net_param_gradient(self, node->first_param), db);
}

base_status run_net_backward(run_net *self, const run_net_batch *batch, int b, base_phases *phases)
{
    const run_backward_node *step = &self->o.backward->nodes[b];
    const run_node *node = &self->o.graph->nodes[step->node];
    const void *x = run_net_value(self, batch, node->inputs[0]);
    const void *y = run_net_value(self, batch, node->number);
    const void *z = run_net_z(self, node->number);
    void *dy = run_net_gradient(self, node->number);
    void *dx = step->inputs[0].tensor < 0 ? NULL : run_net_gradient(self, step->inputs[0].tensor);
    int accumulate = step->inputs[0].accumulate;
    switch (node->kind) {
    case RUN_NODE_INPUT:
    case RUN_NODE_ALIAS: return BASE_OK;
    case RUN_NODE_DENSE: return backward_dense(self, node, batch, y, z, dy, dx, accumulate);
    case RUN_NODE_CONV2D:
        return TABLE->conv2d_backward(CONTEXT, self->convs[node->number], batch->count, x, weight(self, node), y, z, dy,
                                      run_net_param_sum(self, node->first_param),
                                      node->param_count > 1 ? run_net_param_sum(self, node->first_param + 1) : NULL, dx,
                                      accumulate);
    case RUN_NODE_MAX_POOL:
        return TABLE->max_pool_backward(CONTEXT, &node->pool, batch->count, dy, run_net_bytes_of(self, node->number),
                                        dx, accumulate);
    case RUN_NODE_AVG_POOL: return TABLE->avg_pool_backward(CONTEXT, &node->pool, batch->count, dy, dx, accumulate);
    case RUN_NODE_BATCH_NORM: return backward_norm(self, node, batch, dy, dx, accumulate, phases);
    case RUN_NODE_ACTIVATION:
        return TABLE->activation_backward(CONTEXT, node->activation, elements(node, batch), x, y, dy, dx, accumulate);
    case RUN_NODE_DROPOUT: return backward_dropout(self, node, batch, dy, dx, accumulate);
    case RUN_NODE_ADD:
    case RUN_NODE_CONCAT: return backward_joined(self, node, step, batch, dy);
    }
    return BASE_FAIL(BASE_ERROR, "node %s is of no known kind", node->name);
}
