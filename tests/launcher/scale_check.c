/* scale_check: looks at the scaling.json of a folder.
 *
 *     scale_check facts FOLDER                  is it sound? prints a line per trial for a script to look at
 *     scale_check cause FOLDER PART RANK MS     is the largest cause of the serial fraction PART, on RANK, and is that
 *                                               MS of a step, within a fifth?
 *     scale_check predict FOLDER N              does what is predicted for N workers without the trials of N agree with
 * them?
 */
#include "report_sweep.h"
#include "scaling.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void read_sweep(const char *folder, scaling_sweep *sweep, scaling_options *options)
{
    if (report_sweep_read(folder, sweep, options) != BASE_OK)
        fail("%s", base_status_message());
}

static double sum_of(const double *values, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* ---- facts ---- */

static void check_trial(const scaling_trial *t)
{
    if (t->workers < 1 || t->nodes < 1 || t->threads < 1 || t->cores < 1 || t->steps < 2)
        fail("%d workers: a count is missing", t->workers);
    if (t->steps_count < 2 || t->steps_count > 500 || (t->steps <= 500 && t->steps_count != t->steps))
        fail("%d workers: %d lengths of %" PRId64 " steps", t->workers, t->steps_count, t->steps);
    int shorter = 0;
    for (int i = 0; i < t->steps_count; i++) {
        if (!(t->steps_s[i] > 0.0))
            fail("%d workers: step %d has no length", t->workers, i);
        shorter += t->steps_s[i] < t->step_s;
    }
    if (t->steps == t->steps_count && shorter > t->steps_count / 2)
        fail("%d workers: the median is not in the middle", t->workers);
    /* The parts are means of all steps, as is the sum of the lengths if there are all of them. */
    double mean = sum_of(t->steps_s, t->steps_count) / t->steps_count, parts = sum_of(t->parts_s, SCALING_PART_COUNT);
    if (t->steps == t->steps_count && fabs(parts - mean) > 1e-6 * mean)
        fail("%d workers: the parts add up to %g s, not to %g s", t->workers, parts, mean);
    if (t->slowest < 0 || t->slowest >= t->workers)
        fail("%d workers: rank %d is said to be slow", t->workers, t->slowest);
    if ((t->allreduce_count > 0) != (t->workers > 1))
        fail("%d workers: %d sizes of an all-reduce", t->workers, t->allreduce_count);
    for (int i = 0; i < t->allreduce_count; i++)
        if (t->allreduce[i].nbytes < 4 || !(t->allreduce[i].seconds > 0.0) ||
            (i > 0 && t->allreduce[i].nbytes <= t->allreduce[i - 1].nbytes))
            fail("%d workers: all-reduce %d of %" PRId64 " bytes", t->workers, i, t->allreduce[i].nbytes);
}

static int facts(const char *folder)
{
    scaling_sweep sweep;
    scaling_options options;
    read_sweep(folder, &sweep, &options);
    if (sweep.count == 0 || !sweep.config || !sweep.environment || strlen(sweep.digest) != 16)
        fail("something is missing");
    printf("%s %s, %" PRId64 " gradient bytes, %s\n", sweep.name, sweep.mode == SCALING_WEAK ? "weak" : "strong",
           sweep.gradient_bytes, json_string_value(json_object_get(sweep.environment, "command")));
    for (int i = 0; i < sweep.count; i++) {
        const scaling_trial *t = &sweep.trials[i];
        check_trial(t);
        if (t->threads != sweep.trials[0].threads)
            fail("workers have %d threads and %d", sweep.trials[0].threads, t->threads);
        printf("%d workers, repeat %d: batch %" PRId64 ", %d threads, %" PRId64 " steps\n", t->workers, t->repeat,
               t->batch, t->threads, t->steps);
    }
    scaling_sweep_clear(&sweep);
    return 0;
}

/* ---- cause ---- */

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail("%s is no number", key);
    return json_number_value(value);
}

static int cause(const char *folder, const char *part, int rank, double ms)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/scaling.json", folder);
    json_t *json = json_load_file(path, 0, NULL);
    const json_t *first = json_array_get(json_object_get(json, "causes"), 0);
    const char *name = json_string_value(json_object_get(first, "name"));
    if (!name)
        fail("no causes: %s", json_string_value(json_object_get(json, "causes_reason")));
    double t1_ms = number(json_array_get(json_object_get(json, "points"), 0), "step_ms");
    double fraction = number(first, "fraction"), planted = ms / t1_ms;
    printf("%s on rank %.0f: %.4f of %.3f ms, planted %.4f\n", name, number(first, "rank"), fraction, t1_ms, planted);
    if (strcmp(name, part) != 0 || (int)number(first, "rank") != rank || fabs(fraction - planted) > 0.2 * planted)
        fail("expected %s on rank %d", part, rank);
    json_decref(json);
    return 0;
}

/* ---- predict ---- */

static void analyse(const scaling_sweep *sweep, const scaling_options *options, scaling_analysis *analysis)
{
    if (scaling_analyse(sweep, options, analysis) != BASE_OK)
        fail("%s", base_status_message());
}

static int predict(const char *folder, int workers)
{
    scaling_sweep sweep;
    scaling_options options;
    scaling_analysis whole, part;
    read_sweep(folder, &sweep, &options);
    analyse(&sweep, &options, &whole);
    const scaling_point *measured = &whole.points[whole.point_count - 1];
    if (measured->workers != workers)
        fail("the largest number of workers is %d", measured->workers);
    /* The others stay in front; those held back behind them, where clear finds them. */
    int count = sweep.count, kept = 0;
    for (int i = 0; i < count; i++) {
        scaling_trial trial = sweep.trials[i];
        if (trial.workers == workers)
            continue;
        sweep.trials[i] = sweep.trials[kept];
        sweep.trials[kept++] = trial;
    }
    sweep.count = kept;
    options.predict_count = 1;
    options.predict[0] = workers;
    analyse(&sweep, &options, &part);
    if (!part.prediction_law.ok)
        fail("no prediction: %s", part.prediction_law.reason);
    scaling_value e = part.prediction[0].efficiency;
    printf("measured %.4f, predicted %.4f, from %.4f to %.4f\n", measured->efficiency.value, e.value, e.low, e.high);
    if (part.prediction[0].workers != workers || !(e.low <= measured->efficiency.value) ||
        !(measured->efficiency.value <= e.high))
        fail("it was not foreseen");
    /* An interval that holds everything foretells nothing. */
    if (e.high - e.low > 0.2)
        fail("the interval is too wide to say anything");
    sweep.count = count;
    scaling_analysis_clear(&part);
    scaling_analysis_clear(&whole);
    scaling_sweep_clear(&sweep);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "facts") == 0)
        return facts(argv[2]);
    if (argc == 6 && strcmp(argv[1], "cause") == 0)
        return cause(argv[2], argv[3], atoi(argv[4]), atof(argv[5]));
    if (argc == 4 && strcmp(argv[1], "predict") == 0)
        return predict(argv[2], atoi(argv[3]));
    return 2;
}
