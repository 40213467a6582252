#include "report_runs.h"

#include "base_arena.h"
#include "base_json.h"
#include "base_utf8.h"
#include "report_json.h"
#include "report_runs_steps.h"
#include "run_config_diff.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder's record while it is looked at. */
typedef struct run {
    const char *folder;
    json_t *record; /* run.json */
    const json_t *config, *environment;
    int64_t batch; /* global */
    int workers;
} run;

/* ---- one run ---- */

static base_status get_number(const report_json_source *source, const json_t *object, const char *key, double *value)
{
    return report_json_get_number(source, object, key, -1e12, 1e12, value);
}

/* "performance.balance": where the slowest rank's time goes, and how it compares with the rank in the middle. */
static base_status read_balance(const report_json_source *source, const json_t *balance, scaling_trial *trial)
{
    json_t *own, *median;
    double imbalance_ms, exposed_ms;
    report_json_source inside = *source;
    BASE_TRY(report_json_get_int(source, balance, "slowest_rank", 0, trial->workers - 1, &trial->slowest));
    BASE_TRY(get_number(source, balance, "imbalance_ms", &imbalance_ms));
    BASE_TRY(get_number(source, balance, "exposed_ms", &exposed_ms));
    BASE_TRY(report_json_get(source, balance, "own_ms", JSON_OBJECT, &own));
    BASE_TRY(report_json_get(source, balance, "median_ms", JSON_OBJECT, &median));
    for (int i = 0; i < SCALING_IMBALANCE; i++) {
        const char *name = scaling_part_name((scaling_part)i);
        double own_ms, median_ms;
        snprintf(inside.where, sizeof inside.where, "performance.balance.own_ms");
        BASE_TRY(get_number(&inside, own, name, &own_ms));
        snprintf(inside.where, sizeof inside.where, "performance.balance.median_ms");
        BASE_TRY(get_number(&inside, median, name, &median_ms));
        trial->parts_s[i] = 1e-3 * fmax(own_ms, 0.0);
        trial->slower[i] = median_ms > 0.0 ? own_ms / median_ms - 1.0 : 0.0;
    }
    /* Differences of means: a hair below 0 is 0. */
    trial->parts_s[SCALING_IMBALANCE] = 1e-3 * fmax(imbalance_ms, 0.0);
    trial->parts_s[SCALING_REDUCE] = 1e-3 * fmax(exposed_ms, 0.0);
    return BASE_OK;
}

/* "performance.phases_ms" of rank 0, for records without a balance. */
static base_status read_phases(const report_json_source *source, const json_t *performance, scaling_trial *trial)
{
    json_t *phases;
    report_json_source inside = *source;
    BASE_TRY(report_json_get(source, performance, "phases_ms", JSON_OBJECT, &phases));
    snprintf(inside.where, sizeof inside.where, "performance.phases_ms");
    trial->slowest = -1;
    for (int i = 0; i < SCALING_PART_COUNT; i++) {
        double ms = 0.0;
        if (i != SCALING_IMBALANCE)
            BASE_TRY(get_number(&inside, phases, scaling_part_name((scaling_part)i), &ms));
        trial->parts_s[i] = 1e-3 * fmax(ms, 0.0);
    }
    return BASE_OK;
}

static base_status read_parts(const run *self, report_json_source source, scaling_trial *trial)
{
    json_t *performance;
    BASE_TRY(report_json_get(&source, self->record, "performance", JSON_OBJECT, &performance));
    const json_t *balance = json_object_get(performance, "balance");
    snprintf(source.where, sizeof source.where, "performance");
    if (!json_is_object(balance))
        return read_phases(&source, performance, trial);
    snprintf(source.where, sizeof source.where, "performance.balance");
    return read_balance(&source, balance, trial);
}

/* Step times of a run that failed or goes on are not those of a whole run. */
static base_status check_result(const run *self, report_json_source source)
{
    json_t *result, *status;
    BASE_TRY(report_json_get(&source, self->record, "result", JSON_OBJECT, &result));
    snprintf(source.where, sizeof source.where, "result");
    BASE_TRY(report_json_get(&source, result, "status", JSON_STRING, &status));
    const char *word = json_string_value(status);
    if (strcmp(word, "done") != 0 && strcmp(word, "stopped") != 0)
        return report_json_fail(&source, "status", status, "\"done\" or \"stopped\": a run that came to its end");
    return BASE_OK;
}

static base_status read_facts(run *self, report_json_source source, scaling_trial *trial)
{
    json_t *config, *train, *environment, *hosts;
    BASE_TRY(check_result(self, source));
    BASE_TRY(report_json_get_int(&source, self->record, "world_size", 1, 1000000, &trial->workers));
    BASE_TRY(report_json_get_int(&source, self->record, "threads_per_rank", 1, 2000, &trial->threads));
    BASE_TRY(report_json_get(&source, self->record, "hosts", JSON_ARRAY, &hosts));
    BASE_TRY(report_json_get(&source, self->record, "environment", JSON_OBJECT, &environment));
    BASE_TRY(report_json_get(&source, self->record, "config", JSON_OBJECT, &config));
    snprintf(source.where, sizeof source.where, "environment");
    BASE_TRY(report_json_get_int(&source, environment, "cores", 0, INT_MAX, &trial->cores));
    snprintf(source.where, sizeof source.where, "config");
    BASE_TRY(report_json_get(&source, config, "train", JSON_OBJECT, &train));
    snprintf(source.where, sizeof source.where, "config.train");
    BASE_TRY(report_json_get_integer(&source, train, "batch", 1, INT64_MAX / 1000000, &trial->batch));
    trial->nodes = json_array_size(hosts) ? (int)json_array_size(hosts) : 1;
    self->config = config;
    self->environment = environment;
    self->batch = trial->batch;
    self->workers = trial->workers;
    return BASE_OK;
}

/* After a failure trial->steps_s is the caller's to free. */
static base_status read_run(run *self, scaling_trial *trial)
{
    char path[PATH_MAX];
    report_json_source source = {.file = path};
    if ((size_t)snprintf(path, sizeof path, "%s/run.json", self->folder) >= sizeof path)
        return BASE_FAIL(BASE_DATA, "the name %.60s... is too long", self->folder);
    BASE_TRY(report_json_load(path, "ddpt.run.v1", &self->record));
    BASE_TRY(read_facts(self, source, trial));
    BASE_TRY(read_parts(self, source, trial));
    const json_t *checkpoint = json_object_get(self->record, "checkpoint");
    int64_t resumed_from = json_integer_value(json_object_get(checkpoint, "resumed_from_step"));
    snprintf(path, sizeof path, "%s/steps.csv", self->folder);
    return report_runs_steps(path, resumed_from > 0 ? resumed_from : 0, trial);
}

/* ---- all runs ---- */

/* Keys of the configuration that do not change how long a step takes, and the batch, which is looked at by itself. */
static int may_differ(const char *line)
{
    static const char *const keys[] = {"out",
                                       "data.path",
                                       "train.batch",
                                       "train.epochs",
                                       "train.max_steps",
                                       "train.seed",
                                       "train.log_every",
                                       "train.eval_every",
                                       "train.stall_timeout",
                                       "train.checkpoint",
                                       "train.optimizer.lr",
                                       "train.optimizer.schedule"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t n = strlen(keys[i]);
        if (strncmp(line, keys[i], n) == 0 && (line[n] == ' ' || line[n] == '.'))
            return 1;
    }
    return 0;
}

static base_status compare_lines(const run *a, const run *b, const char *const *lines, int count)
{
    const char *first = NULL;
    int others = 0;
    for (int i = 0; i < count; i++) {
        if (may_differ(lines[i]))
            continue;
        others += first != NULL;
        first = first ? first : lines[i];
    }
    if (!first)
        return BASE_OK;
    if (others)
        return BASE_FAIL(BASE_DATA, "%s and %s are not runs of one experiment: %s (and %d more)", a->folder, b->folder,
                         first, others);
    return BASE_FAIL(BASE_DATA, "%s and %s are not runs of one experiment: %s", a->folder, b->folder, first);
}

static base_status compare_configs(const run *a, const run *b, base_arena *arena)
{
    const char *const *lines;
    int count;
    char *there = json_dumps(a->config, JSON_REAL_PRECISION(15));
    char *here = json_dumps(b->config, JSON_REAL_PRECISION(15));
    char *left = base_arena_format(arena, "in %s", a->folder), *right = base_arena_format(arena, "in %s", b->folder);
    base_status status = there && here ? left && right ? BASE_OK : BASE_ERROR
                                       : BASE_FAIL(BASE_ERROR, "out of memory for two configurations");
    if (status == BASE_OK)
        status = run_config_diff_texts(there, here, left, right, arena, &lines, &count);
    if (status == BASE_OK)
        status = compare_lines(a, b, lines, count);
    free(there);
    free(here);
    return status;
}

static base_status compare_devices(const run *a, const run *b)
{
    const char *there = json_string_value(json_object_get(a->record, "device"));
    const char *here = json_string_value(json_object_get(b->record, "device"));
    if (!there || !here || strcmp(there, here) == 0)
        return BASE_OK;
    return BASE_FAIL(BASE_DATA,
                     "%s and %s are not runs of one experiment: one ran on the device %.20s, the other on %.20s",
                     a->folder, b->folder, there, here);
}

static base_status check_folders(int count, char *const *folders)
{
    for (int i = 0; i < count; i++) {
        struct stat a, b;
        if (stat(folders[i], &a) != 0)
            return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot use %s", folders[i]);
        for (int k = 0; k < i; k++)
            if (stat(folders[k], &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
                return BASE_FAIL(BASE_DATA, "%s is given twice; a repeat is another run", folders[i]);
    }
    return BASE_OK;
}

/* ---- the sweep ---- */

static base_status find_mode(const run *runs, int count, scaling_mode *mode)
{
    int is_strong = 1, is_weak = 1, other = 0;
    for (int i = 1; i < count; i++) {
        is_strong = is_strong && runs[i].batch == runs[0].batch;
        is_weak = is_weak && runs[i].batch * runs[0].workers == runs[0].batch * runs[i].workers;
        other = other || is_strong || is_weak ? other : i;
    }
    if (is_strong || is_weak) {
        *mode = is_strong ? SCALING_STRONG : SCALING_WEAK;
        return BASE_OK;
    }
    return BASE_FAIL(BASE_DATA,
                     "neither strong scaling (train.batch is the same) nor weak scaling (it is proportional to the "
                     "ranks): it is %" PRId64 " on %d rank%s in %s, %" PRId64 " on %d rank%s in %s",
                     runs[0].batch, runs[0].workers, runs[0].workers == 1 ? "" : "s", runs[0].folder, runs[other].batch,
                     runs[other].workers, runs[other].workers == 1 ? "" : "s", runs[other].folder);
}

/* The configuration's name: of the file on the command line, else of the folder. */
static void find_name(const run *first, char *name, size_t size)
{
    char text[PATH_MAX];
    const char *command = json_string_value(json_object_get(first->environment, "command"));
    const char *end = command ? strstr(command, ".cfg") : NULL, *begin = end;
    while (end && begin > command && !strchr(" /", begin[-1]))
        begin--;
    if (!end || begin == end) {
        end = first->folder + strlen(first->folder);
        while (end > first->folder + 1 && end[-1] == '/')
            end--;
        for (begin = end; begin > first->folder && begin[-1] != '/';)
            begin--;
    }
    snprintf(text, sizeof text, "%.*s", (int)(end - begin), begin);
    base_utf8_copy(text, name, size);
}

/* What the machines and programs of two runs differ in, as warnings. */
static void note_differences(const run *a, const run *b, json_t *warnings)
{
    static const char *const keys[] = {"cpu", "gpu", "ddpt", "mpi", "blas", "kernels", "compiler"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *there = json_object_get(a->environment, keys[i]),
                     *here = json_object_get(b->environment, keys[i]);
        if (json_equal(there, here) || (!there && !here))
            continue;
        const char *left = json_string_value(there), *right = json_string_value(here);
        char text[512];
        snprintf(text, sizeof text, "The runs differ in %s: %.120s in %.60s, %.120s in %.60s.", keys[i],
                 left ? left : "none", a->folder, right ? right : "none", b->folder);
        json_array_append_new(warnings, base_json_text(text));
        return;
    }
}

static base_status describe(const run *runs, int count, scaling_sweep *sweep)
{
    int largest = 0;
    json_t *warnings = json_array(), *folders = json_array();
    const json_t *parameters = json_object_get(json_object_get(runs[0].record, "model"), "parameters");
    const char *precision = json_string_value(json_object_get(runs[0].record, "precision"));
    const char *digest = json_string_value(json_object_get(runs[0].record, "config_digest"));
    for (int i = 0; i < count; i++) {
        const char *other = json_string_value(json_object_get(runs[i].record, "config_digest"));
        digest = digest && other && strcmp(digest, other) == 0 ? digest : NULL;
        largest = runs[i].workers > runs[largest].workers ? i : largest;
        json_array_append_new(folders, base_json_text(runs[i].folder));
        if (i && json_array_size(warnings) < 4)
            note_differences(&runs[0], &runs[i], warnings);
    }
    find_name(&runs[0], sweep->name, sizeof sweep->name);
    snprintf(sweep->digest, sizeof sweep->digest, "%s", digest ? digest : "");
    int64_t elements = json_integer_value(parameters);
    if (elements > 0 && elements < INT64_MAX / 8 && precision && strcmp(precision, "fp32") == 0)
        sweep->gradient_bytes = (int64_t)sizeof(float) * elements;
    sweep->config = json_deep_copy(runs[0].config);
    sweep->environment = json_deep_copy(runs[largest].environment);
    json_object_set_new(sweep->environment, "runs", folders);
    json_object_set_new(sweep->environment, "warnings", warnings);
    return sweep->config && sweep->environment ? find_mode(runs, count, &sweep->mode)
                                               : BASE_FAIL(BASE_ERROR, "out of memory for the record of a run");
}

static base_status read_all(run *runs, int count, base_arena *arena, scaling_sweep *sweep)
{
    for (int i = 0; i < count; i++) {
        scaling_trial trial = {0};
        base_status status = read_run(&runs[i], &trial);
        for (int k = 0; k < i; k++)
            trial.repeat += runs[k].workers == trial.workers;
        if (status == BASE_OK)
            status = scaling_sweep_add(sweep, &trial);
        else
            free(trial.steps_s);
        BASE_TRY(status);
        BASE_TRY(compare_devices(&runs[0], &runs[i]));
        BASE_TRY(compare_configs(&runs[0], &runs[i], arena));
    }
    return describe(runs, count, sweep);
}

base_status report_runs_read(int count, char *const *folders, scaling_sweep *sweep)
{
    base_arena *arena = NULL;
    *sweep = (scaling_sweep){0};
    BASE_TRY(check_folders(count, folders));
    BASE_TRY(base_arena_create(&arena, "runs"));
    run *runs = BASE_NEW_ARRAY(arena, run, count);
    base_status status = runs ? BASE_OK : BASE_ERROR;
    for (int i = 0; i < count && status == BASE_OK; i++)
        runs[i].folder = folders[i];
    if (status == BASE_OK)
        status = read_all(runs, count, arena, sweep);
    for (int i = 0; runs && i < count; i++)
        json_decref(runs[i].record);
    base_arena_destroy(&arena);
    if (status != BASE_OK)
        scaling_sweep_clear(sweep);
    return status;
}
