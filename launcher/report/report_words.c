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
        write_digits(value, form == REPORT_NUMBER4 ? 4 : form == REPORT_NUMBER2 ? 2 : 3, text);
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

const char *report_words_at_least(double low, double from, const char *unit, char text[REPORT_WORDS_BYTES])
{
    static const double most = 1e6;
    char number[REPORT_WORDS_BYTES];
    int tells = low > from && low < most;
    report_words_number(low, REPORT_NUMBER, number);
    snprintf(text, REPORT_WORDS_BYTES, tells ? " (%.24s %.20s at least)" : "", number, unit);
    return text;
}

scaling_value report_words_bandwidth(const scaling_alpha_beta *fit)
{
    const scaling_value beta = fit->beta_s_per_byte;
    int bounded = beta.value > 0.0 && !(beta.low <= 0.0);
    return (scaling_value){bounded ? 1e-9 / beta.value : (double)INFINITY, 1e-9 / beta.high,
                           beta.low > 0.0 ? 1e-9 / beta.low : (double)INFINITY};
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

const char *report_words_part_stops(scaling_part part)
{
    return parts[part].stops;
}

const char *report_words_part_meaning(scaling_part part)
{
    return parts[part].meaning;
}

const char *report_words_part_advice(scaling_part part)
{
    return parts[part].advice;
}

/* ---- causes ---- */

int report_words_only_slower(const scaling_sweep *sweep, const scaling_analysis *a)
{
    return !(sweep->mode == SCALING_WEAK ? a->gustafson.law.ok : a->amdahl.law.ok);
}

void report_words_causes(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    double total = 100.0 * analysis->causes_total;
    int said = 0, decimals = fabs(total) >= 0.995 ? 1 : percent_decimals(total);
    double least = 0.5 * pow(10.0, -decimals);
    if (report_words_only_slower(sweep, analysis))
        fputs("of what more workers do not make shorter, in per cent", to);
    else
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
            report_words_number(cause->slower, REPORT_PERCENT, text), parts[cause->part].name);
}
