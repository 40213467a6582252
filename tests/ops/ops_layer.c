#include "ops_layer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 40 }; /* of a gradient that are compared; all of a smaller one */

/* Elements of a gradient and their values by central differences. */
typedef struct sample {
    int64_t count, index[SAMPLES];
    double want[SAMPLES];
} sample;

typedef struct reference {
    const ops_layer *layer;
    int64_t oh, ow, x_count, w_count, y_count;
    float *x, *w, *b, *g, *dx_before;   /* g: the gradient of y */
    float *given_x, *given_w, *given_g; /* what the slots get, which is not rounded */
    double *y, *z;
    sample dw, db, dx;
} reference;

/* z: (n), all channels of output pixel (sample, i, j). Nearly all of a test's time is spent here, for differences:
 * channels lie side by side, and sanitizers look at the slots alone. */
__attribute__((no_sanitize("address", "undefined"))) static void
pixel(const reference *r, const double *x, const double *w, int64_t s, int64_t i, int64_t j, double *restrict z)
{
    const ops_conv2d *op = &r->layer->op;
    memset(z, 0, (size_t)op->n * sizeof *z);
    for (int64_t p = 0; p < op->kernel_h; p++) {
        int64_t row = i * op->stride_h - op->pad_h + p;
        for (int64_t q = 0; q < op->kernel_w; q++) {
            int64_t column = j * op->stride_w - op->pad_w + q;
            if (row < 0 || row >= op->h || column < 0 || column >= op->w)
                continue;
            const double *at = x + ((s * op->h + row) * op->w + column) * op->c;
            const double *kernel = w + (p * op->kernel_w + q) * op->c * op->n;
            for (int64_t c = 0; c < op->c; c++)
                for (int64_t n = 0; n < op->n; n++)
                    z[n] += at[c] * kernel[c * op->n + n];
        }
    }
}

static void forward(const reference *r, const double *x, const double *w, const double *b, double *y, double *z)
{
    const ops_conv2d *op = &r->layer->op;
    for (int64_t at = 0; at < r->y_count / op->n; at++)
        pixel(r, x, w, at / r->ow / r->oh, at / r->ow % r->oh, at % r->ow, z + at * op->n);
    for (int64_t e = 0; e < r->y_count; e++) {
        z[e] += r->layer->bias ? b[e % op->n] : 0;
        y[e] = ops_reference_activate(op->activation, z[e]);
    }
}

typedef struct inputs {
    const reference *r;
    const float *g;
    double *x, *w, *b, *y, *z;
} inputs;

static double loss(const inputs *in)
{
    forward(in->r, in->x, in->w, in->b, in->y, in->z);
    return ops_reference_dot(in->g, in->y, in->r->y_count);
}

/* Central differences of the loss for some elements of `array`. The step keeps rounding (1e-16 of the loss over it) and
 * the third derivative (its square) both near 1e-10. */
static void differentiate(const inputs *in, double *array, int64_t count, uint64_t *seed, sample *s)
{
    const double h = 1e-6;
    s->count = count < SAMPLES ? count : SAMPLES;
    for (int64_t t = 0; t < s->count; t++) {
        int64_t i = s->index[t] = count <= SAMPLES ? t : ops_reference_int(seed, 0, count - 1);
        double kept = array[i];
        array[i] = kept + h;
        double above = loss(in);
        array[i] = kept - h;
        s->want[t] = (above - loss(in)) / (2 * h);
        array[i] = kept;
    }
}

/* With an activation whose slope is 0 or 1 the factors of all products are known without computing one. Then "bf16" is
 * held to what fp32 is, for the rounded factors. */
static int exact_factors(const ops_layer *layer)
{
    return layer->bf16 && (layer->op.activation == OPS_IDENTITY || layer->op.activation == OPS_RELU);
}

/* A copy, of which the elements are rounded where `rounds`. */
static float *factors(const float *from, int64_t count, int rounds)
{
    float *x = ops_reference_floats(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = rounds ? ops_reference_bf16(from[i]) : from[i];
    return x;
}

static void reference_create(reference *r, const ops_layer *layer)
{
    const ops_conv2d *op = &layer->op;
    uint64_t seed = (uint64_t)(op->h * 31 + op->c * 7 + op->n + layer->batch);
    *r = (reference){.layer = layer};
    r->oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    r->ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    r->x_count = layer->batch * op->h * op->w * op->c;
    r->w_count = op->kernel_h * op->kernel_w * op->c * op->n;
    r->y_count = layer->batch * r->oh * r->ow * op->n;
    r->given_x = ops_reference_random(&seed, r->x_count, -1, 1);
    r->given_w = ops_reference_random(&seed, r->w_count, -1, 1);
    r->b = ops_reference_random(&seed, op->n, -1, 1);
    r->given_g = ops_reference_random(&seed, r->y_count, -1, 1);
    r->dx_before = ops_reference_random(&seed, r->x_count, -1, 1);
    r->x = factors(r->given_x, r->x_count, exact_factors(layer));
    r->w = factors(r->given_w, r->w_count, exact_factors(layer));
    r->g = factors(r->given_g, r->y_count, exact_factors(layer));
    r->y = ops_reference_doubles(r->y_count);
    r->z = ops_reference_doubles(r->y_count);

    inputs in = {r,
                 r->g,
                 ops_reference_widen(r->x, r->x_count),
                 ops_reference_widen(r->w, r->w_count),
                 ops_reference_widen(r->b, op->n),
                 r->y,
                 r->z};
    differentiate(&in, in.w, r->w_count, &seed, &r->dw);
    in.g = r->given_g; /* no factor of a sum */
    differentiate(&in, in.b, layer->bias ? op->n : 0, &seed, &r->db);
    in.g = r->g;
    differentiate(&in, in.x, op->wants_dx ? r->x_count : 0, &seed, &r->dx);
    forward(r, in.x, in.w, in.b, r->y, r->z);
    ops_reference_free(in.x);
    ops_reference_free(in.w);
    ops_reference_free(in.b);
}

static void reference_destroy(reference *r)
{
    void *arrays[] = {r->x, r->w, r->b, r->g, r->dx_before, r->y, r->z, r->given_x, r->given_w, r->given_g};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        ops_reference_free(arrays[i]);
}

/* A float sum of `terms` products of numbers near 1 carries as many rounding errors of up to 6e-8, which mostly cancel.
 * Products of factors rounded to bfloat16 carry up to 4e-3 each, of which the root of the mean square is 1e-3. */
static double tolerance(const reference *r, int64_t terms)
{
    double one = r->layer->bf16 && !exact_factors(r->layer) ? 3e-3 : 4e-7;
    return one * (4 + sqrt((double)terms));
}

static void compare(const reference *r, const char *what, const sample *s, const double *got, int64_t terms)
{
    for (int64_t t = 0; t < s->count; t++) {
        double at = got[s->index[t]];
        if (!(fabs(at - s->want[t]) <= tolerance(r, terms) * (1 + fabs(s->want[t]))))
            fail_msg("%s[%lld] is %.9g, central differences say %.9g", what, (long long)s->index[t], at, s->want[t]);
    }
}

/* What the slots write. */
typedef struct outputs {
    float *y, *z, *dy, *dx;
    double *dw, *db; /* a dense layer's are widened */
} outputs;

/* The rows of dw in two calls, each with its own db. */
static void run_dense(const ops_table *table, ops_context *self, const reference *r, const float *b, float *z,
                      float *dx, outputs *o)
{
    const ops_layer *layer = r->layer;
    ops_dense op = {layer->op.c, layer->op.n, layer->op.activation};
    int64_t cut = op.k / 2;
    float *dw = ops_reference_floats(r->w_count), *db = ops_reference_floats(op.n);
    assert_int_equal(table->dense_forward(self, &op, layer->batch, r->given_x, r->given_w, b, o->y, z), BASE_OK);
    assert_int_equal(
        table->dense_backward_data(self, &op, layer->batch, r->given_w, o->y, z, o->dy, dx, layer->accumulate),
        BASE_OK);
    assert_int_equal(table->dense_backward_weights(self, &op, layer->batch, cut, op.k, r->given_x, o->dy, dw, NULL),
                     BASE_OK);
    assert_int_equal(
        table->dense_backward_weights(self, &op, layer->batch, 0, cut, r->given_x, o->dy, dw, layer->bias ? db : NULL),
        BASE_OK);
    for (int64_t i = 0; i < r->w_count; i++)
        o->dw[i] = (double)dw[i];
    for (int64_t i = 0; i < op.n; i++)
        o->db[i] = (double)db[i];
    ops_reference_free(dw);
    ops_reference_free(db);
}

static void run_slots(const ops_table *table, ops_context *self, const reference *r, ops_conv *conv, outputs *o)
{
    const ops_layer *layer = r->layer;
    const float *b = layer->bias ? r->b : NULL;
    float *dx = layer->op.wants_dx ? o->dx : NULL;
    float *z = ops_activation_keeps_input(layer->op.activation) ? o->z : NULL;
    if (layer->dense) {
        run_dense(table, self, r, b, z, dx, o);
        return;
    }
    assert_int_equal(table->conv2d_forward(self, conv, layer->batch, r->given_x, r->given_w, b, o->y, z), BASE_OK);
    assert_int_equal(table->conv2d_backward(self, conv, layer->batch, r->given_x, r->given_w, o->y, z, o->dy, o->dw,
                                            layer->bias ? o->db : NULL, dx, layer->accumulate),
                     BASE_OK);
}

static void compare_dx(const reference *r, const outputs *o, int64_t terms)
{
    double *dx = ops_reference_doubles(r->x_count);
    for (int64_t i = 0; i < r->x_count; i++) /* without what was there, whose sum rounds at the size of both */
        dx[i] = (double)o->dx[i] - (r->layer->accumulate ? (double)r->dx_before[i] : 0);
    compare(r, "dx", &r->dx, dx, terms);
    ops_reference_free(dx);
}

static void compare_all(const reference *r, const outputs *o)
{
    const ops_conv2d *op = &r->layer->op;
    int64_t patch = r->w_count / op->n, pixels = r->layer->batch * r->oh * r->ow;
    ops_reference_near("y", o->y, r->y, r->y_count, tolerance(r, patch));
    if (ops_activation_keeps_input(op->activation))
        ops_reference_near("z", o->z, r->z, r->y_count, tolerance(r, patch));
    compare(r, "dw", &r->dw, o->dw, pixels + patch);
    compare(r, "db", &r->db, o->db, pixels + patch);
    compare_dx(r, o, r->w_count / op->c + patch);
    for (int64_t i = 0; i < r->w_count && r->layer->batch == 0; i++)
        assert_true(o->dw[i] == 0.0);
    for (int64_t i = 0; i < r->db.count && r->layer->batch == 0; i++)
        assert_true(o->db[i] == 0.0);
}

static uint64_t run(const ops_table *table, ops_context *self, const void *argument)
{
    const reference *r = argument;
    const ops_layer *layer = r->layer;
    outputs o = {ops_reference_floats(r->y_count),  ops_reference_floats(r->y_count),
                 ops_reference_floats(r->y_count),  ops_reference_floats(r->x_count),
                 ops_reference_doubles(r->w_count), ops_reference_doubles(layer->op.n)};
    ops_conv *conv = NULL;
    int64_t max_batch = layer->max_batch ? layer->max_batch : layer->batch;
    if (!layer->dense)
        assert_int_equal(table->conv2d_create(self, &layer->op, max_batch, &conv), BASE_OK);
    uint64_t digest = 0;
    for (int repeat = 0; repeat < 2; repeat++) { /* the second finds what the first left in scratch */
        memcpy(o.dy, r->given_g, (size_t)r->y_count * sizeof *o.dy);
        if (layer->accumulate)
            memcpy(o.dx, r->dx_before, (size_t)r->x_count * sizeof *o.dx);
        run_slots(table, self, r, conv, &o);
        compare_all(r, &o);
        digest = ops_reference_digest(digest, o.y, (size_t)r->y_count * sizeof(float));
        digest = ops_reference_digest(digest, o.dw, (size_t)r->w_count * sizeof(double));
        digest = ops_reference_digest(digest, o.db, (size_t)layer->op.n * sizeof(double));
        digest = ops_reference_digest(digest, o.dx, (size_t)r->x_count * sizeof(float));
    }
    if (!layer->dense)
        table->conv2d_destroy(&conv);
    assert_null(conv);
    void *arrays[] = {o.y, o.z, o.dy, o.dx, o.dw, o.db};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        ops_reference_free(arrays[i]);
    return digest;
}

void ops_layer_check(const ops_layer *layer, const char *gemm)
{
    if (!ops_reference_has(gemm))
        skip();
    reference r;
    reference_create(&r, layer);
    if (layer->bf16)
        ops_reference_run_bf16(run, &r, gemm);
    else
        ops_reference_run_with(run, &r, gemm);
    reference_destroy(&r);
}
