/* run_backward.h: the reverse graph: which nodes run backward, in which order, and where each sends its gradient. */
#ifndef RUN_BACKWARD_H
#define RUN_BACKWARD_H

#include "run_graph.h"

/* The gradient of one input of a backward node. */
typedef struct run_gradient {
    int tensor;     /* node whose tensor it belongs to; -1: nobody wants it */
    int accumulate; /* an earlier backward node has written it already */
} run_gradient;

typedef struct run_backward_node {
    int node;
    const run_gradient *inputs; /* one for each input of the node */
} run_backward_node;

typedef struct run_backward {
    int count;
    const run_backward_node *nodes; /* in execution order: from the output to the first node with a parameter */
} run_backward;

base_status run_backward_build(const run_graph *graph, base_arena *arena, const run_backward **backward);

#endif
