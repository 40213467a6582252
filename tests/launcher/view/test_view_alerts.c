#include "view_alerts.h"
#include "view_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static coordinator_view view;
static coordinator_run_view *run;
static view_alert alerts[VIEW_ALERTS];

static void take(const char *name)
{
    assert_int_equal(view_fixture_fill(name, 0.0, &view), BASE_OK);
    run = &view.runs[0];
}

static int teardown(void **state)
{
    (void)state;
    coordinator_view_clear(&view);
    return 0;
}

static void straggler_in_words(void **state)
{
    (void)state;
    take("eight");
    assert_int_equal(view_alerts_find(run, alerts), 1);
    assert_int_equal(alerts[0].severity, VIEW_WARNING);
    assert_string_equal(alerts[0].text, "rank 5 (node02) is 31 % slower in forward; without it a step takes 8 % less");
    for (int r = 0; r < run->rank_count; r++)
        strcpy(run->ranks[r].host, "laptop");
    view_alerts_find(run, alerts);
    assert_string_equal(alerts[0].text, "rank 5 is 31 % slower in forward; without it a step takes 8 % less");
}

static void one_of_a_kind_has_none(void **state)
{
    (void)state;
    take("solo");
    assert_int_equal(view_alerts_find(run, alerts), 0);
}

static void silent_and_stuck(void **state)
{
    (void)state;
    take("trouble");
    assert_int_equal(view_alerts_find(run, alerts), 3);
    assert_int_equal(alerts[0].severity, VIEW_ALARM);
    assert_string_equal(alerts[0].text, "rank 2 (node01) silent for 12 s: last seen in backward, after step 31,533");
    assert_string_equal(alerts[1].text, "ranks 4-6 stuck for 18 s or more");
}

static void one_stuck_rank_says_where(void **state)
{
    (void)state;
    take("solo");
    run->ranks[0].stuck_s = 31.0;
    assert_int_equal(view_alerts_find(run, alerts), 1);
    assert_string_equal(alerts[0].text, "rank 0 (node01) stuck for 31 s: in forward, after step 31,533");
}

static void many_silent_ranks_are_counted(void **state)
{
    (void)state;
    take("many");
    for (int r = 0; r < run->rank_count; r += 2)
        run->ranks[r].silent_s = 7.0;
    view_alerts_find(run, alerts);
    assert_string_equal(alerts[0].text, "ranks 0, 2, 4, 6, 8, 10 and 250 more silent for 7 s or more");
    for (int r = 0; r < run->rank_count; r++)
        run->ranks[r].silent_s = 9.0;
    view_alerts_find(run, alerts);
    assert_string_equal(alerts[0].text, "all 512 ranks silent for 9 s");
}

static void ends_have_reasons(void **state)
{
    (void)state;
    take("diverged");
    assert_int_equal(view_alerts_find(run, alerts), 1);
    assert_string_equal(alerts[0].text, "the run diverged: the loss is no longer finite at step 31,533");
    take("done");
    assert_int_equal(view_alerts_find(run, alerts), 1);
    assert_int_equal(alerts[0].severity, VIEW_NOTE);
    assert_string_equal(alerts[0].text, "the run is done");
}

/* After the end nobody is expected to speak. */
static void the_dead_are_not_silent(void **state)
{
    (void)state;
    take("done");
    for (int r = 0; r < run->rank_count; r++)
        run->ranks[r].silent_s = run->ranks[r].stuck_s = 1000.0;
    assert_int_equal(view_alerts_find(run, alerts), 1);
}

static void ranks_that_have_not_come(void **state)
{
    (void)state;
    take("waiting");
    assert_int_equal(view_alerts_find(run, alerts), 1);
    assert_string_equal(alerts[0].text, "no rank has spoken yet");
    take("eight");
    run->rank_count = 6;
    assert_int_equal(view_alerts_find(run, alerts), 2);
    assert_string_equal(alerts[1].text, "2 of 8 ranks have not spoken yet");
}

/* All that there can be at once, each as long as it can be. */
static void room_for_all(void **state)
{
    (void)state;
    take("eight");
    run->size = 9;
    run->ranks[0].silent_s = run->ranks[1].stuck_s = 60.0;
    run->straggler_count = COORDINATOR_STRAGGLERS;
    for (int i = 0; i < COORDINATOR_STRAGGLERS; i++)
        run->stragglers[i] = (coordinator_straggler){i, BASE_PHASE_CHECKPOINT, 1e300, 1e300};
    for (int r = 0; r < run->rank_count; r++)
        memset(run->ranks[r].host, 'h', sizeof run->ranks[r].host - 1);
    run->ranks[0].host[0] = 'n';
    memset(run->reason, 'r', sizeof run->reason - 1);
    assert_int_equal(view_alerts_find(run, alerts), 3 + COORDINATOR_STRAGGLERS);
    run->state = COORDINATOR_FAILED;
    assert_int_equal(view_alerts_find(run, alerts), 1 + COORDINATOR_STRAGGLERS);
}

static void texts_are_utf8(void **state)
{
    (void)state;
    take("eight");
    run->state = COORDINATOR_FAILED;
    strcpy(run->reason, "bad \xFF byte");
    view_alerts_find(run, alerts);
    assert_string_equal(alerts[0].text, "the run failed: bad ? byte");
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(straggler_in_words),
        TEST(one_of_a_kind_has_none),
        TEST(silent_and_stuck),
        TEST(one_stuck_rank_says_where),
        TEST(many_silent_ranks_are_counted),
        TEST(ends_have_reasons),
        TEST(the_dead_are_not_silent),
        TEST(ranks_that_have_not_come),
        TEST(room_for_all),
        TEST(texts_are_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
