#include "run_graph_shape.h"

#include <inttypes.h>

/* A larger output is a typing error, not a wish; this also keeps products of sizes within int64. */
#define SAMPLE_ELEMENTS_MAX ((int64_t)1 << 27)

typedef struct shaper {
    const run_config *config;
    const run_node *nodes;
    char where[512];
} shaper;

static const char *where_node(shaper *self, const run_node *node)
{
    return run_config_where(self->config, (int)(node->layer - self->config->model.layers), self->where);
}

static base_status window_output(shaper *self, const run_node *node, base_shape in, base_shape *out)
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

static base_status infer_dense(run_node *node, base_shape in)
{
    node->kind = RUN_NODE_DENSE;
    node->activation = node->layer->activation;
    node->dense = (ops_dense){.k = base_shape_count(in), .n = node->layer->units, .activation = node->activation};
    node->shape = base_shape_vector(node->layer->units);
    return BASE_OK;
}

static base_status infer_conv2d(shaper *self, run_node *node, base_shape in)
{
    const run_config_layer *layer = node->layer;
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

static base_status infer_pool(shaper *self, run_node *node, base_shape in, run_node_kind kind)
{
    const run_config_layer *layer = node->layer;
    node->kind = kind;
    BASE_TRY(window_output(self, node, in, &node->shape));
    node->shape.c = in.c;
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
static base_status infer_joined(shaper *self, run_node *node, run_node_kind kind)
{
    base_shape first = self->nodes[node->inputs[0]].shape;
    node->kind = kind;
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

static base_status infer_same(run_node *node, base_shape in, run_node_kind kind)
{
    node->kind = kind;
    node->shape = in;
    node->activation = kind == RUN_NODE_DROPOUT ? OPS_IDENTITY : node->layer->activation;
    return BASE_OK;
}

static base_status infer_flatten(shaper *self, run_node *node, base_shape in)
{
    node->kind = RUN_NODE_ALIAS;
    node->shape = base_shape_vector(base_shape_count(in));
    node->tensor = self->nodes[node->inputs[0]].tensor;
    return BASE_OK;
}

static base_status infer(shaper *self, run_node *node)
{
    base_shape in = self->nodes[node->inputs[0]].shape;
    switch (node->layer->type) {
    case RUN_LAYER_DENSE: return infer_dense(node, in);
    case RUN_LAYER_CONV2D: return infer_conv2d(self, node, in);
    case RUN_LAYER_MAX_POOL2D: return infer_pool(self, node, in, RUN_NODE_MAX_POOL);
    case RUN_LAYER_AVG_POOL2D: return infer_pool(self, node, in, RUN_NODE_AVG_POOL);
    case RUN_LAYER_BATCH_NORM: return infer_same(node, in, RUN_NODE_BATCH_NORM);
    case RUN_LAYER_ACTIVATION: return infer_same(node, in, RUN_NODE_ACTIVATION);
    case RUN_LAYER_DROPOUT: return infer_same(node, in, RUN_NODE_DROPOUT);
    case RUN_LAYER_FLATTEN: return infer_flatten(self, node, in);
    case RUN_LAYER_ADD: return infer_joined(self, node, RUN_NODE_ADD);
    case RUN_LAYER_CONCAT: return infer_joined(self, node, RUN_NODE_CONCAT);
    case RUN_LAYER_TYPE_COUNT: break;
    }
    return BASE_FAIL(BASE_USAGE, "%s: unknown layer type", where_node(self, node));
}

static base_status check_size(shaper *self, const run_node *node)
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

base_status run_graph_check_size(const run_config *config, const run_node *node)
{
    shaper self = {.config = config};
    return check_size(&self, node);
}

base_status run_graph_infer(const run_config *config, run_node *nodes, int number)
{
    shaper self = {.config = config, .nodes = nodes};
    BASE_TRY(infer(&self, &nodes[number]));
    return check_size(&self, &nodes[number]);
}
