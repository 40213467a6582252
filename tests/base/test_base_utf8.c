/* Bytes that are UTF-8 and bytes that are not, in texts and in JSON. */
#include "base_json.h"
#include "base_utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
        assert_string_equal(base_utf8_copy(texts[i], copy, sizeof copy), texts[i]);
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
        assert_string_equal(base_utf8_copy(pairs[i][0], copy, sizeof copy), pairs[i][1]);
}

static void copies_end_between_characters(void **state)
{
    (void)state;
    char copy[5];
    assert_string_equal(base_utf8_copy("ab\xE6\x97\xA5", copy, sizeof copy), "ab");
    assert_string_equal(base_utf8_copy("a\xE6\x97\xA5z", copy, sizeof copy), "a\xE6\x97\xA5");
    assert_string_equal(base_utf8_copy("abcdef", copy, sizeof copy), "abcd");
}

static void json_takes_any_bytes(void **state)
{
    (void)state;
    json_t *text = base_json_text("caf\xC3\xA9 \xFF"), *number = base_json_number(0.5);
    assert_string_equal(json_string_value(text), "caf\xC3\xA9 ?");
    assert_true(json_real_value(number) == 0.5);
    json_decref(text);
    json_decref(number);
    const double none[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        json_t *json = base_json_number(none[i]);
        assert_true(json_is_null(json));
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_utf8_stays),
        cmocka_unit_test(other_bytes_become_question_marks),
        cmocka_unit_test(copies_end_between_characters),
        cmocka_unit_test(json_takes_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
