#include "ops_layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* OpenBLAS convolves by im2col; oneDNN, where it is, by its own kernels. */
static void check(ops_layer layer)
{
    ops_layer_check(&layer, "openblas");
    if (ops_reference_has("onednn"))
        ops_layer_check(&layer, "onednn");
}

/* A square image and kernel. */
static ops_layer square(int64_t batch, int64_t size, int64_t c, int64_t n, int64_t kernel, int64_t stride, int64_t pad)
{
    return (ops_layer){.op = {.h = size,
                              .w = size,
                              .c = c,
                              .n = n,
                              .kernel_h = kernel,
                              .kernel_w = kernel,
                              .stride_h = stride,
                              .stride_w = stride,
                              .pad_h = pad,
                              .pad_w = pad,
                              .activation = OPS_RELU,
                              .wants_dx = 1},
                       .batch = batch,
                       .bias = 1};
}

static void each_activation(void **state)
{
    (void)state;
    for (ops_activation a = OPS_IDENTITY; a < OPS_ACTIVATION_COUNT; a++) {
        ops_layer layer = square(3, 6, 3, 5, 3, 1, 1);
        layer.op.activation = a;
        check(layer);
    }
}

static void check_random_shapes(uint64_t seed, int count, int bf16)
{
    for (int i = 0; i < count; i++) {
        ops_conv2d op = {.h = ops_reference_int(&seed, 3, 9),
                         .w = ops_reference_int(&seed, 3, 9),
                         .c = ops_reference_int(&seed, 1, 7),
                         .n = ops_reference_int(&seed, 1, 9),
                         .kernel_h = ops_reference_int(&seed, 1, 3),
                         .kernel_w = ops_reference_int(&seed, 1, 3),
                         .stride_h = ops_reference_int(&seed, 1, 3),
                         .stride_w = ops_reference_int(&seed, 1, 3),
                         .pad_h = ops_reference_int(&seed, 0, 2),
                         .pad_w = ops_reference_int(&seed, 0, 2),
                         .activation = (ops_activation)(i % OPS_ACTIVATION_COUNT),
                         .wants_dx = i % 4 > 0};
        check((ops_layer){
            .op = op, .batch = ops_reference_int(&seed, 1, 6), .bias = i % 3 > 0, .accumulate = i % 2, .bf16 = bf16});
    }
}

static void random_shapes(void **state)
{
    (void)state;
    check_random_shapes(11, 24, 0);
}

static void bf16(void **state)
{
    (void)state;
    check_random_shapes(12, 15, 1);
    static const int64_t batches[] = {0, 1, 7, 17};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        ops_layer layer = square(batches[i], 5, 4, 8, 3, 1, 1);
        layer.max_batch = 17;
        layer.accumulate = (int)(i % 2);
        layer.bf16 = 1;
        check(layer);
    }
    ops_layer layers[] = {square(3, 13, 32, 64, 3, 1, 0), square(4, 7, 24, 16, 1, 1, 0), square(3, 7, 16, 32, 1, 2, 0)};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        layers[i].bf16 = 1;
        check(layers[i]);
    }
}

static void shapes_of_real_networks(void **state)
{
    (void)state;
    ops_layer first = square(5, 28, 1, 32, 3, 1, 0);
    first.op.wants_dx = 0;
    check(first);
    check(square(3, 13, 32, 64, 3, 1, 0));
    check(square(2, 16, 3, 20, 5, 2, 2));
    check(square(18, 4, 48, 33, 3, 1, 1));
    check(square(4, 7, 24, 16, 1, 1, 0)); /* no patches to make */
    check(square(3, 7, 16, 32, 1, 2, 0));
    check(square(2, 9, 5, 6, 9, 1, 0)); /* one pixel left */
}

/* More samples than groups, groups of unequal size, fewer samples than the layer is made for, none. */
static void each_number_of_samples(void **state)
{
    (void)state;
    static const int64_t batches[] = {0, 1, 2, 7, 16, 17, 33, 50};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        ops_layer layer = square(batches[i], 5, 4, 8, 3, 1, 1);
        layer.max_batch = 50;
        layer.accumulate = (int)(i % 2);
        check(layer);
    }
    ops_layer none = square(0, 5, 4, 8, 3, 1, 1);
    check(none);
}

/* Images that fill the cache, so that a group is more than one step of its engine. Without ReLU: of so many outputs one
 * would pass its kink within the step of the central differences. */
static void groups_of_several_steps(void **state)
{
    (void)state;
    ops_layer layer = square(18, 120, 4, 2, 2, 1, 0);
    layer.op.activation = OPS_IDENTITY;
    check(layer);
}

static void without_bias(void **state)
{
    (void)state;
    ops_layer layer = square(4, 8, 16, 16, 3, 1, 1);
    layer.bias = 0;
    check(layer);
    layer.op.activation = OPS_IDENTITY;
    layer.accumulate = 1;
    check(layer);
}

static void kernel_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    ops_context *self = NULL;
    base_pool *pool = NULL;
    ops_conv *conv = NULL;
    assert_int_equal(base_pool_create(&pool, 1), BASE_OK);
    ops_options options = {.pool = pool};
    assert_int_equal(ops_host()->open(&options, &self), BASE_OK);
    ops_layer layer = square(1, 3, 1, 1, 5, 1, 0);
    assert_int_equal(ops_host()->conv2d_create(self, &layer.op, 1, &conv), BASE_USAGE);
    assert_null(conv);
    assert_non_null(strstr(base_status_message(), "5x5"));
    ops_host()->close(&self);
    base_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_activation),
        cmocka_unit_test(random_shapes),
        cmocka_unit_test(bf16),
        cmocka_unit_test(shapes_of_real_networks),
        cmocka_unit_test(each_number_of_samples),
        cmocka_unit_test(groups_of_several_steps),
        cmocka_unit_test(without_bias),
        cmocka_unit_test(kernel_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
