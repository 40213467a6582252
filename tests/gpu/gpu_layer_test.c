#include "gpu_layer_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

double gpu_layer_test_spread(double most, int64_t products)
{
    return fmin(most, 2.0 / sqrt((double)products + 1.0));
}

void gpu_layer_test_poison(const gpu_ops_test *t, void *c, int64_t rows, int64_t n, int64_t ld)
{
    for (int64_t row = 0; row < rows; row++)
        GPU_TEST(gpuMemsetAsync((char *)c + gpu_test_size(t->type, row * ld), 0xff, gpu_test_size(t->type, n),
                                gpu_test_stream));
}

/* Calls back for every product x[i] w[j] that goes into output y[o]. */
typedef void visit(void *context, int64_t i, int64_t j, int64_t o);

static void for_all_products(const gpu_layer_numbers *n, visit *each, void *context)
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

gpu_layer_numbers gpu_layer_test_make(const gpu_ops_test *t, const gpu_layer *l, uint64_t *state)
{
    const ops_conv2d *op = &l->op;
    gpu_layer_numbers n = {.l = l,
                           .oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h),
                           .ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w)};
    n.x_count = l->batch * op->h * op->w * op->c;
    n.w_count = op->kernel_h * op->kernel_w * op->c * op->n;
    n.y_count = l->batch * n.oh * n.ow * op->n;
    const int64_t bias_at = (n.w_count + 15) / 16 * 16;
    n.params = gpu_ops_test_params(t, state, bias_at + op->n, gpu_layer_test_spread(0.4, n.w_count / op->n), &n.w);
    n.b = n.w + bias_at;
    n.device_x = gpu_test_random(t->type, state, n.x_count, -1.0, 1.0, &n.x);
    n.y = gpu_test_tensor(t->type, n.y_count);
    n.z = gpu_test_tensor(t->type, n.y_count);
    n.dw = gpu_test_tensor(GPU_F32, n.w_count);
    n.db = gpu_test_tensor(GPU_F32, op->n);
    return n;
}

void gpu_layer_test_forward(const gpu_ops_test *t, const gpu_layer_numbers *n, ops_conv *conv)
{
    const gpu_layer *l = n->l;
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
static void check_dz(const gpu_ops_test *t, const gpu_layer_numbers *n, const float *g)
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

void gpu_layer_test_backward(const gpu_ops_test *t, gpu_layer_numbers *n, ops_conv *conv, uint64_t *state)
{
    const gpu_layer *l = n->l;
    const ops_dense dense = {l->op.c, l->op.n, l->op.activation};
    float *g, *dx, *db = l->bias ? n->db : NULL;
    const double high = gpu_layer_test_spread(1.0, n->y_count / l->op.n);
    n->dy = gpu_test_random(t->type, state, n->y_count, -high, high, &g);
    n->dx = gpu_test_random(t->type, state, n->x_count, -1.0, 1.0, &dx);
    void *to = l->op.wants_dx ? n->dx : NULL;
    if (to && !l->accumulate)
        gpu_layer_test_poison(t, to, 1, n->x_count, 0);
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

void gpu_layer_test_case(gpu_ops_test *t, const gpu_layer *l)
{
    uint64_t state = (uint64_t)(l->op.h * 31 + l->op.c * 7 + l->op.n + l->batch);
    ops_conv *conv = NULL;
    gpu_layer_numbers n = gpu_layer_test_make(t, l, &state);
    if (!l->dense)
        GPU_OPS(ops_gpu.conv2d_create(t->self, &l->op, l->batch + 1, &conv));
    gpu_layer_test_forward(t, &n, conv);
    gpu_layer_test_backward(t, &n, conv, &state);
    ops_gpu.conv2d_destroy(&conv);
    assert_null(conv);
    gpu_test_end(NULL);
}
