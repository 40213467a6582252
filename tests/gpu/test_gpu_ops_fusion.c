/* The GPU's slots with an ops_fusion against the same slots one by one, in each precision. */
#include "gpu_ops_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { RANDOM_STREAM = 1031 };
static const uint64_t seed = 0x1234567890abcdefu;

static void begin_step(const gpu_ops_test *t)
{
    const ops_step step = {.step = 77, .first_sample = 1000};
    GPU_OPS(ops_gpu.begin_step(t->self, &step));
}

static void *copy_of(const gpu_ops_test *t, const void *from, int64_t count)
{
    void *to = gpu_test_tensor(t->type, count);
    GPU_OPS(ops_gpu.copy(t->self, count, from, to, 0));
    return to;
}

/* What is there, as sums in double are compared. */
static double *wide(gpu_type type, const void *device, int64_t count)
{
    const float *x = gpu_test_download_tensor(type, device, count);
    double *w = gpu_test_host((size_t)count * sizeof *w);
    for (int64_t i = 0; i < count; i++)
        w[i] = (double)x[i];
    return w;
}

/* The gradient before a relu whose output is x, and before dropout that scaled by `gate`. */
static double *gated(const gpu_ops_test *t, const void *gradient, const float *x, float gate, int64_t count)
{
    double *w = wide(t->type, gradient, count);
    for (int64_t i = 0; i < count; i++)
        w[i] = x[i] <= 0.0f ? 0.0 : w[i] * (double)gate;
    return w;
}

/* ---- dense ---- */

typedef struct dense_numbers {
    int64_t m;
    const ops_dense *op;
    const float *w, *b;
    const void *x, *y;
    void *dy, *dx, *dw, *db;
} dense_numbers;

static dense_numbers dense_backward(gpu_ops_test *t, dense_numbers n, const ops_dense *op, const void *dy)
{
    n.dy = copy_of(t, dy, n.m * op->n);
    n.dx = gpu_test_tensor(t->type, n.m * op->k);
    n.dw = gpu_test_tensor(GPU_F32, op->k * op->n);
    n.db = gpu_test_tensor(GPU_F32, op->n);
    GPU_OPS(ops_gpu.dense_backward(t->self, op, n.m, n.x, n.w, n.y, NULL, n.dy, n.dw, n.db, n.dx, 0));
    return n;
}

static void check_dense(const gpu_ops_test *t, const dense_numbers *got, const dense_numbers *want, const float *x,
                        float gate)
{
    const ops_dense *op = want->op;
    gpu_test_near_within("dz", t->type, got->dy, wide(t->type, want->dy, want->m * op->n), want->m * op->n,
                         t->tolerance);
    gpu_test_near_within("dw", GPU_F32, got->dw, wide(GPU_F32, want->dw, op->k * op->n), op->k * op->n, t->tolerance);
    gpu_test_near_within("db", GPU_F32, got->db, wide(GPU_F32, want->db, op->n), op->n, t->tolerance);
    gpu_test_near_within("dx", t->type, got->dx, gated(t, want->dx, x, gate, want->m * op->k), want->m * op->k,
                         t->tolerance);
}

static void dense_case(gpu_ops_test *t, int64_t m, int64_t k, int64_t n, float rate)
{
    uint64_t state = (uint64_t)(m * 13 + k * 5 + n);
    const ops_dense op = {.k = k, .n = n, .activation = OPS_RELU};
    const float gate = 1.25f;
    float *x, *seen, *params = gpu_ops_test_params(t, &state, k * n + n, 0.3, &seen);
    void *device_x = gpu_test_random(t->type, &state, m * k, -1.0, 1.0, &x);
    void *y = gpu_test_tensor(t->type, m * n), *fused_y = gpu_test_tensor(t->type, m * n);
    uint8_t *mask = gpu_test_memory((size_t)(m * n));
    begin_step(t);
    ops_dense fused = op;
    fused.fusion = (ops_fusion){.dropout = rate, .seed = seed, .random_stream = RANDOM_STREAM, .gate = gate};
    GPU_OPS(ops_gpu.dense_forward(t->self, &op, m, device_x, params, params + k * n, y, NULL));
    GPU_OPS(ops_gpu.dropout_forward(t->self, m, n, rate, seed, RANDOM_STREAM, y, y, mask));
    GPU_OPS(ops_gpu.dense_forward(t->self, &fused, m, device_x, params, params + k * n, fused_y, NULL));
    gpu_test_near_within("y", t->type, fused_y, wide(t->type, y, m * n), m * n, t->tolerance);

    const double high = 2.0 / (double)(m + 1);
    void *dy = gpu_test_random(t->type, &state, m * n, -high, high, NULL), *dropped = copy_of(t, dy, m * n);
    const dense_numbers numbers = {.m = m, .op = &op, .w = params, .b = params + k * n, .x = device_x, .y = fused_y};
    GPU_OPS(ops_gpu.dropout_backward(t->self, m, n, rate, mask, dy, dropped, 0));
    const dense_numbers alone = dense_backward(t, numbers, &op, dropped);
    const dense_numbers together = dense_backward(t, numbers, &fused, dy);
    check_dense(t, &together, &alone, x, gate);
    fused.fusion.dz_given = 1;
    const dense_numbers given = dense_backward(t, numbers, &fused, alone.dy);
    check_dense(t, &given, &alone, x, gate);
    gpu_test_end(NULL);
}

static void run_dense(gpu_ops_test *t)
{
    dense_case(t, 20, 64, 48, 0.25f);
    dense_case(t, 7, 33, 10, 0.5f);
    dense_case(t, 50, 5, 131, 0.1f);
    dense_case(t, GPU_TEST_LONG(30, 128), 70, GPU_TEST_LONG(100, 512), 0.2f);
    dense_case(t, GPU_TEST_LONG(70, 1500), 40, GPU_TEST_LONG(130, 1000), 0.2f);
}

static void dense_with_dropout_and_gates(void **state)
{
    (void)state;
    gpu_ops_test_all(run_dense);
}

/* ---- convolution ---- */

static void conv_case(gpu_ops_test *t, const ops_conv2d *op, int64_t batch)
{
    uint64_t state = 91;
    int64_t oh, ow;
    GPU_OPS(ops_conv2d_output(op, &oh, &ow));
    const int64_t x_count = batch * op->h * op->w * op->c, y_count = batch * oh * ow * op->n;
    const int64_t w_count = op->kernel_h * op->kernel_w * op->c * op->n;
    const float gate = 2.0f;
    float *x, *seen, *params = gpu_ops_test_params(t, &state, w_count, 0.2, &seen);
    void *device_x = gpu_test_random(t->type, &state, x_count, -1.0, 1.0, &x);
    void *y = gpu_test_tensor(t->type, y_count);
    void *dz = gpu_test_random(t->type, &state, y_count, -0.1, 0.1, NULL);
    void *dw[2], *db[2], *dx[2];
    for (int fuses = 0; fuses < 2; fuses++) {
        ops_conv *conv = NULL;
        ops_conv2d made = *op;
        made.activation = fuses ? OPS_RELU : OPS_IDENTITY; /* whose gradient is in dz already */
        if (fuses)
            made.fusion = (ops_fusion){.dz_given = 1, .gate = gate};
        dw[fuses] = gpu_test_tensor(GPU_F32, w_count);
        db[fuses] = gpu_test_tensor(GPU_F32, op->n);
        dx[fuses] = gpu_test_tensor(t->type, x_count);
        GPU_OPS(ops_gpu.conv2d_create(t->self, &made, batch, &conv));
        GPU_OPS(ops_gpu.conv2d_forward(t->self, conv, batch, device_x, params, NULL, y, NULL));
        GPU_OPS(ops_gpu.conv2d_backward(t->self, conv, batch, device_x, params, y, NULL, dz, dw[fuses], db[fuses],
                                        dx[fuses], 0));
        ops_gpu.conv2d_destroy(&conv);
    }
    gpu_test_near_within("dw", GPU_F32, dw[1], wide(GPU_F32, dw[0], w_count), w_count, t->tolerance);
    gpu_test_near_within("db", GPU_F32, db[1], wide(GPU_F32, db[0], op->n), op->n, t->tolerance);
    gpu_test_near_within("dx", t->type, dx[1], gated(t, dx[0], x, gate, x_count), x_count, t->tolerance);
    gpu_test_end(NULL);
}

static void run_convs(gpu_ops_test *t)
{
    conv_case(t, &(ops_conv2d){9, 8, 8, 16, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 3);
    conv_case(t, &(ops_conv2d){7, 7, 3, 5, 3, 2, 2, 1, 1, 0, OPS_RELU, 1}, 4);
    conv_case(t, &(ops_conv2d){6, 5, 8, 12, 1, 1, 1, 1, 0, 0, OPS_RELU, 1}, 2);
}

static void convolutions_with_gates(void **state)
{
    (void)state;
    gpu_ops_test_all(run_convs);
}

/* ---- pooling ---- */

static void pool_case(gpu_ops_test *t, const ops_pool2d *op, int64_t batch, float rate)
{
    uint64_t state = 92;
    const int64_t oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    const int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    const int64_t n = oh * ow * op->c, count = batch * n, x_count = batch * op->h * op->w * op->c;
    float *x, *g, gate = 1.0f / (1.0f - rate);
    void *before = gpu_test_random(t->type, &state, x_count, -2.0, 1.0, NULL), *dy;
    void *device_x = gpu_test_tensor(t->type, x_count);
    void *y = gpu_test_tensor(t->type, count), *fused_y = gpu_test_tensor(t->type, count);
    void *dx = gpu_test_tensor(t->type, x_count), *fused_dx = gpu_test_tensor(t->type, x_count);
    uint8_t *winner = gpu_test_memory((size_t)count), *mask = gpu_test_memory((size_t)count);
    begin_step(t);
    GPU_OPS(ops_gpu.activation_forward(t->self, OPS_RELU, x_count, before, device_x));
    x = gpu_test_download_tensor(t->type, device_x, x_count);
    dy = gpu_test_random(t->type, &state, count, -1.0, 1.0, &g);

    GPU_OPS(ops_gpu.max_pool_forward(t->self, op, batch, device_x, y, winner));
    GPU_OPS(ops_gpu.dropout_forward(t->self, batch, n, rate, seed, RANDOM_STREAM, y, y, mask));
    void *dropped = gpu_test_tensor(t->type, count);
    GPU_OPS(ops_gpu.dropout_backward(t->self, batch, n, rate, mask, dy, dropped, 0));
    GPU_OPS(ops_gpu.max_pool_backward(t->self, op, batch, dropped, winner, dx, 0));

    ops_pool2d fused = *op;
    fused.fusion =
        (ops_fusion){.dropout = rate, .seed = seed, .random_stream = RANDOM_STREAM, .dz_given = 1, .gate = 1.0f};
    GPU_OPS(ops_gpu.max_pool_forward(t->self, &fused, batch, device_x, fused_y, winner));
    gpu_test_near_within("y", t->type, fused_y, wide(t->type, y, count), count, t->tolerance);
    const float *kept = gpu_test_download_tensor(t->type, fused_y, count);
    for (int64_t i = 0; i < count; i++)
        g[i] = kept[i] <= 0.0f ? 0.0f : g[i] * gate;
    GPU_OPS(ops_gpu.max_pool_backward(t->self, &fused, batch, gpu_test_upload_tensor(t->type, g, count), winner,
                                      fused_dx, 0));
    gpu_test_near_within("dx", t->type, fused_dx, gated(t, dx, x, 1.0f, x_count), x_count, t->tolerance);
    gpu_test_end(NULL);
}

static void run_pools(gpu_ops_test *t)
{
    pool_case(t, &(ops_pool2d){8, 6, 8, 2, 2, 2, 2, 0, 0}, 3, 0.25f);
    pool_case(t, &(ops_pool2d){7, 9, 5, 3, 3, 2, 2, 1, 1}, 4, 0.5f);
    pool_case(t, &(ops_pool2d){6, 6, 12, 3, 2, 1, 2, 0, 1}, 2, 0.1f);
}

static void pools_with_dropout_and_gates(void **state)
{
    (void)state;
    gpu_ops_test_all(run_pools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(dense_with_dropout_and_gates, gpu_test_end),
        cmocka_unit_test_teardown(convolutions_with_gates, gpu_test_end),
        cmocka_unit_test_teardown(pools_with_dropout_and_gates, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
