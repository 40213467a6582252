#include "view_choice.h"
#include "view_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static coordinator_view view;
static char folder[] = "/tmp/ddpt-view-XXXXXX";

static int teardown(void **state)
{
    (void)state;
    coordinator_view_clear(&view);
    return 0;
}

static void found_by_id_folder_state(void **state)
{
    (void)state;
    assert_int_equal(view_fixture_fill("several", 0.0, &view), BASE_OK);
    strcpy(view.runs[0].folder, "runs/a");
    strcpy(view.runs[1].folder, "/elsewhere/runs/b/");
    strcpy(view.runs[2].folder, "runs/c");
    assert_int_equal(view_choice_find(&view, view.runs[2].id, "runs/b"), 2);
    assert_int_equal(view_choice_find(&view, "", "/here/runs/b"), 1);
    assert_int_equal(view_choice_find(&view, "gone", "c/"), 2);
    assert_int_equal(view_choice_find(&view, "", NULL), 0);
    view.runs[0].state = COORDINATOR_DONE;
    view.runs[2].state = COORDINATOR_RUNNING;
    assert_int_equal(view_choice_find(&view, "", NULL), 2);
    assert_int_equal(view_choice_find(&view, "", ""), 2);
    view.runs[2].state = COORDINATOR_FAILED;
    assert_int_equal(view_choice_find(&view, "", "runs/unknown"), 0);
}

static void found_nowhere(void **state)
{
    (void)state;
    assert_int_equal(view_fixture_fill("none", 0.0, &view), BASE_OK);
    assert_int_equal(view_choice_find(&view, "", NULL), -1);
    assert_int_equal(view_choice_find(&view, "x", "runs/x"), -1);
}

static void write_record(const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/run.json", folder);
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

static void end_is_read_from_the_record(void **state)
{
    (void)state;
    assert_int_equal(view_fixture_fill("eight", 0.0, &view), BASE_OK);
    assert_false(view_choice_read_end(&view.runs[0], folder, 0));
    static const char *const not_ends[] = {"",
                                           "{",
                                           "[]",
                                           "{\"result\": 3}",
                                           "{\"result\": {\"status\": \"running\"}}",
                                           "{\"result\": {\"status\": \"silent\"}}"};
    for (size_t i = 0; i < sizeof not_ends / sizeof *not_ends; i++) {
        write_record(not_ends[i]);
        assert_false(view_choice_read_end(&view.runs[0], folder, 0));
    }
    write_record(
        "{\"result\": {\"status\": \"stopped\", \"steps\": 40000, \"test_loss\": 0.5, \"test_accuracy\": null}}");
    strcpy(view.runs[0].folder, folder);
    assert_true(view_choice_read_end(&view.runs[0], NULL, 0));
    assert_int_equal(view.runs[0].state, COORDINATOR_STOPPED);
    assert_int_equal(view.runs[0].step, 40000);
    assert_float_equal(view.runs[0].test_loss, 0.5, 0.0);
    assert_float_equal(view.runs[0].test_accuracy, 0.9743, 0.0);
    write_record("{\"result\": {\"status\": \"failed\"}}");
    assert_false(view_choice_read_end(&view.runs[0], folder, 0)); /* it has ended already */
    assert_int_equal(view.runs[0].state, COORDINATOR_STOPPED);
}

/* A run that goes on in the folder of one that was stopped has the other's record until it writes its own. */
static void old_records_do_not_count(void **state)
{
    (void)state;
    assert_int_equal(view_fixture_fill("eight", 0.0, &view), BASE_OK);
    write_record("{\"result\": {\"status\": \"done\"}}");
    assert_false(view_choice_read_end(&view.runs[0], folder, time(NULL) + 1000));
    assert_true(view_choice_read_end(&view.runs[0], folder, time(NULL) - 1000));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(found_by_id_folder_state),
        TEST(found_nowhere),
        TEST(end_is_read_from_the_record),
        TEST(old_records_do_not_count),
    };
    if (!mkdtemp(folder))
        return perror(folder), 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[64];
    snprintf(path, sizeof path, "%s/run.json", folder);
    unlink(path);
    rmdir(folder);
    return failed;
}
