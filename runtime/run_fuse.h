/* run_fuse.h: which operations of a network are computed along with a neighbour in training (ops.h: ops_fusion).
 *
 * A tensor that comes out of a relu says by its sign what the relu and the dropout behind it let through. So dropout
 * that works in place on such a tensor is done by the operation that writes it, and where one operation alone reads it,
 * that one's backward pass multiplies the gradient with the derivative of both as it writes it: neither dropout nor
 * relu then takes a pass over memory of its own, and no mask is kept.
 */
#ifndef RUN_FUSE_H
#define RUN_FUSE_H

#include "run_graph.h"

typedef struct run_fuse_node {
    ops_dense dense; /* the node's own, as training calls it */
    ops_conv2d conv;
    ops_pool2d pool;
    int absorbed; /* dropout: the operation before it does it */
} run_fuse_node;

/* One for each node of the graph. `fuses`: of the back end; 0: the nodes' own descriptions. */
base_status run_fuse_build(const run_graph *graph, uint64_t seed, int fuses, base_arena *arena,
                           const run_fuse_node **nodes);

/* Is dy of this node, when its backward pass comes, the gradient before its activation? */
int run_fuse_dz_given(const run_graph *graph, const run_fuse_node *nodes, int node);

#endif
