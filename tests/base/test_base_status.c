#include "base_status.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static base_status fails_at_the_bottom(void)
{
    return BASE_FAIL(BASE_DATA, "%s has %d labels", "a file", 7);
}

static base_status passes_up(void)
{
    BASE_TRY(fails_at_the_bottom());
    return BASE_OK;
}

static void failure_keeps_text_and_code(void **state)
{
    (void)state;
    assert_int_equal(passes_up(), BASE_DATA);
    assert_string_equal(base_status_message(), "a file has 7 labels");
}

static void trace_names_the_places_passed(void **state)
{
    (void)state;
    passes_up();
    const char *arrow = strstr(base_status_trace(), " <- ");
    assert_int_equal(strncmp(base_status_trace(), "test_base_status.c:", 19), 0);
    assert_non_null(arrow);
    assert_int_equal(strncmp(arrow, " <- test_base_status.c:", 23), 0);
}

static void errno_is_appended(void **state)
{
    (void)state;
    assert_int_equal(BASE_FAIL_ERRNO(BASE_ERROR, ENOENT, "cannot open %s", "x"), BASE_ERROR);
    assert_string_equal(base_status_message(), "cannot open x: No such file or directory");
}

static void new_failure_may_quote_the_old_one(void **state)
{
    (void)state;
    fails_at_the_bottom();
    BASE_FAIL(BASE_ERROR, "rank 3: %s", base_status_message());
    assert_string_equal(base_status_message(), "rank 3: a file has 7 labels");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    char text[8192];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    BASE_FAIL_ERRNO(BASE_ERROR, ENOENT, "%s", text);
    size_t length = strlen(base_status_message());
    assert_in_range(length, 1000, sizeof text - 1);
    for (int i = 0; i < 1000; i++)
        base_status_frame(BASE_ERROR, "some/folder/file.c", i);
    assert_in_range(strlen(base_status_trace()), 100, sizeof text - 1);
}

static void clear_forgets(void **state)
{
    (void)state;
    fails_at_the_bottom();
    base_status_clear();
    assert_string_equal(base_status_message(), "");
    assert_string_equal(base_status_trace(), "");
}

static void *fail_elsewhere(void *unused)
{
    BASE_FAIL(BASE_ERROR, "of another thread");
    return unused;
}

static void record_is_a_threads_own(void **state)
{
    (void)state;
    pthread_t thread;
    fails_at_the_bottom();
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(base_status_message(), "a file has 7 labels");
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    static const base_status all[] = {BASE_OK,     BASE_ERROR, BASE_USAGE,    BASE_DATA,    BASE_CKPT,
                                      BASE_DEVICE, BASE_PEER,  BASE_DIVERGED, BASE_STOPPED, BASE_INTERRUPTED};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_not_equal(base_status_name(all[i]), "unknown");
    assert_string_equal(base_status_name((base_status)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_keeps_text_and_code),
        cmocka_unit_test(trace_names_the_places_passed),
        cmocka_unit_test(errno_is_appended),
        cmocka_unit_test(new_failure_may_quote_the_old_one),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(clear_forgets),
        cmocka_unit_test(record_is_a_threads_own),
        cmocka_unit_test(every_status_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
