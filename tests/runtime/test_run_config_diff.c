/* run_config_diff: two configurations parsed here, one of them as the text of a manifest. */
#include "config_test.h"
#include "run_config_diff.h"

#include <stdlib.h>
#include <string.h>

static base_arena *arena;
static const char *const *lines;
static int count;

static int setup(void **state)
{
    (void)state;
    return base_arena_create(&arena, "difference test");
}

static int teardown(void **state)
{
    (void)state;
    base_arena_destroy(&arena);
    return 0;
}

/* The text as a checkpoint has it. */
static void compare(const char *there, const char *there_set, const char *here, const char *here_set, int shaping_only)
{
    run_config *a = config_of_sets(there, there_set != NULL, &there_set);
    run_config *b = config_of_sets(here, here_set != NULL, &here_set);
    char *text = json_dumps(a->echo, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (run_config_diff(text, b->echo, shaping_only, arena, &lines, &count) != BASE_OK)
        fail_msg("%s", base_status_message());
    if (shaping_only)
        assert_int_equal(count == 0, strcmp(a->digest, b->digest) == 0);
    free(text);
    run_config_destroy(&a);
    run_config_destroy(&b);
}

static void expect(int wanted, const char *const *texts)
{
    for (int i = 0; i < wanted && i < count; i++)
        assert_string_equal(lines[i], texts[i]);
    if (count > wanted)
        fail_msg("more than was to be: %s", lines[wanted]);
    assert_int_equal(count, wanted);
}

#define EXPECT(...) expect((int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void equal_configurations_have_no_differences(void **state)
{
    (void)state;
    compare(CONFIG_LEAST, "train.optimizer.lr=0.1", CONFIG_LEAST, "train.optimizer.lr=0.1", 0);
    expect(0, NULL);
}

static void numbers_that_a_dump_rounds_are_equal(void **state)
{
    (void)state;
    compare(CONFIG_LEAST, "train.optimizer.clip_norm=0.12345678901234567", CONFIG_LEAST,
            "train.optimizer.clip_norm=0.12345678901234567", 0);
    expect(0, NULL);
}

static void values_of_every_kind(void **state)
{
    (void)state;
    compare(CONFIG_LEAST, "train.batch=64", CONFIG_LEAST, NULL, 1);
    EXPECT("train.batch = 64 there, 128 here");
    compare(CONFIG_LEAST, "train.optimizer.lr=0.1", CONFIG_LEAST, NULL, 1);
    EXPECT("train.optimizer.lr = 0.1 there, 0.01 here");
    compare(CONFIG_LEAST, NULL, CONFIG_LEAST, "train.shuffle=false", 1);
    EXPECT("train.shuffle = true there, false here");
    compare(CONFIG_LEAST, NULL,
            "data = { format = \"digits\"; mean = [0.5]; deviation = [0.25]; };\n"
            "model = { input = [1, 28, 28]; layers = ( { type = \"dense\"; units = 10; } ); };\n",
            NULL, 1);
    EXPECT("data.mean = none there, [0.5] here", "data.deviation = none there, [0.25] here");
    compare(CONFIG_LEAST, NULL, CONFIG_LEAST, "model.input=[784]", 1);
    EXPECT("model.input = [1, 28, 28] there, [784] here");
    compare(CONFIG_LEAST, "model.loss=mean_squared_error", CONFIG_LEAST, NULL, 1);
    EXPECT("model.loss = \"mean_squared_error\" there, \"softmax_cross_entropy\" here");
}

static void keys_of_execution_can_be_left_out(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "train.epochs=7", "train.device=cpu",  "train.threads=3",   "train.checkpoint.keep=9",
        "train.comm=shm", "train.log_every=5", "train.max_steps=2", "out=x"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        compare(CONFIG_LEAST, sets[i], CONFIG_LEAST, NULL, 1);
        expect(0, NULL);
        compare(CONFIG_LEAST, sets[i], CONFIG_LEAST, NULL, 0);
        assert_int_equal(count, 1);
    }
    compare(CONFIG_LEAST, "train.checkpoint.keep=9", CONFIG_LEAST, NULL, 0);
    EXPECT("train.checkpoint.keep = 9 there, 3 here");
}

static void keys_that_follow_from_a_type_are_left_out(void **state)
{
    (void)state;
    compare(CONFIG_LEAST, NULL, CONFIG_LEAST, "train.optimizer.type=adam", 1);
    EXPECT("train.optimizer.type = \"sgd\" there, \"adam\" here", "train.optimizer.lr = 0.01 there, 0.001 here");
    compare(CONFIG_LEAST, NULL, CONFIG_LEAST, "data.format=synthetic", 1);
    EXPECT("data.format = \"digits\" there, \"synthetic\" here", "data.train_samples = 60000 there, 4096 here",
           "data.test_samples = 10000 there, 512 here");
}

#define MODEL(layers) "data = { format = \"digits\"; };\nmodel = { input = [784]; layers = (" layers "); };\n"
#define HIDDEN "{ type = \"dense\"; units = 32; activation = \"relu\"; }"
#define DROP(rate) "{ type = \"dropout\"; rate = " rate "; }"
#define LAST "{ type = \"dense\"; units = 10; }"

static void layers_are_compared_one_by_one(void **state)
{
    (void)state;
    compare(MODEL(HIDDEN "," DROP("0.2") "," LAST), NULL, MODEL(HIDDEN "," DROP("0.3") "," LAST), NULL, 1);
    EXPECT("model.layers.1.rate = 0.2 there, 0.3 here");
    compare(MODEL(HIDDEN "," DROP("0.2") "," LAST), NULL, MODEL(HIDDEN "," HIDDEN "," LAST), NULL, 1);
    assert_string_equal(lines[0], "model.layers.1 only there (dropout \"dropout1\")");
    compare(MODEL(DROP("0.2") "," LAST), NULL, MODEL("{ type = \"activation\"; activation = \"relu\"; }," LAST), NULL,
            1);
    EXPECT("model.layers.0.type = \"dropout\" there, \"activation\" here");
}

static void layers_that_come_and_go_are_one_line(void **state)
{
    (void)state;
    compare(MODEL(HIDDEN "," LAST), NULL, MODEL(HIDDEN "," DROP("0.5") "," LAST), NULL, 1);
    EXPECT("model.layers.1 only here (dropout \"dropout1\")");
    compare(MODEL(HIDDEN "," DROP("0.5") "," LAST), NULL, MODEL(HIDDEN "," LAST), NULL, 1);
    EXPECT("model.layers.1 only there (dropout \"dropout1\")");
    compare(MODEL(LAST), NULL, MODEL(LAST "," LAST), NULL, 1);
    EXPECT("model.layers.1 only here (dense \"dense2\")");
    compare(MODEL(LAST "," LAST), NULL, MODEL(LAST), NULL, 1);
    EXPECT("model.layers.1 only there (dense \"dense2\")");
}

/* The echo of `least` with `old` replaced by `text`, compared with that of CONFIG_LEAST. */
static void compare_edited(const char *old, const char *text)
{
    run_config *config = config_of(CONFIG_LEAST);
    char *echo = json_dumps(config->echo, JSON_COMPACT | JSON_REAL_PRECISION(15)), edited[8192];
    char *at = strstr(echo, old);
    assert_non_null(at);
    assert_in_range(snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - echo), echo, text, at + strlen(old)), 1,
                    sizeof edited - 1);
    free(echo);
    if (run_config_diff(edited, config->echo, 1, arena, &lines, &count) != BASE_OK)
        fail_msg("%s", base_status_message());
    run_config_destroy(&config);
}

static void keys_of_other_versions(void **state)
{
    (void)state;
    compare_edited("\"shuffle\":true,", "");
    EXPECT("train.shuffle only here (true)");
    compare_edited("\"shuffle\":true", "\"shuffle\":true,\"smoothing\":0.1");
    EXPECT("train.smoothing only there (0.1)");
    compare_edited("\"threads\":0,", "");
    expect(0, NULL);
    compare_edited("\"data\":{", "\"extra\":{\"a\":1},\"data\":{");
    EXPECT("extra only there");
}

/* Whatever a manifest says, its lines stay lines. */
static void odd_texts(void **state)
{
    (void)state;
    compare_edited("\"shuffle\":true", "\"shuffle\":true,\"a\\nb\":1");
    EXPECT("train.a?b only there (1)");
    compare_edited("\"shuffle\":true", "\"shuffle\":\"x\\ny\"");
    EXPECT("train.shuffle = \"x\\ny\" there, true here");
    compare_edited("\"type\":\"dense\"", "\"type\":7");
    EXPECT("model.layers.0.type = 7 there, \"dense\" here");
    compare_edited("\"layers\":[", "\"layers\":[3,");
    assert_int_equal(count, 1);
    compare_edited(
        "\"shuffle\":true",
        "\"shuffle\":\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901\"");
    EXPECT("train.shuffle = \"0123456789012345678901234567890123456789012345678901234567890123456789012345... there, "
           "true here");
}

static void sides_have_the_names_that_are_asked_for(void **state)
{
    (void)state;
    const char *const a = "{\"train\":{\"batch\":64,\"epochs\":3},\"x\":1}",
                      *b = "{\"train\":{\"batch\":32,\"epochs\":4}}";
    assert_int_equal(run_config_diff_texts(a, b, "in A", "in B", arena, &lines, &count), BASE_OK);
    EXPECT("train.batch = 64 in A, 32 in B", "train.epochs = 3 in A, 4 in B", "x only in A (1)");
    assert_int_equal(run_config_diff_texts(a, "", "in A", "in B", arena, &lines, &count), BASE_CKPT);
}

static void bad_text_is_a_bad_checkpoint(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "3", "{\"a\":1", "null"};
    run_config *config = config_of(CONFIG_LEAST);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(run_config_diff(texts[i], config->echo, 1, arena, &lines, &count), BASE_CKPT);
    run_config_destroy(&config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_configurations_have_no_differences),
        TEST(numbers_that_a_dump_rounds_are_equal),
        TEST(values_of_every_kind),
        TEST(keys_of_execution_can_be_left_out),
        TEST(keys_that_follow_from_a_type_are_left_out),
        TEST(layers_are_compared_one_by_one),
        TEST(layers_that_come_and_go_are_one_line),
        TEST(keys_of_other_versions),
        TEST(odd_texts),
        TEST(sides_have_the_names_that_are_asked_for),
        TEST(bad_text_is_a_bad_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
