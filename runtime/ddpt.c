#include "ddpt.h"

#include "base_log.h"
#include "run_step.h"

#include <stdlib.h>
#include <string.h>

struct ddpt_run {
    comm_world *world;
    run_config *config;
    run_job job;
    int job_created;
    run_resume_options resume;
    char *resume_path;
    int resumes;
    base_status last;
};

const char *ddpt_version(void)
{
    return DDPT_VERSION;
}

const char *ddpt_error(void)
{
    return base_status_message();
}

static base_status open_run(ddpt_run *run, const char *config_path, int set_count, const char *const *sets)
{
    BASE_TRY(comm_world_open(&run->world));
    const comm_world_info *info = comm_world_get_info(run->world);
    base_log_set_rank(info->rank, info->size);
    BASE_TRY(run_job_read_config(run->world, config_path, set_count, sets, &run->config));
    run->job_created = 1;
    return run_job_create(run->world, run->config, RUN_JOB_TRAIN, &run->job);
}

ddpt_status ddpt_run_open(const char *config_path, int set_count, const char *const *sets, ddpt_run **out)
{
    *out = NULL;
    ddpt_run *run = calloc(1, sizeof *run);
    if (!run)
        return (ddpt_status)BASE_FAIL(BASE_ERROR, "out of memory for a run");
    run->last = open_run(run, config_path, set_count, sets);
    base_status status = run->last;
    if (status == BASE_OK)
        *out = run;
    else
        ddpt_run_close(&run);
    return (ddpt_status)status;
}

ddpt_status ddpt_run_resume(ddpt_run *run, const char *path)
{
    free(run->resume_path);
    run->resume_path = path ? strdup(path) : NULL;
    run->resumes = 1;
    run->resume = (run_resume_options){.path = run->resume_path};
    if (path && !run->resume_path)
        return (ddpt_status)BASE_FAIL(BASE_ERROR, "out of memory for a path");
    return DDPT_OK;
}

ddpt_status ddpt_run_train(ddpt_run *run, const char *out, ddpt_result *result)
{
    run_train_options options = {.out = out, .command = "ddpt_run_train", .resume = run->resumes ? &run->resume : NULL};
    run_outcome outcome;
    run->last = run_train(&run->job, &options, &outcome);
    *result = (ddpt_result){.steps = outcome.steps,
                            .epochs = outcome.epochs,
                            .train_loss = outcome.train_loss,
                            .test_loss = outcome.test_loss,
                            .test_accuracy = outcome.test_accuracy,
                            .seconds = outcome.seconds};
    memcpy(result->param_digest, outcome.param_digest, sizeof result->param_digest);
    return (ddpt_status)run->last;
}

void ddpt_run_close(ddpt_run **out)
{
    ddpt_run *run = *out;
    if (!run)
        return;
    *out = NULL;
    int status = (int)run->last;
    /* Destruction is collective; with a peer lost there is nobody to do it with, and the process is about to end. */
    if (run->job_created && run->last != BASE_PEER)
        run_job_destroy(&run->job);
    run_config_destroy(&run->config);
    comm_world *world = run->world;
    free(run->resume_path);
    free(run);
    if (world)
        comm_world_close(&world, status);
}
