/* run_net.h: a planned model in memory: its slabs, and the execution of its nodes forward and backward.
 *
 * Letters: B samples of this rank in this step. Order of a training step: begin_step of ops, run_net_forward,
 * run_net_loss, then run_net_backward for every backward node in turn. Nothing is allocated after creation. Batch
 * normalisation adds its sums up over the group, so forward and backward of a model that has it are Collective;
 * everything else is Local.
 */
#ifndef RUN_NET_H
#define RUN_NET_H

#include "base_device.h"
#include "base_time.h"
#include "comm.h"
#include "ops.h"
#include "run_plan.h"

typedef struct run_net run_net;

typedef struct run_net_options {
    const run_graph *graph;
    const run_backward *backward;
    const run_plan *plan;
    const run_fuse_node *fuse;
    const base_device_table *device_table;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
    comm_group *group;
    run_loss loss;
    uint64_t seed;
    int one_copy; /* of the parameters where ranks share memory (sync sharded) */
} run_net_options;

/* What a step works on. */
typedef struct run_net_batch {
    const void *x;          /* (B, input shape) */
    const int32_t *labels;  /* (B) */
    int64_t count;          /* B; may be 0 */
    int64_t first_sample;   /* number of the first of them within the global batch */
    int64_t global_count;   /* samples of all ranks in this step */
    const int64_t *samples; /* (B) what is still to be gathered (run_feed_gather): for begin_step */
} run_net_batch;

/* Collective. Allocates the slabs and fills the parameters from the seed; a single copy is complete once all ranks have
 * returned (the caller agrees on the status anyway). */
base_status run_net_create(const run_net_options *options, run_net **self);
void run_net_destroy(run_net **self); /* Collective */

/* `phases` (may be NULL) is switched to reduce while batch normalisation waits for other ranks. */
base_status run_net_forward(run_net *self, const run_net_batch *batch, int training, base_phases *phases);

/* result (NULL: that of begin_step) = {sum of losses, number of right answers} over this rank's samples. In training
 * also the gradient of the output, scaled by 1 / global_count. */
base_status run_net_loss(run_net *self, const run_net_batch *batch, int training, double result[2]);

/* Backward node `b` (index into run_backward.nodes). Gradients of parameters that are summed jointly are left to
 * run_net_joint_gradient. */
base_status run_net_backward(run_net *self, const run_net_batch *batch, int b, base_phases *phases);

/* Rows from .. to - 1 of the gradient of a joint bucket's weight, and with `bias` that of its bias, from all samples of
 * the step, into the gradient slab. After run_net_backward of its node on all ranks, and the gather of its operands. */
base_status run_net_joint_gradient(run_net *self, const run_bucket *bucket, int64_t global_count, int64_t from,
                                   int64_t to, int bias);

comm_slab *run_net_params(run_net *self);    /* plan.param_elements floats */
comm_slab *run_net_gradients(run_net *self); /* the same layout */
comm_slab *run_net_wide(run_net *self);      /* plan.wide_elements doubles */
comm_slab *run_net_operands(run_net *self);  /* plan.operand_elements floats, one copy where ranks share memory */

/* Batch normalisation's running statistics, (channels of `node`) each, on the device; the same on all ranks. */
void run_net_running(run_net *self, int node, float **mean, float **var);

/* Others than the optimizer have written the parameters: a resume, a gather from other ranks. Local. */
base_status run_net_params_changed(run_net *self);

/* XXH64 over the parameters in canonical order, without padding. Local; waits for the device. */
base_status run_net_param_digest(run_net *self, char text[17]);

#endif
