#include "run_job.h"

#include "base_log.h"
#include "base_switch.h"
#include "base_time.h"
#include "run_optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- parts ---- */

static base_status check_batch(const run_job *self)
{
    const run_config *config = self->config;
    int64_t samples = run_data_get_info(self->train_data)->samples;
    if (config->train.batch < self->info.size)
        return BASE_FAIL(BASE_USAGE,
                         "%s: train.batch = %" PRId64 " is the global batch: it must be at least the number of "
                         "ranks, %d",
                         config->path, config->train.batch, self->info.size);
    if (config->train.batch > samples)
        return BASE_FAIL(BASE_USAGE, "%s: train.batch = %" PRId64 " is more than the %" PRId64 " training samples",
                         config->path, config->train.batch, samples);
    return BASE_OK;
}

void run_job_limit_steps(run_job *self)
{
    const run_config_train *train = &self->config->train;
    self->total_steps = self->steps_per_epoch * train->epochs - self->step_offset;
    if (train->max_steps > 0 && train->max_steps < self->total_steps)
        self->total_steps = train->max_steps;
}

static base_status open_data(run_job *self)
{
    const run_config_train *train = &self->config->train;
    BASE_TRY(run_data_open(self->world, self->config, RUN_DATA_TEST, &self->test_data));
    self->test_sampler = (run_sampler){.samples = run_data_get_info(self->test_data)->samples,
                                       .batch = train->batch,
                                       .seed = train->seed,
                                       .rank = self->info.rank,
                                       .size = self->info.size};
    if (self->purpose == RUN_JOB_EVALUATE)
        return BASE_OK;
    BASE_TRY(run_data_open(self->world, self->config, RUN_DATA_TRAIN, &self->train_data));
    BASE_TRY(check_batch(self));
    self->train_sampler = self->test_sampler;
    self->train_sampler.samples = run_data_get_info(self->train_data)->samples;
    self->train_sampler.shuffle = train->shuffle;
    self->steps_per_epoch = run_sampler_steps(&self->train_sampler);
    run_job_limit_steps(self);
    return BASE_OK;
}

/* A bucket is closed at bucket_bytes, but a model of very many layers must not start one for each. */
size_t run_job_bucket_bytes(const run_config *config, const run_graph *graph)
{
    enum { BUCKETS_MAX = 64, DEFAULT_BYTES = 1024 * 1024 };
    double wanted = config->train.bucket_mb > 0.0 ? config->train.bucket_mb * 1024.0 * 1024.0 : DEFAULT_BYTES;
    double least = (double)graph->parameters * sizeof(float) / BUCKETS_MAX;
    return (size_t)(wanted > least ? wanted : least);
}

/* What the system says that new work may use without swapping; NaN where it does not say. */
static double memory_available(void)
{
    char line[256];
    double kib = NAN;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && isnan(kib) && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lf kB", &kib) != 1)
            kib = NAN;
    if (f)
        fclose(f);
    return 1024.0 * kib;
}

/* Slabs of all ranks of this node and their loaders' buffers. */
static double memory_needed(const run_job *self)
{
    const run_plan *plan = self->plan;
    double ranks = self->info.node_size;
    int shared = comm_group_kind(self->group) == COMM_SHM;
    double params = (double)plan->param_elements * sizeof(float);
    double states = params * run_optim_states(&self->config->train.optimizer) / (self->sharded ? self->info.size : 1);
    /* A checkpoint's copy: the ranks share the state among them. */
    double staged = self->purpose == RUN_JOB_TRAIN
                        ? params * (1.0 + run_optim_states(&self->config->train.optimizer)) / self->info.size
                        : 0.0;
    double buffers = 2.0 * (double)plan->batch * (double)base_shape_count(self->graph->nodes[0].shape) * sizeof(float);
    return params * (self->sharded && shared ? 1.0 : ranks) +
           (double)plan->operand_elements * sizeof(float) * (shared ? 1.0 : ranks) +
           ranks * (params + states + staged + (double)plan->wide_elements * sizeof(double) +
                    (double)plan->activation_bytes + buffers);
}

/* Memory is given on first touch, so that too much of it is no failed allocation but a process that the system kills.
 */
static base_status check_memory(const run_job *self)
{
    double needed = memory_needed(self), available = memory_available();
    if (!(needed > available))
        return BASE_OK;
    return BASE_FAIL(BASE_ERROR,
                     "%s: the model with train.batch = %" PRId64 " needs %.1f GiB of memory for %d rank%s on %s, which "
                     "has %.1f GiB available: use a smaller model, a smaller batch, or more nodes",
                     self->config->path, self->config->train.batch, needed * 0x1p-30, self->info.node_size,
                     self->info.node_size == 1 ? "" : "s", self->info.host, available * 0x1p-30);
}

/* Equal parts for all ranks, cut where comm_slice cuts, so that one collective of NCCL serves. */
static size_t bucket_grain(const run_job *self)
{
    enum { SLICE_GRAIN = 64 };
    return self->sharded && self->ops->asynchronous ? (size_t)SLICE_GRAIN * (size_t)self->info.size : 1;
}

/* A lone rank has nobody to sum with while it computes: a device updates everything at once. */
static size_t bucket_bytes(const run_job *self)
{
    return self->ops->asynchronous && self->info.size == 1 ? SIZE_MAX : run_job_bucket_bytes(self->config, self->graph);
}

static base_status build_model(run_job *self)
{
    int64_t test_share = run_sampler_share_max(&self->test_sampler);
    int64_t share = self->purpose == RUN_JOB_TRAIN ? run_sampler_share_max(&self->train_sampler) : test_share;
    BASE_TRY(run_graph_build(self->config, run_data_get_info(self->test_data)->classes, self->arena, &self->graph));
    BASE_TRY(run_backward_build(self->graph, self->arena, &self->backward));
    BASE_TRY(run_fuse_build(self->graph, self->config->train.seed, self->ops->fuses, self->arena, &self->fuse));
    run_plan_options plan = {.batch = share > test_share ? share : test_share,
                             .global_batch = self->config->train.batch,
                             .bucket_grain = bucket_grain(self),
                             .bucket_bytes = bucket_bytes(self),
                             .operands_travel = comm_group_kind(self->group) == COMM_MPI,
                             .element_bytes = self->ops->element_bytes(self->context),
                             .joint_sums = self->ops->joint_sums,
                             .wide_sums = self->ops->wide_sums,
                             .fuse = self->fuse};
    BASE_TRY(run_plan_build(self->graph, self->backward, &plan, self->arena, &self->plan));
    return self->ops->asynchronous ? BASE_OK : check_memory(self); /* a device says itself when it has no more */
}

int run_job_wait_bound_ms(const run_job *self)
{
    double bound = self->config->train.stall_timeout;
    return bound > 0.0 ? (int)ceil(bound * 1000.0) : COMM_FOREVER;
}

const base_alarm *run_job_wait_alarm(const run_job *self)
{
    return self->monitor ? run_monitor_alarm(self->monitor) : NULL;
}

void run_job_set_patience(run_job *self, int running)
{
    comm_world_set_patience(self->world, running ? run_job_wait_bound_ms(self) : 0,
                            running ? run_job_wait_alarm(self) : NULL);
}

static base_status create_net(run_job *self)
{
    run_net_options net = {.graph = self->graph,
                           .backward = self->backward,
                           .plan = self->plan,
                           .fuse = self->fuse,
                           .device_table = self->device_table,
                           .device = self->device,
                           .stream = self->stream,
                           .ops = self->ops,
                           .context = self->context,
                           .group = self->group,
                           .loss = self->config->model.loss,
                           .seed = self->config->train.seed,
                           .one_copy = self->sharded};
    BASE_TRY(run_net_create(&net, &self->net));
    if (self->purpose == RUN_JOB_EVALUATE)
        return BASE_OK;
    run_reduce_options reduce = {.graph = self->graph,
                                 .plan = self->plan,
                                 .group = self->group,
                                 .net = self->net,
                                 .optimizer = &self->config->train.optimizer,
                                 .device_table = self->device_table,
                                 .device = self->device,
                                 .ops = self->ops,
                                 .context = self->context,
                                 .sharded = self->sharded,
                                 .threads = self->threads};
    return run_reduce_create(&reduce, &self->reduce);
}

/* Batches stay as long as the device may be behind. */
static base_status create_feed(const run_job *self, const run_data *data, const run_sampler *sampler, int background,
                               run_feed **feed)
{
    run_feed_options options = {.data = data,
                                .sampler = *sampler,
                                .background = background,
                                .keep = self->ops->asynchronous ? RUN_FLIGHT_MAX : 1,
                                .resident_bytes = run_job_resident_bytes(self),
                                .device_table = self->device_table,
                                .device = self->device,
                                .stream = self->stream,
                                .ops = self->ops,
                                .context = self->context};
    return run_feed_create(&options, feed);
}

static base_status create_feeds(run_job *self)
{
    BASE_TRY(create_feed(self, self->test_data, &self->test_sampler, 0, &self->test_feed));
    if (self->purpose == RUN_JOB_EVALUATE)
        return BASE_OK;
    /* Where ranks outnumber cores a thread of its own has no core to run beside the step on, and costs two switches. */
    return create_feed(self, self->train_data, &self->train_sampler, self->info.size <= self->cores, &self->train_feed);
}

static base_status create_flight(run_job *self)
{
    run_flight_options flight = {
        .device_table = self->device_table, .device = self->device, .stream = self->stream, .group = self->group};
    BASE_TRY(run_flight_create(&flight, &self->flight));
    int captures = self->ops->asynchronous && comm_group_can_capture(self->group) &&
                   base_switch_index(BASE_SWITCH_GPU_GRAPHS) != 0;
    return run_replay_create(self->device_table, self->device, self->stream, captures, &self->replay);
}

/* The end of a part of the set-up: all ranks agree on how it went. */
static base_status agree(const run_job *self, base_status status, const char *part)
{
    BASE_TRY(comm_world_agree(self->world, status));
    BASE_DEBUG("%s ready %.3f s after the start", part, base_time_since_start());
    return BASE_OK;
}

base_status run_job_create(comm_world *world, const run_config *config, run_job_purpose purpose, run_job *self)
{
    *self = (run_job){.world = world, .config = config, .purpose = purpose, .info = *comm_world_get_info(world)};
    snprintf(self->rank_name, sizeof self->rank_name, "rank-%d", self->info.rank);
    BASE_TRY(agree(self, base_arena_create(&self->arena, "model"), "MPI"));
    BASE_TRY(agree(self, base_switch_check(), "environment"));
    BASE_TRY(agree(self, run_job_choose_device(self), "configuration"));
    BASE_TRY(agree(self, open_data(self), "data"));
    if (purpose == RUN_JOB_TRAIN)
        BASE_TRY(agree(self, run_monitor_create(&self->monitor), "monitor"));
    BASE_TRY(agree(self, run_job_open_device(self), "device"));
    BASE_TRY(agree(self, run_job_join_group(self), "group"));
    BASE_TRY(agree(self, build_model(self), "plan"));
    BASE_TRY(agree(self, create_net(self), "network"));
    BASE_TRY(agree(self, create_flight(self), "steps"));
    return agree(self, create_feeds(self), "loaders");
}

void run_job_destroy(run_job *self)
{
    run_feed_destroy(&self->test_feed);
    run_feed_destroy(&self->train_feed);
    run_replay_destroy(&self->replay);
    run_flight_destroy(&self->flight);
    run_reduce_destroy(&self->reduce);
    run_net_destroy(&self->net);
    comm_group_destroy(&self->group);
    if (self->context)
        self->ops->close(&self->context);
    if (self->device) {
        self->device_table->stream_destroy(self->device, &self->stream);
        self->device_table->close(&self->device);
    }
    base_pool_destroy(&self->pool);
    run_data_close(&self->test_data);
    run_data_close(&self->train_data);
    run_monitor_destroy(&self->monitor);
    base_arena_destroy(&self->arena);
}
