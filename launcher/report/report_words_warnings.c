#include "report_words.h"

#include <math.h>
#include <string.h>

enum { LINES_MAX = 64, LINE_BYTES = 512, LIST_BYTES = 128, NAMED_MAX = 6 };

typedef struct warnings {
    base_arena *arena;
    const char **lines;
    int count;
} warnings;

/* Takes what was written to `line`, which may be "", and may be there already. */
static base_status add(warnings *self, const char *line)
{
    if (!*line || self->count == LINES_MAX)
        return BASE_OK;
    for (int i = 0; i < self->count; i++)
        if (strcmp(self->lines[i], line) == 0)
            return BASE_OK;
    self->lines[self->count] = base_arena_string(self->arena, line);
    return self->lines[self->count++] ? BASE_OK : BASE_ERROR;
}

/* "8", "8 and 16", "1, 2, 4, 8, 16, 32 and 3 more" of the points that `chosen` picks; *count of them. */
static void list_workers(const scaling_analysis *a, int (*chosen)(const scaling_point *), char text[LIST_BYTES],
                         int *count)
{
    int total = 0, done = 0;
    size_t used = 0;
    for (int i = 0; i < a->point_count; i++)
        total += chosen(&a->points[i]) != 0;
    *text = '\0';
    for (int i = 0; i < a->point_count && done < NAMED_MAX; i++) {
        if (!chosen(&a->points[i]))
            continue;
        const char *before = done == 0 ? "" : done + 1 == total ? " and " : ", ";
        used += (size_t)snprintf(text + used, LIST_BYTES - used, "%s%d", before, a->points[i].workers);
        done++;
    }
    if (total > done)
        snprintf(text + used, LIST_BYTES - used, " and %d more", total - done);
    *count = total;
}

static int shares_cores(const scaling_point *p)
{
    return p->shares_cores != 0;
}

/* Half the interval is over a twentieth of the value. */
static int is_noisy(const scaling_point *p)
{
    return p->step_s.high - p->step_s.low > 0.1 * p->step_s.value;
}

static int was_disturbed(const scaling_point *p)
{
    return p->disturbed > 0;
}

static int has_one_trial(const scaling_point *p)
{
    return p->trials == 1;
}

static base_status warn_of_cores(warnings *self, const scaling_sweep *sweep, const scaling_analysis *a)
{
    char line[LINE_BYTES], list[LIST_BYTES];
    int count;
    list_workers(a, shares_cores, list, &count);
    if (count == 0)
        return BASE_OK;
    const char *counts =
        sweep->oversubscribe
            ? "they count all the same, as was asked for, and say little about a machine with a core for "
              "each thread"
            : "they are shown, but do not count in what is said here";
    snprintf(line, sizeof line, "With %s workers there are more threads than cores, so that workers share cores: %s.",
             list, counts);
    return add(self, line);
}

static base_status warn_of_few_points(warnings *self, const scaling_analysis *a)
{
    char line[LINE_BYTES], list[LIST_BYTES];
    int count;
    if (report_words_fitted(a) == 2)
        BASE_TRY(add(self, "Only two numbers of workers count: a law can be put through two points, but they cannot "
                           "show that it holds. Measure a third one."));
    list_workers(a, has_one_trial, list, &count);
    if (count == 0)
        return BASE_OK;
    snprintf(line, sizeof line,
             "With %s worker%s there was one trial only, so that the intervals do not show how much trials differ.",
             list, strcmp(list, "1") == 0 ? "" : "s");
    return add(self, line);
}

static base_status warn_of_noise(warnings *self, const scaling_analysis *a)
{
    char line[LINE_BYTES], list[LIST_BYTES];
    int count;
    list_workers(a, is_noisy, list, &count);
    if (count == 0)
        return BASE_OK;
    snprintf(line, sizeof line,
             "The length of a step is known to 5 %% or worse with %s worker%s: something else may run on the machine; "
             "more steps or repeats help.",
             list, strcmp(list, "1") == 0 ? "" : "s");
    return add(self, line);
}

static base_status warn_of_disturbance(warnings *self, const scaling_analysis *a)
{
    char line[LINE_BYTES], list[LIST_BYTES];
    int count, trials = 0;
    list_workers(a, was_disturbed, list, &count);
    if (count == 0)
        return BASE_OK;
    for (int i = 0; i < a->point_count; i++)
        trials += a->points[i].disturbed;
    snprintf(
        line, sizeof line,
        "Set aside with %s worker%s: %d trial%s, at least a quarter longer or shorter than the others, which agree. "
        "Something else disturbed %s.",
        list, strcmp(list, "1") == 0 ? "" : "s", trials, trials == 1 ? "" : "s", trials == 1 ? "it" : "them");
    return add(self, line);
}

static base_status warn_of_threads(warnings *self, const scaling_sweep *sweep)
{
    char line[LINE_BYTES];
    for (int i = 1; i < sweep->count; i++) {
        const scaling_trial *first = &sweep->trials[0], *other = &sweep->trials[i];
        if (first->threads == other->threads)
            continue;
        snprintf(line, sizeof line,
                 "Workers are not alike: %d thread%s each with %d worker%s, %d with %d. Set train.threads, so that the "
                 "number of workers is all that differs.",
                 first->threads, first->threads == 1 ? "" : "s", first->workers, first->workers == 1 ? "" : "s",
                 other->threads, other->workers);
        return add(self, line);
    }
    return BASE_OK;
}

/* T(1) is the law's then. */
static base_status warn_of_no_single(warnings *self, const scaling_analysis *a)
{
    if (a->point_count == 0 || a->points[0].workers == 1 || !isfinite(a->points[0].speedup.value))
        return BASE_OK;
    return add(self,
               "One worker was not measured: speedups are over the length of a step that the fitted law gives for one "
               "worker.");
}

/* Ranks of one node talk through memory, those of several through a network. */
static base_status note_nodes(warnings *self, const scaling_sweep *sweep)
{
    const scaling_trial *one = NULL, *many = NULL;
    char line[LINE_BYTES];
    for (int i = 0; i < sweep->count; i++) {
        const scaling_trial *trial = &sweep->trials[i];
        if (trial->nodes == 1 && (!one || trial->workers > one->workers))
            one = trial;
        if (trial->nodes > 1 && (!many || trial->workers < many->workers))
            many = trial;
    }
    if (!one || !many || one->workers == 1)
        return BASE_OK;
    snprintf(line, sizeof line,
             "Up to %d workers run on one node, %d and more on several: from there on a network is part of what is "
             "measured, and one law for both is a rough one.",
             one->workers, many->workers);
    return add(self, line);
}

static base_status pass_on(warnings *self, const scaling_sweep *sweep)
{
    const json_t *list = json_object_get(sweep->environment, "warnings");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *line = json_string_value(json_array_get(list, i));
        BASE_TRY(add(self, line ? line : ""));
    }
    return BASE_OK;
}

base_status report_words_warnings(const scaling_sweep *sweep, const scaling_analysis *analysis, base_arena *arena,
                                  const char *const **lines, int *count)
{
    warnings self = {.arena = arena, .lines = BASE_NEW_ARRAY(arena, const char *, LINES_MAX)};
    if (!self.lines)
        return BASE_ERROR;
    BASE_TRY(warn_of_cores(&self, sweep, analysis));
    BASE_TRY(warn_of_no_single(&self, analysis));
    BASE_TRY(warn_of_few_points(&self, analysis));
    BASE_TRY(warn_of_noise(&self, analysis));
    BASE_TRY(warn_of_disturbance(&self, analysis));
    BASE_TRY(warn_of_threads(&self, sweep));
    BASE_TRY(note_nodes(&self, sweep));
    BASE_TRY(pass_on(&self, sweep));
    *lines = self.lines;
    *count = self.count;
    return BASE_OK;
}
