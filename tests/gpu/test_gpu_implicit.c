/* Convolutions by implicit products against sums in double: padding, strides, ends of tiles, channels that are and are
 * not whole packs, gates, batches smaller than the largest, and parts of the sum over pixels. */
#include "gpu_implicit.h"
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct conv_case {
    ops_conv2d op;
    int64_t batch;
    int bias, relu, accumulate, gated;
} conv_case;

typedef struct made {
    const conv_case *c;
    int64_t oh, ow, x_count, w_count, y_count;
    float *x, *w, *b, *dz, *dx; /* of the host */
    void *device_x, *device_w, *device_b, *device_dz, *device_dx;
} made;

static made make(const conv_case *c, uint64_t *state)
{
    const ops_conv2d *op = &c->op;
    made m = {.c = c,
              .oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h),
              .ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w)};
    m.x_count = c->batch * op->h * op->w * op->c;
    m.w_count = op->kernel_h * op->kernel_w * op->c * op->n;
    m.y_count = c->batch * m.oh * m.ow * op->n;
    m.device_x = gpu_test_random(GPU_F32, state, m.x_count, -1.0, 1.0, &m.x);
    m.device_w = gpu_test_random(GPU_F32, state, m.w_count, -1.0, 1.0, &m.w);
    m.device_b = gpu_test_random(GPU_F32, state, op->n, -1.0, 1.0, &m.b);
    m.device_dz = gpu_test_random(GPU_F32, state, m.y_count, -1.0, 1.0, &m.dz);
    m.device_dx = gpu_test_random(GPU_F32, state, m.x_count, -1.0, 1.0, &m.dx);
    return m;
}

/* For each product of a convolution: an element of x, one of w, one of y. */
static void for_all(const made *m, void (*take)(double *const *to, const made *m, int64_t i, int64_t j, int64_t o),
                    double *const *to)
{
    const ops_conv2d *op = &m->c->op;
    for (int64_t s = 0; s < m->c->batch; s++)
        for (int64_t oy = 0; oy < m->oh; oy++)
            for (int64_t ox = 0; ox < m->ow; ox++)
                for (int64_t t = 0; t < op->kernel_h * op->kernel_w; t++) {
                    const int64_t y = oy * op->stride_h - op->pad_h + t / op->kernel_w;
                    const int64_t x = ox * op->stride_w - op->pad_w + t % op->kernel_w;
                    if (y < 0 || y >= op->h || x < 0 || x >= op->w)
                        continue;
                    for (int64_t c = 0; c < op->c; c++)
                        for (int64_t n = 0; n < op->n; n++)
                            take(to, m, ((s * op->h + y) * op->w + x) * op->c + c, (t * op->c + c) * op->n + n,
                                 ((s * m->oh + oy) * m->ow + ox) * op->n + n);
                }
}

static void take_y(double *const *to, const made *m, int64_t i, int64_t j, int64_t o)
{
    to[0][o] += (double)m->x[i] * (double)m->w[j];
}

static void take_gradients(double *const *to, const made *m, int64_t i, int64_t j, int64_t o)
{
    to[0][i] += (double)m->w[j] * (double)m->dz[o];
    to[1][j] += (double)m->x[i] * (double)m->dz[o];
}

static double *zeros(int64_t count)
{
    double *x = gpu_test_host((size_t)count * sizeof *x);
    memset(x, 0, (size_t)count * sizeof *x);
    return x;
}

static double tolerance_of(int exact, int64_t terms)
{
    return (exact ? 2e-6 : 1e-3) * sqrt((double)terms + 1.0);
}

static void check_forward(const made *m, int exact)
{
    const conv_case *c = m->c;
    double *want = zeros(m->y_count);
    void *y = gpu_test_tensor(GPU_F32, m->y_count);
    for_all(m, take_y, (double *const[]){want});
    for (int64_t o = 0; o < m->y_count; o++) {
        want[o] += c->bias ? (double)m->b[o % c->op.n] : 0.0;
        want[o] = c->relu && want[o] < 0.0 ? 0.0 : want[o];
    }
    GPU_TEST(gpu_implicit_forward(gpu_test_stream, exact, &c->op, c->batch, m->device_x, m->device_w,
                                  c->bias ? m->device_b : NULL, c->relu, y));
    gpu_test_near_within("y", GPU_F32, y, want, m->y_count,
                         tolerance_of(exact, c->op.kernel_h * c->op.kernel_w * c->op.c));
}

static void check_backward(const made *m, int exact)
{
    const conv_case *c = m->c;
    double *dx = zeros(m->x_count), *dw = zeros(m->w_count), *db = zeros(c->op.n);
    void *got_dw = gpu_test_tensor(GPU_F32, m->w_count), *got_db = gpu_test_tensor(GPU_F32, c->op.n);
    for_all(m, take_gradients, (double *const[]){dx, dw});
    for (int64_t o = 0; o < m->y_count; o++)
        db[o % c->op.n] += (double)m->dz[o];
    for (int64_t i = 0; i < m->x_count; i++) {
        dx[i] = c->gated ? (m->x[i] <= 0.0f ? 0.0 : 1.5 * dx[i]) : dx[i];
        dx[i] += c->accumulate ? (double)m->dx[i] : 0.0;
    }
    if (gpu_implicit_can_data(&c->op)) {
        GPU_TEST(gpu_implicit_data(gpu_test_stream, exact, &c->op, c->batch, m->device_dz, m->device_w,
                                   c->gated ? 1.5f : 0.0f, m->device_x, m->device_dx, c->accumulate));
        gpu_test_near_within("dx", GPU_F32, m->device_dx, dx, m->x_count,
                             tolerance_of(exact, 2 * c->op.kernel_h * c->op.kernel_w * c->op.n));
    }
    void *workspace = gpu_test_memory(gpu_implicit_bytes(&c->op));
    GPU_TEST(gpu_implicit_weights(gpu_test_stream, exact, &c->op, c->batch, m->device_x, m->device_dz, got_dw,
                                  c->bias ? got_db : NULL, workspace));
    const double tolerance = tolerance_of(exact, m->y_count / c->op.n);
    gpu_test_near_within("dw", GPU_F32, got_dw, dw, m->w_count, tolerance);
    if (c->bias)
        gpu_test_near_within("db", GPU_F32, got_db, db, c->op.n, tolerance);
    const uint64_t first = gpu_test_digest(got_dw, (size_t)m->w_count * sizeof(float));
    GPU_TEST(gpu_implicit_weights(gpu_test_stream, exact, &c->op, c->batch, m->device_x, m->device_dz, got_dw,
                                  c->bias ? got_db : NULL, workspace));
    assert_true(gpu_test_digest(got_dw, (size_t)m->w_count * sizeof(float)) == first);
}

static void run_case(const conv_case *c, uint64_t *state)
{
    for (int exact = 0; exact < 2; exact++) {
        assert_true(gpu_implicit_can(&c->op, c->batch));
        made m = make(c, state);
        check_forward(&m, exact);
        check_backward(&m, exact);
        gpu_test_end(NULL);
    }
}

static void layers(void **state)
{
    (void)state;
    static const conv_case cases[] = {
        {{28, 28, 1, 32, 3, 3, 1, 1, 0, 0}, 1, 1, 1, 0, 0}, {{9, 10, 32, 64, 3, 3, 1, 1, 0, 0}, 2, 1, 1, 0, 1},
        {{8, 8, 3, 16, 3, 3, 1, 1, 1, 1}, 3, 1, 1, 1, 0},   {{6, 6, 8, 70, 1, 1, 1, 1, 0, 0}, 3, 0, 0, 0, 0},
        {{12, 9, 4, 8, 5, 3, 2, 3, 2, 1}, 2, 1, 0, 0, 0}, /* strides: dx is done otherwise */
        {{5, 5, 6, 10, 5, 5, 1, 1, 4, 4}, 3, 1, 1, 0, 1}, /* more padding than image */
        {{16, 16, 4, 4, 3, 3, 1, 1, 1, 1}, 5, 1, 0, 1, 0},
    };
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i], &random);
}

static void random_layers(void **state)
{
    (void)state;
    uint64_t random = 8;
    for (int i = 0; i < GPU_TEST_LONG(12, 100); i++) {
        conv_case c = {.op = {.kernel_h = ops_reference_int(&random, 1, 4),
                              .kernel_w = ops_reference_int(&random, 1, 4),
                              .stride_h = i % 3 ? 1 : ops_reference_int(&random, 1, 3),
                              .stride_w = i % 3 ? 1 : ops_reference_int(&random, 1, 3),
                              .c = i % 2 ? 4 * ops_reference_int(&random, 1, 5) : ops_reference_int(&random, 1, 11),
                              .n = i % 2 ? 4 * ops_reference_int(&random, 1, 18) : ops_reference_int(&random, 1, 40)},
                       .batch = ops_reference_int(&random, 1, 4),
                       .bias = i % 2,
                       .relu = i % 3 == 1,
                       .accumulate = i % 4 == 1,
                       .gated = i % 4 == 2};
        c.op.pad_h = ops_reference_int(&random, 0, c.op.kernel_h - 1);
        c.op.pad_w = ops_reference_int(&random, 0, c.op.kernel_w - 1);
        c.op.h = c.op.kernel_h + ops_reference_int(&random, 0, 8);
        c.op.w = c.op.kernel_w + ops_reference_int(&random, 0, 8);
        run_case(&c, &random);
    }
}

static void what_is_too_large(void **state)
{
    (void)state;
    const ops_conv2d op = {
        .h = 1 << 12, .w = 1 << 12, .c = 4, .n = 64, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1};
    const ops_conv2d strided = {
        .h = 8, .w = 8, .c = 4, .n = 4, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 1};
    assert_true(gpu_implicit_can(&op, 1));
    assert_false(gpu_implicit_can(&op, 2));
    assert_true(gpu_implicit_can(&strided, 1));
    assert_false(gpu_implicit_can_data(&strided));
}

int main(void)
{
    gpu_test_precision = GPU_TEST_OF_NONE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(layers, gpu_test_end),
        cmocka_unit_test_teardown(random_layers, gpu_test_end),
        cmocka_unit_test_teardown(what_is_too_large, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
