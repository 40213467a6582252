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
        cmocka_unit_test(durations),    cmocka_unit_test(counts),         cmocka_unit_test(figures),
        cmocka_unit_test(extremes_fit), cmocka_unit_test(letters_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
