#include "run_performance.h"

#include "base_json.h"
#include "run_measure.h"

#include <math.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Of what the steps took, and at most: a short run shall not end with a long measurement. */
#define PEAK_SHARE 0.1
#define PEAK_SECONDS 0.1

/* Threads beyond the cores add nothing, neither to what one rank measures nor to what all ranks can do. */
static base_status measure_cores(const run_job *job, const run_performance *performance, double *peak)
{
    double rate, steps_s = 1e-3 * performance->step_ms_mean * (double)performance->steps;
    BASE_TRY(run_measure_peak(job->ops, job->context, fmin(PEAK_SHARE * steps_s, PEAK_SECONDS), &rate));
    *peak = rate / least(job->threads, job->cores) * least(job->threads * job->info.size, job->cores);
    return BASE_OK;
}

static base_status measure_gpus(const run_job *job, double *peak)
{
    double rate;
    const run_measure_device on = {job->device_table, job->device, job->stream, job->ops, job->context};
    BASE_TRY(run_measure_device_peak(&on, &rate));
    *peak = rate * job->choice.gpus;
    return BASE_OK;
}

static const char *peak_how(const run_job *job)
{
    if (job->choice.plugin)
        return "measured after the run: GEMM of up to 8192x8192x8192 in the run's precision on rank 0's GPU, times the "
               "GPUs at work";
    if (job->config->train.precision == RUN_PRECISION_BF16)
        return "measured after the run: bf16 GEMM of 1024x1024x1024 on rank 0, per core, times the cores at work";
    return "measured after the run: fp32 GEMM of 1024x1024x1024 on rank 0, per core, times the cores at work";
}

run_efficiency run_performance_efficiency(const run_job *job, const run_performance *performance)
{
    int on_gpus = job->choice.plugin != NULL;
    run_efficiency e = {.gflops = performance->samples_per_second * (double)job->graph->flops_train * 1e-9,
                        .peak_gflops = NAN};
    e.peak_how = peak_how(job);
    if ((on_gpus ? measure_gpus(job, &e.peak_gflops) : measure_cores(job, performance, &e.peak_gflops)) != BASE_OK)
        base_status_clear();
    e.mfu = e.gflops / e.peak_gflops;
    return e;
}

json_t *run_performance_json(const run_performance *p, const run_efficiency *e)
{
    json_t *step = json_object(), *phases = json_object(), *json = json_object();
    json_object_set_new(step, "min", base_json_number(p->step_ms_min));
    json_object_set_new(step, "p50", base_json_number(p->step_ms_p50));
    json_object_set_new(step, "p90", base_json_number(p->step_ms_p90));
    json_object_set_new(step, "mean", base_json_number(p->step_ms_mean));
    json_object_set_new(step, "blocks", p->blocks ? json_integer(p->blocks) : json_null());
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (base_phase_recorded((base_phase)i) == (base_phase)i)
            json_object_set_new(phases, base_phase_name((base_phase)i), base_json_number(p->phases_ms[i]));
    json_object_set_new(json, "steps_counted", json_integer(p->steps));
    json_object_set_new(json, "samples_per_second", base_json_number(p->samples_per_second));
    json_object_set_new(json, "step_ms", step);
    json_object_set_new(json, "phases_ms", phases);
    json_object_set_new(json, "gflops", base_json_number(e->gflops));
    json_object_set_new(json, "mfu", base_json_number(e->mfu));
    json_object_set_new(json, "peak_gflops", base_json_number(e->peak_gflops));
    json_object_set_new(json, "peak_how", e->peak_how ? json_string(e->peak_how) : json_null());
    return json;
}
