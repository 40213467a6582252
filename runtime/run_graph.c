#include "run_graph.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Beyond these a model is a typing error, not a wish; they also keep every product below within int64. */
#define SAMPLE_ELEMENTS_MAX ((int64_t)1 << 27)
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

/* The layer that input `i` of layer `l` names, -1 for the model's input; -2 does not exist. */
static int input_layer(const builder *self, int l, int i)
{
    const run_config_layer *layer = &self->model->layers[l];
    if (!layer->inputs)
        return l - 1;
    if (strcmp(layer->inputs[i], "input") == 0)
        return -1;
    int found = layer_by_name(self, layer->inputs[i]);
    return found < 0 ? -2 : found;
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
    for (int l = 0; l < self->layer_count; l++)
        for (int i = 0; i < input_count(&self->model->layers[l]); i++)
            if (input_layer(self, l, i) == -2)
                return BASE_FAIL(BASE_USAGE, "%s: inputs: there is no layer '%s'", where(self, l),
                                 self->model->layers[l].inputs[i]);

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

/* ---- shapes ---- */

static base_status one_input(builder *self, const run_node *node)
{
    if (node->input_count != 1)
        return BASE_FAIL(BASE_USAGE, "%s: inputs: a %s layer takes 1, not %d", where_node(self, node), node->type,
                         node->input_count);
    return BASE_OK;
}

static base_status window_output(builder *self, const run_node *node, base_shape in, base_shape *out)
{
    const run_config_layer *layer = node->layer;
    char text[64];
    if (in.flat)
        return BASE_FAIL(BASE_USAGE, "%s: needs an image (C x H x W), its input is a vector of %s",
                         where_node(self, node), base_shape_text(in, text));
    out->h = ops_window_output(in.h, layer->kernel[0], layer->stride[0], layer->padding[0]);
    out->w = ops_window_output(in.w, layer->kernel[1], layer->stride[1], layer->padding[1]);
    out->flat = 0;
    if (out->h <= 0 || out->w <= 0)
        return BASE_FAIL(BASE_USAGE,
                         "%s: a window of %" PRId64 "x%" PRId64 " with padding %" PRId64 ",%" PRId64
                         " does not fit its input of %s (C x H x W)",
                         where_node(self, node), layer->kernel[0], layer->kernel[1], layer->padding[0],
                         layer->padding[1], base_shape_text(in, text));
    return BASE_OK;
}

static base_status infer_dense(builder *self, run_node *node, base_shape in)
{
    BASE_TRY(one_input(self, node));
    node->kind = RUN_NODE_DENSE;
    node->activation = node->layer->activation;
    node->dense = (ops_dense){.k = base_shape_count(in), .n = node->layer->units, .activation = node->activation};
    node->shape = base_shape_vector(node->layer->units);
    return BASE_OK;
}

static base_status infer_conv2d(builder *self, run_node *node, base_shape in)
{
    const run_config_layer *layer = node->layer;
    BASE_TRY(one_input(self, node));
    node->kind = RUN_NODE_CONV2D;
    BASE_TRY(window_output(self, node, in, &node->shape));
    node->shape.c = layer->filters;
    node->activation = layer->activation;
    node->conv = (ops_conv2d){.h = in.h,
                              .w = in.w,
                              .c = in.c,
                              .n = layer->filters,
                              .kernel_h = layer->kernel[0],
                              .kernel_w = layer->kernel[1],
                              .stride_h = layer->stride[0],
                              .stride_w = layer->stride[1],
                              .pad_h = layer->padding[0],
                              .pad_w = layer->padding[1],
                              .activation = node->activation};
    return BASE_OK;
}

static base_status infer_pool(builder *self, run_node *node, base_shape in, run_node_kind kind)
{
    const run_config_layer *layer = node->layer;
    BASE_TRY(one_input(self, node));
    node->kind = kind;
    BASE_TRY(window_output(self, node, in, &node->shape));
    node->shape.c = in.c;
    if (layer->padding[0] >= layer->kernel[0] || layer->padding[1] >= layer->kernel[1])
        return BASE_FAIL(BASE_USAGE, "%s: padding must be smaller than the kernel", where_node(self, node));
    if (kind == RUN_NODE_MAX_POOL && layer->kernel[0] * layer->kernel[1] > 255)
        return BASE_FAIL(BASE_USAGE, "%s: kernel: a maximum is taken over at most 255 pixels, not %" PRId64,
                         where_node(self, node), layer->kernel[0] * layer->kernel[1]);
    node->pool = (ops_pool2d){.h = in.h,
                              .w = in.w,
                              .c = in.c,
                              .kernel_h = layer->kernel[0],
                              .kernel_w = layer->kernel[1],
                              .stride_h = layer->stride[0],
                              .stride_w = layer->stride[1],
                              .pad_h = layer->padding[0],
                              .pad_w = layer->padding[1]};
    return BASE_OK;
}

/* add: equal shapes; concat: equal height and width, channels side by side. */
static base_status infer_joined(builder *self, run_node *node, run_node_kind kind)
{
    base_shape first = self->nodes[node->inputs[0]].shape;
    node->kind = kind;
    if (node->input_count < 2)
        return BASE_FAIL(BASE_USAGE, "%s: inputs: %s takes 2 or more", where_node(self, node), node->type);
    int64_t channels = 0;
    for (int i = 0; i < node->input_count; i++) {
        base_shape s = self->nodes[node->inputs[i]].shape;
        char a[64], b[64];
        int fits = kind == RUN_NODE_ADD ? base_shape_equal(s, first)
                                        : s.h == first.h && s.w == first.w && s.flat == first.flat;
        if (!fits)
            return BASE_FAIL(BASE_USAGE, "%s: inputs: '%s' is %s and '%s' is %s: %s", where_node(self, node),
                             self->nodes[node->inputs[0]].name, base_shape_text(first, a),
                             self->nodes[node->inputs[i]].name, base_shape_text(s, b),
                             kind == RUN_NODE_ADD ? "add needs equal shapes" : "concat needs equal height and width");
        channels += s.c;
    }
    node->shape = first;
    if (kind == RUN_NODE_CONCAT)
        node->shape.c = channels;
    return BASE_OK;
}

static base_status infer_same(builder *self, run_node *node, base_shape in, run_node_kind kind)
{
    BASE_TRY(one_input(self, node));
    node->kind = kind;
    node->shape = in;
    node->activation = kind == RUN_NODE_DROPOUT ? OPS_IDENTITY : node->layer->activation;
    return BASE_OK;
}

static base_status infer_flatten(builder *self, run_node *node, base_shape in)
{
    BASE_TRY(one_input(self, node));
    node->kind = RUN_NODE_ALIAS;
    node->shape = base_shape_vector(base_shape_count(in));
    node->tensor = self->nodes[node->inputs[0]].tensor;
    return BASE_OK;
}

static base_status infer(builder *self, run_node *node)
{
    base_shape in = self->nodes[node->inputs[0]].shape;
    switch (node->layer->type) {
    case RUN_LAYER_DENSE: return infer_dense(self, node, in);
    case RUN_LAYER_CONV2D: return infer_conv2d(self, node, in);
    case RUN_LAYER_MAX_POOL2D: return infer_pool(self, node, in, RUN_NODE_MAX_POOL);
    case RUN_LAYER_AVG_POOL2D: return infer_pool(self, node, in, RUN_NODE_AVG_POOL);
    case RUN_LAYER_BATCH_NORM: return infer_same(self, node, in, RUN_NODE_BATCH_NORM);
    case RUN_LAYER_ACTIVATION: return infer_same(self, node, in, RUN_NODE_ACTIVATION);
    case RUN_LAYER_DROPOUT: return infer_same(self, node, in, RUN_NODE_DROPOUT);
    case RUN_LAYER_FLATTEN: return infer_flatten(self, node, in);
    case RUN_LAYER_ADD: return infer_joined(self, node, RUN_NODE_ADD);
    case RUN_LAYER_CONCAT: return infer_joined(self, node, RUN_NODE_CONCAT);
    case RUN_LAYER_TYPE_COUNT: break;
    }
    return BASE_FAIL(BASE_USAGE, "%s: unknown layer type", where_node(self, node));
}

static base_status check_size(builder *self, const run_node *node)
{
    int64_t pixels, elements;
    if (__builtin_mul_overflow(node->shape.h, node->shape.w, &pixels) ||
        __builtin_mul_overflow(pixels, node->shape.c, &elements) || elements > SAMPLE_ELEMENTS_MAX) {
        char text[64];
        if (!node->layer)
            return BASE_FAIL(BASE_USAGE, "%s: model.input = %s is too large: at most %" PRId64 " numbers a sample",
                             self->config->path, base_shape_text(node->shape, text), SAMPLE_ELEMENTS_MAX);
        return BASE_FAIL(BASE_USAGE, "%s: an output of %s is too large: at most %" PRId64 " numbers a sample",
                         where_node(self, node), base_shape_text(node->shape, text), SAMPLE_ELEMENTS_MAX);
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

    BASE_TRY(check_size(&self, &self.nodes[0]));
    BASE_TRY(place_layers(&self));
    for (int n = 1; n <= count; n++) {
        BASE_TRY(infer(&self, &self.nodes[n]));
        BASE_TRY(check_size(&self, &self.nodes[n]));
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
