#include "view_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[VIEW_TEXT];

static void durations(void **state)
{
    (void)state;
    assert_string_equal(view_text_duration(0.0, text), "0:00:00");
    assert_string_equal(view_text_duration(754.9, text), "0:12:34");
    assert_string_equal(view_text_duration(86399.0, text), "23:59:59");
    assert_string_equal(view_text_duration(2 * 86400.0 + 3 * 3600.0 + 4 * 60.0 + 5.0, text), "2 d 03:04:05");
    assert_string_equal(view_text_duration(NAN, text), "-");
    assert_string_equal(view_text_duration(-1.0, text), "-");
    assert_string_equal(view_text_duration(INFINITY, text), "-");
    assert_string_equal(view_text_duration(1e300, text), "-");
}

static void counts(void **state)
{
    (void)state;
    assert_string_equal(view_text_count(0, text), "0");
    assert_string_equal(view_text_count(999, text), "999");
    assert_string_equal(view_text_count(1000, text), "1,000");
    assert_string_equal(view_text_count(118230, text), "118,230");
    assert_string_equal(view_text_count(INT64_MAX, text), "9,223,372,036,854,775,807");
    assert_string_equal(view_text_count(-1, text), "-");
    assert_string_equal(view_text_short(999.0, text), "999");
    assert_string_equal(view_text_short(1238730.0, text), "1.24 M");
    assert_string_equal(view_text_short(999499.0, text), "999 k");
    assert_string_equal(view_text_short(999500.0, text), "1.00 M");
    assert_string_equal(view_text_short(NAN, text), "-");
    assert_string_equal(view_text_rate(0.0, text), "0");
    assert_string_equal(view_text_rate(12.34, text), "12.3");
    assert_string_equal(view_text_rate(999.6, text), "1,000");
    assert_string_equal(view_text_rate(INFINITY, text), "-");
}

static void figures(void **state)
{
    (void)state;
    assert_string_equal(view_text_loss(0.07312, text), "0.0731");
    assert_string_equal(view_text_loss(3.1e-5, text), "3.100e-05");
    assert_string_equal(view_text_loss(0.0, text), "0.0000");
    assert_string_equal(view_text_loss(NAN, text), "-");
    assert_string_equal(view_text_percent(0.8713, text), "87.1 %");
    assert_string_equal(view_text_percent(NAN, text), "-");
    assert_string_equal(view_text_ms(0.0, text), "0.00 ms");
    assert_string_equal(view_text_ms(0.0123, text), "0.012 ms");
    assert_string_equal(view_text_ms(9.9949, text), "9.99 ms");
    assert_string_equal(view_text_ms(12.34, text), "12.3 ms");
    assert_string_equal(view_text_ms(1240.0, text), "1.24 s");
    assert_string_equal(view_text_ms(NAN, text), "-");
}

/* Whatever the number, there is room for it. */
static void extremes_fit(void **state)
{
    (void)state;
    static const double numbers[] = {1e308, -1e308, 1e-308, 5e-324, 9.9999e10, 1e11, 1e15, 1e21, 9.99999e20};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_in_range(strlen(view_text_duration(numbers[i], text)), 1, 20);
        assert_in_range(strlen(view_text_short(numbers[i], text)), 1, 20);
        assert_in_range(strlen(view_text_rate(numbers[i], text)), 1, 20);
        assert_in_range(strlen(view_text_loss(numbers[i], text)), 1, 20);
        assert_in_range(strlen(view_text_percent(numbers[i], text)), 1, 20);
        assert_in_range(strlen(view_text_ms(numbers[i], text)), 1, 20);
    }
}

static void well_formed_utf8_stays(void **state)
{
    (void)state;
    char copy[64];
    static const char *const texts[] = {"",
                                        "plain",
                                        "\xC3\xA9",
                                        "\xE6\x97\xA5\xE6\x9C\xAC",
                                        "\xF0\x9F\x98\x80!",
                                        "\xF4\x8F\xBF\xBF",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(view_text_utf8(texts[i], copy, sizeof copy), texts[i]);
}

/* Stray and missing continuations, overlong forms, surrogates, beyond the last character. */
static void other_bytes_become_question_marks(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"a\xFFz", "a?z"},
                                           {"\x80", "?"},
                                           {"\xC3", "?"},
                                           {"\xC3z", "?z"},
                                           {"\xE6\x97", "??"},
                                           {"\xC0\xAF", "??"},
                                           {"\xC1\xBF", "??"},
                                           {"\xE0\x80\xAF", "???"},
                                           {"\xF0\x80\x80\xAF", "????"},
                                           {"\xED\xA0\x80", "???"},
                                           {"\xF4\x90\x80\x80", "????"},
                                           {"\xF5\x80\x80\x80", "????"}};
    char copy[64];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_string_equal(view_text_utf8(pairs[i][0], copy, sizeof copy), pairs[i][1]);
}

static void copies_end_between_characters(void **state)
{
    (void)state;
    char copy[5];
    assert_string_equal(view_text_utf8("ab\xE6\x97\xA5", copy, sizeof copy), "ab");
    assert_string_equal(view_text_utf8("a\xE6\x97\xA5z", copy, sizeof copy), "a\xE6\x97\xA5");
    assert_string_equal(view_text_utf8("abcdef", copy, sizeof copy), "abcd");
}

static void letters_differ(void **state)
{
    (void)state;
    for (int p = 0; p < BASE_PHASE_COUNT; p++)
        for (int q = 0; q < p; q++)
            assert_int_not_equal(view_text_phase_letter((base_phase)p), view_text_phase_letter((base_phase)q));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(counts),
        cmocka_unit_test(figures),
        cmocka_unit_test(extremes_fit),
        cmocka_unit_test(well_formed_utf8_stays),
        cmocka_unit_test(other_bytes_become_question_marks),
        cmocka_unit_test(copies_end_between_characters),
        cmocka_unit_test(letters_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
