/* test_launch_options.c: the command line of ddpt launch. */
#include "launch_options.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static launch_options options;
static char words[256];
static char *argv[32];

/* The line's words, separated by blanks. */
static base_status parse(const char *line)
{
    int argc = 0;
    char *rest = NULL;
    snprintf(words, sizeof words, "launch %s", line);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    argv[argc] = NULL;
    optind = 0;
    return launch_options_parse(argc, argv, &options);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(parse("train x.cfg"), BASE_OK);
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.gpus.kind, LAUNCH_GPUS_AUTO);
    assert_null(options.gpus_text);
    assert_int_equal(options.bind, 1);
    assert_int_equal(options.restarts, 0);
    assert_int_equal(options.restart_window_s, 3600);
    assert_int_equal(options.restart_delay_s, 1);
    assert_int_equal(options.prefix, 0);
    assert_int_equal(options.word_count, 2);
}

static void all_of_them(void **state)
{
    (void)state;
    assert_int_equal(
        parse("-n 4 --gpus 0,2 --bind none --restarts 3 --restart-window 60 --restart-delay 0 --prefix train "
              "x.cfg"),
        BASE_OK);
    assert_int_equal(options.workers, 4);
    assert_int_equal(options.gpus.count, 2);
    assert_string_equal(options.gpus_text, "0,2");
    assert_int_equal(options.bind, 0);
    assert_int_equal(options.restarts, 3);
    assert_int_equal(options.restart_window_s, 60);
    assert_int_equal(options.restart_delay_s, 0);
    assert_int_equal(options.prefix, 1);
}

static void options_behind_the_command_are_its_own(void **state)
{
    (void)state;
    assert_int_equal(parse("-n2 train -n 3 --prefix --out d x.cfg"), BASE_OK);
    assert_int_equal(options.workers, 2);
    assert_int_equal(options.prefix, 0);
    assert_int_equal(options.word_count, 7);
    assert_string_equal(options.words[1], "-n");
    assert_int_equal(parse("-- bench step x.cfg"), BASE_OK);
    assert_string_equal(options.words[0], "bench");
}

static void help_needs_no_command(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), BASE_OK);
    assert_int_equal(options.help, 1);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"",
                                        "-n 2",
                                        "-n 0 train x",
                                        "-n -1 train x",
                                        "-n 4097 train x",
                                        "-n two train x",
                                        "--bind cores train x",
                                        "--gpus 1,1 train x",
                                        "--restarts -1 train x",
                                        "--restarts 1001 train x",
                                        "--restart-window 0 train x",
                                        "--restart-delay -1 train x",
                                        "--no-such-option train x",
                                        "launch train x",
                                        "doctor",
                                        "no-such-command",
                                        "--restarts 1 bench gemm"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(parse(lines[i]), BASE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(all_of_them),
        cmocka_unit_test(options_behind_the_command_are_its_own),
        cmocka_unit_test(help_needs_no_command),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
