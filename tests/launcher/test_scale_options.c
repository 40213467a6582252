/* test_scale_options.c: the command line of `ddpt scale`, and the words of a launcher's. */
#include "scale_options.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 16 };

/* Parses `ddpt scale` followed by the words of `line`, which blanks separate. */
static base_status parse(const char *line, scale_options *options)
{
    static char copy[1024];
    char *argv[WORDS_MAX] = {"scale"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *rest = *line ? copy : NULL, *word; (word = strsep(&rest, " ")) && argc < WORDS_MAX - 1;)
        argv[argc++] = word;
    optind = 0;
    return scale_options_parse(argc, argv, options);
}

static void assert_workers(const scale_options *options, int count, const int *workers)
{
    assert_int_equal(options->worker_count, count);
    assert_memory_equal(options->workers, workers, (size_t)count * sizeof *workers);
}

static void defaults(void **state)
{
    (void)state;
    scale_options options;
    assert_int_equal(parse("a.cfg", &options), BASE_OK);
    assert_string_equal(options.config, "a.cfg");
    assert_int_equal(options.mode, SCALING_STRONG);
    assert_int_equal(options.repeats, 3);
    assert_int_equal(options.steps, 0);
    assert_int_equal(options.worker_count, 0);
    assert_true(options.target_efficiency == 0.7);
}

static void every_option(void **state)
{
    (void)state;
    scale_options options;
    assert_int_equal(
        parse("--workers 8,1,2,8 --weak --steps 40 --repeats 5 --predict 64,16 --oversubscribe --json a.cfg", &options),
        BASE_OK);
    assert_workers(&options, 3, (const int[]){1, 2, 8});
    assert_int_equal(options.mode, SCALING_WEAK);
    assert_int_equal(options.steps, 40);
    assert_int_equal(options.repeats, 5);
    assert_int_equal(options.predict_count, 2);
    assert_int_equal(options.predict[0], 16);
    assert_int_equal(options.predict[1], 64);
    assert_true(options.oversubscribe && options.json);
}

static void refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "a.cfg b.cfg",
        "--workers 0 a.cfg",
        "--workers -1 a.cfg",
        "--workers 1, a.cfg",
        "--workers ,1 a.cfg",
        "--workers 1;2 a.cfg",
        "--workers 99999999999999999999 a.cfg",
        "--workers 1048577 a.cfg",
        "--predict 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 a.cfg",
        "--steps 1 a.cfg",
        "--steps 1000001 a.cfg",
        "--repeats 0 a.cfg",
        "--repeats 101 a.cfg",
        "--strong --weak a.cfg",
        "--target-efficiency 0 a.cfg",
        "--target-efficiency 1.01 a.cfg",
        "--target-efficiency nan a.cfg",
        "--target-efficiency 0.5x a.cfg",
        "--launcher srun a.cfg",
        "--out  a.cfg",
        "--nothing a.cfg",
        "a.cfg --workers",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        scale_options options;
        if (parse(lines[i], &options) != BASE_USAGE)
            fail_msg("'%s' is not refused", lines[i]);
    }
}

static void default_workers_are_powers_of_two_and_all(void **state)
{
    (void)state;
    scale_options options = {0};
    scale_options_complete(&options, 1);
    assert_workers(&options, 1, (const int[]){1});
    options.worker_count = 0;
    scale_options_complete(&options, 8);
    assert_workers(&options, 4, (const int[]){1, 2, 4, 8});
    options.worker_count = 0;
    scale_options_complete(&options, 12);
    assert_workers(&options, 5, (const int[]){1, 2, 4, 8, 12});
    scale_options_complete(&options, 64);
    assert_workers(&options, 5, (const int[]){1, 2, 4, 8, 12});
}

static void batch_must_serve_the_workers(void **state)
{
    (void)state;
    run_config config = {.path = "a.cfg", .train = {.batch = 8}};
    scale_options options = {.worker_count = 2, .workers = {1, 8}};
    assert_int_equal(scale_options_check(&options, &config), BASE_OK);
    assert_int_equal(scale_options_batch(&options, &config, 8), 8);
    options.workers[1] = 9;
    assert_int_equal(scale_options_check(&options, &config), BASE_USAGE);
    assert_non_null(strstr(base_status_message(), "train.batch = 8"));
    options.mode = SCALING_WEAK;
    assert_int_equal(scale_options_check(&options, &config), BASE_OK);
    assert_int_equal(scale_options_batch(&options, &config, 9), 72);
    config.train.batch = INT32_MAX;
    assert_int_equal(scale_options_check(&options, &config), BASE_USAGE);
}

static void words_follow_the_rules_of_a_shell(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words; /* with | between them */
    } cases[] = {
        {"srun -n {n}", "srun|-n|{n}"},
        {"  srun\t-n  {n} \n", "srun|-n|{n}"},
        {"sh -c 'a  \"b\"' \"c d\"", "sh|-c|a  \"b\"|c d"},
        {"a\\ b \\'c\\' 'd\\'", "a b|'c'|d\\"},
        {"a'b'\"c\" '' x", "abc||x"},
        {"\"a\\\"b\"", "a\"b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        base_arena *arena;
        char **words, joined[256] = "";
        int count;
        assert_int_equal(base_arena_create(&arena, "test"), BASE_OK);
        assert_int_equal(scale_options_words(cases[i].text, arena, &count, &words), BASE_OK);
        for (int w = 0; w < count; w++)
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", w ? "|" : "", words[w]);
        assert_string_equal(joined, cases[i].words);
        assert_null(words[count]);
        base_arena_destroy(&arena);
    }
}

static void words_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "  \t", "'a", "\"a", "a 'b\" c"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        base_arena *arena;
        char **words;
        int count;
        assert_int_equal(base_arena_create(&arena, "test"), BASE_OK);
        assert_int_equal(scale_options_words(texts[i], arena, &count, &words), BASE_USAGE);
        base_arena_destroy(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_option),
        cmocka_unit_test(refused),
        cmocka_unit_test(default_workers_are_powers_of_two_and_all),
        cmocka_unit_test(batch_must_serve_the_workers),
        cmocka_unit_test(words_follow_the_rules_of_a_shell),
        cmocka_unit_test(words_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
