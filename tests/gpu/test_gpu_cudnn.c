/* When convolutions go through cuDNN, by what the emulator's cuDNN has run. */
#include "cudnn_emulated.h"
#include "gpu_layer_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Runs of one layer, forward and backward; nothing of cuDNN is left behind. */
static cudnn_emulated_runs runs_of(ops_precision precision, const gpu_layer *l)
{
    const int descriptors = cudnn_emulated_descriptors;
    gpu_ops_test t = gpu_ops_test_open(precision, 0);
    memset(&cudnn_emulated, 0, sizeof cudnn_emulated);
    gpu_layer_test_case(&t, l);
    gpu_ops_test_close(&t);
    assert_int_equal(cudnn_emulated_descriptors, descriptors);
    return cudnn_emulated;
}

static void bias_and_relu_ride_on_the_forward_pass(void **state)
{
    (void)state;
    gpu_layer l = {{6, 6, 8, 8, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 2, 0, 1, 0};
    for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++) {
        cudnn_emulated_runs runs = runs_of(p, &l);
        assert_int_equal(runs.forward[3], 1);
        assert_int_equal(runs.data, 1);
        assert_int_equal(runs.weights, 1);
        assert_int_equal(runs.forward[1] + runs.forward[2] + runs.weights_narrow, 0);
    }
    l.op.activation = OPS_GELU;
    assert_int_equal(runs_of(OPS_FP32, &l).forward[2], 1);
    l.bias = 0;
    assert_int_equal(runs_of(OPS_FP32, &l).forward[1], 1);
    l.accumulate = 1;
    assert_int_equal(runs_of(OPS_FP32, &l).data_added, 1);
    l.op.wants_dx = 0;
    assert_int_equal(runs_of(OPS_FP32, &l).data_added, 0);
}

static void what_is_not_there_goes_another_way(void **state)
{
    (void)state;
    gpu_layer l = {{6, 6, 8, 7, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 2, 0, 1, 0};
    cudnn_emulated_runs runs = runs_of(OPS_BF16, &l); /* no bias for odd N, dw in bfloat16 */
    assert_int_equal(runs.forward[3] * 100 + runs.forward[1] * 10 + runs.weights_narrow, 11);
    l.op.h = 7;
    runs = runs_of(OPS_BF16, &l); /* no dw */
    assert_int_equal(runs.weights + runs.weights_narrow, 0);
    assert_int_equal(runs.data, 1);
    l.op.c = 2;
    runs = runs_of(OPS_FP32, &l); /* no forward pass, but the others, with weights of the transposed copy */
    assert_int_equal(runs.forward[1] + runs.forward[3], 0);
    assert_int_equal(runs.data * 10 + runs.weights, 11);
    l.op.n = 6;
    l.op.c = 3;
    runs = runs_of(OPS_FP32, &l); /* plans that do not start */
    assert_int_equal(runs.failed, 4);
    assert_int_equal(runs.forward[1] + runs.forward[3] + runs.data + runs.weights, 0);
}

static void a_plan_is_made_once(void **state)
{
    (void)state;
    const gpu_layer l = {{6, 6, 3, 6, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 2, 0, 1, 0};
    gpu_ops_test t = gpu_ops_test_open(OPS_FP32, 0);
    ops_conv *conv = NULL;
    uint64_t seed = 3;
    GPU_OPS(ops_gpu.conv2d_create(t.self, &l.op, 2, &conv));
    memset(&cudnn_emulated, 0, sizeof cudnn_emulated);
    for (int i = 0; i < 3; i++) {
        gpu_layer_numbers n = gpu_layer_test_make(&t, &l, &seed);
        gpu_layer_test_forward(&t, &n, conv);
    }
    assert_int_equal(cudnn_emulated.failed, 2); /* with bias and relu, and alone; not tried again */
    ops_gpu.conv2d_destroy(&conv);
    gpu_ops_test_close(&t);
}

static void images_that_are_their_patches_do_without(void **state)
{
    (void)state;
    const gpu_layer l = {{6, 6, 8, 8, 1, 1, 1, 1, 0, 0, OPS_RELU, 1}, 2, 0, 1, 0};
    const cudnn_emulated_runs none = {.data = 0}, runs = runs_of(OPS_FP32, &l);
    assert_memory_equal(&runs, &none, sizeof none);
}

static void the_environment_forbids_it(void **state)
{
    (void)state;
    const gpu_layer l = {{6, 6, 8, 8, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 2, 0, 1, 0};
    const cudnn_emulated_runs none = {.data = 0};
    char text[128];
    setenv("DDPT_GPU_CUDNN", "0", 1);
    const cudnn_emulated_runs runs = runs_of(OPS_FP32, &l);
    assert_memory_equal(&runs, &none, sizeof none);
    gpu_describe_libraries(text, sizeof text);
    assert_string_equal(text, "products of the emulator");
    setenv("DDPT_GPU_CUDNN", "1", 1);
    assert_int_equal(runs_of(OPS_FP32, &l).data, 1);
    unsetenv("DDPT_GPU_CUDNN");
    gpu_describe_libraries(text, sizeof text);
    assert_string_equal(text, "products of the emulator, cuDNN 9.19");
}

/* Where a convolution is. */
static void a_context_names_it(void **state)
{
    (void)state;
    gpu_ops_test t = gpu_ops_test_open(OPS_FP32, 0);
    const ops_conv2d op = {6, 6, 8, 8, 3, 3, 1, 1, 1, 1, OPS_RELU, 1};
    ops_conv *conv = NULL;
    assert_string_equal(ops_gpu.libraries(t.self), "products of the emulator");
    GPU_OPS(ops_gpu.conv2d_create(t.self, &op, 1, &conv));
    assert_string_equal(ops_gpu.libraries(t.self), "products of the emulator, cuDNN 9.19");
    ops_gpu.conv2d_destroy(&conv);
    gpu_ops_test_close(&t);
}

int main(void)
{
    setenv("DDPT_GPU_OWN", "0", 1); /* which would take what is not bfloat16 */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bias_and_relu_ride_on_the_forward_pass, gpu_test_end),
        cmocka_unit_test_teardown(what_is_not_there_goes_another_way, gpu_test_end),
        cmocka_unit_test_teardown(a_plan_is_made_once, gpu_test_end),
        cmocka_unit_test_teardown(images_that_are_their_patches_do_without, gpu_test_end),
        cmocka_unit_test_teardown(the_environment_forbids_it, gpu_test_end),
        cmocka_unit_test_teardown(a_context_names_it, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
