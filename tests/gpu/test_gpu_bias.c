/* Bias and activation after a product, and their gradients with the bias's. */
#include "gpu_test.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct shape {
    int64_t rows, n;
} shape;

/* Rows of whole packs and not; one part of rows and several; more than one tile of columns. */
static const shape shapes[] = {{0, 5},     {1, 1},    {3, 17},   {128, 10},  {127, 33},
                               {128, 512}, {513, 64}, {515, 10}, {519, 127}, {2049, 8},
                               {1100, 72}, {3011, 3}, {5011, 1}, {5, 1511},  {0, 64}};
/* Sums in several parts, each of many rows; more tiles than blocks are worth. */
static const shape large[] = {{GPU_TEST_LONG(5003, 100003), 24}, {130, GPU_TEST_LONG(1003, 17003)}};
static const gpu_type types[] = {GPU_F32, GPU_BF16};
enum { TYPES = 2, SHAPES = sizeof shapes / sizeof shapes[0] };

static void forward_case(gpu_type type, ops_activation a, shape s, int with_bias, int with_z)
{
    const int64_t count = s.rows * s.n;
    uint64_t state = 5 + (uint64_t)count;
    float *x, *b;
    void *y = gpu_test_random(type, &state, count, -3.0, 3.0, &x);
    void *bias = gpu_test_random(type, &state, s.n, -1.0, 1.0, &b), *z = gpu_test_tensor(type, count);
    double *want_y = gpu_test_host((size_t)count * sizeof(double)),
           *want_z = gpu_test_host((size_t)count * sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        want_z[i] = (double)x[i] + (with_bias ? (double)b[i % s.n] : 0.0);
        want_y[i] = ops_reference_activate(a, want_z[i]);
    }
    GPU_TEST(gpu_bias_activation(gpu_test_stream, type, a, s.rows, s.n, with_bias ? bias : NULL, NULL, y,
                                 with_z ? z : NULL));
    gpu_test_near("y", type, y, want_y, count);
    if (with_z)
        gpu_test_near("z", type, z, want_z, count);
    gpu_test_end(NULL);
}

static void bias_and_activation(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
            for (int i = 0; i < SHAPES; i++)
                forward_case(types[t], a, shapes[i], i % 3 != 0, i % 2 == 0);
}

typedef struct backward {
    void *y, *z, *dy, *db, *scratch;
    double *want_dy, *want_db;
} backward;

static backward backward_make(gpu_type type, ops_activation a, shape s)
{
    const int64_t count = s.rows * s.n;
    uint64_t state = 9 + (uint64_t)count;
    float *z, *dy, *y;
    backward k = {.z = gpu_test_random(type, &state, count, -3.0, 3.0, &z)};
    k.dy = gpu_test_random(type, &state, count, -1.0, 1.0, &dy);
    k.y = gpu_test_tensor(type, count);
    GPU_TEST(gpu_activation_forward(gpu_test_stream, type, a, count, k.z, k.y));
    y = gpu_test_download_tensor(type, k.y, count);
    k.db = gpu_test_memory((size_t)s.n * sizeof(float));
    k.scratch = gpu_test_memory(GPU_SCRATCH_FLOATS * sizeof(float));
    k.want_dy = gpu_test_host((size_t)count * sizeof(double));
    k.want_db = gpu_test_host((size_t)s.n * sizeof(double));
    for (int64_t j = 0; j < s.n; j++)
        k.want_db[j] = 0.0;
    for (int64_t i = 0; i < count; i++) { /* of y and z as they are stored */
        double f = (double)y[i], slope = ops_reference_slope(a, (double)z[i]);
        slope = a == OPS_TANH ? 1.0 - f * f : a == OPS_SIGMOID ? f * (1.0 - f) : slope;
        k.want_dy[i] = (double)dy[i] * slope;
    }
    return k;
}

static void backward_case(gpu_type type, ops_activation a, shape s)
{
    const int64_t count = s.rows * s.n;
    const int keeps = ops_activation_keeps_input(a);
    backward k = backward_make(type, a, s);
    void *dy = gpu_test_upload(gpu_test_download(k.dy, gpu_test_size(type, count)), gpu_test_size(type, count));
    void *again = gpu_test_upload(gpu_test_download(k.dy, gpu_test_size(type, count)), gpu_test_size(type, count));
    void *y = keeps ? NULL : k.y, *z = keeps ? k.z : NULL;

    GPU_TEST(gpu_bias_activation_backward(gpu_test_stream, type, a, s.rows, s.n, y, z, dy, k.db, k.scratch));
    gpu_test_near("dy", type, dy, k.want_dy, count);
    const float *stored = gpu_test_download_tensor(type, dy, count);
    for (int64_t i = 0; i < count; i++)
        k.want_db[i % s.n] += (double)stored[i];
    gpu_test_near("db", GPU_F32, k.db, k.want_db, s.n);
    uint64_t digest = gpu_test_digest(k.db, (size_t)s.n * sizeof(float));

    void *db = gpu_test_memory((size_t)s.n * sizeof(float));
    GPU_TEST(gpu_bias_activation_backward(gpu_test_stream, type, a, s.rows, s.n, y, z, again, db, k.scratch));
    assert_true(gpu_test_digest(db, (size_t)s.n * sizeof(float)) == digest);
    /* Without db. */
    GPU_TEST(gpu_bias_activation_backward(gpu_test_stream, type, a, s.rows, s.n, y, z, k.dy, NULL, NULL));
    gpu_test_same("dy", k.dy, gpu_test_download(dy, gpu_test_size(type, count)), gpu_test_size(type, count));
    gpu_test_end(NULL);
}

static void gradients_of_bias_and_activation(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
            for (int i = 0; i < SHAPES; i++)
                backward_case(types[t], a, shapes[i]);
    backward_case(GPU_F32, OPS_IDENTITY, large[0]);
    backward_case(GPU_BF16, OPS_RELU, large[0]);
    backward_case(GPU_F32, OPS_RELU, large[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bias_and_activation, gpu_test_end),
        cmocka_unit_test_teardown(gradients_of_bias_and_activation, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
