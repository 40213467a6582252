#include "base_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *caught;
static int real_stderr;

static int setup(void **state)
{
    (void)state;
    base_log_set_rank(0, 1);
    base_log_set_level(BASE_LOG_INFO);
    caught = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    return !caught || real_stderr < 0 || dup2(fileno(caught), STDERR_FILENO) < 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    return fclose(caught);
}

static const char *lines(void)
{
    static char text[8192];
    rewind(caught);
    text[fread(text, 1, sizeof text - 1, caught)] = '\0';
    return text;
}

static void lines_carry_their_level(void **state)
{
    (void)state;
    BASE_INFO("epoch %d", 1);
    BASE_WARN("slow");
    BASE_DEBUG("not at this level");
    assert_string_equal(lines(), "epoch 1\nwarning: slow\n");
}

static void root_lines_come_from_rank_0_alone(void **state)
{
    (void)state;
    base_log_set_rank(3, 4);
    BASE_INFO("for all");
    BASE_RANK_WARN("mine");
    assert_string_equal(lines(), "[3] warning: mine\n");
}

static void lone_rank_needs_no_number(void **state)
{
    (void)state;
    BASE_RANK_ERROR("mine");
    assert_string_equal(lines(), "error: mine\n");
}

static void level_drops_lines(void **state)
{
    (void)state;
    base_log_set_level(BASE_LOG_ERROR);
    BASE_WARN("dropped");
    base_log_set_level(BASE_LOG_DEBUG);
    BASE_DEBUG("kept");
    assert_string_equal(lines(), "debug: kept\n");
}

static void long_line_is_cut_and_ends(void **state)
{
    (void)state;
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    BASE_INFO("%s", text);
    BASE_INFO("next");
    const char *all = lines();
    assert_non_null(strstr(all, "x\nnext\n"));
    assert_true(strlen(all) < sizeof text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_carry_their_level, setup, teardown),
        cmocka_unit_test_setup_teardown(root_lines_come_from_rank_0_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(lone_rank_needs_no_number, setup, teardown),
        cmocka_unit_test_setup_teardown(level_drops_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(long_line_is_cut_and_ends, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
