/* run_plan.h: what lies where, and in which form each parameter's gradient is summed over ranks.
 *
 * Parameters, gradients and optimizer state share one layout: in the order in which gradients become ready, each
 * parameter aligned to 64 bytes with zeros between, so that a bucket is a contiguous range. Activations, their
 * gradients and what the forward pass keeps for the backward pass share one slab: two tensors may overlap where their
 * lifetimes do not.
 *
 * Training with relu amplifies a difference in the last bit a million times within 200 steps, so gradients are summed
 * in forms whose result does not depend on how the batch is shared:
 * - joint: a dense layer's inputs x and gradients dz of the whole global batch lie in one operand slab, each rank's
 * rows written by that rank; the owner of some rows of dw = x^T dz computes them from all samples. No gradient travels;
 * where ranks share memory nothing does, else x and dz are gathered.
 * - wide: convolutions and batch normalisation sum their few parameters' gradients over samples in double, in which the
 * sum of floats is exact but for rare last bits of the double, and ranks add up doubles.
 * - plain: floats summed per rank and then over ranks. For models whose x and dz would be more to gather than their
 * gradients are to reduce (large batches over MPI), and for back ends that have not the other two (ops.h: joint_sums,
 * wide_sums); here the number of ranks shows in the last bit.
 */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "run_backward.h"
#include "run_fuse.h"
#include "run_graph.h"

#include <stddef.h>

#define RUN_NO_OFFSET ((size_t)-1)

/* Byte offsets into the activation slab, RUN_NO_OFFSET where a node has no such tensor there. B samples of this rank, G
 * of all ranks. */
typedef struct run_plan_node {
    size_t value;                       /* (B, shape) elements (ops.h: element_bytes) */
    size_t gradient;                    /* (B, shape) elements */
    size_t z;                           /* (B, shape) elements: input of an activation that keeps it */
    size_t bytes;                       /* (B, shape) bytes: dropout's mask, max pooling's winners */
    size_t joint_value, joint_gradient; /* (G, shape) floats: elements of the operand slab, in place of the two above */
} run_plan_node;

typedef enum run_bucket_form { RUN_BUCKET_JOINT, RUN_BUCKET_WIDE, RUN_BUCKET_PLAIN } run_bucket_form;

/* A contiguous range of gradients that is summed as one. */
typedef struct run_bucket {
    run_bucket_form form;
    size_t begin, count; /* elements of the parameter layout */
    size_t wide;         /* RUN_BUCKET_WIDE: first element of the wide slab */
    int ready;           /* complete when backward node `ready` (index into run_backward.nodes) has run */
    int node;            /* RUN_BUCKET_JOINT: the dense node, weight and bias; else -1 */
} run_bucket;

typedef struct run_plan {
    int64_t batch;                    /* samples a rank at most: B */
    int64_t global_batch;             /* samples of all ranks at most: G */
    const run_plan_node *nodes;       /* one for each node of the graph */
    size_t activation_bytes;          /* of the slab */
    size_t activation_bytes_unshared; /* what it would be without reuse, for `summary` and the tests */
    const size_t *param_offset;       /* elements, one for each param of the graph */
    const int *param_bucket;          /* the bucket of each param */
    size_t param_elements;            /* of a slab, padding included */
    size_t wide_elements;             /* doubles of the wide slab */
    size_t operand_elements;          /* floats of the operand slab */
    int bucket_count;
    const run_bucket *buckets; /* in the order in which they become ready */
} run_plan;

typedef struct run_plan_options {
    int64_t batch, global_batch;
    size_t bucket_grain; /* a plain bucket is padded with zeros to a multiple of so many elements; 0 means 1 */
    size_t bucket_bytes; /* a wide or plain bucket is closed when it holds at least so many bytes of floats */
    int operands_travel; /* 1: joint sums need a gather over a network, so large batches take the plain form */
    /* Of the back end, as in ops.h. */
    size_t element_bytes;
    int joint_sums, wide_sums;
    const run_fuse_node *fuse; /* NULL: every operation alone */
} run_plan_options;

base_status run_plan_build(const run_graph *graph, const run_backward *backward, const run_plan_options *options,
                           base_arena *arena, const run_plan **plan);

#endif
