#include "report_fixture.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

/* ---- experiments ---- */

static double step_at(const fixture *from, int workers)
{
    double n = workers, serial = 1.0 - from->p;
    return from->mode == SCALING_WEAK ? from->t1_s / (1.0 - serial + serial / n) : from->t1_s * (serial + from->p / n);
}

/* The serial part is exposed communication for the most part, the rest of it updates. */
static void parts_at(const fixture *from, int workers, double parts[SCALING_PART_COUNT])
{
    double whole = step_at(from, workers), serial = workers == 1 ? 0.0 : (1.0 - from->p) * from->t1_s;
    serial = fmin(serial, 0.9 * whole);
    double shares[SCALING_PART_COUNT] = {
        [SCALING_DATA] = 0.05, [SCALING_FORWARD] = 0.35, [SCALING_BACKWARD] = 0.55, [SCALING_OTHER] = 0.05};
    for (int i = 0; i < SCALING_PART_COUNT; i++)
        parts[i] = shares[i] * (whole - serial);
    parts[SCALING_REDUCE] = 0.7 * serial;
    parts[SCALING_UPDATE] = 0.2 * serial;
    parts[SCALING_IMBALANCE] = 0.1 * serial;
}

static scaling_value around(double value)
{
    return (scaling_value){value, 0.99 * value, 1.01 * value};
}

static scaling_trial trial_at(const fixture *from, int workers, int repeat)
{
    scaling_trial trial = {.workers = workers,
                           .repeat = repeat,
                           .nodes = 1,
                           .threads = 1,
                           .steps = FIXTURE_STEPS,
                           .steps_count = FIXTURE_STEPS,
                           .step_s = step_at(from, workers),
                           .allreduce_count = 2};
    trial.batch = from->mode == SCALING_WEAK ? 32 * (int64_t)workers : 65536;
    trial.cores = from->cores ? from->cores : 1000000;
    trial.steps_s = malloc(FIXTURE_STEPS * sizeof *trial.steps_s);
    for (int i = 0; trial.steps_s && i < FIXTURE_STEPS; i++)
        trial.steps_s[i] = trial.step_s * (i % 2 ? 1.001 : 0.999);
    parts_at(from, workers, trial.parts_s);
    trial.slowest = workers > 2 ? 2 : 0;
    trial.slower[SCALING_FORWARD] = workers > 2 ? 0.4 : 0.0;
    trial.allreduce[0] = (scaling_allreduce){4096, 1e-5 * log2(workers) + 1e-9};
    trial.allreduce[1] = (scaling_allreduce){4194304, 1e-3};
    return trial;
}

static void fill_point(const fixture *from, int workers, scaling_point *point)
{
    double n = workers, ratio = step_at(from, 1) / step_at(from, workers);
    double speedup = from->mode == SCALING_WEAK ? n * ratio : ratio;
    *point = (scaling_point){.workers = workers, .trials = FIXTURE_REPEATS, .slowest = workers > 2 ? 2 : 0};
    point->batch = from->mode == SCALING_WEAK ? 32 * (int64_t)workers : 65536;
    point->step_s = around(step_at(from, workers));
    point->speedup = around(speedup);
    point->efficiency = around(speedup / n);
    point->samples_per_second = (double)point->batch / point->step_s.value;
    point->karp_flatt =
        from->mode == SCALING_WEAK || workers == 1 ? (double)NAN : (1.0 / speedup - 1.0 / n) / (1.0 - 1.0 / n);
    parts_at(from, workers, point->parts_s);
    point->slower[SCALING_FORWARD] = workers > 2 ? 0.4 : 0.0;
    point->shares_cores = from->cores && workers > from->cores;
    point->fitted = !point->shares_cores;
}

static void fill_laws(const fixture *from, scaling_analysis *a)
{
    double serial = 1.0 - from->p;
    a->amdahl = (scaling_amdahl){{.ok = from->mode == SCALING_STRONG, .reason = "Amdahl's law is for strong scaling"},
                                 {from->p, from->p - 0.1 * serial, from->p + 0.1 * serial},
                                 {1.0 / serial, 0.9 / serial, 1.1 / serial},
                                 from->t1_s};
    a->gustafson =
        (scaling_gustafson){{.ok = from->mode == SCALING_WEAK, .reason = "Gustafson's law is for weak scaling"},
                            {serial, 0.9 * serial, 1.1 * serial}};
    a->usl = (scaling_usl){
        {.ok = 1}, around(serial), {1e-5, 0.0, 2e-5}, {sqrt((1.0 - serial) / 1e-5), 100.0, INFINITY}, from->t1_s};
    a->alpha_beta = (scaling_alpha_beta){{.ok = 1}, around(12e-6), around(0.25e-9)};
}

static void fill_causes(const fixture *from, scaling_analysis *a)
{
    double serial = 1.0 - from->p;
    a->causes_law.ok = 1;
    a->causes_total = serial;
    a->cause_count = 5;
    a->causes[0] = (scaling_cause){SCALING_REDUCE, 0.7 * serial, -1, 0.0};
    a->causes[1] = (scaling_cause){SCALING_FORWARD, 0.2 * serial, 2, 0.4};
    a->causes[2] = (scaling_cause){SCALING_UPDATE, 0.15 * serial, -1, 0.0};
    a->causes[3] = (scaling_cause){SCALING_IMBALANCE, 0.05 * serial, -1, 0.0};
    a->causes[4] = (scaling_cause){SCALING_BACKWARD, -0.1 * serial, -1, 0.0};
}

/* 2, 4 and 16 times the largest. */
static void fill_prediction(const fixture *from, scaling_analysis *a)
{
    static const int times[3] = {2, 4, 16};
    int largest = from->workers[from->count - 1];
    a->prediction_law.ok = a->worth_law.ok = 1;
    a->prediction_count = 3;
    a->target_efficiency = 0.7;
    for (int i = 0; i < a->point_count; i++)
        if (a->points[i].efficiency.value >= 0.7 && a->points[i].fitted)
            a->worth_workers = a->points[i].workers;
    for (int i = 0; i < 3; i++) {
        scaling_point point;
        fill_point(from, times[i] * largest, &point);
        a->prediction[i] = (scaling_prediction){point.workers, point.step_s, point.efficiency};
        if (point.efficiency.value >= 0.7)
            a->worth_workers = point.workers;
    }
    a->worth_most = a->prediction[2].workers;
    a->worth_beyond = a->worth_workers == a->worth_most;
    a->worth_interval = (scaling_value){a->worth_workers, a->worth_workers, a->worth_workers};
    if (a->worth_beyond)
        a->worth_interval.high = (double)INFINITY;
}

void fixture_make(const fixture *from, scaling_sweep *sweep, scaling_analysis *analysis, scaling_options *options)
{
    *sweep =
        (scaling_sweep){.mode = from->mode, .name = "mnist", .digest = "0123456789abcdef", .gradient_bytes = 2678824};
    sweep->config = json_pack("{s{sisf}s[is]}", "train", "batch", 65536, "lr", 0.1, "list", 3, "text");
    sweep->environment = json_pack("{sssiss}", "cpu", "AMD EPYC", "cores", 64, "date", "2026-11-24T08:00:00Z");
    *analysis = (scaling_analysis){.point_count = from->count, .speedup_law = {.ok = 1}};
    analysis->points = calloc((size_t)from->count, sizeof *analysis->points);
    *options = (scaling_options){.target_efficiency = 0.7, .seed = 0xfedcba9876543210u};
    for (int i = 0; i < from->count; i++) {
        for (int repeat = 0; repeat < FIXTURE_REPEATS; repeat++) {
            scaling_trial trial = trial_at(from, from->workers[i], repeat);
            (void)scaling_sweep_add(sweep, &trial);
        }
        fill_point(from, from->workers[i], &analysis->points[i]);
    }
    fill_laws(from, analysis);
    fill_causes(from, analysis);
    fill_prediction(from, analysis);
}

static scaling_value unknown(double value)
{
    return (scaling_value){value, (double)NAN, (double)NAN};
}

void fixture_refuse(scaling_analysis *a)
{
    scaling_law *const laws[] = {&a->amdahl.law, &a->gustafson.law,  &a->usl.law,  &a->alpha_beta.law,
                                 &a->causes_law, &a->prediction_law, &a->worth_law};
    for (int i = 0; i < 7; i++)
        *laws[i] = (scaling_law){0, "the noise is <larger> than the effect"};
    for (int i = 0; i < a->point_count; i++) {
        scaling_point *p = &a->points[i];
        p->step_s = unknown(p->step_s.value);
        p->speedup = unknown(p->speedup.value);
        p->efficiency = unknown(p->efficiency.value);
    }
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

const char *fixture_folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/ddpt-report-XXXXXX");
    return mkdtemp(folder);
}

void fixture_folder_remove(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static FILE *open_in_folder(const char *name, const char *mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, mode);
}

char *fixture_read(const char *name)
{
    FILE *file = open_in_folder(name, "r");
    char *text = NULL;
    size_t size = 0;
    if (!file)
        return NULL;
    if (getdelim(&text, &size, EOF, file) < 0 && text)
        *text = '\0';
    fclose(file);
    return text;
}

void fixture_write(const char *name, const char *text)
{
    FILE *file = open_in_folder(name, "w");
    if (!file)
        abort();
    fputs(text, file);
    fclose(file);
}
