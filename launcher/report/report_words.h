/* report_words.h: a scaling experiment in words, for the terminal and the page alike. Plain ASCII text but for names
 * that the user gave. Local.
 */
#ifndef REPORT_WORDS_H
#define REPORT_WORDS_H

#include "base_arena.h"
#include "scaling.h"

#include <stdio.h>

/* Numbers for people; "-" for what is not finite. */
typedef enum report_form {
    REPORT_NUMBER,  /* three digits: "5.90" */
    REPORT_NUMBER2, /* two: "5.9" */
    REPORT_NUMBER4, /* four: "12.34" */
    REPORT_RATE,    /* "31.57 M" */
    REPORT_PERCENT, /* "6.8 %" */
    REPORT_SHARE    /* of what is close to a whole: "99.930 %", so that what is missing has two digits */
} report_form;
enum { REPORT_WORDS_BYTES = 64 };
const char *report_words_number(double value, report_form form, char text[REPORT_WORDS_BYTES]);
/* "5.7 to 6.1"; "" where it is not known, or is no more than the value. */
const char *report_words_interval(scaling_value value, report_form form, char text[REPORT_WORDS_BYTES]);

/* The point that the verdict is about: the largest that counts in the fits, else the largest. NULL: there is none. */
const scaling_point *report_words_headline(const scaling_analysis *analysis);
/* How many points count in the fits. */
int report_words_fitted(const scaling_analysis *analysis);

/* 1: there are two numbers of workers that count, and one of them is known to be so many times as fast as one worker.
 */
int report_words_compares(const scaling_analysis *analysis);

/* Two sentences, in one line. */
void report_words_verdict(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);

/* "exposed all-reduce": as in a list of causes. */
const char *report_words_part(scaling_part part);
/* "the update of the parameters": as in what stops it. */
const char *report_words_part_stops(scaling_part part);
/* What it is and what helps, in some sentences. */
const char *report_words_part_meaning(scaling_part part);
const char *report_words_part_advice(scaling_part part);

/* Of worth_workers: "7 to 14", "7 to 128 and beyond", "and beyond"; "" where it is no more than that. */
const char *report_words_worth(const scaling_analysis *analysis, char text[REPORT_WORDS_BYTES]);

/* 1: the causes, where there are any, are shares of what more workers do not make shorter: they make a step longer, and
 * there is no serial fraction. */
int report_words_only_slower(const scaling_sweep *sweep, const scaling_analysis *analysis);
/* "1-p = 6.8 %: exposed all-reduce 4.1, data 1.6"; needs causes_law.ok. */
void report_words_causes(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);

/* 1/beta in GB/s; INFINITY where the interval of beta holds 0. */
scaling_value report_words_bandwidth(const scaling_alpha_beta *fit);

/* " (42.2 workers at least)": the low end of a bound that is not in sight; "" where it tells nothing: it is no more
 * than `from`, or out of this world. */
const char *report_words_at_least(double low, double from, const char *unit, char text[REPORT_WORDS_BYTES]);

/* "rank 0 is 40 % slower in forward than the rank in the middle"; needs cause->rank >= 0. */
void report_words_rank(FILE *to, const scaling_cause *cause);

/* What keeps the figures from being as good as they could be, each as a sentence; in `arena`. */
base_status report_words_warnings(const scaling_sweep *sweep, const scaling_analysis *analysis, base_arena *arena,
                                  const char *const **lines, int *count);

#endif
