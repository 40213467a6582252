#include "run_environment.h"

#include "base_json.h"
#include "base_switch.h"
#include "run_environment_gpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *each_once(const char *names, size_t width, int count)
{
    json_t *hosts = json_array();
    for (int r = 0; r < count; r++) {
        const char *host = names + (size_t)r * width;
        int known = 0;
        for (int i = 0; i < r && !known; i++)
            known = strcmp(names + (size_t)i * width, host) == 0;
        if (!known)
            json_array_append_new(hosts, json_string(host));
    }
    return hosts;
}

static base_status find_hosts(comm_world *world, json_t **hosts)
{
    const comm_world_info *info = comm_world_get_info(world);
    char *all = calloc((size_t)info->size, sizeof info->host);
    base_status status = all ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the names of %d hosts", info->size);
    status = comm_world_agree(world, status);
    if (status == BASE_OK)
        status = comm_world_all_gather(world, info->host, sizeof info->host, all);
    if (status == BASE_OK && all)
        *hosts = each_once(all, sizeof info->host, info->size);
    free(all);
    return status;
}

static base_status find_gpus(const run_job *job, json_t **gpus)
{
    run_environment_gpu mine;
    run_environment_gpu *all = calloc((size_t)job->info.size, sizeof *all);
    memset(&mine, 0, sizeof mine);
    snprintf(mine.host, sizeof mine.host, "%s", job->info.host);
    snprintf(mine.name, sizeof mine.name, "%s", job->choice.name);
    snprintf(mine.bus, sizeof mine.bus, "%s", job->choice.bus);
    base_status status = all ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for %d GPUs", job->info.size);
    status = comm_world_agree(job->world, status);
    if (status == BASE_OK)
        status = comm_world_all_gather(job->world, &mine, sizeof mine, all);
    if (status == BASE_OK && all)
        *gpus = run_environment_gpus_json(all, job->info.size);
    free(all);
    return status;
}

base_status run_environment_find(const run_job *job, run_environment_places *places)
{
    BASE_TRY(find_hosts(job->world, &places->hosts));
    if (job->choice.plugin)
        return find_gpus(job, &places->gpus);
    places->gpus = json_null();
    return BASE_OK;
}

void run_environment_release(run_environment_places *places)
{
    json_decref(places->hosts);
    json_decref(places->gpus);
    *places = (run_environment_places){0};
}

void run_environment_date(char text[32])
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* The processor's name, whatever computes. */
static void describe_host(base_device_info *info)
{
    base_device *host = NULL;
    *info = (base_device_info){.name = "cpu"};
    if (base_device_host.open(&host, 0) == BASE_OK)
        base_device_host.info(host, info);
    base_device_host.close(&host);
}

/* Rank 0's; those that are set. */
static json_t *switches_json(void)
{
    json_t *json = json_object();
    for (base_switch s = 0; s < BASE_SWITCH_COUNT; s++)
        if (base_switch_computes(s) && base_switch_value(s))
            json_object_set_new(json, base_switch_name(s), base_json_text(base_switch_value(s)));
    return json;
}

json_t *run_environment_json(const run_job *job, const run_environment_places *places, const char *command,
                             const char *date)
{
    base_device_info device;
    describe_host(&device);
    json_t *json = json_object();
    json_object_set_new(json, "ddpt", json_string(DDPT_VERSION));
    json_object_set_new(json, "mpi", json_string(job->info.library));
    json_object_set_new(json, "launcher", json_string(job->info.launcher));
    json_object_set_new(json, "blas", json_string(job->ops->libraries(job->context)));
    json_object_set_new(json, "kernels", json_string(job->ops->name));
    json_object_set_new(json, "switches", switches_json());
    json_object_set_new(json, "compiler", json_string(DDPT_COMPILER));
    json_object_set_new(json, "cpu", json_string(device.name));
    json_object_set_new(json, "cores", json_integer(job->cores));
    json_object_set_new(json, "gpu", job->choice.plugin ? json_string(job->choice.name) : json_null());
    json_object_set_new(json, "gpus", json_integer(job->choice.gpus));
    json_object_set_new(json, "gpu_of_ranks", json_incref(places->gpus));
    json_object_set_new(json, "hosts", json_incref(places->hosts));
    json_object_set_new(json, "command", base_json_text(command));
    json_object_set_new(json, "date", json_string(date));
    return json;
}
