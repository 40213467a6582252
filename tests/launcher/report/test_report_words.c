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
    assert_string_equal(what(report_words_verdict),
                        "On 8 workers a step is 5.9 times as fast as on one, 74 % of the ideal. More than 8 are hardly "
                        "worth it (below 70 % of the ideal): what stops it is mainly the exchange of gradients between "
                        "the workers (exposed all-reduce).");
    make(SCALING_WEAK, 0.94, 4, 0);
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
    analysis.points[3].speedup = (scaling_value){0.98, 0.9, 1.1};
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
    assert_says(report_words_verdict, "(below 70 % of the ideal).");
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
    sweep.mode = SCALING_WEAK;
    assert_says(report_words_causes, "s = 6.8 %: ");
    analysis.cause_count = 0;
    assert_string_equal(what(report_words_causes), "s = 6.8 %");
}

/* ---- the whole text ---- */

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
