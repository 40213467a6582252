/* run_config: every kind of error is one line that says where, which key, what was seen and what is allowed. */
#include "config_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRAIN_KEYS                                                                                                     \
    "epochs, batch, seed, max_steps, log_every, eval_every, shuffle, device, precision, comm, sync, bucket_mb, "       \
    "threads, gemm, stall_timeout, optimizer, checkpoint"

static void a_number_out_of_range_is_refused(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST "train = {\n batch = -4; };", NULL,
                 "x.cfg:4: train.batch = -4: must be from 1 to 2147483647");
    expect_error(CONFIG_LEAST "train = { batch = 99999999999; };", NULL, /* wraps to 1215752191 in libconfig 1.5 */
                 "x.cfg:3: train.batch = 99999999999: must be from 1 to 2147483647");
    expect_error(CONFIG_LEAST, "train.optimizer.lr=-0.1", "--set train.optimizer.lr=-0.1: must be from 0 to 1000000");
    expect_error(CONFIG_LEAST, "model.layers=({type=dropout;rate=1})",
                 "--set model.layers=({type=dropout;rate=1}): model.layers.0.rate = 1: must be at least 0 and below 1");
    expect_error(CONFIG_LEAST, "model.layers=({type=dropout;rate=0.999999999})", /* 1 as a float */
                 "--set model.layers=({type=dropout;rate=0.999999999}): model.layers.0.rate = 0.999999999: "
                 "must be at least 0 and below 1");
    expect_error(CONFIG_LEAST, "model.input=[1,28,0]",
                 "--set model.input=[1,28,0]: model.input.2 = 0: must be from 1 to 1000000000");
}

static void a_number_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    expect_error("train = {\n seed = 9223372036854775808; };", NULL,
                 "x.cfg:2: 9223372036854775808 does not fit into 64 bits");
    expect_error("train = { seed = 0xffffffffffffffff; };", NULL,
                 "x.cfg:1: 0xffffffffffffffff does not fit into 64 bits");
    expect_error(CONFIG_LEAST, "train.optimizer.lr=1e999", "--set train.optimizer.lr=1e999: must be from 0 to 1000000");
    expect_error(CONFIG_LEAST, "train.epochs=1e30", "--set train.epochs=1e30: must be from 1 to 2147483647");
}

static void not_a_number_is_refused(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "train.optimizer.lr=nan",
                 "--set train.optimizer.lr=nan: must be a number from 0 to 1000000; this is a string");
    expect_error(CONFIG_LEAST, "train.optimizer.lr=inf",
                 "--set train.optimizer.lr=inf: must be a number from 0 to 1000000; this is a string");
    expect_error("train = { batch = 12x; };", NULL, "x.cfg:1: \"12x\" is not a number");
    expect_error("train = { lr = .; };", NULL, "x.cfg:1: \".\" is not a number");
    expect_error("train = { lr = 1e; };", NULL, "x.cfg:1: \"1e\" is not a number");
}

static void a_wrong_type_says_what_was_found(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST "train = { batch = \"many\"; };", NULL,
                 "x.cfg:3: train.batch = \"many\": must be an integer from 1 to 2147483647; this is a string");
    expect_error(
        CONFIG_LEAST "train = { batch = 1.5; };", NULL,
        "x.cfg:3: train.batch = 1.5: must be an integer from 1 to 2147483647; this is a number with a fraction");
    expect_error(CONFIG_LEAST "train = { shuffle = 1; };", NULL,
                 "x.cfg:3: train.shuffle = 1: must be true or false; this is an integer");
    expect_error(CONFIG_LEAST "train = { comm = true; };", NULL,
                 "x.cfg:3: train.comm = true: must be one of auto, local, shm, mpi, nccl, staged; this is a boolean");
    expect_error(CONFIG_LEAST "train = 3;", NULL, "x.cfg:3: train = 3: must be a group, as in { key = value; }");
    expect_error(CONFIG_LEAST "out = [1, \"a\"];", NULL,
                 "x.cfg:3: out = [1, \"a\"]: must be a string that is not empty; this is a list");
    expect_error(CONFIG_LEAST, "model.layers=3",
                 "--set model.layers=3: must be a list of groups, as in ( { type = \"dense\"; ... }, ... ); this is an "
                 "integer");
    expect_error(CONFIG_LEAST, "model.layers=(3)",
                 "--set model.layers=(3): model.layers.0 = 3: must be a group, as in { key = value; }");
    expect_error(
        CONFIG_LEAST, "model.input=784",
        "--set model.input=784: must be [channels, height, width] or [features], integers from 1 to 1000000000; "
        "this is an integer");
}

static void a_word_that_is_none_lists_the_words(void **state)
{
    (void)state;
    expect_error("data = { format = \"mnits\"; };", NULL,
                 "x.cfg:1: data.format = \"mnits\": must be one of mnist, cifar10, digits, synthetic");
    expect_error(CONFIG_LEAST, "train.gemm=mkl", "--set train.gemm=mkl: must be one of auto, openblas, onednn");
}

static void a_misspelt_key_gets_a_suggestion(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST "train = { optimizer = { momentun = 0.9; }; };", NULL,
                 "x.cfg:3: train.optimizer.momentun = 0.9: unknown key; did you mean 'momentum'?");
    expect_error(CONFIG_LEAST, "train.btach=3", "--set train.btach=3: unknown key; did you mean 'batch'?");
    expect_error(CONFIG_LEAST, "trian.batch=3", "--set trian.batch=3: trian: unknown key; did you mean 'train'?");
    expect_error(CONFIG_LEAST "train = { batch_size = 3; };", NULL,
                 "x.cfg:3: train.batch_size = 3: unknown key; did you mean 'batch'?");
}

static void a_key_in_the_wrong_group_is_told_its_place(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST "train = { lr = 1; };", NULL,
                 "x.cfg:3: train.lr = 1: unknown key here; it belongs in train.optimizer");
    expect_error(CONFIG_LEAST "batch = 1;", NULL, "x.cfg:3: batch = 1: unknown key here; it belongs in train");
}

static void an_unknown_key_lists_the_known_ones(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST "train = { quux = 1; };", NULL,
                 "x.cfg:3: train.quux = 1: unknown key; allowed are: " TRAIN_KEYS);
}

static void a_key_of_another_variant_says_so(void **state)
{
    (void)state;
    expect_error(
        CONFIG_LEAST "train = { optimizer = { type = \"adam\"; momentum = 0.9; }; };", NULL,
        "x.cfg:3: train.optimizer.momentum = 0.9: a key of sgd, not of adam, which takes: type, lr, beta1, beta2, "
        "epsilon, weight_decay, clip_norm, schedule");
    expect_error(
        CONFIG_LEAST, "model.layers.0.rate=0.5",
        "--set model.layers.0.rate=0.5: a key of dropout, not of dense, which takes: type, name, inputs, units, "
        "bias, activation, init");
    expect_error(CONFIG_LEAST, "data.path=x",
                 "--set data.path=x: a key of mnist or cifar10, not of digits, which takes: format, train_samples, "
                 "test_samples, mean, deviation");
}

static void a_missing_key_is_named(void **state)
{
    (void)state;
    expect_error("", NULL, "x.cfg: data.format: missing; must be one of mnist, cifar10, digits, synthetic");
    expect_error("data = { format = \"digits\"; };\nmodel = { input = [784]; };", NULL,
                 "x.cfg:2: model.layers: missing; must be a list of groups, as in ( { type = \"dense\"; ... }, ... )");
    expect_error(CONFIG_LEAST, "model.layers=({type=dense})",
                 "--set model.layers=({type=dense}): model.layers.0.units: missing; must be an integer from 1 to "
                 "1000000000");
    expect_error(CONFIG_LEAST, "train.optimizer.schedule.type=step",
                 "--set train.optimizer.schedule.type=step: train.optimizer.schedule.every_epochs: missing; must be a "
                 "number above 0 and at most 1000000");
}

static void bad_syntax_names_the_line(void **state)
{
    (void)state;
    expect_error("data = { format = \"digits\"; };\n\ntrain = {\n  batch 128;\n};", NULL,
                 "x.cfg:4: syntax error at or just before: batch 128;");
    expect_error("train = {\n  batch = 1;\n", NULL, "x.cfg:1: '{' is not closed");
    expect_error("model = { input = [1, 2;\n};", NULL, "x.cfg:2: '}' where ']' must close the '[' of line 1");
    expect_error("a = 1; }", NULL, "x.cfg:1: '}' closes nothing");
    expect_error("out = \"abc;\nb = 1;", NULL, "x.cfg:1: a string is not closed on its line: \"abc;?b = 1;");
    expect_error("\n/* never ends\n", NULL, "x.cfg:2: a comment is not closed");
    expect_error("data = { format = digits; };", NULL, "x.cfg:1: text needs quotes: \"digits\"");
    expect_error("a =", NULL, "x.cfg:1: syntax error at or just before: a =");
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char text[100004] = "a =";
    memset(text + 3, '(', sizeof text - 4);
    text[sizeof text - 1] = '\0';
    expect_error(text, NULL, "x.cfg:1: brackets are nested more than 32 deep");
}

static void a_key_given_twice_is_refused(void **state)
{
    (void)state;
    expect_error("train = { batch = 1;\n  batch = 2; };", NULL,
                 "x.cfg:2: a key is given twice at or just before: batch = 2; };");
}

static void an_include_is_refused(void **state)
{
    (void)state;
    expect_error("\n@include \"/dev/zero\"\n", NULL,
                 "x.cfg:2: @include is not supported, since all ranks parse one text; put the keys here");
}

static void a_set_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"train.batch", "--set train.batch: must be key=value, as in train.batch=256"},
        {"=3", "--set =3: must be key=value, as in train.batch=256"},
        {"", "--set : must be key=value, as in train.batch=256"},
        {"train..batch=3", "--set train..batch=3: must be key=value, as in train.batch=256"},
        {"train.batch=[1,", "--set train.batch=[1,: '[' is not closed"},
        {"train={batch}",
         "--set train={batch}: not a value; write 3, 0.5, true, text, \"text\", [1, 2] or { key = value; }"},
        {"train=\"a\"; x = 3",
         "--set train=\"a\"; x = 3: not a value; write 3, 0.5, true, text, \"text\", [1, 2] or { key = value; }"},
        {"model.layers.7.units=3", "--set model.layers.7.units=3: '7' must be an entry of the list, from 0 to 0"},
        {"model.layers.0={type=flatten}", "--set model.layers.0={type=flatten}: an entry of a list cannot be replaced; "
                                          "give the whole list, or a key of the entry"},
        {"data.format.x=1", "--set data.format.x=1: 'x' is not inside a group"},
        {"data.format.x.y=1", "--set data.format.x.y=1: 'x' is not inside a group"},
        {"train.4=2", "--set train.4=2: '4' is not a key"},
        {"out=", "--set out=: must be a string that is not empty"},
        {"out=a\nb", "--set out=a?b: must have no control characters"},
        {"out=\xff", "--set out=\xff: must be UTF-8 text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(CONFIG_LEAST, cases[i][0], cases[i][1]);
}

static void layer_names_must_differ(void **state)
{
    (void)state;
    expect_error(
        "data = { format = \"digits\"; };\nmodel = { input = [4]; layers = (\n"
        "{ type = \"dense\"; units = 4; name = \"a\"; },\n{ type = \"dense\"; units = 4; name = \"a\"; } ); };",
        NULL, "x.cfg:4: model.layers.1.name = \"a\": layers 0 and 1 of the list are both 'a'; give one another name");
    expect_error(
        "data = { format = \"digits\"; };\nmodel = { input = [4]; layers = (\n"
        "{ type = \"dense\"; units = 4; name = \"dense2\"; },\n{ type = \"dense\"; units = 4; } ); };",
        NULL,
        "x.cfg:4: model.layers.1.name: layers 0 and 1 of the list are both 'dense2' (this one by its type); give "
        "one another name");
    expect_error(CONFIG_LEAST, "model.layers.0.name=input",
                 "--set model.layers.0.name=input: stands for the model's input; choose another");
    expect_error(CONFIG_LEAST, "model.layers.0.name=a b",
                 "--set model.layers.0.name=a b: must be made of letters, digits, '_', '-' and '.'");
}

static void inputs_must_exist_and_be_as_many_as_the_layer_takes(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "model.layers.0.inputs=[inptu]",
                 "--set model.layers.0.inputs=[inptu]: no layer is called 'inptu'; did you mean 'input'?");
    expect_error(CONFIG_LEAST, "model.layers.0.inputs=[xyzzy]",
                 "--set model.layers.0.inputs=[xyzzy]: no layer is called 'xyzzy'");
    expect_error(CONFIG_LEAST, "model.layers.0.inputs=[input,input]",
                 "--set model.layers.0.inputs=[input,input]: dense takes one input; add and concat take several");
    expect_error(
        CONFIG_LEAST, "model.layers=({type=add;inputs=[input]})",
        "--set model.layers=({type=add;inputs=[input]}): model.layers.0.inputs = [\"input\"]: add needs the names "
        "of at least two layers");
    expect_error(CONFIG_LEAST, "model.layers.0.inputs=[]", "--set model.layers.0.inputs=[]: must name at least one");
}

static void windows_must_make_sense(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "model.layers=({type=max_pool2d;kernel=[16,16]})",
                 "--set model.layers=({type=max_pool2d;kernel=[16,16]}): model.layers.0.kernel = [16, 16]: a window of "
                 "max_pool2d has at most 255 pixels");
    expect_error(
        CONFIG_LEAST, "model.layers=({type=avg_pool2d;kernel=2;padding=2})",
        "--set model.layers=({type=avg_pool2d;kernel=2;padding=2}): model.layers.0.padding = 2: must be smaller "
        "than the kernel");
    expect_error(
        CONFIG_LEAST, "model.layers=({type=max_pool2d;kernel=(1,2,3)})",
        "--set model.layers=({type=max_pool2d;kernel=(1,2,3)}): model.layers.0.kernel = [1, 2, 3]: must be one "
        "number or two, [height, width]");
}

static void data_keys_must_agree(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "data.mean=0.5", "x.cfg:1: data.deviation: missing, while mean is given");
    expect_error(
        CONFIG_LEAST, "data={format=digits;mean=[0,1];deviation=[1,1]}",
        "--set data={format=digits;mean=[0,1];deviation=[1,1]}: data.mean = [0, 1]: must be one number, or one for "
        "each of 1 channels");
    expect_error(
        CONFIG_LEAST, "data={format=digits;mean=[0,1];deviation=1}",
        "--set data={format=digits;mean=[0,1];deviation=1}: data.deviation = 1: must hold as many numbers as mean, "
        "which has 2");
    expect_error(CONFIG_LEAST, "data={format=mnist;test_files=a}",
                 "--set data={format=mnist;test_files=a}: data.test_files = \"a\": must be two, images and labels");
}

static void train_keys_must_agree(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "train={comm=nccl;device=cpu}",
                 "--set train={comm=nccl;device=cpu}: train.comm = \"nccl\": needs train.device = \"gpu\" or \"auto\"");
    expect_error(CONFIG_LEAST, "train.stall_timeout=0.05",
                 "--set train.stall_timeout=0.05: must be at least 0.1 s, or 0 for no bound");
    expect_error(CONFIG_LEAST, "train.optimizer.nesterov=true",
                 "--set train.optimizer.nesterov=true: needs a momentum above 0");
    expect_error(CONFIG_LEAST "train = { optimizer = { schedule = { type = \"cosine\"; min_lr = 1; }; }; };", NULL,
                 "x.cfg:3: train.optimizer.schedule.min_lr = 1: must be at most lr, which is 0.01");
}

static void no_layers_are_refused(void **state)
{
    (void)state;
    expect_error(CONFIG_LEAST, "model.layers=()", "--set model.layers=(): has 0 layers; must have from 1 to 10000");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    run_config *c;
    assert_int_equal(run_config_read("no/such.cfg", 0, NULL, &c), BASE_USAGE);
    assert_string_equal(base_status_message(), "no/such.cfg: cannot be opened: No such file or directory");
    assert_int_equal(run_config_read(".", 0, NULL, &c), BASE_USAGE);
    assert_string_equal(base_status_message(), ".: cannot be read: Is a directory");
    assert_int_equal(run_config_read("/dev/zero", 0, NULL, &c), BASE_USAGE);
    assert_string_equal(base_status_message(), "/dev/zero: too long for a configuration");
}

static void a_file_with_a_zero_byte_is_refused(void **state)
{
    (void)state;
    char path[] = "config-XXXXXX", message[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "out = \0;", 8) == 8);
    close(fd);
    run_config *c;
    base_status status = run_config_read(path, 0, NULL, &c);
    unlink(path);
    assert_int_equal(status, BASE_USAGE);
    snprintf(message, sizeof message, "%s: is not a text file: it holds a zero byte at 6", path);
    assert_string_equal(base_status_message(), message);
}

static void a_failure_holds_no_memory(void **state)
{
    (void)state;
    size_t before = base_arena_bytes();
    expect_error(CONFIG_LEAST "train = { quux = 1; };", NULL,
                 "x.cfg:3: train.quux = 1: unknown key; allowed are: " TRAIN_KEYS);
    assert_int_equal(base_arena_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_out_of_range_is_refused),
        cmocka_unit_test(a_number_that_does_not_fit_is_refused),
        cmocka_unit_test(not_a_number_is_refused),
        cmocka_unit_test(a_wrong_type_says_what_was_found),
        cmocka_unit_test(a_word_that_is_none_lists_the_words),
        cmocka_unit_test(a_misspelt_key_gets_a_suggestion),
        cmocka_unit_test(a_key_in_the_wrong_group_is_told_its_place),
        cmocka_unit_test(an_unknown_key_lists_the_known_ones),
        cmocka_unit_test(a_key_of_another_variant_says_so),
        cmocka_unit_test(a_missing_key_is_named),
        cmocka_unit_test(bad_syntax_names_the_line),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_key_given_twice_is_refused),
        cmocka_unit_test(an_include_is_refused),
        cmocka_unit_test(a_set_that_is_none_is_refused),
        cmocka_unit_test(layer_names_must_differ),
        cmocka_unit_test(inputs_must_exist_and_be_as_many_as_the_layer_takes),
        cmocka_unit_test(windows_must_make_sense),
        cmocka_unit_test(data_keys_must_agree),
        cmocka_unit_test(train_keys_must_agree),
        cmocka_unit_test(no_layers_are_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_file_with_a_zero_byte_is_refused),
        cmocka_unit_test(a_failure_holds_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
