#include "report_runs_steps.h"

#include "run_stats.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 64, KEPT_MAX = 20000 };

/* One line of the file. */
typedef struct step_line {
    int64_t step;
    double seconds;
} step_line;

typedef struct table {
    const char *path;
    int number; /* of the line at hand */
    int columns, step_column;
    char names[COLUMNS_MAX][32];
    int is_phase[COLUMNS_MAX]; /* "..._ms": a part of the step's length */
    step_line *lines;
    size_t count, room;
} table;

static base_status fail(const table *self, const char *what)
{
    return BASE_FAIL(BASE_DATA, "%s:%d: %s", self->path, self->number, what);
}

/* ---- lines ---- */

static base_status read_header(table *self, char *line)
{
    int phases = 0;
    self->step_column = -1;
    for (char *name = line, *next; name; name = next) {
        next = strchr(name, ',');
        if (next)
            *next++ = '\0';
        if (self->columns == COLUMNS_MAX)
            return fail(self, "more columns than a steps.csv has");
        int column = self->columns++;
        snprintf(self->names[column], sizeof self->names[column], "%s", name);
        size_t n = strlen(name);
        self->is_phase[column] = n > 3 && strcmp(name + n - 3, "_ms") == 0;
        phases += self->is_phase[column];
        if (strcmp(name, "step") == 0)
            self->step_column = column;
    }
    if (self->step_column < 0 || phases == 0)
        return fail(self, "the header must name a column step and columns ..._ms: not a steps.csv");
    return BASE_OK;
}

static base_status read_field(const table *self, int column, const char *text, step_line *line)
{
    char *end;
    char what[128];
    if (column == self->step_column) {
        errno = 0;
        line->step = strtoll(text, &end, 10);
        if (end != text && *end == '\0' && errno == 0 && line->step > 0)
            return BASE_OK;
    } else if (self->is_phase[column]) {
        double ms = strtod(text, &end);
        line->seconds += 1e-3 * ms;
        if (end != text && *end == '\0' && isfinite(ms) && ms >= 0.0)
            return BASE_OK;
    } else {
        return BASE_OK;
    }
    snprintf(what, sizeof what, "%s = \"%.40s\": must be a number above 0", self->names[column], text);
    return fail(self, what);
}

static base_status read_line(table *self, char *text, step_line *line)
{
    int column = 0;
    *line = (step_line){0};
    for (char *field = text, *next; field; field = next) {
        next = strchr(field, ',');
        if (next)
            *next++ = '\0';
        if (column == self->columns)
            return fail(self, "more fields than the header has");
        BASE_TRY(read_field(self, column++, field, line));
    }
    if (column < self->columns)
        return fail(self, "fewer fields than the header has; the line is cut off");
    if (line->seconds <= 0.0 || line->seconds > 1e9)
        return fail(self, "the phases of a step must add up to a time above 0");
    if (self->count && line->step <= self->lines[self->count - 1].step)
        return fail(self, "steps must ascend from line to line");
    return BASE_OK;
}

static base_status add_line(table *self, const step_line *line)
{
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 1024;
        step_line *lines = realloc(self->lines, room * sizeof *lines);
        if (!lines)
            return BASE_FAIL(BASE_ERROR, "out of memory for the lines of %s", self->path);
        self->lines = lines;
        self->room = room;
    }
    self->lines[self->count++] = *line;
    return BASE_OK;
}

static base_status read_lines(table *self, FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    base_status status = BASE_OK;
    for (ssize_t n; status == BASE_OK && (n = getline(&text, &size, file)) > 0;) {
        self->number++;
        step_line line;
        if (strlen(text) < (size_t)n)
            status = fail(self, "not text");
        text[strcspn(text, "\r\n")] = '\0';
        if (status == BASE_OK && self->number == 1)
            status = read_header(self, text);
        else if (status == BASE_OK && *text && (status = read_line(self, text, &line)) == BASE_OK)
            status = add_line(self, &line);
    }
    if (status == BASE_OK && ferror(file))
        status = BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot read %s", self->path);
    free(text);
    return status;
}

/* ---- the trial ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static base_status find_median(scaling_trial *trial)
{
    size_t count = (size_t)trial->steps_count;
    double *sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return BASE_FAIL(BASE_ERROR, "out of memory for the median of %zu steps", count);
    memcpy(sorted, trial->steps_s, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    trial->step_s = 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
    free(sorted);
    return BASE_OK;
}

/* The lines whose steps all count: after the one that the warm-up ends in. */
static base_status take_steps(const table *self, int64_t resumed_from, scaling_trial *trial)
{
    int64_t last = self->count ? self->lines[self->count - 1].step : 0;
    int64_t warm = resumed_from + (last > resumed_from ? run_stats_warmup(last - resumed_from) : 0);
    size_t first = 0;
    /* Line i holds the steps behind the one of line i-1. */
    while (first < self->count && (first ? self->lines[first - 1].step : 0) < warm)
        first++;
    size_t count = self->count - first;
    if (count == 0)
        return BASE_FAIL(BASE_DATA,
                         "%s: no line is left after the warm-up (to step %" PRId64 "); train for more steps, "
                         "or set train.log_every = 0",
                         self->path, warm);
    size_t stride = (count + KEPT_MAX - 1) / KEPT_MAX;
    trial->steps = last - (first ? self->lines[first - 1].step : 0);
    trial->steps_s = malloc((count / stride + 1) * sizeof *trial->steps_s);
    if (!trial->steps_s)
        return BASE_FAIL(BASE_ERROR, "out of memory for the steps of %s", self->path);
    for (size_t i = first; i < self->count; i += stride)
        trial->steps_s[trial->steps_count++] = self->lines[i].seconds;
    return find_median(trial);
}

base_status report_runs_steps(const char *path, int64_t resumed_from, scaling_trial *trial)
{
    table self = {.path = path};
    FILE *file = fopen(path, "re");
    if (!file)
        return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot open %s", path);
    base_status status = read_lines(&self, file);
    fclose(file);
    if (status == BASE_OK)
        status = take_steps(&self, resumed_from, trial);
    free(self.lines);
    return status;
}
