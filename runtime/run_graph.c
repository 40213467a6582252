#include "run_graph.h"

#include "run_graph_shape.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Beyond this a model is a typing error, not a wish; it also keeps every product below within int64. */
#define PARAMETERS_MAX ((int64_t)1 << 33)

typedef struct builder {
    const run_config *config;
    const run_config_model *model;
    base_arena *arena;
    int64_t classes;
    int layer_count;
    int *layer_node; /* node number of a layer; 0 while unplaced (node 0 is the input) */
    int *consumers;  /* a node */
    run_node *nodes;
    run_param *params;
    run_graph *graph;
    char where[512];
} builder;

static const char *where(builder *self, int layer)
{
    return run_config_where(self->config, layer, self->where);
}

static const char *where_node(builder *self, const run_node *node)
{
    return where(self, (int)(node->layer - self->model->layers));
}

/* ---- order ---- */

static int layer_by_name(const builder *self, const char *name)
{
    for (int i = 0; i < self->layer_count; i++)
        if (strcmp(self->model->layers[i].name, name) == 0)
            return i;
    return -1;
}

static int input_count(const run_config_layer *layer)
{
    int n = 0;
    while (layer->inputs && layer->inputs[n])
        n++;
    return layer->inputs ? n : 1;
}

/* The layer that input `i` of layer `l` names (the config has seen to it that there is one), -1 for the model's input.
 */
static int input_layer(const builder *self, int l, int i)
{
    const run_config_layer *layer = &self->model->layers[l];
    if (!layer->inputs)
        return l - 1;
    if (strcmp(layer->inputs[i], "input") == 0)
        return -1;
    return layer_by_name(self, layer->inputs[i]);
}

static int layer_is_ready(const builder *self, int l)
{
    for (int i = 0; i < input_count(&self->model->layers[l]); i++) {
        int from = input_layer(self, l, i);
        if (from >= 0 && self->layer_node[from] == 0)
            return 0;
    }
    return 1;
}

static base_status place_layer(builder *self, int l, int number)
{
    const run_config_layer *layer = &self->model->layers[l];
    run_node *node = &self->nodes[number];
    int *inputs = BASE_NEW_ARRAY(self->arena, int, input_count(layer));
    if (!inputs)
        return BASE_ERROR;
    *node = (run_node){.number = number, .tensor = number, .name = layer->name, .layer = layer, .inputs = inputs};
    node->type = run_layer_type_name(layer->type);
    node->input_count = input_count(layer);
    for (int i = 0; i < node->input_count; i++) {
        int from = input_layer(self, l, i);
        inputs[i] = from < 0 ? 0 : self->layer_node[from];
        self->consumers[inputs[i]]++;
    }
    self->layer_node[l] = number;
    return BASE_OK;
}

/* Layers in the file's order as far as their inputs allow it. */
static base_status place_layers(builder *self)
{
    for (int number = 1; number <= self->layer_count; number++) {
        int l = 0;
        while (l < self->layer_count && (self->layer_node[l] != 0 || !layer_is_ready(self, l)))
            l++;
        if (l == self->layer_count) {
            for (l = 0; self->layer_node[l] != 0;)
                l++;
            return BASE_FAIL(BASE_USAGE, "%s: its inputs lead back to itself: a model must not have cycles",
                             where(self, l));
        }
        BASE_TRY(place_layer(self, l, number));
    }
    return BASE_OK;
}

/* ---- aliases ---- */

static void fold_activation(builder *self, run_node *node)
{
    run_node *before = &self->nodes[node->inputs[0]];
    int foldable =
        before->kind == RUN_NODE_DENSE || before->kind == RUN_NODE_CONV2D || before->kind == RUN_NODE_BATCH_NORM;
    if (node->kind != RUN_NODE_ACTIVATION || !foldable || before->activation != OPS_IDENTITY ||
        self->consumers[before->number] != 1)
        return;
    before->activation = node->activation;
    before->dense.activation = node->activation;
    before->conv.activation = node->activation;
    node->kind = RUN_NODE_ALIAS;
    node->tensor = before->tensor;
}

/* Dropout may overwrite its input when nobody else reads that and the producer's backward pass does not need it as it
 * was: relu asks only whether y > 0, and where dropout made y zero the gradient that arrives is zero too. */
static void place_dropout(builder *self, run_node *node)
{
    if (node->kind != RUN_NODE_DROPOUT)
        return;
    int tensor = node->inputs[0];
    while (self->nodes[tensor].tensor != tensor && self->consumers[tensor] == 1)
        tensor =
            self->nodes[tensor].kind == RUN_NODE_ALIAS ? self->nodes[tensor].inputs[0] : self->nodes[tensor].tensor;
    const run_node *producer = &self->nodes[tensor];
    int keeps_sign = producer->activation == OPS_IDENTITY || producer->activation == OPS_RELU ||
                     ops_activation_keeps_input(producer->activation);
    if (tensor == 0 || producer->tensor != tensor || self->consumers[tensor] != 1 || !keeps_sign)
        return;
    node->in_place = 1;
    node->tensor = tensor;
}

/* ---- parameters ---- */

static run_init init_of(const run_node *node)
{
    if (node->layer->init != RUN_INIT_AUTO)
        return node->layer->init;
    return node->activation == OPS_RELU || node->activation == OPS_GELU ? RUN_INIT_HE : RUN_INIT_GLOROT;
}

static base_status add_param(builder *self, run_node *node, run_param param, const char *suffix)
{
    run_graph *graph = self->graph;
    param.node = node->number;
    param.name = base_arena_format(self->arena, "%s/%s", node->name, suffix);
    if (!param.name)
        return BASE_ERROR;
    param.count = 1;
    for (int i = 0; i < param.dim_count; i++)
        if (__builtin_mul_overflow(param.count, param.dims[i], &param.count) || param.count > PARAMETERS_MAX)
            return BASE_FAIL(BASE_USAGE, "%s: its %s has more than %" PRId64 " parameters", where_node(self, node),
                             suffix, PARAMETERS_MAX);
    graph->parameters += param.count;
    if (graph->parameters > PARAMETERS_MAX)
        return BASE_FAIL(BASE_USAGE, "%s: the model has more than %" PRId64 " parameters", where_node(self, node),
                         PARAMETERS_MAX);
    if (node->param_count++ == 0)
        node->first_param = graph->param_count;
    self->params[graph->param_count++] = param;
    return BASE_OK;
}

static run_param vector_param(run_param_role role, int64_t n)
{
    return (run_param){.role = role, .dim_count = 1, .dims = {n}, .init = RUN_INIT_ZERO};
}

static base_status add_params(builder *self, run_node *node)
{
    run_param weight = {.role = RUN_PARAM_WEIGHT, .init = node->layer ? init_of(node) : RUN_INIT_ZERO};
    switch (node->kind) {
    case RUN_NODE_DENSE:
        weight.dim_count = 2;
        weight.dims[0] = weight.fan_in = node->dense.k;
        weight.dims[1] = weight.fan_out = node->dense.n;
        break;
    case RUN_NODE_CONV2D:
        weight.dim_count = 4;
        weight.dims[0] = node->conv.kernel_h;
        weight.dims[1] = node->conv.kernel_w;
        weight.dims[2] = node->conv.c;
        weight.dims[3] = node->conv.n;
        weight.fan_in = node->conv.kernel_h * node->conv.kernel_w * node->conv.c;
        weight.fan_out = node->conv.kernel_h * node->conv.kernel_w * node->conv.n;
        break;
    case RUN_NODE_BATCH_NORM:
        BASE_TRY(add_param(self, node, vector_param(RUN_PARAM_GAMMA, node->shape.c), "gamma"));
        return add_param(self, node, vector_param(RUN_PARAM_BETA, node->shape.c), "beta");
    default: return BASE_OK;
    }
    BASE_TRY(add_param(self, node, weight, "weight"));
    if (node->layer->bias)
        BASE_TRY(add_param(self, node, vector_param(RUN_PARAM_BIAS, node->shape.c), "bias"));
    return BASE_OK;
}

static void count_work(builder *self, run_node *node)
{
    int input_wants = 0;
    for (int i = 0; i < node->input_count; i++)
        input_wants |= self->nodes[node->inputs[i]].needs_gradient;
    node->needs_gradient = input_wants || node->param_count > 0;
    node->conv.wants_dx = input_wants;

    if (node->kind == RUN_NODE_DENSE)
        node->flops_forward = 2 * node->dense.k * node->dense.n;
    if (node->kind == RUN_NODE_CONV2D)
        node->flops_forward =
            2 * node->shape.h * node->shape.w * node->conv.n * node->conv.kernel_h * node->conv.kernel_w * node->conv.c;
    node->flops_backward = node->flops_forward * (1 + input_wants);
    self->graph->flops_forward += node->flops_forward;
    self->graph->flops_train += node->flops_forward + node->flops_backward;
}

/* ---- the whole ---- */

static base_status check_output(builder *self)
{
    run_graph *graph = self->graph;
    graph->output = -1;
    for (int n = 1; n < graph->node_count; n++) {
        if (self->consumers[n] != 0)
            continue;
        if (graph->output >= 0)
            return BASE_FAIL(BASE_USAGE,
                             "%s: nothing uses its output, nor that of '%s': a model has one output, every other layer "
                             "must be an input of another",
                             where_node(self, &self->nodes[n]), self->nodes[graph->output].name);
        graph->output = n;
    }
    const run_node *out = &self->nodes[graph->output];
    char text[64];
    if (self->classes > 0 && (!out->shape.flat || out->shape.c != self->classes))
        return BASE_FAIL(BASE_USAGE,
                         "%s: the model's output is %s, but the data have %" PRId64 " classes: end with a "
                         "dense layer of %" PRId64 " units",
                         where_node(self, out), base_shape_text(out->shape, text), self->classes, self->classes);
    if (!out->shape.flat)
        return BASE_FAIL(BASE_USAGE,
                         "%s: the model's output is %s, the loss needs a vector: add a flatten or dense layer",
                         where_node(self, out), base_shape_text(out->shape, text));
    if (!out->needs_gradient)
        return BASE_FAIL(BASE_USAGE, "%s: the model has no parameters: there is nothing to train",
                         where_node(self, out));
    return BASE_OK;
}

base_status run_graph_build(const run_config *config, int64_t classes, base_arena *arena, const run_graph **out)
{
    const run_config_model *model = &config->model;
    int count = model->layer_count;
    run_graph *graph = BASE_NEW(arena, run_graph);
    builder self = {
        .config = config, .model = model, .arena = arena, .classes = classes, .layer_count = count, .graph = graph};
    self.nodes = BASE_NEW_ARRAY(arena, run_node, count + 1);
    self.params = BASE_NEW_ARRAY(arena, run_param, 2 * count + 1);
    self.layer_node = BASE_NEW_ARRAY(arena, int, count + 1);
    self.consumers = BASE_NEW_ARRAY(arena, int, count + 1);
    if (!graph || !self.nodes || !self.params || !self.layer_node || !self.consumers)
        return BASE_ERROR;

    graph->nodes = self.nodes;
    graph->params = self.params;
    graph->node_count = count + 1;
    self.nodes[0] = (run_node){.kind = RUN_NODE_INPUT, .name = "input", .type = "input", .shape = model->input};

    BASE_TRY(run_graph_check_size(config, &self.nodes[0]));
    BASE_TRY(place_layers(&self));
    for (int n = 1; n <= count; n++) {
        BASE_TRY(run_graph_infer(config, self.nodes, n));
        fold_activation(&self, &self.nodes[n]);
        place_dropout(&self, &self.nodes[n]);
        /* An alias of a tensor that works in place follows it to the memory that holds the value. */
        if (self.nodes[n].kind == RUN_NODE_ALIAS)
            self.nodes[n].tensor = self.nodes[self.nodes[n].inputs[0]].tensor;
    }
    /* After folding, since the activation decides how a weight starts. */
    for (int n = 1; n <= count; n++) {
        BASE_TRY(add_params(&self, &self.nodes[n]));
        count_work(&self, &self.nodes[n]);
    }
    BASE_TRY(check_output(&self));
    *out = graph;
    return BASE_OK;
}
