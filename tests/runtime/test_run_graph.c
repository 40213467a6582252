#include "graph_fixture.h"
#include "run_backward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static graph_fixture opened;

static void build(const char *input, const char *layers)
{
    base_status status = graph_fixture_open(&opened, input, layers, 0);
    if (status != BASE_OK)
        fail_msg("%s", base_status_message());
}

static const run_node *node(const char *name)
{
    return graph_fixture_node(&opened, name);
}

static int teardown(void **state)
{
    (void)state;
    graph_fixture_close(&opened);
    return 0;
}

static void assert_shape(const char *name, const char *expected)
{
    char text[64];
    assert_string_equal(base_shape_text(node(name)->shape, text), expected);
}

/* ---- shapes, parameters, work ---- */

static void shapes_follow_the_layers(void **state)
{
    (void)state;
    build("3, 32, 30",
          "{ type = \"conv2d\"; name = \"c\"; filters = 8; kernel = [5, 3]; stride = 2; padding = [2, 0]; },\n"
          "{ type = \"max_pool2d\"; name = \"m\"; kernel = 3; stride = 2; padding = 1; },\n"
          "{ type = \"avg_pool2d\"; name = \"a\"; kernel = 2; },\n"
          "{ type = \"batch_norm\"; name = \"n\"; },\n"
          "{ type = \"flatten\"; name = \"f\"; },\n"
          "{ type = \"dense\"; name = \"d\"; units = 10; }\n");
    assert_shape("input", "3x32x30");
    assert_shape("c", "8x16x14"); /* (32 + 4 - 5) / 2 + 1, (30 - 3) / 2 + 1 */
    assert_shape("m", "8x8x7");   /* (16 + 2 - 3) / 2 + 1, (14 + 2 - 3) / 2 + 1 */
    assert_shape("a", "8x4x3");   /* a pool's stride is its kernel; what is left over is dropped */
    assert_shape("n", "8x4x3");
    assert_shape("f", "96");
    assert_shape("d", "10");
    assert_int_equal(opened.graph->output, node("d")->number);
}

static void parameters_in_canonical_order(void **state)
{
    (void)state;
    build("2, 5, 5", "{ type = \"conv2d\"; filters = 4; kernel = [3, 2]; },\n"
                     "{ type = \"batch_norm\"; },\n"
                     "{ type = \"dense\"; units = 7; bias = false; },\n"
                     "{ type = \"dense\"; units = 3; }\n");
    static const struct {
        const char *name;
        int64_t count, fan_in, fan_out;
    } expected[] = {{"conv2d1/weight", 3 * 2 * 2 * 4, 3 * 2 * 2, 3 * 2 * 4},
                    {"conv2d1/bias", 4, 0, 0},
                    {"batch_norm1/gamma", 4, 0, 0},
                    {"batch_norm1/beta", 4, 0, 0},
                    {"dense1/weight", 4 * 3 * 4 * 7, 4 * 3 * 4, 7},
                    {"dense2/weight", 7 * 3, 7, 3},
                    {"dense2/bias", 3, 0, 0}};
    int64_t total = 0;
    assert_int_equal(opened.graph->param_count, sizeof expected / sizeof *expected);
    for (int p = 0; p < opened.graph->param_count; p++) {
        const run_param *param = &opened.graph->params[p];
        assert_string_equal(param->name, expected[p].name);
        assert_int_equal(param->count, expected[p].count);
        if (param->role == RUN_PARAM_WEIGHT) {
            assert_int_equal(param->fan_in, expected[p].fan_in);
            assert_int_equal(param->fan_out, expected[p].fan_out);
        }
        total += param->count;
    }
    assert_int_equal(opened.graph->parameters, total);
    assert_int_equal(node("dense1")->first_param, 4);
    assert_int_equal(node("dense1")->param_count, 1);
}

static void weights_start_by_the_activation_that_follows(void **state)
{
    (void)state;
    build("4", "{ type = \"dense\"; units = 4; activation = \"relu\"; },\n"
               "{ type = \"dense\"; units = 4; },\n"
               "{ type = \"activation\"; activation = \"gelu\"; },\n"
               "{ type = \"dense\"; units = 4; activation = \"tanh\"; },\n"
               "{ type = \"dense\"; units = 4; init = \"zero\"; activation = \"relu\"; },\n"
               "{ type = \"dense\"; units = 2; }\n");
    static const run_init expected[] = {RUN_INIT_HE, RUN_INIT_HE, RUN_INIT_GLOROT, RUN_INIT_ZERO, RUN_INIT_GLOROT};
    for (int l = 0; l < 5; l++)
        assert_int_equal(opened.graph->params[2 * l].init, expected[l]);
}

/* The first layer computes no gradient for its input. */
static void work_is_counted(void **state)
{
    (void)state;
    build("1, 6, 6", "{ type = \"conv2d\"; filters = 5; kernel = 3; },\n"
                     "{ type = \"dense\"; units = 10; }\n");
    int64_t conv = 2 * 4 * 4 * 5 * 3 * 3, dense = 2 * 80 * 10;
    assert_int_equal(node("conv2d1")->flops_forward, conv);
    assert_int_equal(node("conv2d1")->flops_backward, conv);
    assert_int_equal(node("dense1")->flops_backward, 2 * dense);
    assert_int_equal(opened.graph->flops_forward, conv + dense);
    assert_int_equal(opened.graph->flops_train, 2 * conv + 3 * dense);
    assert_int_equal(node("conv2d1")->conv.wants_dx, 0);
}

/* ---- order ---- */

static void layers_may_come_in_any_order(void **state)
{
    (void)state;
    build("6", "{ name = \"last\"; type = \"dense\"; units = 2; inputs = [\"sum\"]; },\n"
               "{ name = \"sum\"; type = \"add\"; inputs = [\"a\", \"b\"]; },\n"
               "{ name = \"a\"; type = \"dense\"; units = 5; inputs = [\"input\"]; },\n"
               "{ name = \"b\"; type = \"dense\"; units = 5; inputs = [\"input\"]; }\n");
    for (int n = 1; n < opened.graph->node_count; n++)
        for (int i = 0; i < opened.graph->nodes[n].input_count; i++)
            assert_true(opened.graph->nodes[n].inputs[i] < n);
    assert_int_equal(opened.graph->output, opened.graph->node_count - 1);
    assert_string_equal(opened.graph->nodes[opened.graph->output].name, "last");
}

/* ---- aliases ---- */

static void activation_folds_into_what_it_follows(void **state)
{
    (void)state;
    build("1, 4, 4", "{ type = \"conv2d\"; filters = 2; kernel = 3; },\n"
                     "{ type = \"activation\"; activation = \"relu\"; },\n"
                     "{ type = \"batch_norm\"; },\n"
                     "{ type = \"activation\"; activation = \"tanh\"; },\n"
                     "{ type = \"dense\"; units = 4; },\n"
                     "{ type = \"activation\"; activation = \"gelu\"; },\n"
                     "{ type = \"dense\"; units = 4; }\n");
    static const char *const before[] = {"conv2d1", "batch_norm1", "dense1"};
    static const char *const names[] = {"activation1", "activation2", "activation3"};
    static const ops_activation expected[] = {OPS_RELU, OPS_TANH, OPS_GELU};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(node(names[i])->kind, RUN_NODE_ALIAS);
        assert_int_equal(node(names[i])->tensor, node(before[i])->number);
        assert_int_equal(node(before[i])->activation, expected[i]);
    }
    assert_int_equal(node("conv2d1")->conv.activation, OPS_RELU);
    assert_int_equal(node("dense1")->dense.activation, OPS_GELU);
}

static void activation_stays_where_the_value_is_needed(void **state)
{
    (void)state;
    build("4", "{ name = \"a\"; type = \"dense\"; units = 4; },\n"
               "{ name = \"r\"; type = \"activation\"; activation = \"relu\"; },\n"
               "{ name = \"s\"; type = \"add\"; inputs = [\"a\", \"r\"]; },\n"
               "{ name = \"t\"; type = \"dense\"; units = 4; activation = \"tanh\"; },\n"
               "{ name = \"u\"; type = \"activation\"; activation = \"relu\"; }\n");
    assert_int_equal(node("r")->kind, RUN_NODE_ACTIVATION); /* two readers of "a" */
    assert_int_equal(node("a")->activation, OPS_IDENTITY);
    assert_int_equal(node("u")->kind, RUN_NODE_ACTIVATION); /* "t" has one already */
    assert_int_equal(node("t")->activation, OPS_TANH);
}

static void flatten_moves_nothing(void **state)
{
    (void)state;
    build("2, 3, 3", "{ name = \"f\"; type = \"flatten\"; },\n"
                     "{ name = \"d\"; type = \"dense\"; units = 4; },\n"
                     "{ name = \"g\"; type = \"flatten\"; }\n");
    assert_int_equal(node("f")->kind, RUN_NODE_ALIAS);
    assert_int_equal(node("f")->tensor, 0);
    assert_int_equal(node("g")->tensor, node("d")->number);
}

/* Each case is one layer, what may come between, and dropout "x". */
static void dropout_works_in_place_where_it_may(void **state)
{
    (void)state;
    static const struct {
        const char *layers;
        int in_place;
    } cases[] = {
        {"{ type = \"dense\"; units = 4; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },", 1},
        {"{ type = \"dense\"; units = 4; activation = \"relu\"; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         1},
        {"{ type = \"dense\"; units = 4; activation = \"gelu\"; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         1},
        /* Their backward pass reads the output as it was. */
        {"{ type = \"dense\"; units = 4; activation = \"tanh\"; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         0},
        {"{ type = \"dense\"; units = 4; activation = \"sigmoid\"; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; "
         "},",
         0},
        {"{ type = \"dense\"; units = 4; }, { type = \"activation\"; activation = \"tanh\"; },"
         "{ name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         0},
        /* Through aliases. */
        {"{ type = \"dense\"; units = 4; }, { type = \"activation\"; activation = \"relu\"; }, { type = \"flatten\"; },"
         "{ name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         1},
        {"{ type = \"dense\"; units = 4; }, { type = \"dropout\"; rate = 0.1; },"
         "{ name = \"x\"; type = \"dropout\"; rate = 0.5; },",
         1},
        /* The model's input is not ours to change. */
        {"{ name = \"x\"; type = \"dropout\"; rate = 0.5; },", 0},
        {"{ type = \"flatten\"; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },", 0},
        /* Somebody else reads the value, or an alias of it. */
        {"{ name = \"a\"; type = \"dense\"; units = 4; }, { name = \"x\"; type = \"dropout\"; rate = 0.5; },"
         "{ type = \"add\"; inputs = [\"a\", \"x\"]; },",
         0},
        {"{ type = \"dense\"; units = 4; }, { name = \"a\"; type = \"flatten\"; },"
         "{ name = \"x\"; type = \"dropout\"; rate = 0.5; }, { type = \"add\"; inputs = [\"a\", \"x\"]; },",
         0},
        {"{ type = \"dense\"; units = 4; }, { name = \"a\"; type = \"dropout\"; rate = 0.5; },"
         "{ name = \"x\"; type = \"dropout\"; rate = 0.5; }, { type = \"add\"; inputs = [\"a\", \"x\"]; },",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char layers[512];
        strcpy(layers, cases[i].layers);
        strcat(layers, "{ type = \"dense\"; units = 2; }\n");
        build("4", layers);
        if (node("x")->in_place != cases[i].in_place)
            fail_msg("case %zu: in_place is %d", i, node("x")->in_place);
        assert_int_equal(node("x")->tensor == node("x")->number, !cases[i].in_place);
        graph_fixture_close(&opened);
    }
}

static void alias_of_dropout_in_place_follows_it(void **state)
{
    (void)state;
    build("1, 4, 4", "{ type = \"conv2d\"; name = \"c\"; filters = 2; kernel = 3; activation = \"relu\"; },\n"
                     "{ type = \"dropout\"; rate = 0.5; },\n"
                     "{ type = \"flatten\"; name = \"f\"; },\n"
                     "{ type = \"dense\"; units = 4; }\n");
    assert_int_equal(node("f")->tensor, node("c")->number);
}

/* ---- the reverse graph ---- */

static void backward_stops_before_the_first_parameter(void **state)
{
    (void)state;
    const run_backward *backward;
    build("1, 8, 8", "{ type = \"max_pool2d\"; kernel = 2; },\n"
                     "{ type = \"dropout\"; rate = 0.1; },\n"
                     "{ name = \"d\"; type = \"dense\"; units = 4; activation = \"relu\"; },\n"
                     "{ name = \"e\"; type = \"dense\"; units = 4; }\n");
    assert_int_equal(run_backward_build(opened.graph, opened.arena, &backward), BASE_OK);
    assert_int_equal(backward->count, 2);
    assert_int_equal(backward->nodes[0].node, node("e")->number);
    assert_int_equal(backward->nodes[0].inputs[0].tensor, node("d")->number);
    assert_int_equal(backward->nodes[1].node, node("d")->number);
    assert_int_equal(backward->nodes[1].inputs[0].tensor, -1);
}

static void gradients_of_shared_values_add_up(void **state)
{
    (void)state;
    const run_backward *backward;
    build("4", "{ name = \"a\"; type = \"dense\"; units = 4; },\n"
               "{ name = \"b\"; type = \"dense\"; units = 4; inputs = [\"a\"]; },\n"
               "{ name = \"s\"; type = \"add\"; inputs = [\"a\", \"b\", \"a\"]; }\n");
    int a = node("a")->number, b = node("b")->number;
    assert_int_equal(run_backward_build(opened.graph, opened.arena, &backward), BASE_OK);
    const run_gradient *sum = backward->nodes[0].inputs, *dense = backward->nodes[1].inputs;
    const int tensors[] = {a, b, a}, accumulates[] = {0, 0, 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sum[i].tensor, tensors[i]);
        assert_int_equal(sum[i].accumulate, accumulates[i]);
    }
    assert_int_equal(dense[0].tensor, a);
    assert_int_equal(dense[0].accumulate, 1);
}

/* ---- errors ---- */

static void errors_name_line_and_layer(void **state)
{
    (void)state;
    static const struct {
        const char *input, *layers, *says[3];
    } cases[] = {
        {"4",
         "{ type = \"dense\"; units = 4; },\n{ type = \"dense\"; units = 4; inputs = [\"nobody\"]; }\n",
         {"test.cfg:5", "inputs", "'nobody'"}},
        {"4",
         "{ type = \"dense\"; units = 4; },\n{ name = \"p\"; type = \"dense\"; units = 4; inputs = [\"q\"]; },\n"
         "{ name = \"q\"; type = \"dense\"; units = 4; inputs = [\"p\"]; }\n",
         {"test.cfg:5", "p", "cycle"}},
        {"4", "{ name = \"me\"; type = \"add\"; inputs = [\"me\", \"input\"]; }\n", {"test.cfg:4", "me", "cycle"}},
        {"4",
         "{ type = \"dense\"; units = 4; },\n{ name = \"x\"; type = \"dense\"; units = 4; inputs = [\"input\"]; }\n",
         {"test.cfg:5", "x", "nothing uses"}},
        {"4", "{ type = \"conv2d\"; filters = 2; kernel = 3; }\n", {"test.cfg:4", "conv2d1", "needs an image"}},
        {"1, 4, 4", "{ type = \"conv2d\"; filters = 2; kernel = [2, 5]; }\n", {"test.cfg:4", "2x5", "1x4x4"}},
        {"1, 8, 8", "{ type = \"max_pool2d\"; kernel = 2; padding = 2; }\n", {"test.cfg:4", "padding", "kernel"}},
        {"1, 32, 32", "{ type = \"max_pool2d\"; kernel = 16; }\n", {"test.cfg:4", "kernel", "255"}},
        {"4",
         "{ type = \"dense\"; name = \"a\"; units = 3; },\n{ name = \"s\"; type = \"add\"; inputs = [\"input\", "
         "\"a\"]; }\n",
         {"test.cfg:5", "'input' is 4", "'a' is 3"}},
        {"2, 4, 4",
         "{ type = \"max_pool2d\"; name = \"a\"; kernel = 2; },\n"
         "{ name = \"s\"; type = \"concat\"; inputs = [\"input\", \"a\"]; }\n",
         {"test.cfg:5", "2x4x4", "2x2x2"}},
        {"4", "{ type = \"add\"; }\n", {"test.cfg:4", "inputs", "two"}},
        {"4", "{ type = \"dense\"; units = 4; inputs = [\"input\", \"input\"]; }\n", {"test.cfg:4", "inputs", "dense"}},
        {"1, 4, 4", "{ type = \"conv2d\"; filters = 2; kernel = 3; }\n", {"test.cfg:4", "2x2x2", "vector"}},
        {"4", "{ type = \"activation\"; activation = \"relu\"; }\n", {"test.cfg:4", "no parameters", "activation1"}},
        {"4", "{ type = \"dense\"; units = 1000000000; }\n", {"test.cfg:4", "dense1", "too large"}},
        {"100000000", "{ type = \"dense\"; units = 100000; }\n", {"test.cfg:4", "dense1", "parameters"}},
        {"1000000000, 1000000000, 1000000000", "{ type = \"flatten\"; }\n", {"test.cfg", "model.input", "too large"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(graph_fixture_open(&opened, cases[i].input, cases[i].layers, 0), BASE_USAGE);
        for (int s = 0; s < 3; s++)
            if (!strstr(base_status_message(), cases[i].says[s]))
                fail_msg("case %zu: '%s' is not in: %s", i, cases[i].says[s], base_status_message());
        assert_null(strchr(base_status_message(), '\n'));
        graph_fixture_close(&opened);
    }
}

static void output_must_fit_the_classes(void **state)
{
    (void)state;
    const char *layers = "{ type = \"dense\"; units = 9; }\n";
    assert_int_equal(graph_fixture_open(&opened, "4", layers, 10), BASE_USAGE);
    assert_non_null(strstr(base_status_message(), "10 classes"));
    graph_fixture_close(&opened);
    assert_int_equal(graph_fixture_open(&opened, "4", layers, 9), BASE_OK);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shapes_follow_the_layers),
        TEST(parameters_in_canonical_order),
        TEST(weights_start_by_the_activation_that_follows),
        TEST(work_is_counted),
        TEST(layers_may_come_in_any_order),
        TEST(activation_folds_into_what_it_follows),
        TEST(activation_stays_where_the_value_is_needed),
        TEST(flatten_moves_nothing),
        TEST(dropout_works_in_place_where_it_may),
        TEST(alias_of_dropout_in_place_follows_it),
        TEST(backward_stops_before_the_first_parameter),
        TEST(gradients_of_shared_values_add_up),
        TEST(errors_name_line_and_layer),
        TEST(output_must_fit_the_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
