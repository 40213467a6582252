#include "ops_layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static ops_layer dense(int64_t m, int64_t k, int64_t n, ops_activation activation, int bias, int wants_dx,
                       int accumulate)
{
    return (ops_layer){.op = {.h = 1,
                              .w = 1,
                              .c = k,
                              .n = n,
                              .kernel_h = 1,
                              .kernel_w = 1,
                              .stride_h = 1,
                              .stride_w = 1,
                              .activation = activation,
                              .wants_dx = wants_dx},
                       .dense = 1,
                       .batch = m,
                       .bias = bias,
                       .accumulate = accumulate};
}

static void check(int64_t m, int64_t k, int64_t n, ops_activation activation, int bias, int wants_dx, int accumulate)
{
    ops_layer layer = dense(m, k, n, activation, bias, wants_dx, accumulate);
    ops_layer_check(&layer, "openblas");
    if (ops_reference_has("onednn"))
        ops_layer_check(&layer, "onednn");
}

static void each_activation(void **state)
{
    (void)state;
    for (ops_activation a = OPS_IDENTITY; a < OPS_ACTIVATION_COUNT; a++)
        check(13, 19, 37, a, 1, 1, 0);
}

static void random_shapes(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 20; i++) {
        int64_t m = ops_reference_int(&seed, 1, 40), k = ops_reference_int(&seed, 1, 70);
        int64_t n = ops_reference_int(&seed, 1, 70);
        ops_activation a = (ops_activation)ops_reference_int(&seed, 0, OPS_ACTIVATION_COUNT - 1);
        check(m, k, n, a, i % 2, i % 3 > 0, i % 5 == 1);
    }
}

static void shapes_of_several_blocks(void **state)
{
    (void)state;
    check(9, 1100, 530, OPS_RELU, 1, 1, 0);
    check(300, 40, 141, OPS_GELU, 1, 1, 1);
    check(16, 300, 10, OPS_IDENTITY, 1, 1, 0);
    check(27, 141, 1100, OPS_TANH, 1, 1, 0); /* a transposed product in several pieces, with odd edges */
    check(24, 40, 1040, OPS_SIGMOID, 0, 1, 1);
}

static void no_samples(void **state)
{
    (void)state;
    check(0, 7, 9, OPS_RELU, 1, 1, 0);
    check(0, 7, 9, OPS_GELU, 0, 1, 1);
}

static void without_bias_or_input_gradient(void **state)
{
    (void)state;
    check(12, 31, 33, OPS_RELU, 0, 0, 0);
    check(12, 31, 33, OPS_IDENTITY, 0, 0, 0);
    check(12, 31, 33, OPS_IDENTITY, 0, 1, 1);
}

/* By no library. */
static void check_bf16(int64_t m, int64_t k, int64_t n, ops_activation activation, int accumulate)
{
    ops_layer layer = dense(m, k, n, activation, 1, 1, accumulate);
    layer.bf16 = 1;
    ops_layer_check(&layer, "auto");
}

static void bf16(void **state)
{
    (void)state;
    for (ops_activation a = OPS_IDENTITY; a < OPS_ACTIVATION_COUNT; a++)
        check_bf16(13, 19, 37, a, 0);
    uint64_t seed = 6;
    for (int i = 0; i < 20; i++) {
        int64_t m = ops_reference_int(&seed, 1, 70), k = ops_reference_int(&seed, 1, 70);
        check_bf16(m, k, ops_reference_int(&seed, 1, 70), (ops_activation)(i % OPS_ACTIVATION_COUNT), i % 2);
    }
    check_bf16(9, 1100, 530, OPS_RELU, 0);
    check_bf16(27, 141, 1101, OPS_IDENTITY, 1);
    check_bf16(0, 7, 9, OPS_RELU, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_activation),
        cmocka_unit_test(random_shapes),
        cmocka_unit_test(shapes_of_several_blocks),
        cmocka_unit_test(no_samples),
        cmocka_unit_test(without_bias_or_input_gradient),
        cmocka_unit_test(bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
