#include "report_words.h"

#include <math.h>
#include <string.h>

/* ---- numbers ---- */

/* With `digits` significant digits: "5.90", "0.0363", "1.2e-07". */
static void write_digits(double value, int digits, char text[REPORT_WORDS_BYTES])
{
    double size = fabs(value);
    if (size != 0.0 && (size < 1e-4 || size >= 1e9)) {
        snprintf(text, REPORT_WORDS_BYTES, "%.*g", digits, value);
        return;
    }
    /* 9.996 with three digits is 10.0, not 10.00. */
    int whole = size == 0.0 ? 1 : (int)floor(log10(size * (1.0 + 0.5 * pow(10.0, -digits)))) + 1;
    snprintf(text, REPORT_WORDS_BYTES, "%.*f", digits > whole ? digits - whole : 0, value);
}

/* Decimals of a per cent: two digits, but no decimals from 10 on. */
static int percent_decimals(double percent)
{
    double size = fabs(percent);
    if (size >= 9.95 || size < 1e-7)
        return 0;
    int decimals = 1 - (int)floor(log10(size * 1.005));
    return decimals < 1 ? 1 : decimals;
}

/* As many decimals as `like` needs. */
static void write_percent(double fraction, report_form form, double like, char text[REPORT_WORDS_BYTES])
{
    double percent = 100.0 * fraction, rest = 100.0 - 100.0 * like;
    int decimals = percent_decimals(percent);
    if (form == REPORT_SHARE && rest > 0.0 && rest < 10.0)
        decimals = percent_decimals(rest);
    snprintf(text, REPORT_WORDS_BYTES, "%.*f %%", decimals, fabs(percent) < 1e-7 ? 0.0 : percent);
}

static void write_rate(double value, char text[REPORT_WORDS_BYTES])
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int unit = 0;
    for (; fabs(value) >= 9999.5 && unit < 4; unit++)
        value /= 1000.0;
    write_digits(value, 4, text);
    snprintf(text + strlen(text), REPORT_WORDS_BYTES - strlen(text), "%s", units[unit]);
}

const char *report_words_number(double value, report_form form, char text[REPORT_WORDS_BYTES])
{
    if (!isfinite(value))
        snprintf(text, REPORT_WORDS_BYTES, "-");
    else if (form == REPORT_PERCENT || form == REPORT_SHARE)
        write_percent(value, form, value, text);
    else if (form == REPORT_RATE)
        write_rate(value, text);
    else
        write_digits(value, form == REPORT_NUMBER4 ? 4 : 3, text);
    return text;
}

const char *report_words_interval(scaling_value value, report_form form, char text[REPORT_WORDS_BYTES])
{
    char low[REPORT_WORDS_BYTES], high[REPORT_WORDS_BYTES] = "no bound";
    int is_percent = form == REPORT_PERCENT || form == REPORT_SHARE;
    *text = '\0';
    if (isnan(value.low) || isnan(value.high) || isinf(value.low) || value.low == value.high)
        return text;
    report_words_number(value.low, form, low);
    if (isfinite(value.high))
        report_words_number(value.high, form, high);
    if (form == REPORT_SHARE && isfinite(value.high)) {
        write_percent(value.low, form, value.value, low);
        write_percent(value.high, form, value.value, high);
    }
    if (is_percent && isfinite(value.high))
        low[strcspn(low, " ")] = '\0';
    snprintf(text, REPORT_WORDS_BYTES, "%.24s to %.24s", low, high);
    return text;
}

/* As in "5.9 times": two digits, or the whole part. */
static const char *times_text(double value, char text[REPORT_WORDS_BYTES])
{
    write_digits(value, 2, text);
    return text;
}

static const char *percent_text(double value, char text[REPORT_WORDS_BYTES])
{
    return report_words_number(value, REPORT_PERCENT, text);
}

/* ---- parts ---- */

typedef struct part_words {
    const char *name;
    const char *stops; /* "what stops it is ..." */
    const char *meaning, *advice;
} part_words;

static const char computation_advice[] =
    "The share of a worker may be so small that its arithmetic is inefficient, or the workers share something (memory "
    "bandwidth, clock rate): use a larger train.batch, or fewer workers with more threads each.";

static const part_words parts[SCALING_PART_COUNT] = {
    [SCALING_DATA] = {"data", "waiting for the next batch of data", "Workers wait for their next batch of samples.",
                      "Use a faster disk or file system, unpacked files instead of gzip files, or a larger "
                      "train.batch; leave a core free for the thread that loads."},
    [SCALING_FORWARD] = {"forward", "computation that is less efficient on more workers (forward pass)",
                         "The forward computation of a sample takes longer than on one worker.", computation_advice},
    [SCALING_BACKWARD] = {"backward", "computation that is less efficient on more workers (backward pass)",
                          "The computation of a sample's gradients takes longer than on one worker.",
                          computation_advice},
    [SCALING_UPDATE] =
        {"update", "the update of the parameters",
         "Updating the parameters takes as long on many workers as on one if every worker updates all of them.",
         "Set train.sync = \"sharded\": every worker updates its share. A larger train.batch makes updates rarer."},
    [SCALING_OTHER] =
        {"other", "what happens between the phases of a step", "Time of a step that belongs to none of its phases.",
         "Evaluate and save less often (train.eval_every, train.checkpoint), and look for what else runs on the "
         "machine."},
    [SCALING_IMBALANCE] =
        {"imbalance", "workers that are late by turns",
         "Now one worker is late, now another, and the rest wait for the last one.",
         "Other programs and the system itself interrupt the workers: bind workers to cores, leave a core free on each "
         "node, and choose a train.batch that the number of workers divides."},
    [SCALING_REDUCE] =
        {"exposed all-reduce", "the exchange of gradients between the workers (exposed all-reduce)",
         "After each step the workers add up their gradients. This is the part of that exchange that is not hidden "
         "behind computation.",
         "Use a larger train.batch (more computation for the same exchange), train.sync = \"sharded\", a faster "
         "network, or fewer workers with more threads each."},
};

const char *report_words_part(scaling_part part)
{
    return parts[part].name;
}

const char *report_words_part_meaning(scaling_part part)
{
    return parts[part].meaning;
}

const char *report_words_part_advice(scaling_part part)
{
    return parts[part].advice;
}

/* ---- the verdict ---- */

const scaling_point *report_words_headline(const scaling_analysis *analysis)
{
    const scaling_point *last = NULL;
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].fitted || i == 0 || !last->fitted)
            last = &analysis->points[i];
    return last;
}

int report_words_fitted(const scaling_analysis *analysis)
{
    int count = 0;
    for (int i = 0; i < analysis->point_count; i++)
        count += analysis->points[i].fitted != 0;
    return count;
}

int report_words_compares(const scaling_analysis *analysis)
{
    const scaling_point *headline = report_words_headline(analysis);
    return headline && report_words_fitted(analysis) > 1 && isfinite(headline->speedup.value);
}

static const char *workers_text(int workers, char text[REPORT_WORDS_BYTES])
{
    snprintf(text, REPORT_WORDS_BYTES, workers == 1 ? "%d worker" : "%d workers", workers);
    return text;
}

/* There is nothing to compare with. */
static void refuse(FILE *to, const scaling_analysis *a, const scaling_point *point)
{
    char workers[REPORT_WORDS_BYTES], step[REPORT_WORDS_BYTES];
    workers_text(point->workers, workers);
    report_words_number(1e3 * point->step_s.value, REPORT_NUMBER, step);
    if (a->point_count == 1)
        fprintf(to,
                "Only one number of workers was measured: a step on %s takes %s ms. How far the training scales cannot "
                "be said from one point; measure two or more numbers of workers.",
                workers, step);
    else if (report_words_fitted(a) > 1)
        fprintf(to,
                "A step on %s takes %s ms. How many times as fast as on one worker that is cannot be said, since that "
                "was not measured.",
                workers, step);
    else
        fprintf(to,
                "Of the %d numbers of workers that were measured %s counts: otherwise workers share cores. How far the "
                "training scales cannot be said from that; measure on more cores.",
                a->point_count, report_words_fitted(a) ? "only one" : "none");
}

/* What the ideal would be, and how close it came. */
static void say_how_good(FILE *to, const scaling_point *p)
{
    char percent[REPORT_WORDS_BYTES];
    double least = isnan(p->efficiency.low) ? p->efficiency.value : p->efficiency.low;
    if (least > 1.0 && p->workers > 1)
        fprintf(to, ", more than the %d times that one would hope for.", p->workers);
    else
        fprintf(to, ", %s of the ideal.", percent_text(p->efficiency.value, percent));
}

static void say_how_fast(FILE *to, const scaling_sweep *sweep, const scaling_point *p)
{
    char times[REPORT_WORDS_BYTES], workers[REPORT_WORDS_BYTES];
    double speedup = p->speedup.value;
    workers_text(p->workers, workers);
    if (p->workers > 1 && p->speedup.low <= 1.0 && p->speedup.high >= 1.0) {
        fprintf(to,
                sweep->mode == SCALING_WEAK
                    ? "%s are no faster together than one, as far as the measurement can tell."
                    : "On %s a step takes as long as on one, as far as the measurement can tell.",
                workers);
        return;
    }
    if (sweep->mode == SCALING_WEAK)
        fprintf(to, "%s process %s times as many samples a second as one", workers, times_text(speedup, times));
    else if (speedup < 1.0)
        fprintf(to, "On %s a step takes %s times as long as on one", workers, times_text(1.0 / speedup, times));
    else
        fprintf(to, "On %s a step is %s times as fast as on one", workers, times_text(speedup, times));
    say_how_good(to, p);
}

static int is_computation(const scaling_cause *cause)
{
    return cause->part == SCALING_FORWARD || cause->part == SCALING_BACKWARD;
}

/* The largest cause, and the second one where it counts for nearly as much. */
static void say_what_stops(FILE *to, const scaling_analysis *a)
{
    const scaling_cause *first = &a->causes[0], *second = &a->causes[1];
    int both = a->cause_count > 1 && second->fraction >= 0.6 * first->fraction;
    fprintf(to, a->worth_beyond ? "what it loses goes mainly to " : "what stops it is mainly ");
    if (both && is_computation(first) && is_computation(second))
        fputs("computation that is less efficient on more workers (forward and backward pass)", to);
    else
        fprintf(to, "%s%s%s", parts[first->part].stops, both ? " and " : "", both ? parts[second->part].stops : "");
}

/* Below this loss there is nothing to explain. */
static const double small_loss = 0.03;

static int has_cause(const scaling_analysis *a)
{
    double loss = 1.0 - report_words_headline(a)->efficiency.value;
    return a->causes_law.ok && a->cause_count && a->causes[0].fraction > 0.0 && (loss > small_loss || !a->worth_beyond);
}

static void say_what_is_worth_it(FILE *to, const scaling_analysis *a)
{
    char target[REPORT_WORDS_BYTES];
    percent_text(a->target_efficiency, target);
    if (!a->worth_law.ok) {
        fprintf(to, " How many workers are worth it cannot be said: %s.", a->worth_law.reason);
        return;
    }
    if (a->worth_beyond)
        fprintf(to, " Up to %d workers, the most that were looked at, it stays above %s of the ideal", a->worth_workers,
                target);
    else if (a->worth_workers <= 1)
        fprintf(to, " More than one is hardly worth it (below %s of the ideal)", target);
    else
        fprintf(to, " More than %d are hardly worth it (below %s of the ideal)", a->worth_workers, target);
    if (has_cause(a)) {
        fputs(a->worth_beyond ? "; " : ": ", to);
        say_what_stops(to, a);
    }
    fputc('.', to);
}

void report_words_verdict(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    const scaling_point *headline = report_words_headline(analysis);
    if (!headline)
        return;
    if (report_words_compares(analysis)) {
        say_how_fast(to, sweep, headline);
        say_what_is_worth_it(to, analysis);
    } else {
        refuse(to, analysis, headline);
    }
}

/* ---- causes ---- */

void report_words_causes(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    double total = 100.0 * analysis->causes_total;
    int said = 0, decimals = fabs(total) >= 0.995 ? 1 : percent_decimals(total);
    double least = 0.5 * pow(10.0, -decimals);
    fprintf(to, "%s = %.*f %%", sweep->mode == SCALING_WEAK ? "s" : "1-p", decimals, total);
    for (int i = 0; i < analysis->cause_count; i++) {
        const scaling_cause *cause = &analysis->causes[i];
        if (fabs(100.0 * cause->fraction) >= least)
            fprintf(to, "%s%s %.*f", said++ ? ", " : ": ", parts[cause->part].name, decimals, 100.0 * cause->fraction);
    }
}

void report_words_rank(FILE *to, const scaling_cause *cause)
{
    char text[REPORT_WORDS_BYTES];
    fprintf(to, "rank %d is %s slower in %s than the rank in the middle", cause->rank,
            percent_text(cause->slower, text), parts[cause->part].name);
}
