/* report_words, report_text: verdicts, plural, numbers, and what is said where nothing is known. */
#include "report_text.h"
#include "report_words.h"

#include "report_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int workers[] = {1, 2, 4, 8};
static scaling_sweep sweep;
static scaling_analysis analysis;
static scaling_options options;

static void make(scaling_mode mode, double p, int count, int cores)
{
    scaling_sweep_clear(&sweep);
    free(analysis.points);
    const fixture from = {.mode = mode, .count = count, .workers = workers, .p = p, .t1_s = 0.0123, .cores = cores};
    fixture_make(&from, &sweep, &analysis, &options);
}

static int teardown(void **state)
{
    (void)state;
    scaling_sweep_clear(&sweep);
    free(analysis.points);
    analysis = (scaling_analysis){0};
    return 0;
}

typedef void say(FILE *, const scaling_sweep *, const scaling_analysis *);

static char said[65536];

static const char *what(say *speaker)
{
    FILE *to = fmemopen(said, sizeof said, "w");
    speaker(to, &sweep, &analysis);
    assert_int_equal(fclose(to), 0);
    return said;
}

static void assert_says(say *speaker, const char *text)
{
    if (!strstr(what(speaker), text))
        fail_msg("\"%s\"\nis not in\n%s", text, said);
}

/* Of the whole text, wherever its lines end. */
static void assert_text_says(const char *text)
{
    char *to = said;
    what(report_text_print);
    for (const char *from = said; *from; from++)
        if (*from != '\n' && (*from != ' ' || to == said || to[-1] != ' '))
            *to++ = *from;
        else if (to > said && to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
    if (!strstr(said, text))
        fail_msg("\"%s\"\nis not in\n%s", text, said);
}

static void assert_lacks(say *speaker, const char *text)
{
    if (strstr(what(speaker), text))
        fail_msg("\"%s\"\nis in\n%s", text, said);
}

/* ---- numbers ---- */

static void numbers_have_as_many_digits_as_they_need(void **state)
{
    (void)state;
    static const struct {
        double value;
        report_form form;
        const char *text;
    } cases[] = {
        {5.9, REPORT_NUMBER, "5.90"},       {9.996, REPORT_NUMBER, "10.0"},       {0.03634, REPORT_NUMBER, "0.0363"},
        {1234.5, REPORT_NUMBER, "1234"},    {0.0, REPORT_NUMBER, "0.00"},         {1.2e-7, REPORT_NUMBER, "1.2e-07"},
        {12.3456, REPORT_NUMBER4, "12.35"}, {-2.0, REPORT_NUMBER, "-2.00"},       {999.96, REPORT_NUMBER, "1000"},
        {0.068, REPORT_PERCENT, "6.8 %"},   {0.0995, REPORT_PERCENT, "10 %"},     {0.00068, REPORT_PERCENT, "0.068 %"},
        {1.0, REPORT_PERCENT, "100 %"},     {-0.05, REPORT_PERCENT, "-5.0 %"},    {0.0, REPORT_PERCENT, "0 %"},
        {0.9993, REPORT_SHARE, "99.930 %"}, {0.95, REPORT_SHARE, "95.0 %"},       {0.5, REPORT_SHARE, "50 %"},
        {1.0, REPORT_SHARE, "100 %"},       {31574104.0, REPORT_RATE, "31.57 M"}, {240.0, REPORT_RATE, "240.0"},
        {9999.0, REPORT_RATE, "9999"},      {10499.0, REPORT_RATE, "10.50 k"},    {NAN, REPORT_PERCENT, "-"},
        {INFINITY, REPORT_NUMBER, "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[REPORT_WORDS_BYTES];
        assert_string_equal(report_words_number(cases[i].value, cases[i].form, text), cases[i].text);
    }
}

static void intervals_may_be_unknown_or_open(void **state)
{
    (void)state;
    char text[REPORT_WORDS_BYTES];
    double nan = (double)NAN;
    assert_string_equal(report_words_interval((scaling_value){5.9, 5.7, 6.1}, REPORT_NUMBER, text), "5.70 to 6.10");
    assert_string_equal(report_words_interval((scaling_value){0.05, 0.04, 0.07}, REPORT_PERCENT, text), "4.0 to 7.0 %");
    assert_string_equal(report_words_interval((scaling_value){5.9, nan, nan}, REPORT_NUMBER, text), "");
    assert_string_equal(report_words_interval((scaling_value){1.0, 1.0, 1.0}, REPORT_NUMBER, text), "");
    assert_string_equal(report_words_interval((scaling_value){20.0, 15.0, INFINITY}, REPORT_NUMBER, text),
                        "15.0 to no bound");
}

/* ---- verdicts ---- */

static void says_how_fast_and_what_stops_it(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    assert_string_equal(
        what(report_words_verdict),
        "On 8 workers a step is 5.9 times as fast as on one, 74 % of the ideal. Up to 8 workers are worth "
        "it; more fall below 70 % of the ideal: what stops it is mainly the exchange of gradients "
        "between the workers (exposed all-reduce).");
    make(SCALING_WEAK, 0.94, 4, 0);
    analysis.worth_interval.low = 128;
    assert_says(report_words_verdict,
                "8 workers process 7.6 times as many samples a second as one, 95 % of the ideal.");
    assert_says(report_words_verdict,
                "Up to 128 workers, the most that were looked at, it stays above 70 % of the ideal");
    assert_says(report_words_verdict, "what it loses goes mainly to the exchange");
}

static void says_when_workers_make_it_slower(void **state)
{
    (void)state;
    make(SCALING_STRONG, -0.3, 4, 0);
    assert_says(report_words_verdict, "On 8 workers a step takes 1.3 times as long as on one, 9.9 % of the ideal.");
    assert_says(report_words_verdict, "More than one is hardly worth it");
    analysis.points[3].speedup = (scaling_value){0.98, 0.95, 1.01};
    assert_says(report_words_verdict,
                "On 8 workers a step takes as long as on one, as far as the measurement can tell. More");
    analysis.points[3].speedup = analysis.points[3].efficiency = (scaling_value){9.0, 8.8, 9.2};
    analysis.points[3].efficiency = (scaling_value){1.125, 1.1, 1.15};
    assert_says(report_words_verdict, "9.0 times as fast as on one, more than the 8 times that one would hope for.");
}

static void names_two_causes_that_count_for_the_same(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    analysis.causes[1] = (scaling_cause){SCALING_DATA, 0.9 * analysis.causes[0].fraction, -1, 0.0};
    assert_says(report_words_verdict, "(exposed all-reduce) and waiting for the next batch of data.");
    analysis.causes_law.ok = 0;
    assert_lacks(report_words_verdict, "stops");
    assert_says(report_words_verdict, "more fall below 70 % of the ideal.");
}

/* What an interval does not bear out is not claimed. */
static void claims_no_more_than_is_known(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    analysis.points[3].speedup = (scaling_value){1.13, 0.29, 2.23};
    assert_says(report_words_verdict, "Whether a step on 8 workers is faster than on one cannot be said: anything from "
                                      "0.29 to 2.2 times as fast fits the measurement. Up to");
    assert_lacks(report_words_verdict, "as long as on one");
    sweep.mode = SCALING_WEAK;
    assert_says(report_words_verdict, "Whether 8 workers are faster together than one cannot be said: anything from");
    sweep.mode = SCALING_STRONG;
    analysis.points[3].speedup = (scaling_value){19.0, 3.35, 23.4};
    analysis.points[3].efficiency = (scaling_value){2.36, 0.42, 2.93};
    assert_says(report_words_verdict,
                "On 8 workers a step is 19 times as fast as on one (3.35 to 23.4), 236 % of the ideal (42 to 293 %).");
    assert_lacks(report_words_verdict, "what stops it"); /* it is not sure that anything does */
    analysis.worth_law = (scaling_law){0, "the measurement allows anything"};
    assert_says(report_words_verdict, "How many workers are worth it cannot be said: the measurement allows anything.");
}

static void says_how_sure_it_is_of_what_is_worth_it(void **state)
{
    static const struct {
        scaling_value interval;
        const char *verdict, *text;
    } cases[] = {
        {{9, 9, 9}, "Up to 9 workers are worth it; more fall below 70 %", "up to 9 workers, for"},
        {{9, 7, 14}, "Up to 9 workers (7 to 14) are worth it; more are expected to fall below 70 %", "up to 9 workers (7 to 14), for"},
        {{1, 1, 3}, "Up to 1 worker (1 to 3) is worth it; more are expected to fall", "up to 1 worker (1 to 3), for"},
        {{1, 1, 1}, "More than one is hardly worth it (below 70 % of the ideal)", "up to 1 worker, for"},
        {{9, 7, INFINITY},
         "Up to 9 workers (7 to 128 and beyond) may be worth it; more are expected to fall below 70 %",
         "up to 9 workers (7 to 128 and beyond), for"},
        {{128, 13, INFINITY},
         "Up to 128 workers, the most that were looked at, it may stay above 70 % of the ideal (up to 13 at least)",
         "up to 128 workers (13 to 128 and beyond), for"},
        {{128, 128, INFINITY},
         "Up to 128 workers, the most that were looked at, it stays above 70 % of the ideal",
         "up to 128 workers (and beyond), for"},
    };
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        analysis.worth_interval = cases[i].interval;
        analysis.worth_workers = (int)cases[i].interval.value;
        analysis.worth_beyond = analysis.worth_workers == analysis.worth_most;
        assert_says(report_words_verdict, cases[i].verdict);
        assert_text_says(cases[i].text);
    }
}

static void bounds_are_told_as_far_as_they_are_known(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    analysis.amdahl.max_speedup = (scaling_value){INFINITY, 10.3, INFINITY};
    assert_text_says("no bound to the speedup in sight of these data (10.3 times at least)");
    analysis.amdahl.max_speedup.low = 1e15;
    assert_lacks(report_text_print, "1e+15");
    analysis.usl.peak_workers = (scaling_value){INFINITY, 54.1, INFINITY};
    assert_text_says("no peak in sight of these data (54.1 workers at least)");
    analysis.usl.peak_workers = (scaling_value){1.0, 1.0, 1.0};
    assert_text_says("fastest on 1 worker ");
    assert_text_says("bandwidth 1/beta = 4.00 (3.96 to 4.04) GB/s");
    analysis.alpha_beta.beta_s_per_byte.low = 0.0;
    assert_text_says("no bound to the bandwidth in sight of these data (3.96 GB/s at least)");
}

static void refuses_where_there_is_nothing_to_compare(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 1, 0);
    assert_says(report_words_verdict, "Only one number of workers was measured: a step on 1 worker takes 12.3 ms.");
    make(SCALING_STRONG, 0.95, 4, 1);
    assert_says(report_words_verdict, "Of the 4 numbers of workers that were measured only one counts");
    make(SCALING_STRONG, 0.95, 4, 0);
    for (int i = 0; i < 4; i++)
        analysis.points[i].speedup.value = analysis.points[i].efficiency.value = (double)NAN;
    assert_says(report_words_verdict, "A step on 8 workers takes 2.08 ms.");
    assert_says(report_words_verdict, "cannot be said");
    make(SCALING_STRONG, 0.95, 4, 0);
    analysis.speedup_law = (scaling_law){0, "a worker has 2 threads at n = 1 and 1 at n = 2"};
    assert_string_equal(what(report_words_verdict),
                        "A step on 8 workers takes 2.08 ms. How many times as fast as on one worker that is cannot be "
                        "said: a worker has 2 threads at n = 1 and 1 at n = 2.");
}

/* The verdict is about the points that count. */
static void leaves_out_points_that_share_cores(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 2);
    assert_says(report_words_verdict, "On 2 workers a step is 1.9 times as fast");
    assert_says(report_text_print, "\n       4* ");
    assert_says(report_text_print, "* does not count");
    assert_says(report_text_print, "With 4 and 8 workers there are more threads than cores");
}

/* ---- causes ---- */

static void lists_causes_that_add_up(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.932, 4, 0);
    analysis.cause_count = 5;
    analysis.causes_total = 0.068;
    analysis.causes[0] = (scaling_cause){SCALING_REDUCE, 0.041, -1, 0.0};
    analysis.causes[1] = (scaling_cause){SCALING_DATA, 0.016, 0, 0.40};
    analysis.causes[2] = (scaling_cause){SCALING_UPDATE, 0.007, -1, 0.0};
    analysis.causes[3] = (scaling_cause){SCALING_IMBALANCE, 0.004, -1, 0.0};
    analysis.causes[4] = (scaling_cause){SCALING_OTHER, 0.00001, -1, 0.0};
    assert_string_equal(what(report_words_causes),
                        "1-p = 6.8 %: exposed all-reduce 4.1, data 1.6, update 0.7, imbalance 0.4");
    assert_says(report_text_print, "rank 0 is 40 % slower in data than the rank in the middle");
    analysis.amdahl.law.ok = 0; /* more workers are slower */
    assert_says(report_words_causes, "of what more workers do not make shorter, in per cent: exposed all-reduce 4.1");
    assert_lacks(report_words_causes, "1-p");
    sweep.mode = SCALING_WEAK;
    analysis.gustafson.law.ok = 1;
    assert_says(report_words_causes, "s = 6.8 %: ");
    analysis.cause_count = 0;
    assert_string_equal(what(report_words_causes), "s = 6.8 %");
}

/* ---- the whole text ---- */

static void long_lists_of_workers_are_shortened(void **state)
{
    enum { MANY = 100 };
    int all[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++)
        all[i] = 100000 + i;
    scaling_sweep_clear(&sweep);
    free(analysis.points);
    fixture_make(&(fixture){.mode = SCALING_STRONG, .count = MANY, .workers = all, .p = 0.95, .t1_s = 1.0}, &sweep,
                 &analysis, &options);
    for (int i = 0; i < MANY; i++)
        analysis.points[i].trials = 1;
    assert_text_says("100000, 100001, 100002, 100003, 100004, 100005 and 94 more workers there was one");
}

static void fits_a_terminal(void **state)
{
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        for (int mode = SCALING_STRONG; mode <= SCALING_WEAK; mode++) {
            make((scaling_mode)mode, 0.95, 4, 2);
            if (refused)
                fixture_refuse(&analysis);
            what(report_text_print);
            for (const char *line = said; *line; line += strcspn(line, "\n") + 1)
                assert_in_range(strcspn(line, "\n"), 0, 100);
        }
    }
}

static void says_why_there_is_no_figure_once(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 4, 0);
    fixture_refuse(&analysis);
    assert_says(report_text_print, "Amdahl: see above");
    assert_lacks(report_text_print, "nan");
    assert_lacks(report_text_print, "inf");
    const char *first = strstr(said, "why         no figure: the noise is <larger> than the effect");
    assert_non_null(first);
    assert_null(strstr(first + 30, "the noise is <larger> than the effect"));
}

static void tells_what_was_set_aside(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 3, 64);
    assert_lacks(report_text_print, "Set aside");
    analysis.points[1].disturbed = 1;
    assert_says(report_text_print, "Set aside with 2 workers: 1 trial,");
    analysis.points[2].disturbed = 2;
    assert_says(report_text_print, "Set aside with 2 and 4 workers: 3 trials,");
}

static void passes_warnings_on(void **state)
{
    (void)state;
    make(SCALING_STRONG, 0.95, 2, 0);
    json_object_set_new(sweep.environment, "warnings", json_pack("[ssi]", "The fan was loud.", "The sun shone.", 3));
    assert_says(report_text_print, "The fan was loud.");
    assert_says(report_text_print, "The sun shone.");
    assert_says(report_text_print, "Only two numbers of workers count");
    json_object_set_new(sweep.environment, "warnings",
                        json_pack("[sss]", "The sun shone.", "It rained.", "The sun shone."));
    what(report_text_print);
    assert_null(strstr(strstr(said, "The sun shone.") + 1, "The sun shone."));
    json_object_set_new(sweep.environment, "warnings", json_string("not a list"));
    assert_lacks(report_text_print, "not a list");
    sweep.trials[4].threads = 3;
    assert_says(report_text_print, "Workers are not alike: 1 thread each with 1 worker, 3 with 2.");
    analysis.points[0].trials = 1;
    assert_says(report_text_print, "With 1 worker there was one trial only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_as_many_digits_as_they_need),
        cmocka_unit_test(intervals_may_be_unknown_or_open),
        cmocka_unit_test_teardown(says_how_fast_and_what_stops_it, teardown),
        cmocka_unit_test_teardown(says_when_workers_make_it_slower, teardown),
        cmocka_unit_test_teardown(names_two_causes_that_count_for_the_same, teardown),
        cmocka_unit_test_teardown(claims_no_more_than_is_known, teardown),
        cmocka_unit_test_teardown(says_how_sure_it_is_of_what_is_worth_it, teardown),
        cmocka_unit_test_teardown(bounds_are_told_as_far_as_they_are_known, teardown),
        cmocka_unit_test_teardown(long_lists_of_workers_are_shortened, teardown),
        cmocka_unit_test_teardown(refuses_where_there_is_nothing_to_compare, teardown),
        cmocka_unit_test_teardown(leaves_out_points_that_share_cores, teardown),
        cmocka_unit_test_teardown(lists_causes_that_add_up, teardown),
        cmocka_unit_test_teardown(fits_a_terminal, teardown),
        cmocka_unit_test_teardown(says_why_there_is_no_figure_once, teardown),
        cmocka_unit_test_teardown(tells_what_was_set_aside, teardown),
        cmocka_unit_test_teardown(passes_warnings_on, teardown),
    };
    return cmocka_run_group_tests_name("report_words", tests, NULL, NULL);
}
