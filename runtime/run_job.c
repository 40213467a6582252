#include "run_job.h"

#include "base_log.h"
#include "base_time.h"
#include "run_optim.h"
#include "run_plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- threads ---- */

typedef struct affinity {
    char host[64];
    cpu_set_t mask;
} affinity;

/* The lowest hardware thread of the core that `cpu` belongs to; itself where the system does not say. */
static size_t first_sibling(size_t cpu)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    size_t first = cpu;
    if (f && fscanf(f, "%zu", &first) != 1)
        first = cpu;
    if (f)
        fclose(f);
    return first;
}

/* One hardware thread a core: two that share a core's arithmetic do not add to it. */
static void own_cores(cpu_set_t *mask)
{
    CPU_ZERO(mask);
    if (sched_getaffinity(0, sizeof *mask, mask) != 0)
        CPU_SET(0, mask);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        size_t first = CPU_ISSET(cpu, mask) ? first_sibling(cpu) : cpu;
        if (first != cpu && first < CPU_SETSIZE && CPU_ISSET(first, mask))
            CPU_CLR(cpu, mask);
    }
}

int run_job_cores(void)
{
    cpu_set_t mask;
    own_cores(&mask);
    return CPU_COUNT(&mask);
}

static void own_affinity(comm_world *world, affinity *mine)
{
    memset(mine, 0, sizeof *mine);
    snprintf(mine->host, sizeof mine->host, "%.*s", (int)sizeof mine->host - 1, comm_world_get_info(world)->host);
    own_cores(&mine->mask);
}

static int shares_core(const affinity *a, const affinity *b)
{
    cpu_set_t both;
    CPU_AND(&both, &a->mask, &b->mask);
    return strcmp(a->host, b->host) == 0 && CPU_COUNT(&both) > 0;
}

/* Cores of rank `r` that no earlier rank of its host has. */
static int new_cores(const affinity *all, int r)
{
    cpu_set_t fresh = all[r].mask;
    for (int i = 0; i < r; i++) {
        cpu_set_t both;
        if (strcmp(all[i].host, all[r].host) != 0)
            continue;
        CPU_AND(&both, &fresh, &all[i].mask);
        CPU_XOR(&fresh, &fresh, &both);
    }
    return CPU_COUNT(&fresh);
}

base_status run_job_threads(comm_world *world, int *threads, int *cores)
{
    const comm_world_info *info = comm_world_get_info(world);
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "affinity"));
    affinity *all = BASE_NEW_ARRAY(arena, affinity, info->size);
    affinity *mine = BASE_NEW(arena, affinity);
    base_status status = all && mine ? BASE_OK : BASE_ERROR;
    if (status == BASE_OK) {
        own_affinity(world, mine);
        status = comm_world_all_gather(world, mine, sizeof *mine, all);
    }
    if (status == BASE_OK) {
        int sharing = 0;
        *cores = 0;
        for (int r = 0; r < info->size; r++) {
            sharing += shares_core(&all[r], mine);
            *cores += new_cores(all, r);
        }
        *threads = CPU_COUNT(&mine->mask) / (sharing > 0 ? sharing : 1);
        if (*threads < 1)
            *threads = 1;
    }
    base_arena_destroy(&arena);
    return status;
}

/* ---- parts ---- */

static base_status check_gpu(void)
{
    const run_plugin *plugin;
    int count;
    BASE_TRY(run_plugin_load(&plugin));
    BASE_TRY(plugin->count(&count));
    return BASE_FAIL(
        BASE_DEVICE,
        "train.device = \"gpu\": %d GPU%s can be used, but this version of ddpt does not train on GPUs; use "
        "\"cpu\" or \"auto\"",
        count, count == 1 ? "" : "s");
}

static base_status check_availability(const run_config *config)
{
    const run_config_train *train = &config->train;
    if (train->device == RUN_DEVICE_GPU)
        return check_gpu();
    if (train->precision != RUN_PRECISION_FP32)
        return BASE_FAIL(BASE_DEVICE, "train.precision = \"%s\": the cpu computes in \"fp32\" only",
                         run_precision_name(train->precision));
    if (train->comm == RUN_COMM_NCCL || train->comm == RUN_COMM_STAGED)
        return BASE_FAIL(BASE_DEVICE,
                         "train.comm = \"%s\" needs a GPU back end, which this build of ddpt does not have; "
                         "use \"auto\", \"shm\" or \"mpi\"",
                         run_comm_name(train->comm));
    return BASE_OK;
}

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

static base_status build_model(run_job *self)
{
    int64_t test_share = run_sampler_share_max(&self->test_sampler);
    int64_t share = self->purpose == RUN_JOB_TRAIN ? run_sampler_share_max(&self->train_sampler) : test_share;
    BASE_TRY(run_graph_build(self->config, run_data_get_info(self->test_data)->classes, self->arena, &self->graph));
    BASE_TRY(run_backward_build(self->graph, self->arena, &self->backward));
    run_plan_options plan = {.batch = share > test_share ? share : test_share,
                             .global_batch = self->config->train.batch,
                             .bucket_bytes = run_job_bucket_bytes(self->config, self->graph),
                             .operands_travel = comm_group_kind(self->group) == COMM_MPI};
    BASE_TRY(run_plan_build(self->graph, self->backward, &plan, self->arena, &self->plan));
    return check_memory(self);
}

/* Kernels for different instruction sets round differently. */
static base_status check_kernels(run_job *self)
{
    int differs;
    BASE_TRY(run_job_compare(self->world, self->ops->name, &differs));
    if (differs)
        BASE_WARN("rank %d computes with other kernels than rank 0 (%s): parameters will differ in the last bits; set "
                  "DDPT_ISA=avx2 or generic for all ranks",
                  differs, self->ops->name);
    return BASE_OK;
}

static base_status open_device(run_job *self)
{
    BASE_TRY(run_job_threads(self->world, &self->threads, &self->cores));
    if (self->config->train.threads > 0)
        self->threads = (int)self->config->train.threads;
    self->ops = ops_host();
    BASE_TRY(check_kernels(self));
    BASE_TRY(base_pool_create(&self->pool, self->threads));
    self->device_table = &base_device_host;
    BASE_TRY(self->device_table->open(&self->device, 0));
    BASE_TRY(self->device_table->stream_create(self->device, &self->stream));
    ops_options options = {
        .pool = self->pool, .device = self->device, .stream = self->stream, .gemm = self->config->train.gemm};
    return self->ops->open(&options, &self->context);
}

static comm_kind group_kind(const run_config *config)
{
    switch (config->train.comm) {
    case RUN_COMM_LOCAL: return COMM_LOCAL;
    case RUN_COMM_SHM: return COMM_SHM;
    case RUN_COMM_MPI: return COMM_MPI;
    default: return COMM_AUTO;
    }
}

static int wait_bound_ms(const run_job *self)
{
    double bound = self->config->train.stall_timeout;
    return bound > 0.0 ? (int)ceil(bound * 1000.0) : COMM_FOREVER;
}

static const base_alarm *wait_alarm(const run_job *self)
{
    return self->monitor ? run_monitor_alarm(self->monitor) : NULL;
}

void run_job_set_patience(run_job *self, int running)
{
    comm_world_set_patience(self->world, running ? wait_bound_ms(self) : 0, running ? wait_alarm(self) : NULL);
}

static base_status join_group(run_job *self)
{
    comm_group_options options = {
        .kind = group_kind(self->config), .timeout_ms = wait_bound_ms(self), .alarm = wait_alarm(self)};
    BASE_TRY(comm_group_create(self->world, &options, &self->group));
    self->sharded = self->config->train.sync == RUN_SYNC_SHARDED ||
                    (self->config->train.sync == RUN_SYNC_AUTO && comm_group_kind(self->group) == COMM_SHM);
    return BASE_OK;
}

static base_status create_net(run_job *self)
{
    run_net_options net = {.graph = self->graph,
                           .backward = self->backward,
                           .plan = self->plan,
                           .device_table = self->device_table,
                           .device = self->device,
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

static base_status create_loaders(run_job *self)
{
    BASE_TRY(run_loader_create(self->test_data, self->ops, &self->test_sampler, 0, 0, 0, &self->test_loader));
    if (self->purpose == RUN_JOB_EVALUATE)
        return BASE_OK;
    /* Where ranks outnumber cores a thread of its own has no core to run beside the step on, and costs two switches. */
    int background = self->info.size <= self->cores;
    return run_loader_create(self->train_data, self->ops, &self->train_sampler, 0, 0, background, &self->train_loader);
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
    BASE_TRY(agree(self, check_availability(config), "configuration"));
    BASE_TRY(agree(self, open_data(self), "data"));
    if (purpose == RUN_JOB_TRAIN)
        BASE_TRY(agree(self, run_monitor_create(&self->monitor), "monitor"));
    BASE_TRY(agree(self, join_group(self), "group"));
    BASE_TRY(agree(self, build_model(self), "plan"));
    BASE_TRY(agree(self, open_device(self), "device"));
    BASE_TRY(agree(self, create_net(self), "network"));
    return agree(self, create_loaders(self), "loaders");
}

void run_job_destroy(run_job *self)
{
    run_loader_destroy(&self->test_loader);
    run_loader_destroy(&self->train_loader);
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
