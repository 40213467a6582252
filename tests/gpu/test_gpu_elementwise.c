/* Activations, copies, sums, columns side by side and changes of type, against references in double. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const gpu_type types[] = {GPU_F32, GPU_BF16};
static const int64_t counts[] = {0, 1, 3, 7, 8, 17, 33, 127, 4096, 9011};
/* More than all threads of the largest grid take at once. */
static const int64_t long_count = GPU_TEST_LONG(50003, 5000003);

enum { TYPES = 2, COUNTS = sizeof counts / sizeof counts[0] };

static double *widened(const float *x, int64_t count)
{
    double *wide = gpu_test_host((size_t)count * sizeof *wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)x[i];
    return wide;
}

static void forward_case(gpu_type type, ops_activation a, int64_t count)
{
    uint64_t state = 1 + (uint64_t)count;
    float *host;
    void *x = gpu_test_random(type, &state, count, -6.0, 6.0, &host), *y = gpu_test_tensor(type, count);
    double *want = widened(host, count);
    for (int64_t i = 0; i < count; i++)
        want[i] = ops_reference_activate(a, want[i]);
    GPU_TEST(gpu_activation_forward(gpu_test_stream, type, a, count, x, y));
    gpu_test_near(ops_activation_name(a), type, y, want, count);
    uint64_t first = gpu_test_digest(y, gpu_test_size(type, count));
    GPU_TEST(gpu_activation_forward(gpu_test_stream, type, a, count, x, x)); /* in place */
    assert_true(gpu_test_digest(x, gpu_test_size(type, count)) == first);
    gpu_test_end(NULL);
}

static void activations_forward(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
            for (int c = 0; c < COUNTS; c++)
                forward_case(types[t], a, counts[c]);
    forward_case(GPU_F32, OPS_RELU, long_count);
    forward_case(GPU_BF16, OPS_RELU, long_count);
}

/* Relative to the value alone, so that tails count, over the range in which results are normal floats. */
static void activations_keep_their_digits(void **state)
{
    (void)state;
    enum { COUNT = 40001 };
    for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++) {
        float *x = gpu_test_host(COUNT * sizeof *x);
        for (int i = 0; i < COUNT; i++)
            x[i] = (float)(i - COUNT / 2) * 6.1e-4f;
        void *device = gpu_test_upload_tensor(GPU_F32, x, COUNT);
        GPU_TEST(gpu_activation_forward(gpu_test_stream, GPU_F32, a, COUNT, device, device));
        const float *y = gpu_test_download_tensor(GPU_F32, device, COUNT);
        for (int i = 0; i < COUNT; i++) {
            double want = ops_reference_activate(a, (double)x[i]);
            if (!(fabs((double)y[i] - want) <= 2e-6 * fabs(want)))
                fail_msg("%s(%.9g) is %.9g, expected %.9g", ops_activation_name(a), (double)x[i], (double)y[i], want);
        }
        gpu_test_end(NULL);
    }
}

static void activations_of_nan_and_infinity(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++) {
            float x[4] = {NAN, -INFINITY, INFINITY, -0.0f};
            void *device = gpu_test_upload_tensor(types[t], x, 4);
            GPU_TEST(gpu_activation_forward(gpu_test_stream, types[t], a, 4, device, device));
            const float *y = gpu_test_download_tensor(types[t], device, 4);
            assert_true(isnan(y[0]));
            assert_true(a == OPS_RELU || a == OPS_SIGMOID ? y[1] == 0.0f : a == OPS_TANH ? y[1] == -1.0f : 1);
            assert_true(a == OPS_TANH || a == OPS_SIGMOID ? y[2] == 1.0f : isinf(y[2]));
            assert_true(y[3] == (a == OPS_SIGMOID ? 0.5f : 0.0f));
            gpu_test_end(NULL);
        }
}

static void backward_case(gpu_type type, ops_activation a, int64_t count, int accumulate)
{
    uint64_t state = 7 + (uint64_t)count;
    float *x_host, *dy_host, *before;
    void *x = gpu_test_random(type, &state, count, -3.0, 3.0, &x_host), *y = gpu_test_tensor(type, count);
    void *dy = gpu_test_random(type, &state, count, -1.0, 1.0, &dy_host);
    void *dx = gpu_test_random(type, &state, count, -1.0, 1.0, &before);
    int keeps = ops_activation_keeps_input(a);
    if (!accumulate)
        GPU_TEST(gpuMemsetAsync(dx, 0xff, gpu_test_size(type, count), gpu_test_stream));
    GPU_TEST(gpu_activation_forward(gpu_test_stream, type, a, count, x, y));
    GPU_TEST(gpu_activation_backward(gpu_test_stream, type, a, count, keeps ? x : NULL, keeps ? NULL : y, dy, dx,
                                     accumulate));
    double *want = gpu_test_host((size_t)count * sizeof *want);
    for (int64_t i = 0; i < count; i++)
        want[i] =
            (double)dy_host[i] * ops_reference_slope(a, (double)x_host[i]) + (accumulate ? (double)before[i] : 0.0);
    gpu_test_near("dx", type, dx, want, count);
    if (!accumulate) { /* in place */
        uint64_t first = gpu_test_digest(dx, gpu_test_size(type, count));
        GPU_TEST(gpu_activation_backward(gpu_test_stream, type, a, count, x, y, dy, dy, 0));
        assert_true(gpu_test_digest(dy, gpu_test_size(type, count)) == first);
        GPU_TEST(gpu_activation_backward(gpu_test_stream, type, a, count, x, y, dy, NULL, 0));
    }
    gpu_test_end(NULL);
}

static void activations_backward(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
            for (int c = 0; c < COUNTS; c++)
                for (int accumulate = 0; accumulate < 2; accumulate++)
                    backward_case(types[t], a, counts[c], accumulate);
}

static void copy_case(gpu_type type, int64_t count)
{
    uint64_t state = 3;
    float *a, *b;
    void *from = gpu_test_random(type, &state, count, -1.0, 1.0, &a), *to = gpu_test_tensor(type, count);
    void *sum = gpu_test_random(type, &state, count, -1.0, 1.0, &b);
    GPU_TEST(gpu_copy(gpu_test_stream, type, count, from, to, 0));
    GPU_TEST(gpu_copy(gpu_test_stream, type, count, from, sum, 1));
    gpu_test_same("copy", to, gpu_test_download(from, gpu_test_size(type, count)), gpu_test_size(type, count));
    double *want = widened(a, count);
    for (int64_t i = 0; i < count; i++) /* one addition, rounded once */
        want[i] = type == GPU_F32 ? (double)(a[i] + b[i]) : (double)gpu_test_bf16(a[i] + b[i]);
    gpu_test_near_within("sum", type, sum, want, count, 0.0);
    gpu_test_end(NULL);
}

static void copies(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        for (int c = 0; c < COUNTS; c++)
            copy_case(types[t], counts[c]);
        copy_case(types[t], long_count);
    }
}

static void add_case(gpu_type type, int inputs, int64_t count)
{
    uint64_t state = (uint64_t)inputs;
    const void *x[GPU_JOIN_MAX];
    double *want = gpu_test_host((size_t)count * sizeof *want);
    float *host, *sum = gpu_test_host((size_t)count * sizeof *sum);
    memset(sum, 0, (size_t)count * sizeof *sum);
    void *last = NULL, *y = gpu_test_tensor(type, count);
    for (int i = 0; i < inputs; i++) {
        x[i] = last = gpu_test_random(type, &state, count, -1.0, 1.0, &host);
        for (int64_t j = 0; j < count; j++)
            sum[j] += host[j];
    }
    for (int64_t j = 0; j < count; j++) /* from the first to the last, in float */
        want[j] = (double)(type == GPU_F32 ? sum[j] : gpu_test_bf16(sum[j]));
    GPU_TEST(gpu_add(gpu_test_stream, type, inputs, count, x, y));
    gpu_test_near_within("y", type, y, want, count, 0.0);
    GPU_TEST(gpu_add(gpu_test_stream, type, inputs, count, x, last)); /* over its last input */
    gpu_test_near_within("y over x", type, last, want, count, 0.0);
    gpu_test_end(NULL);
}

static void additions(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (int inputs = 1; inputs <= GPU_JOIN_MAX; inputs++)
            for (int c = 0; c < COUNTS; c++)
                add_case(types[t], inputs, counts[c]);
}

static void concat_case(gpu_type type, int64_t rows, const int64_t *c)
{
    uint64_t state = (uint64_t)rows;
    const int64_t total = c[0] + c[1] + c[2];
    void *y = gpu_test_tensor(type, rows * total);
    const size_t size = gpu_test_size(type, 1);
    for (int64_t from = 0, i = 0; i < 3; from += c[i++]) {
        void *x = gpu_test_random(type, &state, rows * c[i], -1.0, 1.0, NULL);
        void *dx = gpu_test_tensor(type, rows * c[i]);
        GPU_TEST(gpu_concat(gpu_test_stream, type, rows, total, from, c[i], x, y));
        GPU_TEST(gpu_concat_backward(gpu_test_stream, type, rows, total, from, c[i], y, dx, 0));
        const unsigned char *host_x = gpu_test_download(x, gpu_test_size(type, rows * c[i]));
        const unsigned char *host_y = gpu_test_download(y, gpu_test_size(type, rows * total));
        gpu_test_same("dx", dx, host_x, gpu_test_size(type, rows * c[i]));
        for (int64_t r = 0; r < rows; r++)
            assert_memory_equal(host_y + (size_t)(r * total + from) * size, host_x + (size_t)(r * c[i]) * size,
                                (size_t)c[i] * size);
        GPU_TEST(gpu_concat_backward(gpu_test_stream, type, rows, total, from, c[i], y, dx, 1));
        float *once = gpu_test_download_tensor(type, x, rows * c[i]);
        double *twice = widened(once, rows * c[i]);
        for (int64_t j = 0; j < rows * c[i]; j++)
            twice[j] *= 2.0;
        gpu_test_near_within("dx twice", type, dx, twice, rows * c[i], 0.0);
        GPU_TEST(gpu_concat_backward(gpu_test_stream, type, rows, total, from, c[i], y, NULL, 0));
    }
    gpu_test_end(NULL);
}

static void columns_side_by_side(void **state)
{
    (void)state;
    static const int64_t widths[][3] = {{3, 17, 1}, {8, 64, 16}, {8, 3, 8}, {4, 8, 4}, {1, 1, 1}, {300, 5, 33}};
    static const int64_t rows[] = {0, 1, 37, 1001};
    for (int t = 0; t < TYPES; t++)
        for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
                concat_case(types[t], rows[r], widths[w]);
    /* More than one turn of the largest grid. */
    concat_case(GPU_F32, GPU_TEST_LONG(3003, 100003), (const int64_t[]){7, 28, 1});
    concat_case(GPU_F32, GPU_TEST_LONG(3003, 100003), (const int64_t[]){28, 4, 4});
}

static void type_case(int64_t count)
{
    uint64_t state = 17;
    float *x = gpu_test_host((size_t)count * sizeof *x), *rounded = gpu_test_host((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++) { /* all exponents, ties among them */
        uint32_t bits = (uint32_t)ops_reference_int(&state, 0, UINT32_MAX);
        bits = i % 3 == 0 ? (bits & 0xffff0000u) | 0x8000u : bits;
        memcpy(&x[i], &bits, sizeof bits);
        x[i] = isnan(x[i]) ? 1.0f : x[i];
        rounded[i] = gpu_test_bf16(x[i]);
    }
    void *from = gpu_test_upload(x, (size_t)count * sizeof *x), *to = gpu_test_tensor(GPU_BF16, count);
    void *back = gpu_test_tensor(GPU_F32, count), *same = gpu_test_tensor(GPU_F32, count);
    GPU_TEST(gpu_narrow(gpu_test_stream, GPU_BF16, count, from, to));
    GPU_TEST(gpu_widen(gpu_test_stream, GPU_BF16, count, to, back));
    gpu_test_same("float of bf16", back, rounded, (size_t)count * sizeof *x);
    assert_memory_equal(gpu_test_download_tensor(GPU_BF16, to, count), rounded, (size_t)count * sizeof *x);
    GPU_TEST(gpu_narrow(gpu_test_stream, GPU_F32, count, from, same));
    gpu_test_same("float", same, x, (size_t)count * sizeof *x);
    GPU_TEST(gpuMemsetAsync(same, 0xff, (size_t)count * sizeof *x, gpu_test_stream));
    GPU_TEST(gpu_widen(gpu_test_stream, GPU_F32, count, from, same));
    gpu_test_same("float again", same, x, (size_t)count * sizeof *x);
    gpu_test_end(NULL);
}

static void changes_of_type(void **state)
{
    (void)state;
    for (int c = 0; c < COUNTS; c++)
        type_case(counts[c]);
    float nan[2] = {NAN, INFINITY};
    void *from = gpu_test_upload(nan, sizeof nan), *to = gpu_test_tensor(GPU_BF16, 2);
    GPU_TEST(gpu_narrow(gpu_test_stream, GPU_BF16, 2, from, to));
    const float *got = gpu_test_download_tensor(GPU_BF16, to, 2);
    assert_true(isnan(got[0]) && isinf(got[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(activations_forward, gpu_test_end),
        cmocka_unit_test_teardown(activations_keep_their_digits, gpu_test_end),
        cmocka_unit_test_teardown(activations_of_nan_and_infinity, gpu_test_end),
        cmocka_unit_test_teardown(activations_backward, gpu_test_end),
        cmocka_unit_test_teardown(copies, gpu_test_end),
        cmocka_unit_test_teardown(additions, gpu_test_end),
        cmocka_unit_test_teardown(columns_side_by_side, gpu_test_end),
        cmocka_unit_test_teardown(changes_of_type, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
