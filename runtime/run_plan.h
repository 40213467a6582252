/* run_plan.h: what lies where. Offsets of every tensor in the slabs, for one number of samples a rank.
 *
 * Parameters, gradients and optimizer state share one layout: in the order in which gradients become ready, each parameter
 * aligned to 64 bytes with zeros between, so that a bucket is a contiguous range. Activations, their gradients and what the
 * forward pass keeps for the backward pass share one slab: two tensors may overlap where their lifetimes do not.
 */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "run_backward.h"
#include "run_graph.h"

#include <stddef.h>

#define RUN_NO_OFFSET ((size_t)-1)

/* Byte offsets into the activation slab, RUN_NO_OFFSET where a node has no such tensor. (B, ...) for B = plan.batch. */
typedef struct run_plan_node {
    size_t value;    /* (B, shape) floats */
    size_t gradient; /* (B, shape) floats */
    size_t z;        /* (B, shape) floats: input of an activation that keeps it */
    size_t bytes;    /* (B, shape) bytes: dropout's mask, max pooling's winners */
} run_plan_node;

/* A contiguous range of gradients that is reduced as one. */
typedef struct run_bucket {
    size_t begin, count; /* elements of the parameter layout */
    int ready;           /* complete when backward node `ready` (index into run_backward.nodes) has run */
} run_bucket;

typedef struct run_plan {
    int64_t batch;              /* samples a rank at most */
    const run_plan_node *nodes; /* one for each node of the graph */
    size_t activation_bytes;    /* of the slab */
    size_t activation_bytes_unshared; /* what it would be without reuse, for `summary` and the tests */
    const size_t *param_offset; /* elements, one for each param of the graph */
    size_t param_elements;      /* of a slab, padding included */
    int bucket_count;
    const run_bucket *buckets;  /* in the order in which they become ready */
} run_plan;

/* `training` 0 plans the forward pass alone. bucket_bytes: a bucket is closed when it holds at least so many. */
base_status run_plan_build(const run_graph *graph, const run_backward *backward, int64_t batch, int training,
                           size_t bucket_bytes, base_arena *arena, const run_plan **plan);

#endif
