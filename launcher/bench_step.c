#include "bench.h"

#include "run_job.h"
#include "run_pace.h"
#include "run_performance.h"
#include "run_step.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>

typedef struct step_options {
    const char *config;
    command_sets sets;
    long long steps;
    int json, help;
} step_options;

static base_status parse(int argc, char **argv, step_options *options)
{
    static const struct option known[] = {
        {"steps", required_argument, NULL, 'n'}, {"set", required_argument, NULL, 's'},
        {"share-gpus", no_argument, NULL, 'g'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    options->steps = 100;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":n:s:h", known, NULL)) != -1;) {
        switch (c) {
        case 'n': BASE_TRY(command_number("--steps", optarg, 2, 100000000, &options->steps)); break;
        case 's': BASE_TRY(command_sets_add(&options->sets, optarg)); break;
        case 'g': command_share_gpus(); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("bench step", argv, optind);
        }
    }
    return command_operand("bench step", "a config file", argc, argv, optind, &options->config);
}

/* A device that computes behind the host is not held up after every step, and where there are many not oftener than a
 * training does: a meeting costs it some steps of a small network. */
static int meets_after(int64_t done, int64_t steps)
{
    enum { EVERY = 50, BLOCKS = 20 };
    int64_t every = steps / BLOCKS < RUN_PACE_MOST ? steps / BLOCKS : RUN_PACE_MOST;
    every = every > EVERY ? every : EVERY;
    return done == run_stats_warmup(steps) || done % every == 0 || done == steps;
}

static base_status timed_steps(run_job *job, int64_t steps, run_stats *stats)
{
    base_phases phases = {0};
    for (int64_t step = 0; step < steps; step++) {
        run_step_result result;
        run_step_order order = {.step = step, .meets = meets_after(step + 1, steps)};
        BASE_TRY(run_step_train(job, &order, &phases, &result));
        if (result.steps > 0)
            run_stats_add(stats, result.steps, result.samples, &phases);
        if (result.interrupted)
            return BASE_FAIL(BASE_INTERRUPTED, "interrupted after step %" PRId64 " of %" PRId64, step + 1, steps);
    }
    return BASE_OK;
}

static const char *sync_name(const run_job *job)
{
    return run_sync_name(job->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE);
}

static void print_steps(const run_performance *p)
{
    printf("step, ms    min %.3f  ", p->step_ms_min);
    if (isfinite(p->step_ms_p50))
        printf("p50 %.3f  p90 %.3f  ", p->step_ms_p50, p->step_ms_p90);
    printf("mean %.3f", p->step_ms_mean);
    if (p->blocks)
        printf(" (means of %" PRId64 " block%s of steps%s)", p->blocks, p->blocks == 1 ? "" : "s",
               isfinite(p->step_ms_p50) ? "" : ", too few for percentiles");
    putchar('\n');
}

static void print_text(const run_job *job, const run_performance *p, const run_efficiency *e)
{
    printf("%s: %" PRId64 " parameters, batch %" PRId64 ", %" PRId64 " steps after the warm-up\n", job->config->name,
           job->graph->parameters, job->config->train.batch, p->steps);
    printf("%d rank%s on %d node%s (%s, %s), ", job->info.size, job->info.size == 1 ? "" : "s", job->info.nodes,
           job->info.nodes == 1 ? "" : "s", comm_kind_name(comm_group_kind(job->group)), sync_name(job));
    if (job->choice.plugin)
        printf("%d GPU%s (%s), %s", job->choice.gpus, job->choice.gpus == 1 ? "" : "s", job->choice.name,
               run_precision_name(job->config->train.precision));
    else
        printf("%d thread%s each", job->threads, job->threads == 1 ? "" : "s");
    printf(", %s\n\n", job->ops->libraries(job->context));
    printf("samples/s   %.1f\n", p->samples_per_second);
    print_steps(p);
    printf("phases, ms ");
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (base_phase_recorded((base_phase)i) == (base_phase)i)
            printf(" %s %.3f%s", base_phase_name((base_phase)i), p->phases_ms[i], i < BASE_PHASE_OTHER ? " " : "\n");
    printf("GFLOP/s     %.1f", e->gflops);
    if (isfinite(e->mfu))
        printf(", %.1f %% of the %.1f that GEMM reaches on the %s at work", 100.0 * e->mfu, e->peak_gflops,
               job->choice.plugin ? "GPUs" : "cores");
    putchar('\n');
}

static base_status print_json(const run_job *job, const run_performance *p, const run_efficiency *e)
{
    json_t *json = json_object(), *model = json_object();
    json_object_set_new(model, "parameters", json_integer(job->graph->parameters));
    json_object_set_new(model, "flops_forward_per_sample", json_integer(job->graph->flops_forward));
    json_object_set_new(model, "flops_train_per_sample", json_integer(job->graph->flops_train));
    json_object_set_new(json, "schema", json_string("ddpt.bench.step.v1"));
    json_object_set_new(json, "config", json_incref(job->config->echo));
    json_object_set_new(json, "config_digest", json_string(job->config->digest));
    json_object_set_new(json, "world_size", json_integer(job->info.size));
    json_object_set_new(json, "nodes", json_integer(job->info.nodes));
    json_object_set_new(json, "device", json_string(job->device_table->name));
    json_object_set_new(json, "gpu", job->choice.plugin ? json_string(job->choice.name) : json_null());
    json_object_set_new(json, "gpus", json_integer(job->choice.gpus));
    json_object_set_new(json, "threads_per_rank", json_integer(job->threads));
    json_object_set_new(json, "comm", json_string(comm_kind_name(comm_group_kind(job->group))));
    json_object_set_new(json, "sync", json_string(sync_name(job)));
    json_object_set_new(json, "blas", json_string(job->ops->libraries(job->context)));
    json_object_set_new(json, "kernels", json_string(job->ops->name));
    json_object_set_new(json, "model", model);
    json_object_set_new(json, "performance", run_performance_json(p, e));
    return command_print_json(json);
}

static base_status print(const run_job *job, run_stats *stats, int json)
{
    run_performance performance = run_stats_performance(stats);
    run_efficiency efficiency = run_performance_efficiency(job, &performance);
    if (json)
        return print_json(job, &performance, &efficiency);
    print_text(job, &performance, &efficiency);
    return BASE_OK;
}

static base_status bench(comm_world *world, const run_config *config, const step_options *options)
{
    run_job job;
    run_stats *stats = NULL;
    base_status status = run_job_create(world, config, RUN_JOB_TRAIN, &job);
    if (status == BASE_OK)
        status = comm_world_agree(world, run_stats_create(job.arena, options->steps, &stats));
    if (status == BASE_OK) {
        command_catch_interrupt();
        status = run_job_lose_rank(&job, timed_steps(&job, options->steps, stats));
    }
    if (status == BASE_OK)
        status = comm_world_agree(world, job.info.rank == 0 ? print(&job, stats, options->json) : BASE_OK);
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        run_job_destroy(&job);
    return status;
}

base_status bench_step(int argc, char **argv)
{
    step_options options = {0};
    comm_world *world;
    run_config *config = NULL;
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(command_open_world(&world));
    base_status status = run_job_read_config(world, options.config, options.sets.count, options.sets.values, &config);
    if (status == BASE_OK)
        status = bench(world, config, &options);
    run_config_destroy(&config);
    return status;
}
