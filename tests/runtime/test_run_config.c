/* run_config: what a good configuration becomes. Expected values are written out by hand. */
#include "config_test.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sample of the design, word by word. */
static const char *const design_sample =
    "    data  = { format = \"mnist\"; path = \"mnist\"; };\n"
    "    model = { input = [1, 28, 28];\n"
    "              layers = ( { type = \"dense\"; units = 512; activation = \"relu\"; },\n"
    "                         { type = \"dropout\"; rate = 0.2; },\n"
    "                         { type = \"dense\"; units = 10; } );\n"
    "              loss = \"softmax_cross_entropy\"; };\n"
    "    train = { epochs = 10; batch = 128; seed = 1; device = \"auto\"; precision = \"fp32\";\n"
    "              comm = \"auto\"; sync = \"allreduce\";\n"
    "              checkpoint = { every_steps = 500; keep = 3; };\n"
    "              optimizer = { type = \"sgd\"; lr = 0.1; momentum = 0.9; }; };\n";

static void the_design_sample_parses(void **state)
{
    (void)state;
    run_config *c = config_of(design_sample);
    assert_int_equal(c->data.format, RUN_DATA_MNIST);
    assert_string_equal(c->data.path, "mnist");
    assert_true(base_shape_equal(c->model.input, base_shape_image(1, 28, 28)));
    assert_int_equal(c->model.layer_count, 3);
    assert_int_equal(c->model.layers[0].units, 512);
    assert_int_equal(c->model.layers[0].activation, OPS_RELU);
    assert_true(c->model.layers[1].rate == 0.2f);
    assert_string_equal(c->model.layers[2].name, "dense2");
    assert_int_equal(c->model.layers[2].line, 5);
    assert_int_equal(c->train.epochs, 10);
    assert_int_equal(c->train.sync, RUN_SYNC_ALLREDUCE);
    assert_int_equal(c->train.checkpoint.every_steps, 500);
    assert_true(c->train.optimizer.lr == 0.1f && c->train.optimizer.momentum == 0.9f);
    run_config_destroy(&c);
    assert_null(c);
}

static void train_has_its_defaults(void **state)
{
    (void)state;
    run_config *c = config_of(CONFIG_LEAST);
    const run_config_train *t = &c->train;
    assert_int_equal(t->epochs, 1);
    assert_int_equal(t->batch, 128);
    assert_int_equal(t->seed, 1);
    assert_int_equal(t->max_steps, 0);
    assert_int_equal(t->log_every, 0);
    assert_int_equal(t->eval_every, 1);
    assert_int_equal(t->shuffle, 1);
    assert_int_equal(t->device, RUN_DEVICE_AUTO);
    assert_int_equal(t->precision, RUN_PRECISION_FP32);
    assert_int_equal(t->comm, RUN_COMM_AUTO);
    assert_int_equal(t->sync, RUN_SYNC_AUTO);
    assert_string_equal(t->gemm, "auto");
    assert_true(t->stall_timeout == 30);
    assert_int_equal(t->checkpoint.keep, 3);
    assert_int_equal(c->model.loss, RUN_LOSS_SOFTMAX_CROSS_ENTROPY);
    assert_null(c->out);
    run_config_destroy(&c);
}

static void data_defaults_follow_the_format(void **state)
{
    (void)state;
    static const struct {
        const char *set, *path;
        int64_t train, test;
    } cases[] = {{"data.format=digits", NULL, 60000, 10000},
                 {"data.format=synthetic", NULL, 4096, 512},
                 {"data.format=mnist", "mnist", 0, 0},
                 {"data.format=cifar10", "cifar10", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_config *c = config_with(cases[i].set);
        assert_int_equal(c->data.train_samples, cases[i].train);
        assert_int_equal(c->data.test_samples, cases[i].test);
        assert_true(cases[i].path ? !strcmp(c->data.path, cases[i].path) : !c->data.path);
        run_config_destroy(&c);
    }
}

static void optimizer_defaults_follow_the_type(void **state)
{
    (void)state;
    run_config *sgd = config_of(CONFIG_LEAST), *adamw = config_with("train.optimizer.type=adamw");
    assert_true(sgd->train.optimizer.lr == 0.01f && sgd->train.optimizer.momentum == 0);
    assert_true(sgd->train.optimizer.weight_decay == 0);
    const run_config_optimizer *o = &adamw->train.optimizer;
    assert_true(o->lr == 0.001f && o->beta1 == 0.9f && o->beta2 == 0.999f && o->epsilon == 1e-8f);
    assert_true(o->weight_decay == 0.01f);
    run_config_destroy(&sgd);
    run_config_destroy(&adamw);
}

static void layers_have_their_defaults(void **state)
{
    (void)state;
    run_config *c = config_with("model.layers=({type=conv2d;filters=8;kernel=[3,5]},{type=max_pool2d;kernel=2},"
                                "{type=batch_norm},{type=avg_pool2d;kernel=[2,3];stride=1})");
    const run_config_layer *l = c->model.layers;
    assert_true(l[0].kernel[0] == 3 && l[0].kernel[1] == 5 && l[0].stride[0] == 1 && l[0].stride[1] == 1);
    assert_true(l[0].padding[0] == 0 && l[0].bias == 1 && l[0].init == RUN_INIT_AUTO);
    assert_int_equal(l[0].activation, OPS_IDENTITY);
    assert_true(l[1].stride[0] == 2 && l[1].stride[1] == 2);
    assert_true(l[2].momentum == 0.1f && l[2].epsilon == 1e-5f);
    assert_true(l[3].stride[0] == 1 && l[3].stride[1] == 1 && l[3].kernel[1] == 3);
    assert_string_equal(l[3].name, "avg_pool2d1");
    run_config_destroy(&c);
}

static void inputs_name_other_layers_and_the_input(void **state)
{
    (void)state;
    run_config *c = config_with("model.layers=({type=dense;name=a;units=4},{type=add;inputs=[b,a,input]},"
                                "{type=dense;name=b;units=4;inputs=a})");
    assert_string_equal(c->model.layers[1].inputs[2], "input");
    assert_null(c->model.layers[1].inputs[3]);
    assert_string_equal(c->model.layers[2].inputs[0], "a");
    assert_null(c->model.layers[0].inputs);
    run_config_destroy(&c);
}

static void integers_may_be_written_with_an_exponent(void **state)
{
    (void)state;
    run_config *c = config_with("train.batch=1e3");
    assert_int_equal(c->train.batch, 1000);
    run_config_destroy(&c);
}

static void large_integers_need_no_suffix(void **state)
{
    (void)state;
    run_config *plain = config_with("train.seed=9223372036854775807");
    run_config *marked = config_with("train.seed=9223372036854775807L"), *hex = config_with("train.seed=0xffffffff");
    assert_true(plain->train.seed == INT64_MAX && marked->train.seed == INT64_MAX);
    assert_true(hex->train.seed == UINT32_MAX);
    run_config_destroy(&plain);
    run_config_destroy(&marked);
    run_config_destroy(&hex);
}

static void integers_serve_as_numbers(void **state)
{
    (void)state;
    run_config *c = config_with("data={format=digits;mean=0;deviation=[1]}");
    assert_int_equal(c->data.channels_given, 1);
    assert_true(c->data.mean[0] == 0 && c->data.deviation[0] == 1);
    run_config_destroy(&c);
}

static void lists_of_numbers_may_mix_forms(void **state)
{
    (void)state;
    run_config *c = config_of("data = { format = \"cifar10\"; mean = [0, 0.5, 1e-1]; deviation = (1, 2, 0.5); };\n"
                              "model = { input = [3, 32, 32]; layers = ( { type = \"flatten\"; } ); };");
    assert_int_equal(c->data.channels_given, 3);
    assert_true(c->data.mean[1] == 0.5f && c->data.deviation[1] == 2);
    run_config_destroy(&c);
}

static void comments_windows_lines_and_byte_order_marks_are_read(void **state)
{
    (void)state;
    run_config *c =
        config_of("\xef\xbb\xbf" CONFIG_LEAST "# [ {\r\n// \"\r\n/* @include\n \" ( */ train = { batch = 7; }; # end");
    assert_int_equal(c->train.batch, 7);
    run_config_destroy(&c);
}

static void a_later_set_wins(void **state)
{
    (void)state;
    const char *const sets[] = {"train.batch=3", "train={batch=4;optimizer={type=adam;lr=0.5}}", "train.batch=5"};
    run_config *c = config_of_sets(CONFIG_LEAST "train = { epochs = 9; };", 3, sets);
    assert_int_equal(c->train.batch, 5);
    assert_int_equal(c->train.epochs, 1); /* the group was replaced as a whole */
    assert_true(c->train.optimizer.type == RUN_OPTIMIZER_ADAM && c->train.optimizer.lr == 0.5f);
    run_config_destroy(&c);
}

static void a_set_reaches_a_layer(void **state)
{
    (void)state;
    run_config *c = config_with("model.layers.0.units=64");
    assert_int_equal(c->model.layers[0].units, 64);
    assert_int_equal(c->model.layers[0].line, 2);
    run_config_destroy(&c);
}

static void a_set_takes_text_with_anything_in_it(void **state)
{
    (void)state;
    run_config *c = config_with("out=/a b/c\"d\\e; # {");
    assert_string_equal(c->out, "/a b/c\"d\\e; # {");
    run_config_destroy(&c);
}

static void the_name_is_the_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a/b.c/mnist-20m.cfg", "mnist-20m"}, {"plain", "plain"}, {".cfg", ".cfg"}, {"", "ddpt"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_config *c;
        assert_int_equal(run_config_parse(cases[i][0], CONFIG_LEAST, 0, NULL, &c), BASE_OK);
        assert_string_equal(c->name, cases[i][1]);
        assert_string_equal(c->path, cases[i][0]);
        run_config_destroy(&c);
    }
}

static void where_names_file_line_and_layer(void **state)
{
    (void)state;
    char text[512];
    run_config *file = config_of(CONFIG_LEAST), *set = config_with("model.layers=({type=flatten})");
    assert_string_equal(run_config_where(file, 0, text), "x.cfg:2: layer dense1");
    assert_string_equal(run_config_where(set, 0, text), "x.cfg, --set: layer flatten1");
    run_config_destroy(&file);
    run_config_destroy(&set);
}

static void a_file_is_read(void **state)
{
    (void)state;
    run_config *c;
    assert_int_equal(run_config_read(DDPT_EXAMPLES "/mnist-20m.cfg", 0, NULL, &c), BASE_OK);
    assert_string_equal(c->name, "mnist-20m");
    run_config_destroy(&c);
}

/* The echo as libconfig's text: keys without quotes, ( ) for [ ], no null. */
static void write_text(FILE *out, const json_t *json)
{
    const char *key;
    json_t *part;
    size_t i;
    if (json_is_object(json)) {
        fputs("{ ", out);
        json_object_foreach((json_t *)(uintptr_t)json, key, part)
        {
            if (json_is_null(part))
                continue;
            fprintf(out, "%s = ", key);
            write_text(out, part);
            fputs("; ", out);
        }
        fputs("}", out);
    } else if (json_is_array(json)) {
        json_array_foreach(json, i, part)
        {
            fputs(i ? ", " : "(", out);
            write_text(out, part);
        }
        fputs(")", out);
    } else {
        json_dumpf(json, out, JSON_ENCODE_ANY);
    }
}

static void assert_round_trip(const run_config *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    write_text(out, c->echo);
    fclose(out);
    text[0] = text[size - 1] = ' '; /* the outermost { } */
    run_config *again = config_of(text);
    assert_string_equal(again->digest, c->digest);
    assert_true(json_equal(again->echo, c->echo));
    run_config_destroy(&again);
    free(text);
}

static void examples_parse_and_echo_what_they_say(void **state)
{
    (void)state;
    static const char *const names[] = {"digits", "mnist", "mnist-cnn", "mnist-20m", "cifar10"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        run_config *c;
        snprintf(path, sizeof path, "%s/%s.cfg", DDPT_EXAMPLES, names[i]);
        if (run_config_read(path, 0, NULL, &c) != BASE_OK)
            fail_msg("%s", base_status_message());
        assert_round_trip(c);
        run_config_destroy(&c);
    }
}

static void the_echo_holds_every_value_in_force(void **state)
{
    (void)state;
    run_config *c =
        config_of(CONFIG_LEAST "train = { optimizer = { type = \"adam\"; lr = 0.1; }; seed = 5000000000; };");
    const json_t *train = json_object_get(c->echo, "train");
    const json_t *optimizer = json_object_get(train, "optimizer");
    assert_true(json_integer_value(json_object_get(train, "seed")) == 5000000000);
    assert_true(json_integer_value(json_object_get(train, "batch")) == 128);
    assert_true(json_real_value(json_object_get(optimizer, "lr")) == 0.1); /* not the float next to it */
    assert_null(json_object_get(optimizer, "momentum"));
    assert_true(json_is_null(json_object_get(c->echo, "out")));
    assert_round_trip(c);
    run_config_destroy(&c);
}

static int same_digest(const char *set)
{
    run_config *plain = config_of(CONFIG_LEAST), *changed = config_with(set);
    int same = !strcmp(plain->digest, changed->digest);
    assert_int_equal(strlen(plain->digest), 16);
    run_config_destroy(&plain);
    run_config_destroy(&changed);
    return same;
}

static void the_digest_ignores_how_a_run_is_executed(void **state)
{
    (void)state;
    static const char *const sets[] = {"out=elsewhere",
                                       "train.epochs=7",
                                       "train.max_steps=9",
                                       "train.log_every=2",
                                       "train.eval_every=0",
                                       "train.device=cpu",
                                       "train.comm=mpi",
                                       "train.sync=sharded",
                                       "train.bucket_mb=4",
                                       "train.threads=3",
                                       "train.gemm=openblas",
                                       "train.stall_timeout=5",
                                       "train.checkpoint.keep=9",
                                       "train.checkpoint.async=false",
                                       "model.layers.0.name=dense1",
                                       "train.batch=128"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (!same_digest(sets[i]))
            fail_msg("%s changes the digest", sets[i]);
}

static void the_digest_notices_what_shapes_the_mathematics(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.batch=64",
                                       "train.seed=2",
                                       "train.shuffle=false",
                                       "train.precision=bf16",
                                       "train.optimizer.lr=1",
                                       "train.optimizer.type=adam",
                                       "train.optimizer.clip_norm=1",
                                       "data.train_samples=7",
                                       "model.layers.0.units=11",
                                       "model.layers.0.bias=false",
                                       "model.layers.0.name=x",
                                       "model.input=[784]",
                                       "model.loss=mean_squared_error",
                                       "train.optimizer.schedule.warmup_epochs=1",
                                       "data.format=synthetic"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (same_digest(sets[i]))
            fail_msg("%s does not change the digest", sets[i]);
}

static void the_help_describes_every_key(void **state)
{
    (void)state;
    char *help = run_config_help(), line[128];
    assert_non_null(help);
    for (const run_option_group *const *g = run_option_groups; *g; g++) {
        const char *section = strstr(help, *(*g)->path ? (*g)->path : "the run");
        assert_non_null(section);
        for (const run_option *o = (*g)->options; o->key; o++) {
            snprintf(line, sizeof line, "\n    %s ", o->key);
            if (!strstr(section, line))
                fail_msg("%s.%s is not in the help", (*g)->path, o->key);
            assert_non_null(o->help);
        }
    }
    free(help);
}

static void names_are_those_of_the_file(void **state)
{
    (void)state;
    assert_string_equal(run_layer_type_name(RUN_LAYER_MAX_POOL2D), "max_pool2d");
    assert_string_equal(run_comm_name(RUN_COMM_STAGED), "staged");
    assert_string_equal(run_sync_name(RUN_SYNC_SHARDED), "sharded");
    assert_string_equal(run_device_name(RUN_DEVICE_GPU), "gpu");
    assert_string_equal(run_precision_name(RUN_PRECISION_BF16), "bf16");
    assert_string_equal(run_optimizer_name(RUN_OPTIMIZER_ADAMW), "adamw");
    assert_string_equal(run_data_format_name(RUN_DATA_SYNTHETIC), "synthetic");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_design_sample_parses),
        cmocka_unit_test(train_has_its_defaults),
        cmocka_unit_test(data_defaults_follow_the_format),
        cmocka_unit_test(optimizer_defaults_follow_the_type),
        cmocka_unit_test(layers_have_their_defaults),
        cmocka_unit_test(inputs_name_other_layers_and_the_input),
        cmocka_unit_test(integers_may_be_written_with_an_exponent),
        cmocka_unit_test(large_integers_need_no_suffix),
        cmocka_unit_test(integers_serve_as_numbers),
        cmocka_unit_test(lists_of_numbers_may_mix_forms),
        cmocka_unit_test(comments_windows_lines_and_byte_order_marks_are_read),
        cmocka_unit_test(a_later_set_wins),
        cmocka_unit_test(a_set_reaches_a_layer),
        cmocka_unit_test(a_set_takes_text_with_anything_in_it),
        cmocka_unit_test(the_name_is_the_files),
        cmocka_unit_test(where_names_file_line_and_layer),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(examples_parse_and_echo_what_they_say),
        cmocka_unit_test(the_echo_holds_every_value_in_force),
        cmocka_unit_test(the_digest_ignores_how_a_run_is_executed),
        cmocka_unit_test(the_digest_notices_what_shapes_the_mathematics),
        cmocka_unit_test(the_help_describes_every_key),
        cmocka_unit_test(names_are_those_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
