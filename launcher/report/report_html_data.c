#include "report_html.h"

#include "report_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table of points ---- */

/* "5.90" with its interval in small letters below. */
static void put_cell(FILE *to, const char *text, const char *interval)
{
    fputs("<td>", to);
    report_html_escape(to, text);
    if (*interval) {
        fputs("<small>", to);
        report_html_escape(to, interval);
        fputs("</small>", to);
    }
    fputs("</td>", to);
}

static void put_point(FILE *to, const scaling_point *p, int weak)
{
    char text[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    scaling_value ms = {1e3 * p->step_s.value, 1e3 * p->step_s.low, 1e3 * p->step_s.high};
    fprintf(to, p->fitted ? "<tr><td>%d</td>" : "<tr class=\"out\"><td>%d*</td>", p->workers);
    put_cell(to, report_words_number(ms.value, REPORT_NUMBER4, text),
             report_words_interval(ms, REPORT_NUMBER4, interval));
    put_cell(to, report_words_number(p->samples_per_second, REPORT_RATE, text), "");
    put_cell(to, report_words_number(p->speedup.value, REPORT_NUMBER, text),
             report_words_interval(p->speedup, REPORT_NUMBER, interval));
    put_cell(to, report_words_number(p->efficiency.value, REPORT_PERCENT, text),
             report_words_interval(p->efficiency, REPORT_PERCENT, interval));
    if (!weak)
        put_cell(to, report_words_number(p->karp_flatt, REPORT_PERCENT, text), "");
    fputs("</tr>\n", to);
}

void report_html_points(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    int weak = sweep->mode == SCALING_WEAK, left_out = 0;
    fprintf(to,
            "<section><h2>The points</h2>\n<div class=\"scroll\"><table><thead><tr><th>workers</th><th>step, ms</th>"
            "<th>samples a second</th><th>%s</th><th>efficiency</th>%s</tr></thead><tbody>\n",
            weak ? "scaled speedup" : "speedup", weak ? "" : "<th>serial fraction (Karp-Flatt)</th>");
    for (int i = 0; i < analysis->point_count; i++) {
        put_point(to, &analysis->points[i], weak);
        left_out |= !analysis->points[i].fitted;
    }
    fputs("</tbody></table></div>\n<p class=\"fine\">Small: 95 % intervals.", to);
    fputs(left_out ? " * does not count in what follows, see above.</p></section>\n" : "</p></section>\n", to);
}

/* ---- the laws ---- */

static void put_value(FILE *to, scaling_value value, report_form form)
{
    char text[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    fputs("<b>", to);
    report_html_escape(to, report_words_number(value.value, form, text));
    fputs("</b>", to);
    if (*report_words_interval(value, form, interval))
        report_html_printf(to, " (%s)", interval);
}

/* Opens a row; returns 0 and closes it if the law does not hold. */
static int begin_law(FILE *to, const char *name, const scaling_law *law)
{
    fprintf(to, "<dt>%s</dt><dd>", name);
    if (law->ok)
        return 1;
    fputs("No figure: ", to);
    report_html_printf(to, "%s.", law->reason);
    fputs("</dd>\n", to);
    return 0;
}

static void put_amdahl(FILE *to, const scaling_amdahl *amdahl)
{
    char least[REPORT_WORDS_BYTES];
    if (!begin_law(to, "Amdahl's law", &amdahl->law))
        return;
    put_value(to, amdahl->parallel_fraction, REPORT_SHARE);
    fputs(" of a step run in parallel (p). ", to);
    if (isfinite(amdahl->max_speedup.value)) {
        fputs("However many workers there are, it gets at most ", to);
        put_value(to, amdahl->max_speedup, REPORT_NUMBER);
        fputs(" times as fast (1/(1-p)).</dd>\n", to);
    } else {
        fprintf(to, "The data show no bound to how fast it can get%s.</dd>\n",
                report_words_at_least(amdahl->max_speedup.low, 1.05, "times", least));
    }
}

static void put_gustafson(FILE *to, const scaling_gustafson *gustafson)
{
    if (!begin_law(to, "Gustafson's law", &gustafson->law))
        return;
    fputs("Each worker beyond the first adds its rate less ", to);
    put_value(to, gustafson->serial_fraction, REPORT_PERCENT);
    fputs(" (the serial fraction s).</dd>\n", to);
}

static void put_usl(FILE *to, const scaling_usl *usl)
{
    char least[REPORT_WORDS_BYTES];
    if (!begin_law(to, "Universal scalability law", &usl->law))
        return;
    fputs("Contention ", to);
    put_value(to, usl->contention, REPORT_PERCENT);
    fputs(", coherency ", to);
    put_value(to, usl->coherency, REPORT_NUMBER);
    if (usl->peak_workers.high <= 1.0) {
        fputs("; fastest on <b>1</b> worker, slower on more.</dd>\n", to);
    } else if (isfinite(usl->peak_workers.value)) {
        fputs("; fastest on ", to);
        put_value(to, usl->peak_workers, REPORT_NUMBER);
        fputs(" workers, slower on more.</dd>\n", to);
    } else {
        fprintf(to, "; no number of workers is in sight beyond which it gets slower%s.</dd>\n",
                report_words_at_least(usl->peak_workers.low, 1.05, "workers", least));
    }
}

static void put_alpha_beta(FILE *to, const scaling_alpha_beta *fit)
{
    char least[REPORT_WORDS_BYTES];
    if (!begin_law(to, "All-reduce", &fit->law))
        return;
    scaling_value us = {1e6 * fit->alpha_s.value, 1e6 * fit->alpha_s.low, 1e6 * fit->alpha_s.high};
    scaling_value gigabytes = report_words_bandwidth(fit);
    fputs("Latency &alpha; = ", to);
    put_value(to, us, REPORT_NUMBER);
    fputs(" &micro;s a stage; ", to);
    if (isfinite(gigabytes.value)) {
        fputs("bandwidth 1/&beta; = ", to);
        put_value(to, gigabytes, REPORT_NUMBER);
        fputs(" GB/s a worker.</dd>\n", to);
    } else {
        fprintf(to, "no bound to the bandwidth is in sight%s.</dd>\n",
                report_words_at_least(gigabytes.low, 0.0, "GB/s", least));
    }
}

void report_html_laws(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    fputs("<section><h2>What the laws say</h2>\n<dl>\n", to);
    if (sweep->mode == SCALING_WEAK)
        put_gustafson(to, &analysis->gustafson);
    else
        put_amdahl(to, &analysis->amdahl);
    put_usl(to, &analysis->usl);
    put_alpha_beta(to, &analysis->alpha_beta);
    fputs("</dl></section>\n", to);
}

/* ---- how it was measured ---- */

typedef struct range {
    int64_t low, high;
} range;

static void widen(range *self, int64_t value)
{
    self->low = value < self->low ? value : self->low;
    self->high = value > self->high ? value : self->high;
}

static void put_range(FILE *to, const char *name, range r)
{
    if (r.low == r.high)
        fprintf(to, "<dt>%s</dt><dd>%" PRId64 "</dd>\n", name, r.low);
    else
        fprintf(to, "<dt>%s</dt><dd>%" PRId64 " to %" PRId64 "</dd>\n", name, r.low, r.high);
}

static void put_trials(FILE *to, const scaling_sweep *sweep)
{
    enum { BATCH, STEPS, NODES, THREADS, CORES, RANGES };
    static const char *const names[RANGES] = {"global batch", "steps a trial, after a warm-up", "nodes",
                                              "threads a worker", "cores for all workers"};
    range ranges[RANGES];
    for (int k = 0; k < RANGES; k++)
        ranges[k] = (range){INT64_MAX, INT64_MIN};
    for (int i = 0; i < sweep->count; i++) {
        const scaling_trial *t = &sweep->trials[i];
        const int64_t values[RANGES] = {t->batch, t->steps, t->nodes, t->threads, t->cores};
        for (int k = 0; k < RANGES; k++)
            widen(&ranges[k], values[k]);
    }
    fprintf(to, "<dt>trials</dt><dd>%d</dd>\n", sweep->count);
    for (int k = 0; k < RANGES && sweep->count; k++)
        put_range(to, names[k], ranges[k]);
}

/* A value of the environment in one line; lists with commas. */
static void put_json(FILE *to, const json_t *value)
{
    if (json_is_string(value)) {
        report_html_escape(to, json_string_value(value));
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            fputs(i ? ", " : "", to);
            put_json(to, json_array_get(value, i));
        }
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        report_html_escape(to, text ? text : "");
        free(text);
    }
}

static void put_environment(FILE *to, const json_t *environment)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)environment, key, value)
    {
        int says_nothing = json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
        if (strcmp(key, "warnings") == 0 || says_nothing)
            continue;
        fputs("<dt>", to);
        report_html_escape(to, key);
        fputs("</dt><dd>", to);
        put_json(to, value);
        fputs("</dd>\n", to);
    }
}

void report_html_method(FILE *to, const scaling_sweep *sweep)
{
    fputs("<section><h2>How it was measured</h2>\n<p>", to);
    fputs(sweep->mode == SCALING_WEAK
              ? "Weak scaling: every worker gets the same batch, so that more workers do more work at a time."
              : "Strong scaling: the global batch stays the same, so that more workers share the same work.",
          to);
    fputs("</p>\n<dl class=\"facts\">\n", to);
    put_trials(to, sweep);
    if (sweep->gradient_bytes)
        fprintf(to, "<dt>gradients a step</dt><dd>%.3g MB</dd>\n", 1e-6 * (double)sweep->gradient_bytes);
    if (*sweep->digest) {
        fputs("<dt>configuration's digest</dt><dd>", to);
        report_html_escape(to, sweep->digest);
        fputs("</dd>\n", to);
    }
    put_environment(to, sweep->environment);
    fputs("</dl></section>\n", to);
}
