#include "report_words.h"

#include <math.h>

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
    return headline && analysis->speedup_law.ok && report_words_fitted(analysis) > 1 &&
           isfinite(headline->speedup.value);
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
        fprintf(to, "A step on %s takes %s ms. How many times as fast as on one worker that is cannot be said: %s.",
                workers, step, a->speedup_law.ok ? "it is not known" : a->speedup_law.reason);
    else
        fprintf(to,
                "Of the %d numbers of workers that were measured %s counts: otherwise workers share cores. How far the "
                "training scales cannot be said from that; measure on more cores.",
                a->point_count, report_words_fitted(a) ? "only one" : "none");
}

/* Half of the interval is over a tenth of the value. */
static int is_vague(scaling_value value)
{
    return value.high - value.low > 0.2 * value.value;
}

/* " (4.2 to 7.9)" where a value by itself would claim too much, else "". */
static const char *vagueness(scaling_value value, report_form form, char text[REPORT_WORDS_BYTES])
{
    char interval[REPORT_WORDS_BYTES];
    report_words_interval(value, form, interval);
    snprintf(text, REPORT_WORDS_BYTES, is_vague(value) && *interval ? " (%.50s)" : "", interval);
    return text;
}

/* What the ideal would be, and how close it came. */
static void say_how_good(FILE *to, const scaling_point *p)
{
    char percent[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    double least = isnan(p->efficiency.low) ? p->efficiency.value : p->efficiency.low;
    if (least > 1.0 && p->workers > 1)
        fprintf(to, ", more than the %d times that one would hope for.", p->workers);
    else
        fprintf(to, ", %s of the ideal%s.", report_words_number(p->efficiency.value, REPORT_PERCENT, percent),
                vagueness(p->efficiency, REPORT_PERCENT, interval));
}

/* The interval of the speedup holds 1. */
static void say_no_faster(FILE *to, const scaling_sweep *sweep, const scaling_point *p, const char *workers)
{
    char low[REPORT_WORDS_BYTES], high[REPORT_WORDS_BYTES];
    int weak = sweep->mode == SCALING_WEAK;
    if (!is_vague(p->speedup))
        fprintf(to,
                weak ? "%s are no faster together than one, as far as the measurement can tell."
                     : "On %s a step takes as long as on one, as far as the measurement can tell.",
                workers);
    else
        fprintf(to,
                weak ? "Whether %s are faster together than one cannot be said: anything from %s to %s times as many "
                       "samples a second fits the measurement."
                     : "Whether a step on %s is faster than on one cannot be said: anything from %s to %s times as "
                       "fast fits the measurement.",
                workers, report_words_number(p->speedup.low, REPORT_NUMBER2, low),
                report_words_number(p->speedup.high, REPORT_NUMBER2, high));
}

static void say_how_fast(FILE *to, const scaling_sweep *sweep, const scaling_point *p)
{
    char times[REPORT_WORDS_BYTES], workers[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    scaling_value speedup = p->speedup;
    workers_text(p->workers, workers);
    if (p->workers > 1 && speedup.low <= 1.0 && speedup.high >= 1.0) {
        say_no_faster(to, sweep, p, workers);
        return;
    }
    int longer = sweep->mode == SCALING_STRONG && speedup.value < 1.0;
    if (longer)
        speedup = (scaling_value){1.0 / speedup.value, 1.0 / speedup.high, 1.0 / speedup.low};
    report_words_number(speedup.value, REPORT_NUMBER2, times);
    vagueness(speedup, REPORT_NUMBER, interval);
    if (sweep->mode == SCALING_WEAK)
        fprintf(to, "%s process %s times as many samples a second as one%s", workers, times, interval);
    else if (longer)
        fprintf(to, "On %s a step takes %s times as long as on one%s", workers, times, interval);
    else
        fprintf(to, "On %s a step is %s times as fast as on one%s", workers, times, interval);
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
        fprintf(to, "%s%s%s", report_words_part_stops(first->part), both ? " and " : "",
                both ? report_words_part_stops(second->part) : "");
}

/* Below this loss there is nothing to explain. */
static const double small_loss = 0.03;

/* Is it sure that something is lost? */
static int has_cause(const scaling_analysis *a)
{
    scaling_value e = report_words_headline(a)->efficiency;
    return a->causes_law.ok && a->cause_count && a->causes[0].fraction > 0.0 && !(e.high >= 1.0) &&
           (1.0 - e.value > small_loss || !a->worth_beyond);
}

const char *report_words_worth(const scaling_analysis *a, char text[REPORT_WORDS_BYTES])
{
    scaling_value v = a->worth_interval;
    *text = '\0';
    if (isinf(v.high) && v.low >= a->worth_most)
        snprintf(text, REPORT_WORDS_BYTES, "and beyond");
    else if (isinf(v.high))
        snprintf(text, REPORT_WORDS_BYTES, "%.0f to %d and beyond", v.low, a->worth_most);
    else if (v.low < v.high)
        snprintf(text, REPORT_WORDS_BYTES, "%.0f to %.0f", v.low, v.high);
    return text;
}

static void say_what_is_worth_it(FILE *to, const scaling_analysis *a)
{
    char target[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES], workers[REPORT_WORDS_BYTES];
    report_words_number(a->target_efficiency, REPORT_PERCENT, target);
    if (!a->worth_law.ok) {
        fprintf(to, " How many workers are worth it cannot be said: %s.", a->worth_law.reason);
        return;
    }
    int is_open = isinf(a->worth_interval.high), is_sure = !(a->worth_interval.high > a->worth_workers);
    const char *verb = is_open ? "may be" : a->worth_workers == 1 ? "is" : "are";
    report_words_worth(a, interval);
    workers_text(a->worth_workers, workers);
    if (a->worth_beyond && a->worth_interval.low >= a->worth_most)
        fprintf(to, " Up to %s, the most that were looked at, it stays above %s of the ideal", workers, target);
    else if (a->worth_beyond)
        fprintf(to, " Up to %s, the most that were looked at, it may stay above %s of the ideal (up to %.0f at least)",
                workers, target, a->worth_interval.low);
    else if (a->worth_interval.high <= 1.0)
        fprintf(to, " More than one is hardly worth it (below %s of the ideal)", target);
    else
        fprintf(to, " Up to %s%s%s%s %s worth it; more %s below %s of the ideal", workers, *interval ? " (" : "",
                interval, *interval ? ")" : "", verb, is_sure ? "fall" : "are expected to fall", target);
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
