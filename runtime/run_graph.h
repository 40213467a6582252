/* run_graph.h: the model as a directed acyclic graph of op nodes with known shapes.
 *
 * Built from a configuration alone, so every rank builds the same one. Node 0 is the model's input; the others follow
 * in an order in which every node comes after its inputs; the last is the output. Const once built.
 *
 * A node's value lies in the tensor of node `tensor`: its own number, or an earlier node's where no memory of its own
 * is needed: flatten, an activation folded into the node that it follows, dropout where it may work in place. Consumers
 * are counted on tensors, so that aliases take no part in the backward pass.
 */
#ifndef RUN_GRAPH_H
#define RUN_GRAPH_H

#include "base_arena.h"
#include "base_status.h"
#include "base_tensor.h"
#include "ops.h"
#include "run_config.h"

typedef enum run_node_kind {
    RUN_NODE_INPUT,
    RUN_NODE_ALIAS, /* flatten, or an activation that was folded into its input */
    RUN_NODE_DENSE,
    RUN_NODE_CONV2D,
    RUN_NODE_MAX_POOL,
    RUN_NODE_AVG_POOL,
    RUN_NODE_BATCH_NORM,
    RUN_NODE_ACTIVATION,
    RUN_NODE_DROPOUT,
    RUN_NODE_ADD,
    RUN_NODE_CONCAT
} run_node_kind;

typedef struct run_node {
    run_node_kind kind;
    int number;
    const char *name;
    const char *type;              /* as in the configuration; "input" for node 0 */
    const run_config_layer *layer; /* NULL for the input */
    int input_count;
    const int *inputs;         /* node numbers */
    base_shape shape;          /* of one sample of the output */
    int tensor;                /* the node whose memory holds the value */
    int in_place;              /* dropout: works on its input's tensor */
    int needs_gradient;        /* a parameter lies at or before this node */
    ops_activation activation; /* with a folded one */
    ops_dense dense;
    ops_conv2d conv;
    ops_pool2d pool;
    int first_param, param_count; /* into run_graph.params: weight then bias; gamma then beta */
    int64_t flops_forward;        /* a sample: multiplications and additions of dense and conv2d */
    int64_t flops_backward;       /* a sample: of the gradients that are computed */
} run_node;

typedef enum run_param_role { RUN_PARAM_WEIGHT, RUN_PARAM_BIAS, RUN_PARAM_GAMMA, RUN_PARAM_BETA } run_param_role;

typedef struct run_param {
    const char *name; /* "dense1/weight" */
    int node;
    run_param_role role;
    int dim_count;
    int64_t dims[4]; /* dense (K, N); conv2d (KH, KW, C, N); the rest (N) */
    int64_t count;
    int64_t fan_in, fan_out;
    run_init init; /* he, glorot or zero; gamma starts at 1 */
} run_param;

typedef struct run_graph {
    int node_count;
    const run_node *nodes;
    int output; /* node number */
    int param_count;
    const run_param *params;            /* in canonical order: nodes forward, weight before bias */
    int64_t parameters;                 /* elements of all params */
    int64_t flops_forward, flops_train; /* a sample */
} run_graph;

/* `classes` is what the data have; 0: not known (then only shapes are checked). The graph lives in `arena`, the config
 * must outlive it. BASE_USAGE with file, line and layer: a cycle, an input that does not exist, a window that does not
 * fit, add or concat of shapes that differ, a layer that nothing uses, an output that is not `classes` numbers, a
 * tensor or a model of absurd size. */
base_status run_graph_build(const run_config *config, int64_t classes, base_arena *arena, const run_graph **graph);

#endif
