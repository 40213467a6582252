#include "report_sweep.h"

#include "base_utf8.h"
#include "report_json.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Far beyond any machine; their products still fit into an int. */
enum { WORKERS_MAX = 1000000, THREADS_MAX = 2000 };
#define SECONDS_MAX 1e9
#define SECONDS_LEAST 1e-12

/* ---- trials ---- */

/* `parts` and `least`, the least that one may be. A part that is not there is 0. */
static base_status get_parts(const report_json_source *source, const json_t *trial, const char *key, double least,
                             double parts[SCALING_PART_COUNT])
{
    json_t *object;
    report_json_source inside = *source;
    BASE_TRY(report_json_get(source, trial, key, JSON_OBJECT, &object));
    snprintf(inside.where + strlen(inside.where), sizeof inside.where - strlen(inside.where), ".%s", key);
    for (int i = 0; i < SCALING_PART_COUNT; i++) {
        const char *name = scaling_part_name((scaling_part)i);
        parts[i] = 0.0;
        if (json_object_get(object, name) && !json_is_null(json_object_get(object, name)))
            BASE_TRY(report_json_get_number(&inside, object, name, least, SECONDS_MAX, &parts[i]));
    }
    return BASE_OK;
}

static base_status get_allreduce(const report_json_source *source, const json_t *object, scaling_trial *trial)
{
    json_t *list;
    BASE_TRY(report_json_get(source, object, "allreduce", JSON_ARRAY, &list));
    if (json_array_size(list) > SCALING_ALLREDUCE_MAX)
        return report_json_fail(source, "allreduce", list, "a list of at most 16");
    for (size_t i = 0; i < json_array_size(list); i++) {
        report_json_source inside = *source;
        scaling_allreduce *one = &trial->allreduce[i];
        const json_t *entry = json_array_get(list, i);
        snprintf(inside.where + strlen(inside.where), sizeof inside.where - strlen(inside.where), ".allreduce[%zu]", i);
        BASE_TRY(report_json_get_integer(&inside, entry, "bytes", 0, INT64_MAX, &one->nbytes));
        BASE_TRY(report_json_get_number(&inside, entry, "seconds", SECONDS_LEAST, SECONDS_MAX, &one->seconds));
    }
    trial->allreduce_count = (int)json_array_size(list);
    return BASE_OK;
}

static base_status get_steps(const report_json_source *source, const json_t *object, scaling_trial *trial)
{
    json_t *list;
    BASE_TRY(report_json_get(source, object, "steps_s", JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    if (count == 0 || count > INT_MAX)
        return report_json_fail(source, "steps_s", list, "a list with a number a step");
    trial->steps_s = malloc(count * sizeof *trial->steps_s);
    if (!trial->steps_s)
        return BASE_FAIL(BASE_ERROR, "out of memory for the steps of %s", source->file);
    trial->steps_count = (int)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        trial->steps_s[i] = json_number_value(value);
        if (!json_is_number(value) || trial->steps_s[i] < SECONDS_LEAST || trial->steps_s[i] > SECONDS_MAX) {
            char key[48];
            snprintf(key, sizeof key, "steps_s[%zu]", i);
            return report_json_fail(source, key, value, "a number of seconds above 0");
        }
    }
    return BASE_OK;
}

static base_status get_slowest(const report_json_source *source, const json_t *object, scaling_trial *trial)
{
    const json_t *rank = json_object_get(object, "slowest_rank");
    trial->slowest = -1;
    if (json_is_null(rank))
        return BASE_OK;
    return report_json_get_int(source, object, "slowest_rank", 0, trial->workers - 1, &trial->slowest);
}

/* After a failure trial->steps_s is the caller's to free. */
static base_status get_trial(const report_json_source *source, const json_t *object, scaling_trial *trial)
{
    if (!json_is_object(object))
        return report_json_fail(source, "", object, "an object");
    BASE_TRY(report_json_get_int(source, object, "workers", 1, WORKERS_MAX, &trial->workers));
    BASE_TRY(report_json_get_int(source, object, "repeat", 0, INT_MAX, &trial->repeat));
    BASE_TRY(report_json_get_integer(source, object, "batch", 1, INT64_MAX / WORKERS_MAX, &trial->batch));
    BASE_TRY(report_json_get_int(source, object, "nodes", 1, WORKERS_MAX, &trial->nodes));
    BASE_TRY(report_json_get_int(source, object, "threads", 1, THREADS_MAX, &trial->threads));
    BASE_TRY(report_json_get_int(source, object, "cores", 0, INT_MAX, &trial->cores));
    BASE_TRY(report_json_get_integer(source, object, "steps", 1, INT64_MAX, &trial->steps));
    BASE_TRY(report_json_get_number(source, object, "step_s", SECONDS_LEAST, SECONDS_MAX, &trial->step_s));
    BASE_TRY(get_parts(source, object, "parts_s", 0.0, trial->parts_s));
    BASE_TRY(get_slowest(source, object, trial));
    BASE_TRY(get_parts(source, object, "slower", -1.0, trial->slower));
    BASE_TRY(get_allreduce(source, object, trial));
    return get_steps(source, object, trial);
}

static base_status get_trials(report_json_source *source, const json_t *json, scaling_sweep *sweep)
{
    json_t *list;
    BASE_TRY(report_json_get(source, json, "trials", JSON_ARRAY, &list));
    if (json_array_size(list) == 0)
        return report_json_fail(source, "trials", list, "a list with a trial at least");
    for (size_t i = 0; i < json_array_size(list); i++) {
        scaling_trial trial = {0};
        snprintf(source->where, sizeof source->where, "trials[%zu]", i);
        base_status status = get_trial(source, json_array_get(list, i), &trial);
        if (status == BASE_OK)
            status = scaling_sweep_add(sweep, &trial);
        else
            free(trial.steps_s);
        BASE_TRY(status);
    }
    *source->where = '\0';
    return BASE_OK;
}

/* ---- the rest ---- */

static base_status get_options(report_json_source *source, const json_t *json, scaling_options *options)
{
    json_t *object, *predict;
    int64_t seed;
    BASE_TRY(report_json_get(source, json, "options", JSON_OBJECT, &object));
    snprintf(source->where, sizeof source->where, "options");
    BASE_TRY(report_json_get_number(source, object, "target_efficiency", 1e-6, 1.0, &options->target_efficiency));
    BASE_TRY(report_json_get_integer(source, object, "seed", INT64_MIN, INT64_MAX, &seed));
    BASE_TRY(report_json_get(source, object, "predict", JSON_ARRAY, &predict));
    options->seed = (uint64_t)seed;
    if (json_array_size(predict) > SCALING_PREDICTION_MAX)
        return report_json_fail(source, "predict", predict, "a list of at most 16");
    for (size_t i = 0; i < json_array_size(predict); i++) {
        const json_t *workers = json_array_get(predict, i);
        if (!json_is_integer(workers) || json_integer_value(workers) < 1 || json_integer_value(workers) > INT_MAX)
            return report_json_fail(source, "predict", predict, "a list of numbers of workers");
        options->predict[options->predict_count++] = (int)json_integer_value(workers);
    }
    *source->where = '\0';
    return BASE_OK;
}

/* An object, or null, or nothing. */
static base_status get_object(const report_json_source *source, const json_t *json, const char *key, json_t **out)
{
    json_t *value = json_object_get(json, key);
    if (value && !json_is_null(value) && !json_is_object(value))
        return report_json_fail(source, key, value, "an object or null");
    *out = json_is_object(value) ? json_incref(value) : NULL;
    return BASE_OK;
}

static base_status get_names(const report_json_source *source, const json_t *json, scaling_sweep *sweep)
{
    json_t *mode, *name;
    const json_t *digest = json_object_get(json, "config_digest");
    BASE_TRY(report_json_get(source, json, "mode", JSON_STRING, &mode));
    if (strcmp(json_string_value(mode), "strong") != 0 && strcmp(json_string_value(mode), "weak") != 0)
        return report_json_fail(source, "mode", mode, "\"strong\" or \"weak\"");
    sweep->mode = strcmp(json_string_value(mode), "weak") == 0 ? SCALING_WEAK : SCALING_STRONG;
    BASE_TRY(report_json_get(source, json, "name", JSON_STRING, &name));
    base_utf8_copy(json_string_value(name), sweep->name, sizeof sweep->name);
    if (json_is_string(digest) && strlen(json_string_value(digest)) < sizeof sweep->digest)
        snprintf(sweep->digest, sizeof sweep->digest, "%s", json_string_value(digest));
    else if (digest && !json_is_null(digest))
        return report_json_fail(source, "config_digest", digest, "a text of at most 16 characters or null");
    return BASE_OK;
}

static base_status get_all(report_json_source *source, const json_t *json, scaling_sweep *sweep,
                           scaling_options *options)
{
    BASE_TRY(get_names(source, json, sweep));
    BASE_TRY(get_options(source, json, options));
    BASE_TRY(get_object(source, json, "config", &sweep->config));
    BASE_TRY(get_object(source, json, "environment", &sweep->environment));
    BASE_TRY(report_json_get_integer(source, json, "gradient_bytes", 0, INT64_MAX, &sweep->gradient_bytes));
    const json_t *oversubscribe = json_object_get(json, "oversubscribe");
    if (!json_is_boolean(oversubscribe))
        return report_json_fail(source, "oversubscribe", oversubscribe, "true or false");
    sweep->oversubscribe = json_is_true(oversubscribe);
    return get_trials(source, json, sweep);
}

int report_sweep_has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && stat(path, &info) == 0;
}

base_status report_sweep_check_out(const char *folder)
{
    static const char *const files[] = {"run.json", "steps.csv", "steps.csv.partial"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (report_sweep_has(folder, files[i]))
            return BASE_FAIL(BASE_USAGE,
                             "--out: %s is the folder of a run (%s), which a report would make an experiment's: name "
                             "another, or leave --out away for a new one below runs/",
                             folder, files[i]);
    return BASE_OK;
}

base_status report_sweep_read(const char *path, scaling_sweep *sweep, scaling_options *options)
{
    char file[PATH_MAX];
    struct stat info;
    int is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if ((size_t)snprintf(file, sizeof file, "%s%s", path, is_folder ? "/scaling.json" : "") >= sizeof file)
        return BASE_FAIL(BASE_DATA, "the name %.60s... is too long", path);
    json_t *json;
    report_json_source source = {.file = file};
    *sweep = (scaling_sweep){0};
    *options = (scaling_options){0};
    BASE_TRY(report_json_load(file, "ddpt.scaling.v1", &json));
    base_status status = get_all(&source, json, sweep, options);
    json_decref(json);
    if (status != BASE_OK)
        scaling_sweep_clear(sweep);
    return status;
}
