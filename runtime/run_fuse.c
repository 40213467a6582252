#include "run_fuse.h"

typedef struct fuser {
    const run_graph *graph;
    run_fuse_node *nodes;
    uint64_t seed;
} fuser;

/* Who works on a tensor beside the node that writes it. */
typedef struct users {
    int dropouts, dropout; /* in place, and the last of them */
    int readers, reader;
} users;

static int tensor_of(const fuser *self, int node)
{
    return self->graph->nodes[node].tensor;
}

static users users_of(const fuser *self, int tensor)
{
    const run_graph *graph = self->graph;
    users found = {.readers = tensor_of(self, graph->output) == tensor}; /* the loss */
    for (int n = tensor + 1; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        if (node->kind == RUN_NODE_ALIAS)
            continue;
        if (node->in_place && node->tensor == tensor) {
            found.dropouts++;
            found.dropout = n;
            continue;
        }
        for (int i = 0; i < node->input_count; i++)
            if (tensor_of(self, node->inputs[i]) == tensor) {
                found.readers++;
                found.reader = n;
            }
    }
    return found;
}

/* Does a relu stand between the node's inputs and its value, so that what is 0 there passes no gradient? */
static int is_gated(const fuser *self, const run_node *node)
{
    if (node->kind == RUN_NODE_DENSE || node->kind == RUN_NODE_CONV2D)
        return node->activation == OPS_RELU;
    return node->kind == RUN_NODE_MAX_POOL && is_gated(self, &self->graph->nodes[tensor_of(self, node->inputs[0])]);
}

static ops_fusion *fusion_of(const fuser *self, int node)
{
    run_fuse_node *fused = &self->nodes[node];
    switch (self->graph->nodes[node].kind) {
    case RUN_NODE_DENSE: return &fused->dense.fusion;
    case RUN_NODE_CONV2D: return &fused->conv.fusion;
    case RUN_NODE_MAX_POOL: return &fused->pool.fusion;
    default: return NULL;
    }
}

/* The operation that can multiply the gradient of the tensor in, or -1. A pool passes on what it is given. */
static int gatekeeper(const fuser *self, const users *u, int drops)
{
    const run_node *reader = &self->graph->nodes[u->reader];
    if (u->readers != 1 || !fusion_of(self, u->reader) || (drops && reader->kind == RUN_NODE_MAX_POOL))
        return -1;
    return u->reader;
}

static void absorb(const fuser *self, int node, int dropout)
{
    ops_fusion *fusion = fusion_of(self, node);
    fusion->dropout = self->graph->nodes[dropout].layer->rate;
    fusion->seed = self->seed;
    fusion->random_stream = BASE_STREAM_OP + (uint32_t)dropout;
    self->nodes[dropout].absorbed = 1;
}

static void fuse_node(const fuser *self, const run_node *node)
{
    if (!node->needs_gradient || node->tensor != node->number || !is_gated(self, node))
        return;
    users u = users_of(self, node->number);
    int pools = node->kind == RUN_NODE_MAX_POOL;
    float rate = u.dropouts == 1 ? self->graph->nodes[u.dropout].layer->rate : 0.0f;
    int keeper = u.readers == 1 ? gatekeeper(self, &u, rate > 0.0f) : -1;
    /* A convolution's product leaves no room for it. A pool has no way to tell in its backward pass what was kept. */
    int absorbs = rate > 0.0f && (node->kind == RUN_NODE_DENSE || (pools && keeper >= 0));
    if (absorbs)
        absorb(self, node->number, u.dropout);
    /* A pool needs no gate but for its dropout: what is before it has one. */
    if (keeper < 0 || (pools && !absorbs) || u.dropouts > absorbs)
        return;
    fusion_of(self, keeper)->gate = absorbs ? 1.0f / (1.0f - rate) : 1.0f;
    fusion_of(self, node->number)->dz_given = 1;
}

base_status run_fuse_build(const run_graph *graph, uint64_t seed, int fuses, base_arena *arena,
                           const run_fuse_node **out)
{
    fuser self = {.graph = graph, .nodes = BASE_NEW_ARRAY(arena, run_fuse_node, graph->node_count), .seed = seed};
    if (!self.nodes)
        return BASE_ERROR;
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        self.nodes[n] = (run_fuse_node){.dense = node->dense, .conv = node->conv, .pool = node->pool};
    }
    for (int n = 1; fuses && n < graph->node_count; n++)
        fuse_node(&self, &graph->nodes[n]);
    *out = self.nodes;
    return BASE_OK;
}

int run_fuse_dz_given(const run_graph *graph, const run_fuse_node *nodes, int node)
{
    const fuser self = {.graph = graph, .nodes = (run_fuse_node *)nodes};
    const ops_fusion *fusion = fusion_of(&self, node);
    return fusion && fusion->dz_given;
}
