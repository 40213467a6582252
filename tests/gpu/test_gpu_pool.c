/* Pooling against its definition in double. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct pool_case {
    ops_pool2d op;
    int64_t batch;
    gpu_type type;
    int64_t oh, ow, in, out; /* in, out: elements of all samples */
} pool_case;

static pool_case describe(const ops_pool2d *op, int64_t batch, gpu_type type)
{
    pool_case p = {.op = *op, .batch = batch, .type = type};
    p.oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    p.ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    p.in = batch * op->h * op->w * op->c;
    p.out = batch * p.oh * p.ow * op->c;
    return p;
}

/* Element of x at tap (kh, kw) of the window of output `at`; -1 where that is padding. */
static int64_t input_of(const pool_case *p, int64_t at, int64_t kh, int64_t kw)
{
    const ops_pool2d *op = &p->op;
    int64_t c = at % op->c, j = at / op->c % p->ow, i = at / op->c / p->ow % p->oh, b = at / op->c / p->ow / p->oh;
    int64_t row = i * op->stride_h - op->pad_h + kh, column = j * op->stride_w - op->pad_w + kw;
    if (row < 0 || row >= op->h || column < 0 || column >= op->w)
        return -1;
    return ((b * op->h + row) * op->w + column) * op->c + c;
}

static int64_t pixels_of(const pool_case *p, int64_t at)
{
    int64_t pixels = 0;
    for (int64_t k = 0; k < p->op.kernel_h * p->op.kernel_w; k++)
        pixels += input_of(p, at, k / p->op.kernel_w, k % p->op.kernel_w) >= 0;
    return pixels;
}

/* The first of the largest; a NaN beats all before it. */
static void max_reference(const pool_case *p, const float *x, double *y, uint8_t *winner)
{
    for (int64_t at = 0; at < p->out; at++) {
        int seen = 0;
        for (int64_t k = 0; k < p->op.kernel_h * p->op.kernel_w; k++) {
            int64_t from = input_of(p, at, k / p->op.kernel_w, k % p->op.kernel_w);
            if (from < 0 || (seen && !((double)x[from] > y[at]) && !isnan(x[from])))
                continue;
            seen = 1;
            y[at] = (double)x[from];
            winner[at] = (uint8_t)k;
        }
    }
}

static void avg_reference(const pool_case *p, const float *x, double *y)
{
    for (int64_t at = 0; at < p->out; at++) {
        double sum = 0.0;
        for (int64_t k = 0; k < p->op.kernel_h * p->op.kernel_w; k++) {
            int64_t from = input_of(p, at, k / p->op.kernel_w, k % p->op.kernel_w);
            sum += from < 0 ? 0.0 : (double)x[from];
        }
        y[at] = sum / (double)pixels_of(p, at);
    }
}

/* dx += ; winner NULL: of averages. */
static void backward_reference(const pool_case *p, const float *dy, const uint8_t *winner, double *dx)
{
    for (int64_t at = 0; at < p->out; at++) {
        double share = winner ? 1.0 : 1.0 / (double)pixels_of(p, at);
        for (int64_t k = 0; k < p->op.kernel_h * p->op.kernel_w; k++) {
            int64_t to = input_of(p, at, k / p->op.kernel_w, k % p->op.kernel_w);
            if (to >= 0 && (!winner || winner[at] == k))
                dx[to] += share * (double)dy[at];
        }
    }
}

static gpuError_t run_backward(const pool_case *p, const void *dy, const uint8_t *winner, void *dx, int accumulate)
{
    return winner ? gpu_max_pool_backward(gpu_test_stream, p->type, &p->op, p->batch, dy, winner, dx, accumulate)
                  : gpu_avg_pool_backward(gpu_test_stream, p->type, &p->op, p->batch, dy, dx, accumulate);
}

/* host: the winners, or NULL for averages; device: the same. */
static void backward_case(const pool_case *p, const uint8_t *host, const uint8_t *device)
{
    uint64_t state = 5;
    float *dy_host, *before;
    void *dy = gpu_test_random(p->type, &state, p->out, -1.0, 1.0, &dy_host), *dx = gpu_test_tensor(p->type, p->in);
    void *sum = gpu_test_random(p->type, &state, p->in, -1.0, 1.0, &before);
    double *want = gpu_test_host((size_t)p->in * sizeof *want);
    memset(want, 0, (size_t)p->in * sizeof *want);
    backward_reference(p, dy_host, host, want);
    GPU_TEST(run_backward(p, dy, device, dx, 0));
    gpu_test_near("dx", p->type, dx, want, p->in);
    for (int64_t i = 0; i < p->in; i++)
        want[i] += (double)before[i];
    GPU_TEST(run_backward(p, dy, device, sum, 1));
    gpu_test_near("accumulated dx", p->type, sum, want, p->in);
    uint64_t digest = gpu_test_digest(dx, gpu_test_size(p->type, p->in));
    GPU_TEST(run_backward(p, dy, device, dx, 0));
    assert_true(gpu_test_digest(dx, gpu_test_size(p->type, p->in)) == digest);
    GPU_TEST(run_backward(p, dy, device, NULL, 0));
}

static void max_case(const pool_case *p)
{
    uint64_t state = 17;
    float *x_host = gpu_test_host((size_t)p->in * sizeof *x_host);
    for (int64_t i = 0; i < p->in; i++) { /* few values, so that many are equal */
        x_host[i] = (float)ops_reference_int(&state, -3, 1);
        x_host[i] = x_host[i] == -3.0f && i % 2 == 0 ? NAN : i % 5 == 0 ? -INFINITY : x_host[i];
    }
    void *x = gpu_test_upload_tensor(p->type, x_host, p->in), *y = gpu_test_tensor(p->type, p->out);
    void *y_alone = gpu_test_tensor(p->type, p->out);
    uint8_t *winner = gpu_test_memory((size_t)p->out), *places = gpu_test_host((size_t)p->out);
    double *want = gpu_test_host((size_t)p->out * sizeof *want);
    max_reference(p, x_host, want, places);
    GPU_TEST(gpu_max_pool_forward(gpu_test_stream, p->type, &p->op, p->batch, x, NULL, y, winner));
    gpu_test_near_within("y", p->type, y, want, p->out, 0.0);
    gpu_test_same("winner", winner, places, (size_t)p->out);
    GPU_TEST(gpu_max_pool_forward(gpu_test_stream, p->type, &p->op, p->batch, x, NULL, y_alone, NULL));
    gpu_test_near_within("y in evaluation", p->type, y_alone, want, p->out, 0.0);
    backward_case(p, places, winner);
    gpu_test_end(NULL);
}

static void avg_case(const pool_case *p)
{
    uint64_t state = 23;
    float *x_host;
    void *x = gpu_test_random(p->type, &state, p->in, -1.0, 1.0, &x_host), *y = gpu_test_tensor(p->type, p->out);
    double *want = gpu_test_host((size_t)p->out * sizeof *want);
    avg_reference(p, x_host, want);
    GPU_TEST(gpu_avg_pool_forward(gpu_test_stream, p->type, &p->op, p->batch, x, y));
    gpu_test_near("y", p->type, y, want, p->out);
    backward_case(p, NULL, NULL);
    gpu_test_end(NULL);
}

static const ops_pool2d shapes[] = {
    /* h, w, c; kernel; stride; padding */
    {4, 4, 3, 2, 2, 2, 2, 0, 0},     {5, 7, 1, 2, 2, 2, 2, 0, 0},   {7, 5, 17, 3, 2, 1, 2, 1, 0},
    {6, 9, 8, 3, 3, 2, 2, 1, 1},     {9, 8, 2, 2, 2, 3, 4, 0, 0},   {3, 3, 16, 3, 3, 1, 1, 0, 0},
    {1, 1, 4, 1, 1, 1, 1, 0, 0},     {5, 5, 24, 5, 3, 2, 1, 4, 2},  {2, 3, 300, 2, 2, 2, 2, 0, 1},
    {15, 17, 1, 15, 17, 1, 1, 0, 0}, {8, 8, 32, 2, 2, 2, 2, 0, 0},  {7, 7, 33, 7, 7, 7, 7, 0, 0},
    {20, 20, 12, 3, 3, 1, 1, 1, 1},  {28, 28, 1, 2, 2, 2, 2, 0, 0}, {14, 13, 64, 3, 3, 2, 3, 2, 1},
};
static const int64_t batches[] = {0, 1, 3, 11}; /* of 11 samples, some shapes make more than one launch */

static void run_cases(void (*run)(const pool_case *p))
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            for (gpu_type type = GPU_F32; type <= GPU_BF16; type++) {
                pool_case p = describe(&shapes[s], batches[b], type);
                run(&p);
            }
}

static void maximum(void **state)
{
    (void)state;
    run_cases(max_case);
}

static void average(void **state)
{
    (void)state;
    run_cases(avg_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(maximum, gpu_test_end),
        cmocka_unit_test_teardown(average, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
