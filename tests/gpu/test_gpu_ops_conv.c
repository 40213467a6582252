/* The GPU's slots for convolutions against references in double: by ddpt's own products where these are for it, by
 * cuDNN where it is, and without either. */
#include "gpu_layer_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Between them they meet all that the emulator's cuDNN has and has not (cudnn_emulated.h). */
static const gpu_layer convs[] = {
    {{7, 5, 3, 4, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 3, 0, 1, 0},
    {{8, 8, 8, 16, 3, 3, 1, 1, 0, 0, OPS_GELU, 1}, 2, 0, 1, 1},
    {{9, 6, 2, 5, 2, 3, 2, 1, 1, 0, OPS_IDENTITY, 1}, 4, 0, 0, 0},
    {{6, 6, 8, 8, 1, 1, 1, 1, 0, 0, OPS_TANH, 1}, 2, 0, 1, 1},    /* the image is its patches */
    {{6, 5, 8, 8, 1, 1, 2, 2, 0, 0, OPS_SIGMOID, 1}, 2, 0, 1, 0}, /* and here not */
    {{5, 5, 1, 6, 5, 5, 1, 1, 0, 0, OPS_RELU, 0}, 5, 0, 1, 0},
    {{4, 4, 3, 2, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 0, 0, 1, 0},
    {{8, 7, 4, 8, 3, 2, 1, 2, 1, 1, OPS_RELU, 1}, 3, 0, 1, 1},
    {{6, 8, 5, 12, 3, 3, 2, 2, 1, 1, OPS_RELU, 1}, 2, 0, 1, 1},
    {{6, 6, 3, 7, 3, 3, 1, 1, 1, 1, OPS_GELU, 1}, 2, 0, 1, 0},
    {{7, 6, 3, 8, 3, 3, 1, 1, 2, 0, OPS_RELU, 1}, 2, 0, 0, 0},
    {{5, 8, 17, 24, 3, 3, 1, 1, 1, 1, OPS_IDENTITY, 1}, 2, 0, 1, 0},
    {{28, 28, 1, 32, 3, 3, 1, 1, 0, 0, OPS_RELU, 0}, GPU_TEST_LONG(1, 9), 0, 1, 0}, /* as in mnist-cnn.cfg */
    {{GPU_TEST_LONG(9, 26), 26, 32, 64, 3, 3, 1, 1, 0, 0, OPS_RELU, 1}, GPU_TEST_LONG(1, 3), 0, 1, 0},
};

static void run_convs(gpu_ops_test *t)
{
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        gpu_layer_test_case(t, &convs[i]);
}

static void convolutions(void **state)
{
    (void)state;
    gpu_ops_test_all(run_convs);
}

/* Room for the patches of two samples, then of less than one: the sums go on from part to part. */
static void convolutions_in_parts(void **state)
{
    (void)state;
    const gpu_layer l = {{6, 6, 4, 8, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 5, 0, 1, 1};
    const size_t rooms[] = {2 * 36 * 36 * sizeof(float), 100};
    for (int i = 0; i < 2; i++) {
        gpu_ops_test t = gpu_ops_test_open(OPS_FP32, rooms[i]);
        gpu_layer_test_case(&t, &l);
        gpu_ops_test_close(&t);
    }
}

/* One convolution, other weights and numbers of samples from call to call, as with a short last batch and evaluation.
 */
static void run_batches(gpu_ops_test *t)
{
    static const int64_t batches[] = {5, 3, 5, 1, 0, 4, 5};
    gpu_layer l = {{4, 6, 8, 16, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 0, 0, 1, 0};
    uint64_t state = 77;
    ops_conv *conv = NULL;
    GPU_OPS(ops_gpu.conv2d_create(t->self, &l.op, 5, &conv));
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        l.batch = batches[i];
        gpu_layer_numbers n = gpu_layer_test_make(t, &l, &state);
        gpu_layer_test_forward(t, &n, conv);
        if (i != 2) /* evaluation */
            gpu_layer_test_backward(t, &n, conv, &state);
        gpu_test_end(NULL);
    }
    ops_gpu.conv2d_destroy(&conv);
}

static void batches_and_weights_that_change(void **state)
{
    (void)state;
    gpu_ops_test_all(run_batches);
}

/* ---- graphs ---- */

typedef struct step {
    const gpu_ops_test *t;
    gpu_layer_numbers n;
    ops_conv *conv;
    float *gradient; /* what dy begins as */
} step;

static void put_step(const step *s)
{
    const gpu_layer_numbers *n = &s->n;
    const float *b = n->params + (n->b - n->w);
    GPU_TEST(gpu_copy(gpu_test_stream, s->t->type, n->y_count, s->gradient, n->dy, 0));
    GPU_OPS(ops_gpu.conv2d_forward(s->t->self, s->conv, n->l->batch, n->device_x, n->params, b, n->y, NULL));
    GPU_OPS(ops_gpu.conv2d_backward(s->t->self, s->conv, n->l->batch, n->device_x, n->params, n->y, NULL, n->dy, n->dw,
                                    n->db, n->dx, 0));
}

static uint64_t digest_of(const step *s)
{
    const gpu_layer_numbers *n = &s->n;
    uint64_t digest = gpu_test_digest(n->y, gpu_test_size(s->t->type, n->y_count));
    digest = digest * 31 + gpu_test_digest(n->dx, gpu_test_size(s->t->type, n->x_count));
    digest = digest * 31 + gpu_test_digest(n->dw, (size_t)n->w_count * sizeof(float));
    return digest * 31 + gpu_test_digest(n->db, (size_t)n->l->op.n * sizeof(float));
}

static void change_weights(const step *s, uint64_t *state)
{
    float *host = gpu_test_host((size_t)s->n.w_count * sizeof *host);
    ops_reference_fill(state, host, s->n.w_count, -0.4, 0.4);
    gpu_test_write(s->n.params, host, (size_t)s->n.w_count * sizeof *host);
    GPU_OPS(ops_gpu.params_changed(s->t->self, s->n.params, s->n.w_count));
}

/* After new weights the captured step does what the step itself does, and again the same. */
static void run_captured(gpu_ops_test *t)
{
    const gpu_layer l = {{8, 6, 8, 16, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 3, 0, 1, 0};
    uint64_t state = 12;
    gpuGraph_t graph;
    gpuGraphExec_t exec;
    step s = {.t = t, .n = gpu_layer_test_make(t, &l, &state)};
    s.gradient = gpu_test_random(t->type, &state, s.n.y_count, -1.0, 1.0, NULL);
    s.n.dy = gpu_test_tensor(t->type, s.n.y_count);
    s.n.dx = gpu_test_tensor(t->type, s.n.x_count);
    GPU_OPS(ops_gpu.conv2d_create(t->self, &l.op, l.batch, &s.conv));
    put_step(&s);
    const uint64_t first = digest_of(&s);
    GPU_TEST(gpuStreamBeginCapture(gpu_test_stream, gpuStreamCaptureModeThreadLocal));
    put_step(&s);
    GPU_TEST(gpuStreamEndCapture(gpu_test_stream, &graph));
    GPU_TEST(gpuGraphInstantiate(&exec, graph, 0));
    GPU_TEST(gpuGraphLaunch(exec, gpu_test_stream));
    assert_true(digest_of(&s) == first);

    change_weights(&s, &state);
    GPU_TEST(gpuGraphLaunch(exec, gpu_test_stream));
    const uint64_t replayed = digest_of(&s);
    assert_true(replayed != first);
    put_step(&s);
    assert_true(digest_of(&s) == replayed);
    GPU_TEST(gpuGraphExecDestroy(exec));
    GPU_TEST(gpuGraphDestroy(graph));
    ops_gpu.conv2d_destroy(&s.conv);
    gpu_test_end(NULL);
}

static void captured_steps(void **state)
{
    (void)state;
    gpu_ops_test_all(run_captured);
}

static void kernels_that_do_not_fit(void **state)
{
    (void)state;
    gpu_ops_test t = gpu_ops_test_open(OPS_FP32, 0);
    const ops_conv2d op = {3, 3, 1, 1, 5, 5, 1, 1, 0, 0, OPS_RELU, 1};
    ops_conv *conv = NULL;
    assert_int_equal(ops_gpu.conv2d_create(t.self, &op, 1, &conv), BASE_USAGE);
    assert_null(conv);
    gpu_ops_test_close(&t);
}

static int by_cudnn(void **state)
{
    (void)state;
    return setenv("DDPT_GPU_OWN", "0", 1);
}

static int by_patches(void **state)
{
    return by_cudnn(state) | setenv("DDPT_GPU_CUDNN", "0", 1);
}

static int by_our_own(void **state)
{
    return gpu_test_end(state) | unsetenv("DDPT_GPU_OWN") | unsetenv("DDPT_GPU_CUDNN");
}

#define BY_LIBRARIES(test)                                                                                             \
    {"by cuDNN: " #test, test, by_cudnn, by_our_own, NULL},                                                            \
    {                                                                                                                  \
        "by patches: " #test, test, by_patches, by_our_own, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(convolutions, gpu_test_end),
        cmocka_unit_test_teardown(convolutions_in_parts, gpu_test_end),
        cmocka_unit_test_teardown(batches_and_weights_that_change, gpu_test_end),
        cmocka_unit_test_teardown(captured_steps, gpu_test_end),
        cmocka_unit_test_teardown(kernels_that_do_not_fit, gpu_test_end),
        BY_LIBRARIES(convolutions),
        BY_LIBRARIES(convolutions_in_parts),
        BY_LIBRARIES(batches_and_weights_that_change),
        BY_LIBRARIES(captured_steps),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
