/* run_reduce.h: gradient synchronisation and the update as one operation with two forms.
 *
 * allreduce: the sum of a bucket's gradients reaches every rank, which updates all parameters.
 * sharded: each rank has the sum over its part of a bucket, updates that part (its optimizer state is that short), and
 * the parts are gathered; where ranks share memory the parameters are a single copy and gathering is a sync point. How
 * the sum comes about is the bucket's form (run_plan.h): joint sums are computed by the owner of the part from the
 * operands of all ranks, in pieces that are updated while they are in the cache; wide and plain sums are reduced.
 *
 * A step: run_reduce_ready after every backward node, run_reduce_finish once. All Collective: every rank starts the
 * same buckets in the same order.
 */
#ifndef RUN_REDUCE_H
#define RUN_REDUCE_H

#include "base_time.h"
#include "comm.h"
#include "run_net.h"
#include "run_optim.h"
#include "run_plan.h"

typedef struct run_reduce run_reduce;

typedef struct run_reduce_options {
    const run_graph *graph;
    const run_plan *plan;
    comm_group *group;
    run_net *net;
    const run_config_optimizer *optimizer;
    const base_device_table *device_table;
    base_device *device;
    const ops_table *ops;
    ops_context *context;
    int sharded;
    int threads; /* of this rank, each with a cache of its own */
} run_reduce_options;

base_status run_reduce_create(const run_reduce_options *options, run_reduce **self); /* Collective */
void run_reduce_destroy(run_reduce **self);

/* What this rank updates: one part of the parameter layout for each bucket of the plan, and where its state begins in
 * the tensors of the optimizer. All parts together are the rank's whole state. */
typedef struct run_reduce_part {
    size_t begin, count; /* elements of the parameter layout */
    size_t state;        /* element of each state tensor */
} run_reduce_part;
run_reduce_part run_reduce_get_part(const run_reduce *self, int bucket);
run_optim *run_reduce_optim(run_reduce *self);
/* 1: the ranks' parts of a bucket are disjoint; 0: every rank's part is the whole bucket. */
int run_reduce_owns_parts(const run_reduce *self);

/* Backward node `b` of a step over `global_count` samples has run: start the sums of the buckets that it completes,
 * move the others on. */
base_status run_reduce_ready(run_reduce *self, int b, int64_t global_count);

/* Wait for the sums, clip, update, wait for the parameters. The caller has waited for a collective that all ranks
 * started after the last run_reduce_ready (that of the step's loss). Phases: reduce while waiting, backward for joint
 * sums, update. */
base_status run_reduce_finish(run_reduce *self, base_phases *phases);

/* A step that is given up: wait for what was started and change nothing. */
base_status run_reduce_drain(run_reduce *self);

#endif
