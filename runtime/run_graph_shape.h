/* run_graph_shape.h: the shape of a node's output and the description of its operation, from its layer and its inputs'
 * shapes. Part of run_graph. */
#ifndef RUN_GRAPH_SHAPE_H
#define RUN_GRAPH_SHAPE_H

#include "run_graph.h"

/* Fills kind, shape, activation, operation and (for flatten) tensor of node `number`, whose inputs have been inferred.
 * The layer's own keys have been checked by the config. BASE_USAGE with file, line and layer where shapes do not fit or
 * are absurd. */
base_status run_graph_infer(const run_config *config, run_node *nodes, int number);

/* The same limit for the model's input, which no layer infers. */
base_status run_graph_check_size(const run_config *config, const run_node *node);

#endif
