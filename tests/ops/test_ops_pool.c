/* Pooling against its definition in double. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct pool_case {
    ops_pool2d op;
    int64_t batch;
    int average;
} pool_case;

typedef struct problem {
    const pool_case *pool;
    const float *dy;
} problem;

static int64_t outputs(const pool_case *p)
{
    const ops_pool2d *op = &p->op;
    return ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h) *
           ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w) * op->c;
}

static int64_t inputs(const pool_case *p)
{
    return p->op.h * p->op.w * p->op.c;
}

/* Output (i, j, c) of one image; *winner receives the place of the first maximum in the window. */
static double pool_at(const pool_case *p, const double *image, int64_t i, int64_t j, int64_t c, int *winner)
{
    const ops_pool2d *op = &p->op;
    double best = -INFINITY, sum = 0.0;
    int64_t pixels = 0;
    for (int64_t kh = 0; kh < op->kernel_h; kh++)
        for (int64_t kw = 0; kw < op->kernel_w; kw++) {
            int64_t row = i * op->stride_h - op->pad_h + kh, column = j * op->stride_w - op->pad_w + kw;
            if (row < 0 || row >= op->h || column < 0 || column >= op->w)
                continue;
            double x = image[(row * op->w + column) * op->c + c];
            sum += x;
            pixels++;
            if (x > best) {
                best = x;
                *winner = (int)(kh * op->kernel_w + kw);
            }
        }
    return p->average ? sum / (double)pixels : best;
}

static void pool_reference(const pool_case *p, const double *x, double *y, uint8_t *winner)
{
    const ops_pool2d *op = &p->op;
    int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w), n = outputs(p);
    for (int64_t at = 0; at < p->batch * n; at++) {
        int64_t c = at % op->c, j = at / op->c % ow, i = at % n / op->c / ow;
        int place = 0;
        y[at] = pool_at(p, x + at / n * inputs(p), i, j, c, &place);
        winner[at] = (uint8_t)place;
    }
}

static double weighted_pool(const void *argument, const double *x)
{
    const problem *q = argument;
    const ops_pool2d *op = &q->pool->op;
    int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w), n = outputs(q->pool);
    double sum = 0.0;
    for (int64_t at = 0; at < q->pool->batch * n; at++) {
        int place;
        sum += (double)q->dy[at] *
               pool_at(q->pool, x + at / n * inputs(q->pool), at % n / op->c / ow, at / op->c % ow, at % op->c, &place);
    }
    return sum;
}

/* Distinct values 0.001 apart, so that a difference of 1e-5 changes no maximum. */
static void fill_distinct(uint64_t *random, float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)i * 0.001f - 0.5f;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = ops_reference_int(random, 0, i);
        float kept = x[i];
        x[i] = x[j];
        x[j] = kept;
    }
}

static base_status backward(const ops_table *table, ops_context *self, const pool_case *p, const float *dy,
                            const uint8_t *winner, float *dx, int accumulate)
{
    return p->average ? table->avg_pool_backward(self, &p->op, p->batch, dy, dx, accumulate)
                      : table->max_pool_backward(self, &p->op, p->batch, dy, winner, dx, accumulate);
}

static uint64_t pool_run(const ops_table *table, ops_context *self, const void *argument)
{
    const pool_case *p = argument;
    const int64_t in = p->batch * inputs(p), out = p->batch * outputs(p);
    uint64_t random = 51;
    float *x = ops_reference_floats(in), *y = ops_reference_floats(out), *dx = ops_reference_floats(in);
    float *dy = ops_reference_random(&random, out, -1.0, 1.0);
    uint8_t *winner = ops_reference_alloc((size_t)out), *place = ops_reference_alloc((size_t)out);
    fill_distinct(&random, x, in);
    double *wide = ops_reference_widen(x, in), *want = ops_reference_doubles(out), *slope = ops_reference_doubles(in);
    pool_reference(p, wide, want, place);
    if (p->average) {
        assert_int_equal(table->avg_pool_forward(self, &p->op, p->batch, x, y), BASE_OK);
    } else {
        assert_int_equal(table->max_pool_forward(self, &p->op, p->batch, x, y, NULL), BASE_OK);
        ops_reference_near("y in evaluation", y, want, out, 0.0);
        assert_int_equal(table->max_pool_forward(self, &p->op, p->batch, x, y, winner), BASE_OK);
        assert_memory_equal(winner, place, (size_t)out);
    }
    ops_reference_near("y", y, want, out, p->average ? 1e-7 : 0.0);

    problem q = {p, dy};
    uint64_t digest = ops_reference_digest(0, y, (size_t)out * sizeof *y);
    assert_int_equal(backward(table, self, p, dy, winner, dx, 0), BASE_OK);
    digest = ops_reference_digest(digest, dx, (size_t)in * sizeof *dx);
    if (in < 800) { /* the reference takes 2 in forward passes */
        ops_reference_gradient(weighted_pool, &q, wide, in, slope);
        ops_reference_near("dx", dx, slope, in, 1e-6);
        for (int64_t i = 0; i < in; i++) {
            slope[i] += (double)x[i];
            dx[i] = x[i];
        }
        assert_int_equal(backward(table, self, p, dy, winner, dx, 1), BASE_OK);
        ops_reference_near("accumulated dx", dx, slope, in, 1e-6);
    }
    assert_int_equal(backward(table, self, p, dy, winner, NULL, 0), BASE_OK);
    void *all[] = {x, y, dx, dy, winner, place, wide, want, slope};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void pools_and_gradients(void **state)
{
    (void)state;
    static const ops_pool2d shapes[] = {
        /* h, w, c; kernel; stride; padding */
        {4, 4, 3, 2, 2, 2, 2, 0, 0},     {5, 7, 1, 2, 2, 2, 2, 0, 0},  {7, 5, 17, 3, 2, 1, 2, 1, 0},
        {6, 9, 3, 3, 3, 2, 2, 1, 1},     {9, 8, 2, 2, 2, 3, 4, 0, 0},  {3, 3, 5, 3, 3, 1, 1, 0, 0},
        {1, 1, 4, 1, 1, 1, 1, 0, 0},     {5, 5, 16, 5, 3, 2, 1, 4, 2}, {2, 3, 300, 2, 2, 2, 2, 0, 1},
        {15, 17, 1, 15, 17, 1, 1, 0, 0},
    };
    static const int64_t batches[] = {0, 1, 3};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            for (int average = 0; average < 2; average++)
                ops_reference_run(pool_run, &(pool_case){shapes[i], batches[b], average});
    /* Several tasks. */
    for (int average = 0; average < 2; average++)
        ops_reference_run(pool_run, &(pool_case){{25, 24, 33, 3, 3, 2, 2, 1, 1}, 11, average});
}

static uint64_t ties_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { C = 20 };
    const ops_pool2d op = {2, 2, C, 2, 2, 2, 2, 0, 0}, padded = {2, 2, C, 2, 2, 2, 2, 1, 1};
    float *x = ops_reference_floats(4 * C), *y = ops_reference_floats(4 * C);
    uint8_t *winner = ops_reference_alloc(4 * C);
    for (int i = 0; i < 4 * C; i++)
        x[i] = -7.0f;
    assert_int_equal(table->max_pool_forward(self, &op, 1, x, y, winner), BASE_OK);
    for (int c = 0; c < C; c++)
        assert_true(winner[c] == 0 && y[c] == -7.0f);
    for (int c = 0; c < C; c++)
        x[2 * C + c] = x[3 * C + c] = -1.0f;
    assert_int_equal(table->max_pool_forward(self, &op, 1, x, y, winner), BASE_OK);
    for (int c = 0; c < C; c++)
        assert_true(winner[c] == 2 && y[c] == -1.0f);
    /* Each window has one pixel inside: padding, though greater, never wins. */
    assert_int_equal(table->max_pool_forward(self, &padded, 1, x, y, winner), BASE_OK);
    for (int i = 0; i < 4 * C; i++)
        assert_true(y[i] == x[i] && winner[i] == 3 - i / C);
    x[C + 4] = NAN; /* is not lost */
    assert_int_equal(table->max_pool_forward(self, &op, 1, x, y, winner), BASE_OK);
    for (int c = 0; c < C; c++)
        assert_true(isnan(y[c]) == (c == 4));
    ops_reference_free(x);
    ops_reference_free(y);
    ops_reference_free(winner);
    return 0;
}

static void first_of_equals_wins_and_padding_never(void **state)
{
    (void)state;
    ops_reference_run(ties_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_and_gradients),
        cmocka_unit_test(first_of_equals_wins_and_padding_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
