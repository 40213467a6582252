#include "scale_job.h"

#include "base_time.h"
#include "run_job.h"
#include "scale_trial.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct scale_job {
    comm_world *world;
    const scale_options *options;
    run_config *config;
    run_config *configs[SCALE_POINTS_MAX]; /* of the points */
    comm_world *parts[SCALE_POINTS_MAX];   /* of the points; NULL on ranks that have no part. MPI splits ranks in a call
                                              that blocks, so none is made while one of them may have stopped */
    int lost;                              /* a rank is: nothing can be taken down together */
    comm_node_memory *memory;
    scale_beat *beat;       /* of the node's first rank, for those that sleep */
    uint64_t seen;          /* steps of it */
    double looked, still_s; /* without one, while this rank rests */
};

/* ---- preparation ---- */

static base_status check_workers(const scale_options *options, int ranks)
{
    int most = options->workers[options->worker_count - 1];
    if (options->trials_only && (options->worker_count != 1 || most != ranks))
        return BASE_FAIL(BASE_USAGE,
                         "the launcher started %d rank%s where --workers says %d: it must start as many as stand in "
                         "place of {n}",
                         ranks, ranks == 1 ? "" : "s", most);
    if (options->launcher)
        return BASE_FAIL(BASE_USAGE, "--launcher has no use inside an MPI job, whose ranks are the workers: start ddpt "
                                     "without mpirun or srun, or leave --launcher out");
    if (most > ranks)
        return BASE_FAIL(BASE_USAGE, "--workers names %d, but this MPI job has %d rank%s", most, ranks,
                         ranks == 1 ? "" : "s");
    return BASE_OK;
}

/* The least that any of the largest number of workers would take for itself. */
static base_status choose_threads(comm_world *world, int workers, int64_t *threads)
{
    comm_world *part;
    int own = 1, cores;
    BASE_TRY(comm_world_split(world, workers, &part));
    base_status status = part ? run_job_threads(part, &own, &cores) : BASE_OK;
    if (status == BASE_PEER)
        return status;
    comm_world_close(&part, 0);
    BASE_TRY(comm_world_agree(world, status));
    int size = comm_world_get_info(world)->size;
    int *all = calloc((size_t)size, sizeof *all);
    status = comm_world_agree(world, all ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for %d ranks", size));
    if (status == BASE_OK)
        status = comm_world_all_gather(world, &own, sizeof own, all);
    for (int r = 0; status == BASE_OK && all && r < workers; r++)
        *threads = r == 0 || all[r] < *threads ? all[r] : *threads;
    free(all);
    return status;
}

static base_status read_point(scale_job *self, int point, int64_t threads)
{
    const scale_options *options = self->options;
    char set_threads[64], set_batch[64];
    const char *sets[COMMAND_SETS_MAX + 2];
    int count = 0;
    for (; count < options->sets.count; count++)
        sets[count] = options->sets.values[count];
    snprintf(set_threads, sizeof set_threads, "train.threads=%" PRId64, threads);
    snprintf(set_batch, sizeof set_batch, "train.batch=%" PRId64,
             scale_options_batch(options, self->config, options->workers[point]));
    sets[count++] = set_threads;
    sets[count++] = set_batch;
    return run_job_read_config(self->world, options->config, count, sets, &self->configs[point]);
}

static base_status prepare(scale_job *self, scale_options *options)
{
    int ranks = comm_world_get_info(self->world)->size;
    BASE_TRY(
        run_job_read_config(self->world, options->config, options->sets.count, options->sets.values, &self->config));
    scale_options_complete(options, ranks);
    BASE_TRY(check_workers(options, ranks));
    BASE_TRY(scale_options_check(options, self->config));
    int64_t threads = self->config->train.threads;
    if (threads == 0)
        BASE_TRY(choose_threads(self->world, options->workers[options->worker_count - 1], &threads));
    for (int i = 0; i < options->worker_count; i++)
        BASE_TRY(read_point(self, i, threads));
    for (int i = 0; i < options->worker_count; i++)
        BASE_TRY(comm_world_split(self->world, options->workers[i], &self->parts[i]));
    BASE_TRY(comm_node_memory_create(self->world, sizeof *self->beat, &self->memory));
    self->beat = comm_node_memory_data(self->memory);
    if (comm_world_get_info(self->world)->rank == 0)
        atomic_store(&self->beat->of_rank_0, 1);
    return BASE_OK;
}

base_status scale_job_open(comm_world *world, scale_options *options, scale_job **out)
{
    scale_job *self = calloc(1, sizeof *self);
    base_status status = self ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the sweep");
    status = comm_world_agree(world, status);
    if (status == BASE_OK && self) {
        self->world = world;
        self->options = options;
        status = prepare(self, options);
    }
    if (status != BASE_OK)
        scale_job_close(&self);
    *out = self;
    return status;
}

void scale_job_close(scale_job **out)
{
    scale_job *self = *out;
    if (!self)
        return;
    comm_node_memory_destroy(&self->memory);
    for (int i = 0; i < SCALE_POINTS_MAX && !self->lost; i++)
        comm_world_close(&self->parts[i], 0);
    for (int i = 0; i < SCALE_POINTS_MAX; i++)
        run_config_destroy(&self->configs[i]);
    run_config_destroy(&self->config);
    free(self);
    *out = NULL;
}

const run_config *scale_job_config(const scale_job *self)
{
    return self->config;
}

/* ---- trials ---- */

/* On rank 0. Takes over what `facts` and `trial` hold. */
static base_status keep(scaling_sweep *sweep, scale_trial_facts *facts, const scaling_trial *trial)
{
    if (!sweep->environment) {
        sweep->environment = facts->environment;
        facts->environment = NULL;
        sweep->gradient_bytes = facts->gradient_bytes;
    }
    json_decref(facts->environment);
    return scaling_sweep_add(sweep, trial);
}

/* ---- while others work ---- */

/* Longest that rank 0 may take between steps: it may be reading a data set. */
static const double still_most_s = 600.0;

/* Steps of rank 0. */
static int others_move(void *context)
{
    scale_job *self = context;
    uint64_t steps = atomic_load_explicit(&self->beat->steps, memory_order_relaxed);
    int moves = steps != self->seen;
    self->still_s = moves ? 0.0 : self->still_s + base_time_awake(&self->looked, base_time_now());
    self->seen = steps;
    return moves || (!atomic_load(&self->beat->is_stepping) && self->still_s < still_most_s);
}

/* After a trial of the first `workers` ranks, whose waits had bounds of their own, rank 0 waits for ranks that only
 * sleep. That one rank works alone only one that sleeps can tell, and one is enough to say it. */
static base_status meet(scale_job *self, int workers, base_status status)
{
    const comm_world_info *info = comm_world_get_info(self->world);
    double bound = self->config->train.stall_timeout;
    int watches = workers == 1 && info->node_rank == 1 && atomic_load(&self->beat->of_rank_0);
    int is_bounded = bound > 0.0 && (info->rank == 0 || watches);
    comm_rest how = {.timeout_ms = is_bounded ? (int)ceil(1e3 * bound) : COMM_FOREVER,
                     .moves = watches ? others_move : NULL,
                     .context = self};
    self->looked = self->still_s = 0.0;
    base_status met = comm_world_rest(self->world, &how);
    if (met == BASE_OK) {
        /* A rank may stop between the two. */
        comm_world_set_patience(self->world, how.timeout_ms, NULL);
        met = comm_world_agree(self->world, status);
        comm_world_set_patience(self->world, 0, NULL);
    }
    if (met != BASE_PEER || comm_world_lost(self->world))
        return met;
    if (watches)
        return BASE_FAIL(BASE_PEER, "1 worker: rank 0 has taken no step for %.1f s: it has stopped or is lost", bound);
    return BASE_FAIL(BASE_PEER,
                     "%d worker%s: waited %.1f s for the ranks that had no part in the trial: one of them has stopped "
                     "or is lost",
                     workers, workers == 1 ? "" : "s", bound);
}

/* Of the point's ranks. */
static base_status work(scale_job *self, int point, int repeat, int64_t steps, scaling_sweep *sweep)
{
    const comm_world_info *info = comm_world_get_info(self->world);
    scaling_trial trial;
    scale_trial_facts facts;
    scale_beat *beat = info->node_rank == 0 ? self->beat : NULL;
    BASE_TRY(scale_trial_run(self->parts[point], self->configs[point], steps, beat, &trial, &facts));
    trial.repeat = repeat;
    return info->rank == 0 ? keep(sweep, &facts, &trial) : BASE_OK;
}

static base_status run_trial(void *context, int workers, int repeat, int64_t steps, scaling_sweep *sweep)
{
    scale_job *self = context;
    base_status status = BASE_OK;
    int point = 0;
    while (self->options->workers[point] != workers)
        point++;
    if (self->parts[point])
        status = work(self, point, repeat, steps, sweep);
    if (status != BASE_PEER)
        status = meet(self, workers, status);
    self->lost = status == BASE_PEER;
    return status;
}

static base_status share(void *context, int *flag)
{
    return comm_world_bcast(((scale_job *)context)->world, flag, sizeof *flag, 0);
}

scale_runner scale_job_runner(scale_job *self)
{
    return (scale_runner){.self = self, .run = run_trial, .share = share};
}
