/* test_launch_gpus.c: what --gpus takes, and which GPUs that gives to a job. */
#include "launch_gpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static launch_gpus_choice choice;

static void words_are_taken(void **state)
{
    (void)state;
    assert_int_equal(launch_gpus_parse("all", &choice), BASE_OK);
    assert_int_equal(choice.kind, LAUNCH_GPUS_ALL);
    assert_int_equal(launch_gpus_parse("none", &choice), BASE_OK);
    assert_int_equal(choice.kind, LAUNCH_GPUS_NONE);
}

static void one_number_is_a_count(void **state)
{
    (void)state;
    assert_int_equal(launch_gpus_parse("3", &choice), BASE_OK);
    assert_int_equal(choice.kind, LAUNCH_GPUS_COUNT);
    assert_int_equal(choice.count, 3);
    assert_int_equal(launch_gpus_parse("64", &choice), BASE_OK);
}

static void list_keeps_its_order(void **state)
{
    (void)state;
    static const int wanted[] = {3, 0, 12};
    assert_int_equal(launch_gpus_parse("3,0,12", &choice), BASE_OK);
    assert_int_equal(choice.kind, LAUNCH_GPUS_LIST);
    assert_int_equal(choice.count, 3);
    assert_memory_equal(choice.numbers, wanted, sizeof wanted);
}

static void list_of_one_ends_with_a_comma(void **state)
{
    (void)state;
    assert_int_equal(launch_gpus_parse("0,", &choice), BASE_OK);
    assert_int_equal(choice.kind, LAUNCH_GPUS_LIST);
    assert_int_equal(choice.count, 1);
    assert_int_equal(choice.numbers[0], 0);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "0",    "65",   "-1", "+1",     "1x",         "a",       ",",   "1,,2",
                                        "1,1", "1,-2", "1, 2", " 1", "none,1", "4294967297", "1,99999", "ALL", "2.0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(launch_gpus_parse(texts[i], &choice), BASE_USAGE);
        assert_non_null(strstr(base_status_message(), "--gpus"));
    }
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    (void)state;
    char text[8 * LAUNCH_GPUS_MAX] = "";
    for (int i = 0; i <= LAUNCH_GPUS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,", i);
    assert_int_equal(launch_gpus_parse(text, &choice), BASE_USAGE);
}

/* The GPUs that are given of so many, as "0,2"; "none"; or what is said of those that are not there. */
static void expect(const char *text, int there, const char *now, const char *wanted)
{
    char visible[256];
    launch_gpus_choice resolved;
    launch_probe found = {.count = there, .missing = "no driver"};
    choice = (launch_gpus_choice){.kind = LAUNCH_GPUS_AUTO};
    if (text)
        assert_int_equal(launch_gpus_parse(text, &choice), BASE_OK);
    if (launch_gpus_resolve(&choice, text, &found, &resolved) != BASE_OK) {
        assert_string_equal(base_status_message(), wanted);
    } else if (strcmp(wanted, "none") == 0) {
        assert_int_equal(resolved.kind, LAUNCH_GPUS_NONE);
        assert_int_equal(resolved.count, 0);
    } else {
        assert_int_equal(resolved.kind, LAUNCH_GPUS_LIST);
        assert_true(launch_gpus_visible(&resolved, now, visible, sizeof visible));
        assert_string_equal(visible, wanted);
    }
}

static void all_are_those_that_are_there(void **state)
{
    (void)state;
    expect("all", 3, NULL, "0,1,2");
    expect("all", 1, NULL, "0");
    expect(NULL, 2, NULL, "0,1");
}

static void a_count_takes_the_first(void **state)
{
    (void)state;
    expect("2", 3, NULL, "0,1");
    expect("3", 3, NULL, "0,1,2");
}

static void a_list_takes_what_it_names(void **state)
{
    (void)state;
    expect("2,0", 3, NULL, "2,0");
    expect("1,", 2, NULL, "1");
}

static void where_none_are_a_choice_of_some_fails(void **state)
{
    (void)state;
    expect(NULL, 0, NULL, "none");
    expect("none", 0, NULL, "none");
    expect("none", 4, NULL, "none");
    expect("all", 0, NULL, "--gpus = 'all': no driver");
    expect("1", 0, NULL, "--gpus = '1': no driver");
    expect("0,1", 0, NULL, "--gpus = '0,1': no driver");
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    expect("3", 2, NULL, "--gpus = '3': there are 2 GPUs, counted from 0, as ddpt doctor lists");
    expect("1,", 1, NULL, "--gpus = '1,': there is 1 GPU, counted from 0, as ddpt doctor lists");
    expect("0,2", 2, NULL, "--gpus = '0,2': there are 2 GPUs, counted from 0, as ddpt doctor lists");
}

/* A batch system, or a user, has chosen before. */
static void numbers_count_what_is_seen_already(void **state)
{
    (void)state;
    expect("all", 2, "4,7", "4,7");
    expect("1,", 2, "4,7", "7");
    expect("2,0", 3, "GPU-5ac4,GPU-17,MIG-GPU-9/1/0", "MIG-GPU-9/1/0,GPU-5ac4");
    /* What stands behind an entry of no GPU is not seen. */
    expect("all", 1, "3,-1,2", "3");
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    char visible[4];
    launch_gpus_choice resolved = {.kind = LAUNCH_GPUS_LIST, .count = 2, .numbers = {10, 2}};
    assert_false(launch_gpus_visible(&resolved, NULL, visible, sizeof visible));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_taken),
        cmocka_unit_test(one_number_is_a_count),
        cmocka_unit_test(list_keeps_its_order),
        cmocka_unit_test(list_of_one_ends_with_a_comma),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(more_than_there_is_room_for_is_refused),
        cmocka_unit_test(all_are_those_that_are_there),
        cmocka_unit_test(a_count_takes_the_first),
        cmocka_unit_test(a_list_takes_what_it_names),
        cmocka_unit_test(where_none_are_a_choice_of_some_fails),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(numbers_count_what_is_seen_already),
        cmocka_unit_test(what_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
