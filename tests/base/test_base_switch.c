/* Environment variables that choose between ways to do the same. */
#include "base_switch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int unset_all(void **state)
{
    (void)state;
    for (base_switch s = 0; s < BASE_SWITCH_COUNT; s++)
        unsetenv(base_switch_name(s));
    return 0;
}

static void unset_and_empty_are_the_same(void **state)
{
    (void)state;
    assert_int_equal(base_switch_check(), BASE_OK);
    assert_null(base_switch_value(BASE_SWITCH_GPU_OWN));
    setenv("DDPT_GPU_OWN", "", 1);
    assert_int_equal(base_switch_check(), BASE_OK);
    assert_null(base_switch_value(BASE_SWITCH_GPU_OWN));
    assert_int_equal(base_switch_index(BASE_SWITCH_GPU_OWN), -1);
}

static void values_that_are_allowed_have_a_place(void **state)
{
    (void)state;
    setenv("DDPT_GPU_OWN", "0", 1);
    setenv("DDPT_GPU_CUDNN", "1", 1);
    setenv("DDPT_HOST_BF16", "emulate", 1);
    setenv("DDPT_LOG", "debug", 1);
    assert_int_equal(base_switch_check(), BASE_OK);
    assert_int_equal(base_switch_index(BASE_SWITCH_GPU_OWN), 0);
    assert_int_equal(base_switch_index(BASE_SWITCH_GPU_CUDNN), 1);
    assert_int_equal(base_switch_index(BASE_SWITCH_HOST_BF16), 0);
    assert_int_equal(base_switch_index(BASE_SWITCH_LOG), 3);
    assert_string_equal(base_switch_value(BASE_SWITCH_HOST_BF16), "emulate");
}

static void any_other_is_refused_with_what_may_be(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *message;
    } cases[] = {
        {"DDPT_GPU_OWN", "no", "DDPT_GPU_OWN is \"no\"; it may be \"0\", \"1\", or not be set"},
        {"DDPT_GPU_CUDNN", "off", "DDPT_GPU_CUDNN is \"off\"; it may be \"0\", \"1\", or not be set"},
        {"DDPT_GPU_GRAPHS", "00", "DDPT_GPU_GRAPHS is \"00\"; it may be \"0\", \"1\", or not be set"},
        {"DDPT_HOST_BF16", "1", "DDPT_HOST_BF16 is \"1\"; it may be \"emulate\", or not be set"},
        {"DDPT_SHARE_GPUS", "yes", "DDPT_SHARE_GPUS is \"yes\"; it may be \"0\", \"1\", or not be set"},
        {"DDPT_LOG", "all", "DDPT_LOG is \"all\"; it may be \"error\", \"warn\", \"info\", \"debug\", or not be set"},
    };
    assert_int_equal(sizeof cases / sizeof *cases, BASE_SWITCH_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].name, cases[i].value, 1);
        assert_int_equal(base_switch_check(), BASE_USAGE);
        assert_string_equal(base_status_message(), cases[i].message);
        unsetenv(cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unset_and_empty_are_the_same, unset_all, unset_all),
        cmocka_unit_test_setup_teardown(values_that_are_allowed_have_a_place, unset_all, unset_all),
        cmocka_unit_test_setup_teardown(any_other_is_refused_with_what_may_be, unset_all, unset_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
