#include "run_reduce.h"

#include "run_sampler.h"

/* Rows of a joint weight are dealt to ranks in grains of 16: their gradient starts on a cache line. A piece is as much
 * of it as stays in the threads' second-level caches until the update. */
enum { ROW_GRAIN = 16, PIECE_BYTES = 256 * 1024 };

/* A bucket on its way through a step. */
typedef struct bucket_state {
    const run_bucket *bucket;
    size_t begin, count;           /* what this rank updates: elements of the parameter layout */
    size_t state;                  /* where that begins in the optimizer's state */
    const size_t *cuts;            /* the ranks' parts, counted from bucket->begin; NULL: comm_slice */
    size_t part_begin, part_count; /* this rank's part of the sum */
    int64_t from, to;              /* joint: rows of that part ... */
    int has_bias;                  /* ... and whether the bias belongs to it */
    size_t *x_cuts, *dz_cuts;      /* joint, where operands travel: the ranks' rows */
    comm_request *sum[2];          /* reduce, or gathers of x and dz */
    comm_request *gather;          /* of the parameters */
} bucket_state;

struct run_reduce {
    run_reduce_options o;
    base_arena *arena;
    run_optim *optim;
    comm_slab *squares; /* (1) double: of the gradient's norm, where it is clipped */
    int rank, size;
    int owns_parts;               /* this rank updates its part alone, not the whole bucket */
    int one_operands, one_params; /* a single copy of them where ranks share memory: nothing to gather */
    bucket_state *buckets;
    int started;               /* buckets whose sum was started in this step */
    int old_sums, old_gathers; /* buckets before these have none under way */
    int64_t global_count;
};

/* ---- creation ---- */

static size_t *new_cuts(run_reduce *self)
{
    return BASE_NEW_ARRAY(self->arena, size_t, self->size + 1);
}

static int64_t first_row(int64_t rows, int rank, int size)
{
    int64_t from, to;
    base_pool_range(rows, ROW_GRAIN, rank, size, &from, &to);
    return from;
}

/* The weight by rows; the bias behind it goes to the last rank. */
static base_status cut_joint(run_reduce *self, bucket_state *b)
{
    const ops_dense *dense = &self->o.graph->nodes[b->bucket->node].dense;
    size_t *cuts = new_cuts(self);
    if (!cuts)
        return BASE_ERROR;
    for (int r = 0; r < self->size; r++)
        cuts[r] = (size_t)(first_row(dense->k, r, self->size) * dense->n);
    cuts[self->size] = b->bucket->count;
    b->cuts = cuts;
    base_pool_range(dense->k, ROW_GRAIN, self->rank, self->size, &b->from, &b->to);
    b->has_bias = self->rank == self->size - 1;
    b->part_begin = b->bucket->begin + cuts[self->rank];
    b->part_count = cuts[self->rank + 1] - cuts[self->rank];
    if (self->one_operands)
        return BASE_OK;
    b->x_cuts = new_cuts(self);
    b->dz_cuts = new_cuts(self);
    return b->x_cuts && b->dz_cuts ? BASE_OK : BASE_ERROR;
}

static void cut_slice(run_reduce *self, bucket_state *b)
{
    size_t begin = 0, end = b->bucket->count;
    if (self->owns_parts)
        comm_slice(b->bucket->count, self->size, self->rank, &begin, &end);
    b->part_begin = b->bucket->begin + begin;
    b->part_count = end - begin;
}

static base_status create_buckets(run_reduce *self, size_t *elements)
{
    const run_plan *plan = self->o.plan;
    self->buckets = BASE_NEW_ARRAY(self->arena, bucket_state, plan->bucket_count);
    if (!self->buckets)
        return BASE_ERROR;
    for (int i = 0; i < plan->bucket_count; i++) {
        bucket_state *b = &self->buckets[i];
        b->bucket = &plan->buckets[i];
        if (b->bucket->form == RUN_BUCKET_JOINT)
            BASE_TRY(cut_joint(self, b));
        else
            cut_slice(self, b);
        b->begin = self->owns_parts ? b->part_begin : b->bucket->begin;
        b->count = self->owns_parts ? b->part_count : b->bucket->count;
        b->state = *elements;
        *elements += b->count;
    }
    return BASE_OK;
}

base_status run_reduce_create(const run_reduce_options *options, run_reduce **out)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "synchronisation"));
    run_reduce *self = BASE_NEW(arena, run_reduce);
    if (!self) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    self->o = *options;
    self->arena = arena;
    self->rank = comm_group_rank(options->group);
    self->size = comm_group_size(options->group);
    self->owns_parts = options->sharded || self->size == 1;
    self->one_operands = comm_slab_is_one(run_net_operands(options->net));
    self->one_params = comm_slab_is_one(run_net_params(options->net));
    *out = self;
    size_t elements = 0;
    if (options->optimizer->clip_norm > 0.0)
        BASE_TRY(comm_slab_create(options->group, COMM_SLAB_OWN, COMM_F64, 1, &self->squares));
    BASE_TRY(create_buckets(self, &elements));
    run_optim_options optim = {.config = options->optimizer,
                               .device_table = options->device_table,
                               .device = options->device,
                               .ops = options->ops,
                               .context = options->context,
                               .elements = elements};
    return run_optim_create(&optim, &self->optim);
}

void run_reduce_destroy(run_reduce **out)
{
    run_reduce *self = *out;
    if (!self)
        return;
    run_optim_destroy(&self->optim);
    comm_slab_destroy(&self->squares);
    base_arena *arena = self->arena;
    base_arena_destroy(&arena);
    *out = NULL;
}

run_reduce_part run_reduce_get_part(const run_reduce *self, int bucket)
{
    const bucket_state *b = &self->buckets[bucket];
    return (run_reduce_part){.begin = b->begin, .count = b->count, .state = b->state};
}

run_optim *run_reduce_optim(run_reduce *self)
{
    return self->optim;
}

int run_reduce_owns_parts(const run_reduce *self)
{
    return self->owns_parts;
}

/* ---- requests under way ---- */

static int is_young(const comm_request *request)
{
    return request && comm_request_age(request) < COMM_REQUEST_MAX / 2;
}

static base_status wait_sum(bucket_state *b)
{
    for (int i = 0; i < 2; i++)
        if (b->sum[i])
            BASE_TRY(comm_request_wait(&b->sum[i]));
    return BASE_OK;
}

static base_status wait_gather(bucket_state *b)
{
    return b->gather ? comm_request_wait(&b->gather) : BASE_OK;
}

/* A request must be waited for before COMM_REQUEST_MAX newer ones are started, and a model may have any number of
 * layers: waits for those that are halfway there, which as a rule are done long ago. `updated`: buckets whose gather
 * may have been started. */
static base_status make_room(run_reduce *self, int updated)
{
    for (; self->old_sums < self->started; self->old_sums++) {
        bucket_state *b = &self->buckets[self->old_sums];
        if (is_young(b->sum[0]) || is_young(b->sum[1]))
            break;
        BASE_TRY(wait_sum(b));
    }
    for (; self->old_gathers < updated; self->old_gathers++) {
        bucket_state *b = &self->buckets[self->old_gathers];
        if (is_young(b->gather))
            break;
        BASE_TRY(wait_gather(b));
    }
    return BASE_OK;
}

static void begin_anew(run_reduce *self)
{
    self->started = self->old_sums = self->old_gathers = 0;
}

/* ---- sums ---- */

/* The rows of all ranks of one operand. */
static base_status gather_operand(run_reduce *self, size_t offset, int64_t features, size_t *cuts,
                                  comm_request **request)
{
    for (int r = 0; r <= self->size; r++)
        cuts[r] = (size_t)(run_share_begin(self->global_count, r, self->size) * features);
    return comm_all_gather_start(self->o.group, run_net_operands(self->o.net), offset, cuts[self->size], cuts, request);
}

static base_status start_joint(run_reduce *self, bucket_state *b)
{
    const run_node *node = &self->o.graph->nodes[b->bucket->node];
    int input = self->o.graph->nodes[node->inputs[0]].tensor;
    const run_plan_node *nodes = self->o.plan->nodes;
    /* One copy: the rows of all ranks are visible after the collective that comes before run_reduce_finish. */
    if (self->one_operands)
        return BASE_OK;
    BASE_TRY(gather_operand(self, nodes[input].joint_value, node->dense.k, b->x_cuts, &b->sum[0]));
    return gather_operand(self, nodes[node->number].joint_gradient, node->dense.n, b->dz_cuts, &b->sum[1]);
}

static base_status start_sum(run_reduce *self, bucket_state *b)
{
    if (b->bucket->form == RUN_BUCKET_JOINT)
        return start_joint(self, b);
    int wide = b->bucket->form == RUN_BUCKET_WIDE;
    comm_slab *slab = wide ? run_net_wide(self->o.net) : run_net_gradients(self->o.net);
    size_t offset = wide ? b->bucket->wide : b->bucket->begin;
    if (self->o.sharded)
        return comm_reduce_scatter_start(self->o.group, slab, offset, b->bucket->count, &b->sum[0]);
    return comm_all_reduce_start(self->o.group, slab, offset, b->bucket->count, &b->sum[0]);
}

base_status run_reduce_ready(run_reduce *self, int b, int64_t global_count)
{
    const run_plan *plan = self->o.plan;
    self->global_count = global_count;
    BASE_TRY(make_room(self, 0));
    while (self->started < plan->bucket_count && plan->buckets[self->started].ready <= b)
        BASE_TRY(start_sum(self, &self->buckets[self->started++]));
    return comm_group_progress(self->o.group);
}

static float *gradients_at(run_reduce *self, size_t element)
{
    return (float *)comm_slab_data(run_net_gradients(self->o.net)) + element;
}

static float *params_at(run_reduce *self, size_t element)
{
    return (float *)comm_slab_data(run_net_params(self->o.net)) + element;
}

/* Leaves the sum of what this rank updates in the gradient slab. */
static base_status make_gradient(run_reduce *self, bucket_state *b, base_phases *phases)
{
    base_phases_switch(phases, BASE_PHASE_REDUCE);
    BASE_TRY(wait_sum(b));
    if (b->bucket->form == RUN_BUCKET_WIDE) {
        base_phases_switch(phases, BASE_PHASE_UPDATE);
        const double *wide = (const double *)comm_slab_data(run_net_wide(self->o.net)) + b->bucket->wide;
        return self->o.ops->round(self->o.context, (int64_t)b->count, wide + (b->begin - b->bucket->begin),
                                  gradients_at(self, b->begin));
    }
    if (b->bucket->form == RUN_BUCKET_PLAIN)
        return BASE_OK;
    base_phases_switch(phases, BASE_PHASE_BACKWARD);
    BASE_TRY(run_net_joint_gradient(self->o.net, b->bucket, self->global_count, b->from, b->to, b->has_bias));
    if (self->owns_parts)
        return BASE_OK;
    base_phases_switch(phases, BASE_PHASE_REDUCE);
    BASE_TRY(comm_all_gather_start(self->o.group, run_net_gradients(self->o.net), b->bucket->begin, b->bucket->count,
                                   b->cuts, &b->sum[0]));
    return wait_sum(b);
}

/* ---- update ---- */

static base_status apply(run_reduce *self, const bucket_state *b, size_t begin, size_t count, base_phases *phases)
{
    base_phases_switch(phases, BASE_PHASE_UPDATE);
    return run_optim_update(self->optim, b->state + (begin - b->begin), count, gradients_at(self, begin),
                            params_at(self, begin));
}

/* Sum and update piece by piece, so that the gradient never leaves the cache. */
static base_status sum_and_apply_joint(run_reduce *self, bucket_state *b, base_phases *phases)
{
    int64_t n = self->o.graph->nodes[b->bucket->node].dense.n;
    int64_t rows = self->o.threads * PIECE_BYTES / (int64_t)sizeof(float) / n / ROW_GRAIN * ROW_GRAIN;
    if (rows < ROW_GRAIN)
        rows = ROW_GRAIN;
    base_phases_switch(phases, BASE_PHASE_REDUCE);
    BASE_TRY(wait_sum(b));
    size_t at = b->begin, end = b->begin + b->count;
    for (int64_t from = b->from; at < end; from += rows) {
        int64_t to = from + rows < b->to ? from + rows : b->to;
        int last = to == b->to;
        size_t next = last ? end : b->bucket->begin + (size_t)(to * n);
        base_phases_switch(phases, BASE_PHASE_BACKWARD);
        BASE_TRY(run_net_joint_gradient(self->o.net, b->bucket, self->global_count, from, to, last && b->has_bias));
        BASE_TRY(apply(self, b, at, next - at, phases));
        at = next;
    }
    return BASE_OK;
}

/* By the global norm: needs all sums. */
static base_status clip(run_reduce *self, base_phases *phases)
{
    double *squares = comm_slab_data(self->squares);
    for (int i = 0; i < self->o.plan->bucket_count; i++) {
        bucket_state *b = &self->buckets[i];
        BASE_TRY(make_room(self, 0));
        BASE_TRY(make_gradient(self, b, phases));
        base_phases_switch(phases, BASE_PHASE_UPDATE);
        BASE_TRY(self->o.ops->sum_of_squares(self->o.context, (int64_t)b->count, gradients_at(self, b->begin), i > 0,
                                             squares));
    }
    if (self->o.sharded) {
        base_phases_switch(phases, BASE_PHASE_REDUCE);
        BASE_TRY(comm_slab_sum(self->squares, 0, 1));
    }
    return self->o.ops->clip(self->o.context, self->o.optimizer->clip_norm, squares);
}

static base_status update_bucket(run_reduce *self, bucket_state *b, int clips, base_phases *phases)
{
    if (!clips && b->bucket->form == RUN_BUCKET_JOINT && self->owns_parts) {
        BASE_TRY(sum_and_apply_joint(self, b, phases));
    } else {
        if (!clips)
            BASE_TRY(make_gradient(self, b, phases));
        BASE_TRY(apply(self, b, b->begin, b->count, phases));
    }
    if (!self->o.sharded || self->one_params)
        return BASE_OK;
    return comm_all_gather_start(self->o.group, run_net_params(self->o.net), b->bucket->begin, b->bucket->count,
                                 b->cuts, &b->gather);
}

/* All parts of the parameters on all ranks. On a single copy that is one sync point, not one a bucket: where ranks
 * share cores each costs every rank a sleep. */
static base_status gather_params(run_reduce *self)
{
    if (self->one_params) {
        comm_request *all;
        BASE_TRY(comm_all_gather_start(self->o.group, run_net_params(self->o.net), 0, self->o.plan->param_elements,
                                       NULL, &all));
        return comm_request_wait(&all);
    }
    for (int i = 0; i < self->o.plan->bucket_count; i++)
        BASE_TRY(wait_gather(&self->buckets[i]));
    return run_net_params_changed(self->o.net);
}

base_status run_reduce_finish(run_reduce *self, base_phases *phases)
{
    int clips = self->o.optimizer->clip_norm > 0.0;
    if (clips)
        BASE_TRY(clip(self, phases));
    for (int i = 0; i < self->o.plan->bucket_count; i++) {
        BASE_TRY(make_room(self, i));
        BASE_TRY(update_bucket(self, &self->buckets[i], clips, phases));
    }
    base_phases_switch(phases, BASE_PHASE_REDUCE);
    if (self->o.sharded)
        BASE_TRY(gather_params(self));
    begin_anew(self);
    return BASE_OK;
}

base_status run_reduce_drain(run_reduce *self)
{
    for (int i = 0; i < self->started; i++)
        BASE_TRY(wait_sum(&self->buckets[i]));
    begin_anew(self);
    return BASE_OK;
}
