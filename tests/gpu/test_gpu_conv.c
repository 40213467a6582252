/* Patches of images as a matrix and their sum back, against loops over all taps; matrices transposed. */
#include "gpu_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct conv_case {
    ops_conv2d op;
    int64_t batch;
    gpu_type type;
    int64_t oh, ow, in, out; /* elements of x and of the patches */
} conv_case;

static conv_case describe(const ops_conv2d *op, int64_t batch, gpu_type type)
{
    conv_case c = {.op = *op, .batch = batch, .type = type};
    c.oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    c.ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    c.in = batch * op->h * op->w * op->c;
    c.out = batch * c.oh * c.ow * op->kernel_h * op->kernel_w * op->c;
    return c;
}

/* The element of x that element `at` of the patches (B OH OW, KH KW C) copies; -1 where that is padding. */
static int64_t source_of(const conv_case *p, int64_t at)
{
    const ops_conv2d *op = &p->op;
    int64_t c = at % op->c, kw = at / op->c % op->kernel_w, kh = at / op->c / op->kernel_w % op->kernel_h;
    int64_t pixel = at / op->c / op->kernel_w / op->kernel_h;
    int64_t j = pixel % p->ow, i = pixel / p->ow % p->oh, b = pixel / p->ow / p->oh;
    int64_t row = i * op->stride_h - op->pad_h + kh, column = j * op->stride_w - op->pad_w + kw;
    if (row < 0 || row >= op->h || column < 0 || column >= op->w)
        return -1;
    return ((b * op->h + row) * op->w + column) * op->c + c;
}

static void im2col_case(const conv_case *p)
{
    uint64_t state = 31;
    float *x_host;
    void *x = gpu_test_random(p->type, &state, p->in, -1.0, 1.0, &x_host), *columns = gpu_test_tensor(p->type, p->out);
    double *want = gpu_test_host((size_t)p->out * sizeof *want);
    for (int64_t at = 0; at < p->out; at++) {
        int64_t from = source_of(p, at);
        want[at] = from < 0 ? 0.0 : (double)x_host[from];
    }
    GPU_TEST(gpu_im2col(gpu_test_stream, p->type, &p->op, p->batch, x, columns));
    gpu_test_near_within("columns", p->type, columns, want, p->out, 0.0);
    gpu_test_end(NULL);
}

static void col2im_case(const conv_case *p)
{
    uint64_t state = 37;
    float *columns_host, *before;
    void *columns = gpu_test_random(p->type, &state, p->out, -1.0, 1.0, &columns_host);
    void *dx = gpu_test_tensor(p->type, p->in);
    void *sum = gpu_test_random(p->type, &state, p->in, -1.0, 1.0, &before);
    double *want = gpu_test_host((size_t)p->in * sizeof *want);
    memset(want, 0, (size_t)p->in * sizeof *want);
    for (int64_t at = 0; at < p->out; at++)
        if (source_of(p, at) >= 0)
            want[source_of(p, at)] += (double)columns_host[at];
    GPU_TEST(gpu_col2im(gpu_test_stream, p->type, &p->op, p->batch, columns, dx, 0));
    gpu_test_near("dx", p->type, dx, want, p->in);
    for (int64_t i = 0; i < p->in; i++)
        want[i] += (double)before[i];
    GPU_TEST(gpu_col2im(gpu_test_stream, p->type, &p->op, p->batch, columns, sum, 1));
    gpu_test_near("accumulated dx", p->type, sum, want, p->in);
    uint64_t digest = gpu_test_digest(dx, gpu_test_size(p->type, p->in));
    GPU_TEST(gpu_col2im(gpu_test_stream, p->type, &p->op, p->batch, columns, dx, 0));
    assert_true(gpu_test_digest(dx, gpu_test_size(p->type, p->in)) == digest);
    GPU_TEST(gpu_col2im(gpu_test_stream, p->type, &p->op, p->batch, columns, NULL, 0));
    gpu_test_end(NULL);
}

static const ops_conv2d shapes[] = {
    /* h, w, c, n; kernel; stride; padding */
    {5, 6, 1, 1, 3, 3, 1, 1, 1, 1, OPS_IDENTITY, 1},   {28, 28, 1, 1, 5, 5, 1, 1, 2, 2, OPS_IDENTITY, 1},
    {7, 5, 3, 1, 3, 2, 2, 1, 1, 0, OPS_IDENTITY, 1},   {6, 9, 8, 1, 3, 3, 1, 1, 1, 1, OPS_IDENTITY, 1},
    {9, 8, 2, 1, 2, 2, 3, 4, 0, 0, OPS_IDENTITY, 1},   {4, 4, 4, 1, 1, 1, 1, 1, 0, 0, OPS_IDENTITY, 1},
    {8, 7, 16, 1, 1, 1, 2, 2, 0, 0, OPS_IDENTITY, 1},  {5, 5, 17, 1, 5, 3, 1, 2, 2, 1, OPS_IDENTITY, 1},
    {3, 3, 40, 1, 3, 3, 1, 1, 2, 2, OPS_IDENTITY, 1},  {1, 1, 7, 1, 1, 1, 1, 1, 0, 0, OPS_IDENTITY, 1},
    {12, 11, 6, 1, 7, 7, 2, 2, 3, 3, OPS_IDENTITY, 1}, {2, 3, 129, 1, 2, 2, 1, 1, 1, 1, OPS_IDENTITY, 1},
};
static const int64_t batches[] = {0, 1, 3, 8};

static void run_cases(void (*run)(const conv_case *p))
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            for (gpu_type type = GPU_F32; type <= GPU_BF16; type++) {
                conv_case p = describe(&shapes[s], batches[b], type);
                run(&p);
            }
}

static void patches(void **state)
{
    (void)state;
    run_cases(im2col_case);
}

static void patches_back(void **state)
{
    (void)state;
    run_cases(col2im_case);
}

static void transpose_case(gpu_type type, int64_t rows, int64_t columns)
{
    uint64_t state = 41;
    const int64_t count = rows * columns;
    float *x;
    void *from = gpu_test_random(type, &state, count, -1.0, 1.0, &x), *to = gpu_test_tensor(type, count);
    float *wide = gpu_test_tensor(GPU_F32, count);
    double *want = gpu_test_host((size_t)count * sizeof *want);
    for (int64_t i = 0; i < count; i++)
        want[i % columns * rows + i / columns] = (double)x[i];
    GPU_TEST(gpu_transpose(gpu_test_stream, type, rows, columns, from, to));
    gpu_test_near_within("transposed", type, to, want, count, 0.0);
    GPU_TEST(gpu_transpose_to_float(gpu_test_stream, type, rows, columns, from, wide));
    gpu_test_near_within("transposed to float", GPU_F32, wide, want, count, 0.0);
    gpu_test_end(NULL);
}

static void transposed(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1},   {0, 3},   {3, 0},   {9, 32},   {32, 32},
                                       {33, 31}, {1, 200}, {200, 1}, {288, 64}, {150, 161}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (gpu_type type = GPU_F32; type <= GPU_BF16; type++)
            transpose_case(type, sizes[i][0], sizes[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(patches, gpu_test_end),
        cmocka_unit_test_teardown(patches_back, gpu_test_end),
        cmocka_unit_test_teardown(transposed, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
