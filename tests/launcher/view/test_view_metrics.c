#include "view_fixture.h"
#include "view_metrics.h"

#include "base_utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static coordinator_view view;
static char *text;

static void take(void)
{
    size_t nbytes;
    free(text);
    assert_int_equal(view_metrics(&view, &text, &nbytes), BASE_OK);
    assert_int_equal(strlen(text), nbytes);
}

static void take_fixture(const char *name)
{
    assert_int_equal(view_fixture_fill(name, 0.0, &view), BASE_OK);
    take();
}

static int teardown(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    coordinator_view_clear(&view);
    return 0;
}

/* ---- a strict reader of the format ---- */

enum { FAMILIES = 64, SERIES = 4096 };

typedef struct reader {
    int families, series, helped; /* helped: the family has its HELP and waits for its TYPE */
    char family[FAMILIES][64];
    int is_counter;
    struct sample {
        const char *line; /* name and labels of a sample, without its value */
        size_t length;
    } samples[SERIES];
} reader;

static size_t name_length(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    return *s && strchr(first, *s) ? strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") : 0;
}

static int ends_in(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static void read_comment(reader *self, const char *line)
{
    char name[64], type[16];
    if (sscanf(line, "# TYPE %63s %15s", name, type) == 2) {
        assert_true(self->helped);
        assert_string_equal(name, self->family[self->families - 1]);
        self->is_counter = strcmp(type, "counter") == 0;
        assert_true(self->is_counter || strcmp(type, "gauge") == 0);
        assert_int_equal(self->is_counter, ends_in(name, "_total"));
        self->helped = 0;
        return;
    }
    assert_int_equal(sscanf(line, "# HELP %63s", name), 1);
    assert_false(self->helped);
    assert_true(strncmp(name, "ddpt_", 5) == 0);
    for (int i = 0; i < self->families; i++)
        assert_string_not_equal(self->family[i], name);
    assert_in_range(self->families, 0, FAMILIES - 1);
    strcpy(self->family[self->families++], name);
    self->helped = 1;
}

/* From behind '{' to behind '}'. */
static const char *read_labels(const char *s)
{
    while (*s != '}') {
        size_t length = name_length(s);
        assert_true(length > 0 && s[length] == '=' && s[length + 1] == '"');
        for (s += length + 2; *s != '"'; s++) {
            assert_true(*s && *s != '\n');
            if (*s == '\\') {
                s++;
                assert_true(*s == '\\' || *s == '"' || *s == 'n');
            }
        }
        s++;
        assert_true(*s == ',' || *s == '}');
        s += *s == ',';
    }
    return s + 1;
}

static void read_value(const reader *self, const char *s)
{
    char *end;
    double value = strtod(s, &end);
    assert_true(end > s && *end == '\n');
    assert_false(self->is_counter && !(value >= 0.0));
}

static void read_sample(reader *self, const char *line)
{
    const char *family = self->family[self->families - 1], *s = line + strlen(family);
    assert_false(self->helped);
    assert_true(self->families > 0 && strncmp(line, family, strlen(family)) == 0);
    if (*s == '{')
        s = read_labels(s + 1);
    assert_true(*s == ' ');
    assert_in_range(self->series, 0, SERIES - 1);
    self->samples[self->series++] = (struct sample){.line = line, .length = (size_t)(s - line)};
    read_value(self, s + 1);
}

static int compare(const void *x, const void *y)
{
    const struct sample *a = x, *b = y;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->line, b->line, a->length);
}

static void assert_no_series_twice(reader *self)
{
    qsort(self->samples, (size_t)self->series, sizeof self->samples[0], compare);
    for (int i = 1; i < self->series; i++)
        assert_int_not_equal(compare(&self->samples[i - 1], &self->samples[i]), 0);
}

/* Returns how many series there are. */
static int read_text(void)
{
    static reader self;
    self = (reader){0};
    for (const char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        if (*line == '#')
            read_comment(&self, line);
        else
            read_sample(&self, line);
    }
    assert_no_series_twice(&self);
    return self.series;
}

static void assert_has(const char *line)
{
    if (!strstr(text, line))
        fail_msg("not there: %s", line);
}

/* Lines that begin so. (A search from each find on takes a sanitizer, which measures what is left each time, minutes.) */
static int count(const char *begin)
{
    int found = 0;
    for (const char *line = text, *end; *line; line = end + 1) {
        found += strncmp(line, begin, strlen(begin)) == 0;
        end = strchr(line, '\n');
        assert_non_null(end);
    }
    return found;
}

/* ---- tests ---- */

static void every_fixture_is_well_formed(void **state)
{
    (void)state;
    static const char *const names[] = {"solo",   "eight",   "sixtyfour", "done",    "diverged",
                                        "failed", "trouble", "waiting",   "hostile", "several"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        take_fixture(names[i]);
        assert_in_range(read_text(), 20, SERIES);
    }
    take_fixture("none");
    assert_int_equal(read_text(), 11); /* the coordinator's own */
}

static void values(void **state)
{
    (void)state;
    take_fixture("eight");
    assert_has("ddpt_coordinator_info{version=\"0.1.0\"} 1\n");
    assert_has("ddpt_coordinator_uptime_seconds 380\n");
    assert_has("ddpt_coordinator_messages_total{kind=\"accepted\"} 3024\n");
    assert_has("ddpt_coordinator_messages_total{kind=\"oversized\"} 1\n");
    assert_has("ddpt_coordinator_connections_refused_total 3\n");
    assert_has("ddpt_coordinator_runs 1\n");
    assert_has("ddpt_coordinator_ranks_omitted 0\n");
    char line[256];
    snprintf(line, sizeof line, "ddpt_run_loss{run=\"%s\",name=\"digits\"} 0.0731\n", view.runs[0].id);
    assert_has(line);
    snprintf(line, sizeof line, "ddpt_run_steps_total{run=\"%s\",name=\"digits\"} 31533\n", view.runs[0].id);
    assert_has(line);
    snprintf(line, sizeof line,
             "ddpt_run_straggler_slower_ratio{run=\"%s\",name=\"digits\",rank=\"5\",phase=\"forward\"} "
             "0.31\n",
             view.runs[0].id);
    assert_has(line);
    snprintf(line, sizeof line,
             "ddpt_rank_own_step_seconds{run=\"%s\",name=\"digits\",rank=\"0\",host=\"node01\"} 0.0099\n",
             view.runs[0].id);
    assert_has(line);
    assert_int_equal(count("ddpt_rank_phase_seconds_total{"), 8 * BASE_PHASE_COUNT);
}

static void one_state_holds(void **state)
{
    (void)state;
    take_fixture("several");
    assert_int_equal(count("ddpt_run_state{"), 3 * 6);
    char line[256];
    snprintf(line, sizeof line, "ddpt_run_state{run=\"%s\",name=\"digits\",state=\"done\"} 1\n", view.runs[2].id);
    assert_has(line);
    snprintf(line, sizeof line, "ddpt_run_state{run=\"%s\",name=\"digits\",state=\"running\"} 0\n", view.runs[2].id);
    assert_has(line);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    take_fixture("hostile");
    read_text();
    assert_has(",name=\"<script>document.title='owned'</script>\x1b[2J\\\"\\\\\\n?\"");
    char *copy = malloc(strlen(text) + 1);
    assert_non_null(copy);
    assert_string_equal(base_utf8_copy(text, copy, strlen(text) + 1), text);
    free(copy);
}

static void not_finite(void **state)
{
    (void)state;
    take_fixture("hostile");
    char line[256];
    view.runs[0].samples_per_second = -INFINITY;
    strcpy(view.runs[0].name, "x");
    take();
    read_text();
    snprintf(line, sizeof line, "ddpt_run_remaining_seconds{run=\"%s\",name=\"x\"} +Inf\n", view.runs[0].id);
    assert_has(line);
    snprintf(line, sizeof line, "ddpt_run_samples_per_second{run=\"%s\",name=\"x\"} -Inf\n", view.runs[0].id);
    assert_has(line);
    view.runs[0].test_loss = NAN;
    take();
    snprintf(line, sizeof line, "ddpt_run_test_loss{run=\"%s\",name=\"x\"} NaN\n", view.runs[0].id);
    assert_has(line);
}

/* Runs that go on come first, wherever they stand. */
static void ranks_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    enum { BIG = VIEW_METRICS_RANKS - 3 };
    assert_int_equal(view_fixture_fill("several", 0.0, &view), BASE_OK);
    coordinator_run_view going = view.runs[0];
    view.runs[0] = view.runs[2]; /* done, of 8 */
    view.runs[2] = going;
    coordinator_rank_view *ranks = realloc(going.ranks, BIG * sizeof *ranks);
    assert_non_null(ranks);
    for (int r = 8; r < BIG; r++) {
        ranks[r] = ranks[r % 8];
        ranks[r].rank = r;
    }
    view.runs[2].ranks = ranks;
    view.runs[2].rank_count = view.runs[2].size = BIG;
    take();
    assert_has("ddpt_coordinator_ranks_omitted 13\n");
    assert_int_equal(count("ddpt_rank_steps_total{"), VIEW_METRICS_RANKS);
    char label[64];
    snprintf(label, sizeof label, "ddpt_rank_steps_total{run=\"%s\"", view.runs[2].id);
    assert_int_equal(count(label), BIG);
    snprintf(label, sizeof label, "ddpt_rank_steps_total{run=\"%s\"", view.runs[0].id);
    assert_int_equal(count(label), 3);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_fixture_is_well_formed), TEST(values),     TEST(one_state_holds),
        TEST(labels_are_escaped),           TEST(not_finite), TEST(ranks_beyond_the_limit_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
