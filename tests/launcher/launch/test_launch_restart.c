/* test_launch_restart.c: how often, and how soon, a job is started again. */
#include "launch_restart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static launch_restart policy;
enum { SECOND = 1000 };

/* Expects a restart at `now` after `delay_ms`; -1: none. */
static void expect(double now, int delay_ms)
{
    int delay = -1;
    assert_int_equal(launch_restart_again(&policy, now, &delay), delay_ms >= 0);
    assert_int_equal(delay, delay_ms);
}

static void none_is_none(void **state)
{
    (void)state;
    policy = (launch_restart){.most = 0, .window_s = 10.0, .delay_ms = SECOND};
    expect(0.0, -1);
}

static void delays_double_up_to_a_minute(void **state)
{
    (void)state;
    static const int delays[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    policy = (launch_restart){.most = 10, .window_s = 1e6, .delay_ms = SECOND};
    for (int i = 0; i < 10; i++)
        expect(i, delays[i]);
    expect(10.0, -1);
    expect(11.0, -1);
}

static void a_delay_may_be_none_or_long(void **state)
{
    (void)state;
    policy = (launch_restart){.most = 3, .window_s = 1e6};
    for (int i = 0; i < 3; i++)
        expect(i, 0);
    policy = (launch_restart){.most = 4, .window_s = 1e6, .delay_ms = 100 * SECOND};
    expect(0.0, 0);
    expect(1.0, 100 * SECOND);
    expect(2.0, 100 * SECOND);
}

static void window_slides(void **state)
{
    (void)state;
    policy = (launch_restart){.most = 2, .window_s = 10.0, .delay_ms = SECOND};
    expect(0.0, 0);
    expect(6.0, 1000);
    expect(9.0, -1);
    expect(10.5, 1000); /* the first is forgotten */
    expect(12.0, -1);
    expect(16.5, 1000);
    expect(100.0, 0); /* all are */
}

static void most_fit(void **state)
{
    (void)state;
    int delay;
    policy = (launch_restart){.most = LAUNCH_RESTARTS_MAX, .window_s = 1e9, .delay_ms = SECOND};
    for (int i = 0; i < LAUNCH_RESTARTS_MAX; i++)
        assert_true(launch_restart_again(&policy, i, &delay));
    assert_int_equal(delay, 60000);
    assert_false(launch_restart_again(&policy, LAUNCH_RESTARTS_MAX, &delay));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_none),
        cmocka_unit_test(delays_double_up_to_a_minute),
        cmocka_unit_test(a_delay_may_be_none_or_long),
        cmocka_unit_test(window_slides),
        cmocka_unit_test(most_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
