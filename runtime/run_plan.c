#include "run_plan.h"

#include <stdlib.h>

enum {
    TENSOR_ALIGNMENT = 256,
    PARAM_ALIGNMENT = 16,  /* floats: 64 bytes */
    FEW_OPERANDS = 1 << 20 /* floats: 4 MiB a step */
};

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
    const run_plan_options *options;
    run_plan *plan;
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
    size_t nbytes = (size_t)(self->options->batch * base_shape_count(node->shape)) * element_bytes;
    self->blocks[self->block_count++] = (block){
        .offset = offset, .nbytes = round_up(nbytes ? nbytes : 1, TENSOR_ALIGNMENT), .born = born, .dies = dies};
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

static int backward_reads_output(const planner *self, const run_node *node)
{
    if (self->options->fuse && run_fuse_dz_given(self->graph, self->options->fuse, node->number))
        return 0;
    return node->activation != OPS_IDENTITY && !ops_activation_keeps_input(node->activation);
}

/* Dropout that another operation does keeps no mask. */
static int keeps_bytes(const planner *self, const run_node *node)
{
    if (node->kind == RUN_NODE_DROPOUT)
        return !self->options->fuse || !self->options->fuse[node->number].absorbed;
    return node->kind == RUN_NODE_MAX_POOL;
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

    self->gradient_born[graph->nodes[graph->output].tensor] = loss;
    for (int b = 0; b < self->backward->count; b++) {
        const run_backward_node *step = &self->backward->nodes[b];
        const run_node *node = &graph->nodes[step->node];
        int time = 2 * graph->node_count - node->number;
        if (backward_reads_output(self, node))
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
    const size_t element = self->options->element_bytes;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        run_plan_node *plan = &self->nodes[n];
        int backward_time = 2 * graph->node_count - n;
        int keeps = node->needs_gradient;
        if (node->kind == RUN_NODE_INPUT || node->kind == RUN_NODE_ALIAS)
            continue;
        if (!node->in_place && plan->joint_value == RUN_NO_OFFSET)
            add_block(self, &plan->value, element, node, n, self->last_read[n]);
        if (keeps && !node->in_place && plan->joint_gradient == RUN_NO_OFFSET)
            add_block(self, &plan->gradient, element, node, self->gradient_born[n], backward_time);
        /* The standalone activation reads its input tensor instead of a copy. */
        if (ops_activation_keeps_input(node->activation) && node->kind != RUN_NODE_ACTIVATION)
            add_block(self, &plan->z, element, node, n, keeps ? backward_time : n);
        if (keeps_bytes(self, node))
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

/* Elements of all dense layers to gather, against elements to reduce and gather; few cost little either way. */
static int joint_pays(const planner *self)
{
    int64_t operands = 0, gradients = 0;
    for (int n = 0; n < self->graph->node_count; n++) {
        const run_node *node = &self->graph->nodes[n];
        if (node->kind != RUN_NODE_DENSE)
            continue;
        operands += self->options->global_batch * (node->dense.k + node->dense.n);
        gradients += 2 * node->dense.k * node->dense.n;
    }
    return !self->options->operands_travel || operands <= gradients || operands <= FEW_OPERANDS;
}

static run_bucket_form form_of(const planner *self, const run_node *node, int joint)
{
    if (node->kind != RUN_NODE_DENSE)
        return self->options->wide_sums ? RUN_BUCKET_WIDE : RUN_BUCKET_PLAIN;
    return joint ? RUN_BUCKET_JOINT : RUN_BUCKET_PLAIN;
}

static void place_operand(planner *self, size_t *offset, int node)
{
    if (*offset != RUN_NO_OFFSET)
        return;
    *offset = self->plan->operand_elements;
    size_t elements = (size_t)(self->options->global_batch * base_shape_count(self->graph->nodes[node].shape));
    self->plan->operand_elements += round_up(elements, PARAM_ALIGNMENT);
}

static size_t params_of(planner *self, const run_node *node, size_t *offset, int *bucket)
{
    size_t count = 0;
    for (int p = node->first_param; p < node->first_param + node->param_count; p++) {
        offset[p] = self->plan->param_elements + count;
        bucket[p] = self->plan->bucket_count;
        count += round_up((size_t)self->graph->params[p].count, PARAM_ALIGNMENT);
    }
    self->plan->param_elements += count;
    return count;
}

static void place_operands(planner *self, const run_node *node)
{
    int input = self->graph->nodes[node->inputs[0]].tensor;
    place_operand(self, &self->nodes[input].joint_value, input);
    place_operand(self, &self->nodes[node->number].joint_gradient, node->number);
}

/* The next parameter begins another. */
static void close_bucket(planner *self, run_bucket **open)
{
    run_bucket *bucket = *open;
    *open = NULL;
    if (!bucket)
        return;
    self->plan->bucket_count++;
    if (bucket->form != RUN_BUCKET_PLAIN || self->options->bucket_grain == 0)
        return;
    size_t padded = round_up(bucket->count, self->options->bucket_grain);
    self->plan->param_elements += padded - bucket->count;
    bucket->count = padded;
}

/* Joint nodes are buckets of their own; runs of other nodes of one form share buckets. */
static void cut_buckets(planner *self, run_bucket *buckets, size_t *offset, int *bucket_of)
{
    run_plan *plan = self->plan;
    run_bucket *open = NULL;
    int joint = self->options->joint_sums && joint_pays(self);
    for (int b = 0; b < self->backward->count; b++) {
        const run_node *node = &self->graph->nodes[self->backward->nodes[b].node];
        run_bucket_form form = form_of(self, node, joint);
        if (node->param_count == 0)
            continue;
        if (open && open->form != form)
            close_bucket(self, &open);
        if (!open) {
            open = &buckets[plan->bucket_count];
            *open = (run_bucket){.form = form, .begin = plan->param_elements, .wide = plan->wide_elements, .node = -1};
        }
        size_t count = params_of(self, node, offset, bucket_of);
        open->count += count;
        open->ready = b;
        if (form == RUN_BUCKET_WIDE)
            plan->wide_elements += count;
        if (form == RUN_BUCKET_JOINT) {
            open->node = node->number;
            place_operands(self, node);
        }
        if (form == RUN_BUCKET_JOINT || open->count * sizeof(float) >= self->options->bucket_bytes)
            close_bucket(self, &open);
    }
    close_bucket(self, &open);
}

static base_status plan_params(planner *self, base_arena *arena)
{
    run_bucket *buckets = BASE_NEW_ARRAY(arena, run_bucket, self->backward->count + 1);
    size_t *offset = BASE_NEW_ARRAY(arena, size_t, self->graph->param_count + 1);
    int *bucket_of = BASE_NEW_ARRAY(arena, int, self->graph->param_count + 1);
    if (!buckets || !offset || !bucket_of)
        return BASE_ERROR;
    cut_buckets(self, buckets, offset, bucket_of);
    self->plan->buckets = buckets;
    self->plan->param_offset = offset;
    self->plan->param_bucket = bucket_of;
    return BASE_OK;
}

base_status run_plan_build(const run_graph *graph, const run_backward *backward, const run_plan_options *options,
                           base_arena *arena, const run_plan **out)
{
    int count = graph->node_count;
    run_plan *plan = BASE_NEW(arena, run_plan);
    planner self = {.graph = graph, .backward = backward, .options = options, .plan = plan};
    self.nodes = BASE_NEW_ARRAY(arena, run_plan_node, count);
    self.blocks = BASE_NEW_ARRAY(arena, block, 4 * count);
    self.last_read = BASE_NEW_ARRAY(arena, int, count);
    self.gradient_born = BASE_NEW_ARRAY(arena, int, count);
    if (!plan || !self.nodes || !self.blocks || !self.last_read || !self.gradient_born)
        return BASE_ERROR;
    for (int n = 0; n < count; n++)
        self.nodes[n] =
            (run_plan_node){RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET, RUN_NO_OFFSET};

    plan->batch = options->batch;
    plan->global_batch = options->global_batch;
    plan->nodes = self.nodes;
    BASE_TRY(plan_params(&self, arena));
    find_lifetimes(&self);
    add_blocks(&self);
    place_blocks(&self, plan);
    *out = plan;
    return BASE_OK;
}
