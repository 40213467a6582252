#include "report_text.h"

#include "report_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 100, INDENT = 12 };

/* ---- paragraphs ---- */

/* `text` in lines of COLUMNS at most, the first one behind `label`, the others below its beginning. */
static void print_wrapped(FILE *to, const char *label, const char *text)
{
    int indent = *label ? INDENT : 0, column = indent;
    if (*label)
        fprintf(to, "%-*s", indent, label);
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (text[n] == ' ' && text[n + 1] == '%') /* "5 %" stays together */
            n += 1 + (int)strcspn(text + n + 1, " ");
        if (column > indent && column + 1 + n > COLUMNS) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, (size_t)n, to);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

/* A paragraph that is written piece by piece. */
typedef struct paragraph {
    FILE *to;
    char *text;
    size_t nbytes;
} paragraph;

/* NULL when memory is short: the paragraph is then left out. */
static FILE *paragraph_begin(paragraph *self)
{
    self->text = NULL;
    self->to = open_memstream(&self->text, &self->nbytes);
    return self->to;
}

static void paragraph_end(paragraph *self, FILE *to, const char *label)
{
    if (fclose(self->to) == 0)
        print_wrapped(to, label, self->text);
    free(self->text);
}

/* ---- points ---- */

static void print_point(FILE *to, const scaling_point *p)
{
    char step[REPORT_WORDS_BYTES], step_interval[REPORT_WORDS_BYTES], rate[REPORT_WORDS_BYTES],
        speedup[REPORT_WORDS_BYTES], speedup_interval[REPORT_WORDS_BYTES], efficiency[REPORT_WORDS_BYTES],
        karp_flatt[REPORT_WORDS_BYTES];
    scaling_value ms = {1e3 * p->step_s.value, 1e3 * p->step_s.low, 1e3 * p->step_s.high};
    fprintf(to, "%8d%c %9s  %-18s %8s  %-16s %10s %10s %9s\n", p->workers, p->fitted ? ' ' : '*',
            report_words_number(ms.value, REPORT_NUMBER4, step),
            report_words_interval(ms, REPORT_NUMBER4, step_interval),
            report_words_number(p->speedup.value, REPORT_NUMBER, speedup),
            report_words_interval(p->speedup, REPORT_NUMBER, speedup_interval),
            report_words_number(p->efficiency.value, REPORT_PERCENT, efficiency),
            report_words_number(p->samples_per_second, REPORT_RATE, rate),
            report_words_number(p->karp_flatt, REPORT_PERCENT, karp_flatt));
}

static void print_points(FILE *to, const scaling_analysis *a)
{
    int left_out = 0;
    fprintf(to, "\n%8s  %9s  %-18s %8s  %-16s %10s %10s %9s\n", "workers", "step ms", "(95 % interval)", "speedup",
            "(95 %)", "efficiency", "samples/s", "serial");
    for (int i = 0; i < a->point_count; i++) {
        print_point(to, &a->points[i]);
        left_out |= !a->points[i].fitted;
    }
    if (left_out)
        fputs("       * does not count in what follows\n", to);
    fputc('\n', to);
}

/* ---- what follows ---- */

/* "Amdahl: p = 93.2 % (92.8 to 93.5 %), " */
static void say_value(FILE *to, const char *what, scaling_value value, report_form form)
{
    char text[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    report_words_number(value.value, form, text);
    report_words_interval(value, form, interval);
    fprintf(to, "%s%s%s%s%s", what, text, *interval ? " (" : "", interval, *interval ? ")" : "");
}

/* Why there is no figure. Several may lack one for the same reason, which is told once. */
typedef struct refusals {
    const char *told; /* NULL: none yet */
} refusals;

static void say_reason(FILE *to, refusals *self, const scaling_law *law)
{
    int is_told = self->told && strcmp(self->told, law->reason) == 0;
    fprintf(to, "%s%s", is_told ? "see above" : "no figure: ", is_told ? "" : law->reason);
    self->told = self->told ? self->told : law->reason;
}

static void say_amdahl(FILE *to, const scaling_amdahl *amdahl)
{
    char least[REPORT_WORDS_BYTES];
    say_value(to, "Amdahl: parallel fraction p = ", amdahl->parallel_fraction, REPORT_SHARE);
    if (isfinite(amdahl->max_speedup.value)) {
        say_value(to, ", at most ", amdahl->max_speedup, REPORT_NUMBER);
        fputs(" times as fast on any number of workers", to);
    } else {
        fprintf(to, ", no bound to the speedup in sight of these data%s",
                report_words_at_least(amdahl->max_speedup.low, 1.05, "times", least));
    }
}

static void say_usl(FILE *to, const scaling_usl *usl)
{
    char least[REPORT_WORDS_BYTES];
    say_value(to, "USL: contention ", usl->contention, REPORT_PERCENT);
    say_value(to, ", coherency ", usl->coherency, REPORT_NUMBER);
    if (!isfinite(usl->peak_workers.value)) {
        fprintf(to, ", no peak in sight of these data%s",
                report_words_at_least(usl->peak_workers.low, 1.05, "workers", least));
        return;
    }
    if (usl->peak_workers.high <= 1.0) {
        fputs(", fastest on 1 worker", to);
        return;
    }
    say_value(to, ", fastest on ", usl->peak_workers, REPORT_NUMBER);
    fputs(" workers", to);
}

static void say_alpha_beta(FILE *to, const scaling_alpha_beta *fit)
{
    scaling_value us = {1e6 * fit->alpha_s.value, 1e6 * fit->alpha_s.low, 1e6 * fit->alpha_s.high};
    scaling_value gigabytes = report_words_bandwidth(fit);
    char least[REPORT_WORDS_BYTES];
    say_value(to, "all-reduce: latency alpha = ", us, REPORT_NUMBER);
    if (isfinite(gigabytes.value)) {
        say_value(to, " us, bandwidth 1/beta = ", gigabytes, REPORT_NUMBER);
        fputs(" GB/s", to);
    } else {
        fprintf(to, " us, no bound to the bandwidth in sight of these data%s",
                report_words_at_least(gigabytes.low, 0.0, "GB/s", least));
    }
}

static void print_laws(FILE *to, refusals *refused, const scaling_sweep *sweep, const scaling_analysis *a)
{
    int weak = sweep->mode == SCALING_WEAK;
    paragraph p;
    const struct {
        const scaling_law *law;
        const char *name;
        int shown;
    } laws[] = {{&a->amdahl.law, "Amdahl", !weak},
                {&a->gustafson.law, "Gustafson", weak},
                {&a->usl.law, "USL", 1},
                {&a->alpha_beta.law, "all-reduce", 1}};
    const char *label = "laws";
    for (int i = 0; i < 4; i++) {
        if (!laws[i].shown || !paragraph_begin(&p))
            continue;
        if (!laws[i].law->ok)
            fprintf(p.to, "%s: ", laws[i].name);
        if (!laws[i].law->ok)
            say_reason(p.to, refused, laws[i].law);
        else if (i == 0)
            say_amdahl(p.to, &a->amdahl);
        else if (i == 1)
            say_value(p.to, "Gustafson: serial fraction s = ", a->gustafson.serial_fraction, REPORT_PERCENT);
        else if (i == 2)
            say_usl(p.to, &a->usl);
        else
            say_alpha_beta(p.to, &a->alpha_beta);
        paragraph_end(&p, to, label);
        label = " ";
    }
}

static void print_causes(FILE *to, refusals *refused, const scaling_sweep *sweep, const scaling_analysis *a)
{
    paragraph p;
    if (!paragraph_begin(&p))
        return;
    if (a->causes_law.ok)
        report_words_causes(p.to, sweep, a);
    else
        say_reason(p.to, refused, &a->causes_law);
    paragraph_end(&p, to, "why");
    for (int i = 0; i < a->cause_count && a->causes_law.ok; i++) {
        if (a->causes[i].rank < 0 || !paragraph_begin(&p))
            continue;
        report_words_rank(p.to, &a->causes[i]);
        paragraph_end(&p, to, " ");
    }
}

static void print_prediction(FILE *to, refusals *refused, const scaling_analysis *a)
{
    char text[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES], workers[REPORT_WORDS_BYTES];
    paragraph p;
    if (!paragraph_begin(&p))
        return;
    if (!a->prediction_law.ok)
        say_reason(p.to, refused, &a->prediction_law);
    for (int i = 0; i < a->prediction_count && a->prediction_law.ok; i++) {
        const scaling_prediction *one = &a->prediction[i];
        report_words_interval(one->efficiency, REPORT_PERCENT, interval);
        snprintf(workers, sizeof workers, "%d", one->workers);
        fprintf(p.to, "%s%s%s: efficiency %s%s%s%s", i ? "; " : "", workers, one->workers == 1 ? " worker" : " workers",
                report_words_number(one->efficiency.value, REPORT_PERCENT, text), *interval ? " (" : "", interval,
                *interval ? ")" : "");
    }
    paragraph_end(&p, to, "expected");
}

static void print_worth(FILE *to, refusals *refused, const scaling_analysis *a)
{
    char target[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    paragraph p;
    if (!paragraph_begin(&p))
        return;
    report_words_worth(a, interval);
    report_words_number(a->target_efficiency, REPORT_PERCENT, target);
    if (!a->worth_law.ok)
        say_reason(p.to, refused, &a->worth_law);
    else
        fprintf(p.to, "up to %d worker%s%s%s%s, for an efficiency of at least %s", a->worth_workers,
                a->worth_workers == 1 ? "" : "s", *interval ? " (" : "", interval, *interval ? ")" : "", target);
    paragraph_end(&p, to, "worth it");
}

static void print_warnings(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    base_arena *arena = NULL;
    const char *const *lines;
    int count = 0;
    if (base_arena_create(&arena, "warnings") == BASE_OK &&
        report_words_warnings(sweep, a, arena, &lines, &count) == BASE_OK)
        for (int i = 0; i < count; i++)
            print_wrapped(to, i ? " " : "note", lines[i]);
    base_arena_destroy(&arena);
}

void report_text_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    paragraph p;
    if (paragraph_begin(&p)) {
        report_words_verdict(p.to, sweep, analysis);
        paragraph_end(&p, to, "");
    }
    print_points(to, analysis);
    refusals refused = {NULL};
    print_causes(to, &refused, sweep, analysis);
    print_laws(to, &refused, sweep, analysis);
    print_prediction(to, &refused, analysis);
    print_worth(to, &refused, analysis);
    print_warnings(to, sweep, analysis);
}
