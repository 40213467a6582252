#include "scale_trial.h"

#include "bench.h"
#include "bench_collective.h"
#include "run_balance.h"
#include "run_environment.h"
#include "run_stats.h"
#include "run_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first steps take memory and start threads; caches and clocks want some time. */
enum { WARM_FIRST = 3, WARM_MOST = 50 };
static const double warm_seconds = 0.2;

enum { LENGTHS_LEAST = 20, LENGTHS_MOST = 2000, LENGTHS_KEPT = 500 };
static const double trial_seconds = 3.0;

/* A device that computes behind the host is not held up after every step, in training neither (run_pace.h): steps
 * between two meetings are timed together. */
static const double block_seconds = 0.1;

/* Floats. Larger vectors would only take longer: their time is bandwidth alone. */
enum { VECTOR_MOST = 16 * 1024 * 1024 };
static const double seconds_a_vector = 0.05;

typedef struct loop {
    run_job *job;
    scale_beat *beat;
    int64_t step;    /* the next one */
    int64_t block;   /* steps that are timed together: 1 on the host */
    int64_t ignored; /* blocks at the beginning of those to come */
    int64_t counted; /* blocks */
    double *lengths; /* (counted) s, of a step, mean over a block */
    double *sorted;  /* (counted) */
    run_balance_log *balance;
} loop;

/* ---- steps ---- */

/* `phases` are those of all `count` steps, at the end of which alone the ranks of a device have to meet. */
static base_status take_block(loop *self, int64_t count, base_phases *phases)
{
    run_step_result result = {0};
    for (int64_t i = 1; i <= count; i++) {
        run_step_order order = {.step = self->step++, .meets = i == count};
        BASE_TRY(run_job_lose_rank(self->job, run_step_train(self->job, &order, phases, &result)));
        if (self->beat)
            atomic_fetch_add_explicit(&self->beat->steps, 1, memory_order_relaxed);
    }
    if (result.interrupted || result.stopping)
        return BASE_FAIL(BASE_INTERRUPTED, "interrupted after step %" PRId64, self->step);
    return BASE_OK;
}

/* `seconds`: of a step, on the slowest rank; the same on all. */
static base_status take_steps(loop *self, int64_t count, int64_t block, double *seconds)
{
    double began = base_time_now();
    for (int64_t left = count; left > 0; left -= block) {
        base_phases phases = {0};
        BASE_TRY(take_block(self, left < block ? left : block, &phases));
    }
    *seconds = (base_time_now() - began) / (double)count;
    return comm_small_all_reduce(self->job->group, seconds, 1, COMM_F64, COMM_MAX);
}

static int64_t clamp(double value, int64_t least, int64_t most)
{
    return value < (double)least ? least : value > (double)most ? most : (int64_t)value;
}

/* Chooses how many steps are counted, in blocks of which size. */
static void choose_blocks(loop *self, int64_t wanted, double seconds)
{
    int64_t most = wanted > 0 ? clamp((double)wanted / LENGTHS_LEAST, 1, INT32_MAX) : INT32_MAX;
    self->block = self->job->ops->asynchronous ? clamp(block_seconds / seconds, 1, most) : 1;
    self->counted = wanted > 0 ? wanted / self->block
                               : clamp(trial_seconds / (seconds * (double)self->block), LENGTHS_LEAST, LENGTHS_MOST);
}

/* How long the first steps of a device take tells nothing of the others: libraries are loaded in them, and graphs made.
 */
static base_status warm_up(loop *self, int64_t wanted)
{
    double seconds = 0.0;
    int64_t most = WARM_MOST;
    BASE_TRY(take_steps(self, WARM_FIRST, 1, &seconds));
    if (self->job->ops->asynchronous) {
        int64_t count = clamp(warm_seconds / seconds, 2, WARM_MOST);
        BASE_TRY(take_steps(self, count, count, &seconds));
        most = INT32_MAX;
    }
    int64_t count = clamp(warm_seconds / seconds, 1, most);
    BASE_TRY(take_steps(self, count, count, &seconds));
    choose_blocks(self, wanted, seconds);
    return BASE_OK;
}

static base_status make_room(loop *self)
{
    /* The balance ignores the beginning of all steps that it is told of, as a run does: one in ten. */
    int64_t steps = clamp((double)(self->counted * self->block) / 9.0, 1, 10);
    self->ignored = (steps + self->block - 1) / self->block;
    self->lengths = BASE_NEW_ARRAY(self->job->arena, double, self->counted);
    self->sorted = BASE_NEW_ARRAY(self->job->arena, double, self->counted);
    if (!self->lengths || !self->sorted)
        return BASE_ERROR;
    return run_balance_log_create(self->job->arena, (self->ignored + self->counted) * self->block, self->job->info.size,
                                  &self->balance);
}

static base_status timed_steps(loop *self)
{
    for (int64_t i = -self->ignored; i < self->counted; i++) {
        base_phases phases = {0};
        BASE_TRY(take_block(self, self->block, &phases));
        run_balance_log_add(self->balance, self->block, &phases);
        if (i >= 0)
            self->lengths[i] = run_stats_step_seconds(&phases) / (double)self->block;
    }
    return BASE_OK;
}

/* ---- what they show ---- */

static scaling_part part_of(base_phase phase)
{
    switch (phase) {
    case BASE_PHASE_DATA: return SCALING_DATA;
    case BASE_PHASE_FORWARD: return SCALING_FORWARD;
    case BASE_PHASE_BACKWARD: return SCALING_BACKWARD;
    case BASE_PHASE_UPDATE: return SCALING_UPDATE;
    default: return SCALING_OTHER;
    }
}

static double sum_of(const double *values, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void fill_parts(const run_balance *balance, double mean_step, scaling_trial *trial)
{
    double median[SCALING_PART_COUNT] = {0};
    for (int i = 0; i < BASE_PHASE_COUNT; i++) {
        if (!base_phase_is_own((base_phase)i))
            continue;
        trial->parts_s[part_of((base_phase)i)] += balance->own_s[i];
        median[part_of((base_phase)i)] += balance->median_s[i];
    }
    for (int p = 0; p < SCALING_PART_COUNT; p++)
        trial->slower[p] = median[p] > 0.0 ? trial->parts_s[p] / median[p] - 1.0 : 0.0;
    trial->parts_s[SCALING_IMBALANCE] = balance->imbalance_s;
    trial->parts_s[SCALING_REDUCE] = balance->exposed_s;
    double sum = sum_of(trial->parts_s, SCALING_PART_COUNT);
    for (int p = 0; p < SCALING_PART_COUNT && sum > 0.0; p++)
        trial->parts_s[p] *= mean_step / sum;
    trial->slowest = balance->slowest;
}

static base_status keep_lengths(loop *self, scaling_trial *trial)
{
    int64_t stride = (self->counted + LENGTHS_KEPT - 1) / LENGTHS_KEPT;
    trial->steps_s = malloc((size_t)(self->counted / stride + 1) * sizeof *trial->steps_s);
    if (!trial->steps_s)
        return BASE_FAIL(BASE_ERROR, "out of memory for the lengths of %" PRId64 " steps", self->counted);
    for (int64_t i = 0; i < self->counted; i += stride)
        trial->steps_s[trial->steps_count++] = self->lengths[i];
    memcpy(self->sorted, self->lengths, (size_t)self->counted * sizeof *self->lengths);
    trial->step_s = bench_median(self->sorted, (int)self->counted);
    return BASE_OK;
}

static base_status fill(loop *self, const run_balance *balance, scaling_trial *trial)
{
    const run_job *job = self->job;
    if (job->info.rank != 0)
        return BASE_OK;
    trial->nodes = job->info.nodes;
    trial->threads = job->threads;
    trial->cores = job->cores;
    trial->steps = self->counted * self->block;
    fill_parts(balance, sum_of(self->lengths, self->counted) / (double)self->counted, trial);
    return keep_lengths(self, trial);
}

static base_status take_all_steps(loop *self, int64_t steps)
{
    BASE_TRY(warm_up(self, steps));
    BASE_TRY(comm_world_agree(self->job->world, make_room(self)));
    return timed_steps(self);
}

static base_status run_loop(run_job *job, int64_t steps, scale_beat *beat, scaling_trial *trial)
{
    loop self = {.job = job, .beat = beat};
    run_balance balance;
    if (beat)
        atomic_store(&beat->is_stepping, 1);
    base_status status = take_all_steps(&self, steps);
    if (beat)
        atomic_store(&beat->is_stepping, 0);
    BASE_TRY(status);
    BASE_TRY(run_balance_gather(job->world, self.balance, &balance));
    return comm_world_agree(job->world, fill(&self, &balance, trial));
}

static base_status find_facts(const run_job *job, scale_trial_facts *facts)
{
    char date[32];
    run_environment_places places = {0};
    facts->gradient_bytes = job->graph->parameters * (int64_t)sizeof(float);
    BASE_TRY(run_environment_find(job, &places));
    run_environment_date(date);
    if (job->info.rank == 0)
        facts->environment = run_environment_json(job, &places, command_line(), date);
    run_environment_release(&places);
    return BASE_OK;
}

/* ---- the collective ---- */

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Floats: short vectors for the latency, and those around the gradients. */
enum { VECTOR_COUNT = 7 };
static int choose_vectors(int64_t parameters, size_t counts[VECTOR_COUNT])
{
    size_t gradients = (size_t)(parameters < VECTOR_MOST ? parameters : VECTOR_MOST);
    const size_t wanted[VECTOR_COUNT] = {1, 1024, 16 * 1024, 256 * 1024, gradients / 16, gradients / 4, gradients};
    int kept = 0;
    memcpy(counts, wanted, sizeof wanted);
    qsort(counts, VECTOR_COUNT, sizeof *counts, ascending);
    for (int i = 0; i < VECTOR_COUNT; i++)
        if (counts[i] > 0 && (kept == 0 || counts[i] != counts[kept - 1]))
            counts[kept++] = counts[i];
    return kept;
}

static base_status time_vectors(bench_collective *bench, bench_form form, int count, const size_t *counts,
                                scaling_trial *trial)
{
    for (int i = 0; i < count; i++) {
        bench_timing timing;
        BASE_TRY(bench_collective_check(bench, counts[i]));
        BASE_TRY(bench_collective_measure(bench, form, counts[i], seconds_a_vector, &timing));
        trial->allreduce[trial->allreduce_count++] =
            (scaling_allreduce){.nbytes = (int64_t)(counts[i] * sizeof(float)), .seconds = timing.median};
    }
    return BASE_OK;
}

/* In a group like that of the job, on its device. */
static base_status time_collective(const run_job *job, scaling_trial *trial)
{
    bench_collective bench;
    bench_form form = job->sharded ? BENCH_SHARDED : BENCH_ALLREDUCE;
    size_t counts[VECTOR_COUNT];
    int count = choose_vectors(job->graph->parameters, counts);
    base_status status = bench_collective_open(job->world, comm_group_kind(job->group), comm_group_device(job->group),
                                               counts[count - 1], &bench);
    if (status == BASE_OK)
        status = time_vectors(&bench, form, count, counts, trial);
    if (status != BASE_PEER)
        bench_collective_close(&bench);
    return status;
}

/* ---- all of it ---- */

static base_status run_trial(comm_world *world, const run_config *config, int64_t steps, scale_beat *beat,
                             scaling_trial *trial, scale_trial_facts *facts)
{
    run_job job;
    base_status status = run_job_create(world, config, RUN_JOB_TRAIN, &job);
    if (status == BASE_OK)
        status = run_job_lose_device(&job, run_loop(&job, steps, beat, trial));
    if (status == BASE_OK && facts)
        status = find_facts(&job, facts);
    if (status == BASE_OK && job.info.size > 1)
        status = run_job_lose_device(&job, time_collective(&job, trial));
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        run_job_destroy(&job);
    return status;
}

base_status scale_trial_run(comm_world *world, const run_config *config, int64_t steps, scale_beat *beat,
                            scaling_trial *trial, scale_trial_facts *facts)
{
    int workers = comm_world_get_info(world)->size;
    *trial = (scaling_trial){.workers = workers, .batch = config->train.batch};
    if (facts)
        *facts = (scale_trial_facts){0};
    base_status status = run_trial(world, config, steps, beat, trial, facts);
    if (status == BASE_OK)
        return BASE_OK;
    free(trial->steps_s);
    trial->steps_s = NULL;
    if (facts)
        json_decref(facts->environment);
    char message[1024];
    snprintf(message, sizeof message, "%s", base_status_message());
    return BASE_FAIL(status, "%d worker%s: %s", workers, workers == 1 ? "" : "s", message);
}
