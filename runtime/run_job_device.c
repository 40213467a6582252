/* What a job computes on, and what its ranks reduce with. */
#include "run_job.h"

#include "run_plugin.h"

#include <sched.h>
#include <stdio.h>
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

/* ---- the device ---- */

/* What the host cannot do. */
static base_status check_host(const run_config_train *train)
{
    if (train->precision == RUN_PRECISION_TF32)
        return BASE_FAIL(BASE_DEVICE, "train.precision = \"tf32\" is for GPUs, and this run computes on the cpu: use "
                                      "\"fp32\" or \"bf16\"");
    if (train->comm == RUN_COMM_NCCL || train->comm == RUN_COMM_STAGED)
        return BASE_FAIL(BASE_DEVICE,
                         "train.comm = \"%s\" is for GPUs, and this run computes on the cpu: use \"auto\", \"shm\" or "
                         "\"mpi\"",
                         run_comm_name(train->comm));
    return BASE_OK;
}

base_status run_job_choose_device(run_job *self)
{
    const run_config_train *train = &self->config->train;
    BASE_TRY(run_device_choose(self->world, train->device, &self->choice));
    return self->choice.plugin ? BASE_OK : check_host(train);
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

static ops_precision precision(const run_config *config)
{
    switch (config->train.precision) {
    case RUN_PRECISION_TF32: return OPS_TF32;
    case RUN_PRECISION_BF16: return OPS_BF16;
    case RUN_PRECISION_FP32: break;
    }
    return OPS_FP32;
}

/* A GPU needs a thread that gives it work, and no more. */
static base_status count_threads(run_job *self)
{
    run_device_bind(&self->choice);
    BASE_TRY(run_job_threads(self->world, &self->threads, &self->cores));
    if (self->config->train.threads > 0)
        self->threads = (int)self->config->train.threads;
    if (self->choice.plugin)
        self->threads = 1;
    return BASE_OK;
}

base_status run_job_open_device(run_job *self)
{
    const run_plugin *plugin = self->choice.plugin;
    BASE_TRY(count_threads(self));
    self->ops = plugin ? plugin->ops : ops_host();
    BASE_TRY(check_kernels(self));
    BASE_TRY(base_pool_create(&self->pool, self->threads));
    self->device_table = plugin ? plugin->device : &base_device_host;
    BASE_TRY(self->device_table->open(&self->device, self->choice.index));
    BASE_TRY(self->device_table->stream_create(self->device, &self->stream));
    ops_options options = {.pool = self->pool,
                           .device = self->device,
                           .stream = self->stream,
                           .precision = precision(self->config),
                           .gemm = self->config->train.gemm};
    return self->ops->open(&options, &self->context);
}

/* What goes wrong with a GPU may go wrong for all who share it. `what`: that follows "rank 3 is lost". */
static base_status lose(const run_job *self, const char *what)
{
    enum { TURN_MS = 50, TURNS_MOST = 8 };
    int turn = self->info.rank < TURNS_MOST ? self->info.rank : TURNS_MOST;
    comm_world_stay(self->world, turn * TURN_MS);
    const char *other = comm_world_lost(self->world);
    if (other)
        return BASE_FAIL(BASE_PEER, "%s", other);
    return BASE_FAIL(BASE_PEER, "rank %d is lost, and with it the job: %s", self->info.rank, what);
}

base_status run_job_lose_device(const run_job *self, base_status status)
{
    char what[1024];
    if (status != BASE_DEVICE)
        return status;
    snprintf(what, sizeof what, "its GPU (%s, %s on %s) has failed: %s", self->choice.name, self->choice.bus,
             self->info.host, base_status_message());
    return lose(self, what);
}

base_status run_job_lose_rank(const run_job *self, base_status status)
{
    char what[1024];
    if (self->info.size == 1 || (status != BASE_ERROR && status != BASE_USAGE && status != BASE_DATA))
        return run_job_lose_device(self, status);
    snprintf(what, sizeof what, "%s", base_status_message());
    return lose(self, what);
}

int run_job_was_told(const run_job *self)
{
    return base_alarm_raised(run_job_wait_alarm(self)) || comm_world_lost(self->world);
}

/* What is left of the GPU when the model lies there, less room for libraries; ranks that share it share this too. */
size_t run_job_resident_bytes(const run_job *self)
{
    run_plugin_gpu gpu;
    if (!self->choice.plugin || self->choice.plugin->describe(self->choice.index, &gpu) != BASE_OK)
        return 0;
    return gpu.memory_free / 2 / (size_t)(self->choice.shared ? self->info.node_size : 1);
}

/* ---- the group ---- */

static comm_kind group_kind(const run_config *config)
{
    switch (config->train.comm) {
    case RUN_COMM_LOCAL: return COMM_LOCAL;
    case RUN_COMM_SHM: return COMM_SHM;
    case RUN_COMM_MPI: return COMM_MPI;
    case RUN_COMM_NCCL: return COMM_NCCL;
    case RUN_COMM_STAGED: return COMM_STAGED;
    case RUN_COMM_AUTO: break;
    }
    return COMM_AUTO;
}

/* NCCL, where all ranks have it and no two share a GPU, which it does not serve. */
static base_status find_nccl(const run_job *self, const comm_nccl_table **nccl)
{
    const run_plugin *plugin = self->choice.plugin;
    int version, differs;
    int has = !self->choice.shared && plugin->nccl && plugin->nccl->load(&version) == BASE_OK;
    base_status_clear();
    BASE_TRY(run_job_compare(self->world, has ? "has NCCL" : "has not", &differs));
    *nccl = has && !differs ? plugin->nccl : NULL;
    return BASE_OK;
}

base_status run_job_join_group(run_job *self)
{
    comm_group_options options = {
        .kind = group_kind(self->config), .timeout_ms = run_job_wait_bound_ms(self), .alarm = run_job_wait_alarm(self)};
    if (self->choice.plugin) {
        options.device = (comm_device){.table = self->device_table, .device = self->device, .stream = self->stream};
        BASE_TRY(find_nccl(self, &options.device.nccl));
    }
    BASE_TRY(comm_group_create(self->world, &options, &self->group));
    self->sharded = self->config->train.sync == RUN_SYNC_SHARDED ||
                    (self->config->train.sync == RUN_SYNC_AUTO && comm_group_kind(self->group) == COMM_SHM);
    return BASE_OK;
}
