#include "run_plan.h"

#include <stdlib.h>

enum { TENSOR_ALIGNMENT = 256, PARAM_ALIGNMENT = 16 /* floats: 64 bytes */ };

/* A tensor of the activation slab with the time that it must live: forward of node n is time n, the loss is node_count,
 * backward of node n is 2 node_count - n. */
typedef struct block {
    size_t *offset; /* where the answer goes */
    size_t nbytes;
    int born, dies; /* inclusive */
} block;

typedef struct planner {
    const run_graph *graph;
    const run_backward *backward;
    int64_t batch;
    run_plan_node *nodes;
    block *blocks;
    int block_count;
    int *last_read; /* time of the last use of a node's value */
    int *gradient_born;
} planner;

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void add_block(planner *self, size_t *offset, size_t element_bytes, const run_node *node, int born, int dies)
{
    size_t nbytes = (size_t)(self->batch * base_shape_count(node->shape)) * element_bytes;
    self->blocks[self->block_count++] = (block){.offset = offset,
                                                .nbytes = round_up(nbytes ? nbytes : 1, TENSOR_ALIGNMENT),
                                                .born = born,
                                                .dies = dies};
}

static void extend(int *time, int to)
{
    if (to > *time)
        *time = to;
}

/* Does the node's backward pass read the value of its input, of its output? */
static int backward_reads_input(const run_node *node)
{
    return node->kind == RUN_NODE_DENSE || node->kind == RUN_NODE_CONV2D || node->kind == RUN_NODE_BATCH_NORM ||
           (node->kind == RUN_NODE_ACTIVATION && ops_activation_keeps_input(node->activation));
}

static int backward_reads_output(const run_node *node)
{
    return node->activation != OPS_IDENTITY && !ops_activation_keeps_input(node->activation);
}

static void find_lifetimes(planner *self)
{
    const run_graph *graph = self->graph;
    int loss = graph->node_count;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        extend(&self->last_read[node->tensor], n);
        for (int i = 0; i < node->input_count; i++)
            extend(&self->last_read[graph->nodes[node->inputs[i]].tensor], n);
    }
    extend(&self->last_read[graph->nodes[graph->output].tensor], loss);
    if (!self->backward)
        return;

    self->gradient_born[graph->nodes[graph->output].tensor] = loss;
    for (int b = 0; b < self->backward->count; b++) {
        const run_backward_node *step = &self->backward->nodes[b];
        const run_node *node = &graph->nodes[step->node];
        int time = 2 * graph->node_count - node->number;
        if (backward_reads_output(node))
            extend(&self->last_read[node->tensor], time);
        for (int i = 0; i < node->input_count; i++) {
            if (backward_reads_input(node))
                extend(&self->last_read[graph->nodes[node->inputs[i]].tensor], time);
            int tensor = step->inputs[i].tensor;
            if (tensor >= 0 && self->gradient_born[tensor] == 0)
                self->gradient_born[tensor] = time;
        }
    }
}

static void add_blocks(planner *self)
{
    const run_graph *graph = self->graph;
    int training = self->backward != NULL;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        run_plan_node *plan = &self->nodes[n];
        *plan = (run_plan_node){RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET};
        int backward_time = 2 * graph->node_count - n;
        int keeps = training && node->needs_gradient;
        if (node->kind == RUN_NODE_INPUT || node->kind == RUN_NODE_ALIAS)
            continue;
        if (!node->in_place)
            add_block(self, &plan->value, sizeof(float), node, n, self->last_read[n]);
        if (keeps && !node->in_place)
            add_block(self, &plan->gradient, sizeof(float), node, self->gradient_born[n], backward_time);
        /* The standalone activation reads its input tensor instead of a copy. */
        if (ops_activation_keeps_input(node->activation) && node->kind != RUN_NODE_ACTIVATION)
            add_block(self, &plan->z, sizeof(float), node, n, keeps ? backward_time : n);
        if (training && (node->kind == RUN_NODE_DROPOUT || node->kind == RUN_NODE_MAX_POOL))
            add_block(self, &plan->bytes, 1, node, n, keeps ? backward_time : n);
    }
}

static int larger_first(const void *a, const void *b)
{
    const block *x = a, *y = b;
    if (x->nbytes != y->nbytes)
        return x->nbytes < y->nbytes ? 1 : -1;
    return x->born - y->born;
}

/* The lowest gap that is free for the whole life of `b` among the blocks placed before it. */
static size_t lowest_fit(const block *placed, int count, const block *b)
{
    size_t at = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (int i = 0; i < count; i++) {
            const block *p = &placed[i];
            int together = p->born <= b->dies && b->born <= p->dies;
            if (together && *p->offset < at + b->nbytes && at < *p->offset + p->nbytes) {
                at = *p->offset + p->nbytes;
                moved = 1;
            }
        }
    }
    return at;
}

static void place_blocks(planner *self, run_plan *plan)
{
    qsort(self->blocks, (size_t)self->block_count, sizeof *self->blocks, larger_first);
    for (int i = 0; i < self->block_count; i++) {
        block *b = &self->blocks[i];
        *b->offset = lowest_fit(self->blocks, i, b);
        if (*b->offset + b->nbytes > plan->activation_bytes)
            plan->activation_bytes = *b->offset + b->nbytes;
        plan->activation_bytes_unshared += b->nbytes;
    }
}

/* ---- parameters and buckets ---- */

static base_status place_params(const run_graph *graph, const run_backward *backward, base_arena *arena, run_plan *plan)
{
    size_t *offset = BASE_NEW_ARRAY(arena, size_t, graph->param_count + 1);
    if (!offset)
        return BASE_ERROR;
    for (int b = 0; b < backward->count; b++) {
        const run_node *node = &graph->nodes[backward->nodes[b].node];
        for (int p = node->first_param; p < node->first_param + node->param_count; p++) {
            offset[p] = plan->param_elements;
            plan->param_elements += round_up((size_t)graph->params[p].count, PARAM_ALIGNMENT);
        }
    }
    plan->param_offset = offset;
    return BASE_OK;
}

static base_status cut_buckets(const run_graph *graph, const run_backward *backward, size_t bucket_bytes, base_arena *arena,
                               run_plan *plan)
{
    run_bucket *buckets = BASE_NEW_ARRAY(arena, run_bucket, backward->count);
    if (!buckets)
        return BASE_ERROR;
    size_t begin = 0, end = 0;
    for (int b = 0; b < backward->count; b++) {
        const run_node *node = &graph->nodes[backward->nodes[b].node];
        for (int p = node->first_param; p < node->first_param + node->param_count; p++)
            end += round_up((size_t)graph->params[p].count, PARAM_ALIGNMENT);
        int last = end == plan->param_elements;
        if (end == begin || (!last && (end - begin) * sizeof(float) < bucket_bytes))
            continue;
        buckets[plan->bucket_count++] = (run_bucket){.begin = begin, .count = end - begin, .ready = b};
        begin = end;
    }
    plan->buckets = buckets;
    return BASE_OK;
}

base_status run_plan_build(const run_graph *graph, const run_backward *backward, int64_t batch, int training,
                           size_t bucket_bytes, base_arena *arena, const run_plan **out)
{
    int count = graph->node_count;
    run_plan *plan = BASE_NEW(arena, run_plan);
    planner self = {.graph = graph, .backward = training ? backward : NULL, .batch = batch};
    self.nodes = BASE_NEW_ARRAY(arena, run_plan_node, count);
    self.blocks = BASE_NEW_ARRAY(arena, block, 4 * count);
    self.last_read = BASE_NEW_ARRAY(arena, int, count);
    self.gradient_born = BASE_NEW_ARRAY(arena, int, count);
    if (!plan || !self.nodes || !self.blocks || !self.last_read || !self.gradient_born)
        return BASE_ERROR;

    plan->batch = batch;
    plan->nodes = self.nodes;
    find_lifetimes(&self);
    add_blocks(&self);
    place_blocks(&self, plan);
    BASE_TRY(place_params(graph, backward, arena, plan));
    BASE_TRY(cut_buckets(graph, backward, bucket_bytes, arena, plan));
    *out = plan;
    return BASE_OK;
}
