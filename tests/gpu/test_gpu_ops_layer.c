/* The GPU's slots for products, dense layers and convolutions against references in double.
 *
 * Factors are smaller the more products go into a sum (spread), so that sums are of the order of 1: an error is then
 * one relative to the numbers that go into it, also where they cancel.
 */
#include "gpu_ops_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static double spread(double most, int64_t products)
{
    return fmin(most, 2.0 / sqrt((double)products + 1.0));
}

/* What a slot is to write, and not to read, is NaN before. */
static void poison_rows(const gpu_ops_test *t, void *c, int64_t rows, int64_t n, int64_t ld)
{
    for (int64_t row = 0; row < rows; row++)
        GPU_TEST(gpuMemsetAsync((char *)c + gpu_test_size(t->type, row * ld), 0xff, gpu_test_size(t->type, n),
                                gpu_test_stream));
}

/* ---- gemm ---- */

static void gemm_case(gpu_ops_test *t, int64_t m, int64_t n, int64_t k, int form)
{
    const int trans_a = form & 1, trans_b = form >> 1 & 1, accumulate = form >> 2;
    const int64_t lda = (trans_a ? m : k) + 3, ldb = (trans_b ? k : n) + 5, ldc = n + 2;
    const int64_t a_count = (trans_a ? k : m) * lda, b_count = (trans_b ? n : k) * ldb, c_count = m * ldc;
    uint64_t state = (uint64_t)(m * 7 + n * 3 + k);
    float *a, *b, *c;
    void *device_a = gpu_test_random(t->type, &state, a_count, -1.0, 1.0, &a);
    void *device_b = gpu_test_random(t->type, &state, b_count, -spread(0.3, k), spread(0.3, k), &b);
    void *device_c = gpu_test_random(t->type, &state, c_count, -1.0, 1.0, &c);
    double *want = gpu_test_host((size_t)c_count * sizeof *want);
    if (!accumulate)
        poison_rows(t, device_c, m, n, ldc);
    for (int64_t i = 0; i < c_count; i++) {
        const int64_t row = i / ldc, column = i % ldc;
        want[i] = column < n && !accumulate ? 0.0 : (double)c[i];
        for (int64_t j = 0; column < n && j < k; j++)
            want[i] += (double)a[trans_a ? j * lda + row : row * lda + j] *
                       (double)b[trans_b ? column * ldb + j : j * ldb + column];
    }
    GPU_OPS(ops_gpu.gemm(t->self, trans_a, trans_b, m, n, k, device_a, lda, device_b, ldb, accumulate, device_c, ldc));
    gpu_test_near_within("c", t->type, device_c, want, c_count, t->tolerance);
    gpu_test_end(NULL);
}

static void run_gemm(gpu_ops_test *t)
{
    uint64_t state = 11;
    for (int form = 0; form < 8; form++)
        for (int i = 0; i < 3; i++)
            gemm_case(t, ops_reference_int(&state, 1, 40), ops_reference_int(&state, 1, 40),
                      ops_reference_int(&state, 1, 70), form);
    for (int form = 0; form < 8; form += 4)
        gemm_case(t, 5, 7, 0, form);
    gemm_case(t, 0, 7, 3, 0);
    gemm_case(t, 7, 0, 3, 0);
    gemm_case(t, 64, 64, 512, 1);
}

static void products(void **state)
{
    (void)state;
    gpu_ops_test_all(run_gemm);
}

/* ---- layers ---- */

/* A dense layer is a convolution of one pixel. */
typedef struct layer {
    ops_conv2d op;
    int64_t batch;
    int dense, bias, accumulate;
} layer;

typedef struct numbers {
    const layer *l;
    int64_t oh, ow, x_count, w_count, y_count;
    float *x, *w, *b;                 /* as products see them */
    void *device_x, *y, *z, *dy, *dx; /* device */
    float *params, *dw, *db;          /* device */
} numbers;

/* Calls back for every product x[i] w[j] that goes into output y[o]. */
typedef void visit(void *context, int64_t i, int64_t j, int64_t o);

static void for_all_products(const numbers *n, visit *each, void *context)
{
    const ops_conv2d *op = &n->l->op;
    for (int64_t o = 0; o < n->y_count; o++) {
        const int64_t out = o % op->n, at = o / op->n, s = at / n->ow / n->oh;
        for (int64_t tap = 0; tap < op->kernel_h * op->kernel_w; tap++) {
            const int64_t row = at / n->ow % n->oh * op->stride_h - op->pad_h + tap / op->kernel_w;
            const int64_t column = at % n->ow * op->stride_w - op->pad_w + tap % op->kernel_w;
            if (row < 0 || row >= op->h || column < 0 || column >= op->w)
                continue;
            for (int64_t c = 0; c < op->c; c++)
                each(context, ((s * op->h + row) * op->w + column) * op->c + c, (tap * op->c + c) * op->n + out, o);
        }
    }
}

typedef struct sums {
    const float *x, *w, *dz;
    double *y, *dw, *dx;
} sums;

static void add_output(void *context, int64_t i, int64_t j, int64_t o)
{
    const sums *s = context;
    s->y[o] += (double)s->x[i] * (double)s->w[j];
}

static void add_gradients(void *context, int64_t i, int64_t j, int64_t o)
{
    const sums *s = context;
    s->dw[j] += (double)s->x[i] * (double)s->dz[o];
    s->dx[i] += (double)s->w[j] * (double)s->dz[o];
}

static double *zeros(int64_t count)
{
    double *x = gpu_test_host((size_t)count * sizeof *x);
    memset(x, 0, (size_t)count * sizeof *x);
    return x;
}

static numbers numbers_make(const gpu_ops_test *t, const layer *l, uint64_t *state)
{
    const ops_conv2d *op = &l->op;
    numbers n = {.l = l,
                 .oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h),
                 .ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w)};
    n.x_count = l->batch * op->h * op->w * op->c;
    n.w_count = op->kernel_h * op->kernel_w * op->c * op->n;
    n.y_count = l->batch * n.oh * n.ow * op->n;
    const int64_t bias_at = (n.w_count + 15) / 16 * 16;
    n.params = gpu_ops_test_params(t, state, bias_at + op->n, spread(0.4, n.w_count / op->n), &n.w);
    n.b = n.w + bias_at;
    n.device_x = gpu_test_random(t->type, state, n.x_count, -1.0, 1.0, &n.x);
    n.y = gpu_test_tensor(t->type, n.y_count);
    n.z = gpu_test_tensor(t->type, n.y_count);
    n.dw = gpu_test_tensor(GPU_F32, n.w_count);
    n.db = gpu_test_tensor(GPU_F32, op->n);
    return n;
}

static void layer_forward(const gpu_ops_test *t, const numbers *n, ops_conv *conv)
{
    const layer *l = n->l;
    const ops_dense dense = {l->op.c, l->op.n, l->op.activation};
    const float *b = l->bias ? n->params + (n->b - n->w) : NULL;
    void *z = ops_activation_keeps_input(l->op.activation) ? n->z : NULL;
    if (conv)
        GPU_OPS(ops_gpu.conv2d_forward(t->self, conv, l->batch, n->device_x, n->params, b, n->y, z));
    else
        GPU_OPS(ops_gpu.dense_forward(t->self, &dense, l->batch, n->device_x, n->params, b, n->y, z));

    const sums s = {.x = n->x, .w = n->w, .y = zeros(n->y_count)};
    double *want_z = s.y, *want_y = zeros(n->y_count);
    for_all_products(n, add_output, (void *)&s);
    for (int64_t i = 0; i < n->y_count; i++) {
        want_z[i] += l->bias ? (double)n->b[i % l->op.n] : 0.0;
        want_y[i] = ops_reference_activate(l->op.activation, want_z[i]);
    }
    gpu_test_near_within("y", t->type, n->y, want_y, n->y_count, t->tolerance);
    if (z)
        gpu_test_near_within("z", t->type, z, want_z, n->y_count, t->tolerance);
}

/* The slope from y and z as they are stored. */
static void check_dz(const gpu_ops_test *t, const numbers *n, const float *g)
{
    const float *y = gpu_test_download_tensor(t->type, n->y, n->y_count);
    const float *z = gpu_test_download_tensor(t->type, n->z, n->y_count);
    const ops_activation a = n->l->op.activation;
    double *want = zeros(n->y_count);
    for (int64_t i = 0; i < n->y_count; i++) {
        const double f = (double)y[i];
        want[i] = (double)g[i] * (a == OPS_TANH      ? 1.0 - f * f
                                  : a == OPS_SIGMOID ? f * (1.0 - f)
                                                     : ops_reference_slope(a, (double)(a == OPS_GELU ? z[i] : y[i])));
    }
    gpu_test_near("dz", t->type, n->dy, want, n->y_count);
}

static void layer_backward(const gpu_ops_test *t, numbers *n, ops_conv *conv, uint64_t *state)
{
    const layer *l = n->l;
    const ops_dense dense = {l->op.c, l->op.n, l->op.activation};
    float *g, *dx, *db = l->bias ? n->db : NULL;
    const double high = spread(1.0, n->y_count / l->op.n);
    n->dy = gpu_test_random(t->type, state, n->y_count, -high, high, &g);
    n->dx = gpu_test_random(t->type, state, n->x_count, -1.0, 1.0, &dx);
    void *to = l->op.wants_dx ? n->dx : NULL;
    if (to && !l->accumulate)
        poison_rows(t, to, 1, n->x_count, 0);
    if (conv) {
        GPU_OPS(ops_gpu.conv2d_backward(t->self, conv, l->batch, n->device_x, n->params, n->y, n->z, n->dy, n->dw, db,
                                        to, l->accumulate));
    } else {
        GPU_OPS(ops_gpu.dense_backward(t->self, &dense, l->batch, n->device_x, n->params, n->y, n->z, n->dy, n->dw, db,
                                       to, l->accumulate));
    }
    check_dz(t, n, g);
    const sums s = {.x = n->x,
                    .w = n->w,
                    .dz = gpu_test_download_tensor(t->type, n->dy, n->y_count),
                    .dw = zeros(n->w_count),
                    .dx = zeros(n->x_count)};
    double *want_db = zeros(l->op.n);
    for_all_products(n, add_gradients, (void *)&s);
    for (int64_t i = 0; i < n->y_count; i++)
        want_db[i % l->op.n] += (double)s.dz[i];
    for (int64_t i = 0; i < n->x_count; i++)
        s.dx[i] = l->op.wants_dx ? s.dx[i] + (l->accumulate ? (double)dx[i] : 0.0) : (double)dx[i];
    gpu_test_near_within("dw", GPU_F32, n->dw, s.dw, n->w_count, t->tolerance);
    if (db)
        gpu_test_near_within("db", GPU_F32, db, want_db, l->op.n, t->tolerance);
    gpu_test_near_within("dx", t->type, n->dx, s.dx, n->x_count, t->tolerance);
}

static void layer_case(gpu_ops_test *t, const layer *l)
{
    uint64_t state = (uint64_t)(l->op.h * 31 + l->op.c * 7 + l->op.n + l->batch);
    ops_conv *conv = NULL;
    numbers n = numbers_make(t, l, &state);
    if (!l->dense)
        GPU_OPS(ops_gpu.conv2d_create(t->self, &l->op, l->batch + 1, &conv));
    layer_forward(t, &n, conv);
    layer_backward(t, &n, conv, &state);
    ops_gpu.conv2d_destroy(&conv);
    assert_null(conv);
    gpu_test_end(NULL);
}

static void run_dense(gpu_ops_test *t)
{
    uint64_t state = 5;
    for (int i = 0; i < 25; i++) {
        layer l = {.batch = ops_reference_int(&state, 1, 40),
                   .dense = 1,
                   .bias = i % 3 != 0,
                   .accumulate = i % 2,
                   .op = {1, 1, 0, 0, 1, 1, 1, 1, 0, 0, (ops_activation)(i % OPS_ACTIVATION_COUNT), i % 4 != 0}};
        l.op.c = ops_reference_int(&state, 1, 70);
        l.op.n = ops_reference_int(&state, 1, 70);
        layer_case(t, &l);
    }
    layer_case(t, &(layer){.op = {1, 1, 33, 10, 1, 1, 1, 1, 0, 0, OPS_RELU, 1}, .dense = 1, .bias = 1});
}

/* Of the sizes of the examples, for which libraries have kernels of their own, and sizes beside them. */
static void run_large_dense(gpu_ops_test *t)
{
    static const struct {
        int64_t m, k, n;
        ops_activation activation;
    } sizes[] = {{GPU_TEST_LONG(16, 128), 784, 512, OPS_RELU},
                 {GPU_TEST_LONG(15, 127), 783, 509, OPS_RELU},
                 {GPU_TEST_LONG(16, 128), 512, 10, OPS_IDENTITY},
                 {GPU_TEST_LONG(3, 33), 4096, 136, OPS_GELU},
                 {GPU_TEST_LONG(70, 600), 40, 1000, OPS_IDENTITY}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        layer_case(t, &(layer){.op = {1, 1, sizes[i].k, sizes[i].n, 1, 1, 1, 1, 0, 0, sizes[i].activation, 1},
                               .batch = sizes[i].m,
                               .dense = 1,
                               .bias = 1,
                               .accumulate = (int)i % 2});
}

static void dense_layers(void **state)
{
    (void)state;
    gpu_ops_test_all(run_dense);
}

static void large_dense_layers(void **state)
{
    (void)state;
    gpu_ops_test_all(run_large_dense);
}

static const layer convs[] = {
    {{7, 5, 3, 4, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 3, 0, 1, 0},
    {{8, 8, 8, 16, 3, 3, 1, 1, 0, 0, OPS_GELU, 1}, 2, 0, 1, 1},
    {{9, 6, 2, 5, 2, 3, 2, 1, 1, 0, OPS_IDENTITY, 1}, 4, 0, 0, 0},
    {{6, 6, 8, 8, 1, 1, 1, 1, 0, 0, OPS_TANH, 1}, 2, 0, 1, 1},    /* the image is its patches */
    {{6, 5, 8, 8, 1, 1, 2, 2, 0, 0, OPS_SIGMOID, 1}, 2, 0, 1, 0}, /* and here not */
    {{5, 5, 1, 6, 5, 5, 1, 1, 0, 0, OPS_RELU, 0}, 5, 0, 1, 0},
    {{4, 4, 3, 2, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 0, 0, 1, 0},
    {{28, 28, 1, 32, 3, 3, 1, 1, 0, 0, OPS_RELU, 0}, GPU_TEST_LONG(1, 9), 0, 1, 0}, /* as in mnist-cnn.cfg */
    {{GPU_TEST_LONG(9, 26), 26, 32, 64, 3, 3, 1, 1, 0, 0, OPS_RELU, 1}, GPU_TEST_LONG(1, 3), 0, 1, 0},
};

static void run_convs(gpu_ops_test *t)
{
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        layer_case(t, &convs[i]);
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
    const layer l = {{6, 6, 4, 8, 3, 3, 1, 1, 1, 1, OPS_RELU, 1}, 5, 0, 1, 1};
    const size_t rooms[] = {2 * 36 * 36 * sizeof(float), 100};
    for (int i = 0; i < 2; i++) {
        gpu_ops_test t = gpu_ops_test_open(OPS_FP32, rooms[i]);
        layer_case(&t, &l);
        gpu_ops_test_close(&t);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(products, gpu_test_end),
        cmocka_unit_test_teardown(dense_layers, gpu_test_end),
        cmocka_unit_test_teardown(large_dense_layers, gpu_test_end),
        cmocka_unit_test_teardown(convolutions, gpu_test_end),
        cmocka_unit_test_teardown(convolutions_in_parts, gpu_test_end),
        cmocka_unit_test_teardown(kernels_that_do_not_fit, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
