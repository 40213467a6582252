/* Slots that map each element by itself, and the float functions behind them against libm in double. */
#include "ops_host_math.h"
#include "ops_reference.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Distance from `got` to `want` in units of the last place that float has at `want`. */
static double ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    double unit = ldexp(1.0, exponent - 24 > -149 ? exponent - 24 : -149);
    return fabs((double)got - want) / unit;
}

/* Every 4093rd float, which visits all exponents of both signs. */
enum { STRIDE = 4093, SWEEP = 1049344 };

static float sweep(int64_t i)
{
    return ops_math_float((uint32_t)i * STRIDE);
}

static void exp_is_accurate_everywhere(void **state)
{
    (void)state;
    for (int64_t i = 0; i < SWEEP; i++) {
        float x = sweep(i);
        double want = exp((double)x);
        if (isnan(x) || want > FLT_MAX)
            continue;
        if (!(ulps(ops_math_exp(x), want) <= 1.1))
            fail_msg("exp(%.9g) is %.9g, expected %.9g", (double)x, (double)ops_math_exp(x), want);
    }
    for (float x = -105.0f; x < 88.7f; x += 0.00173f)
        assert_true(ulps(ops_math_exp(x), exp((double)x)) <= 1.1);
    assert_true(isnan(ops_math_exp(NAN)));
    assert_true(isinf(ops_math_exp(INFINITY)) && isinf(ops_math_exp(88.73f)));
    assert_true(ops_math_exp(-INFINITY) == 0.0f && ops_math_exp(0.0f) == 1.0f);
}

typedef struct accuracy {
    ops_activation activation;
    double most_ulps;
    float at_minus_infinity, at_infinity;
} accuracy;

static uint64_t sweep_case(const ops_table *table, ops_context *self, const void *argument)
{
    const accuracy *a = argument;
    float *x = ops_reference_floats(SWEEP), *y = ops_reference_floats(SWEEP);
    for (int64_t i = 0; i < SWEEP; i++) /* half of them where the functions bend */
        x[i] = i % 2 ? sweep(i) : (float)(((double)i / SWEEP - 0.5) * 40.0);
    assert_int_equal(table->activation_forward(self, a->activation, SWEEP, x, y), BASE_OK);
    for (int64_t i = 0; i < SWEEP; i++) {
        double want = ops_reference_activate(a->activation, (double)x[i]);
        if (isnan(x[i]))
            assert_true(isnan(y[i]));
        else if (isfinite(x[i]) && !(ulps(y[i], want) <= a->most_ulps))
            fail_msg("%s: %s(%.9g) is %.9g, expected %.9g within %g ulps", table->name,
                     ops_activation_name(a->activation), (double)x[i], (double)y[i], want, a->most_ulps);
    }
    const float ends[3] = {-INFINITY, INFINITY, NAN};
    assert_int_equal(table->activation_forward(self, a->activation, 3, ends, y), BASE_OK);
    assert_true(isnan(a->at_minus_infinity) ? isnan(y[0]) : y[0] == a->at_minus_infinity);
    assert_true(y[1] == a->at_infinity && isnan(y[2]));
    ops_reference_free(x);
    ops_reference_free(y);
    return 0;
}

static void activations_are_accurate_everywhere(void **state)
{
    (void)state;
    static const accuracy cases[] = {{OPS_IDENTITY, 0.0, -INFINITY, INFINITY},
                                     {OPS_RELU, 0.0, 0.0f, INFINITY},
                                     {OPS_GELU, 8.0, NAN, INFINITY},
                                     {OPS_TANH, 1.4, -1.0f, 1.0f},
                                     {OPS_SIGMOID, 2.4, 0.0f, 1.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(sweep_case, &cases[i]);
}

/* A sample's numbers must not depend on its place in a batch, so not on whether a vector or a single takes them. */
static uint64_t place_case(const ops_table *table, ops_context *self, const void *argument)
{
    const ops_activation a = *(const ops_activation *)argument;
    enum { COUNT = 50 };
    uint64_t random = 7;
    float *x = ops_reference_random(&random, COUNT, -4.0, 4.0), *y = ops_reference_floats(COUNT);
    float *dx = ops_reference_floats(COUNT), *one = ops_reference_floats(1), *slope = ops_reference_floats(1);
    assert_int_equal(table->activation_forward(self, a, COUNT, x, y), BASE_OK);
    assert_int_equal(table->activation_backward(self, a, COUNT, x, y, x, dx, 0), BASE_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(table->activation_forward(self, a, 1, x + i, one), BASE_OK);
        assert_int_equal(table->activation_backward(self, a, 1, x + i, y + i, x + i, slope, 0), BASE_OK);
        assert_memory_equal(one, y + i, sizeof *one);
        assert_memory_equal(slope, dx + i, sizeof *slope);
    }
    ops_reference_free(x);
    ops_reference_free(y);
    ops_reference_free(dx);
    ops_reference_free(one);
    ops_reference_free(slope);
    return 0;
}

static void values_do_not_depend_on_place(void **state)
{
    (void)state;
    for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
        ops_reference_run(place_case, &a);
}

typedef struct weighted {
    ops_activation activation;
    int64_t count;
    const float *dy;
} weighted;

static double weighted_activation(const void *argument, const double *x)
{
    const weighted *w = argument;
    double sum = 0.0;
    for (int64_t i = 0; i < w->count; i++)
        sum += (double)w->dy[i] * ops_reference_activate(w->activation, x[i]);
    return sum;
}

static uint64_t gradient_case(const ops_table *table, ops_context *self, const void *argument)
{
    const ops_activation a = *(const ops_activation *)argument;
    enum { COUNT = 77 };
    uint64_t random = 11 + (uint64_t)a, digest = 0;
    float *x = ops_reference_random(&random, COUNT, -3.0, 3.0), *dy = ops_reference_random(&random, COUNT, -1.0, 1.0);
    float *y = ops_reference_floats(COUNT), *dx = ops_reference_floats(COUNT);
    float *before = ops_reference_random(&random, COUNT, -1.0, 1.0);
    double *wide = ops_reference_widen(x, COUNT), *want = ops_reference_doubles(COUNT);
    int keeps = ops_activation_keeps_input(a);
    weighted w = {a, COUNT, dy};
    ops_reference_gradient(weighted_activation, &w, wide, COUNT, want);

    assert_int_equal(table->activation_forward(self, a, COUNT, x, y), BASE_OK);
    assert_int_equal(table->activation_backward(self, a, COUNT, keeps ? x : NULL, keeps ? NULL : y, dy, dx, 0),
                     BASE_OK);
    ops_reference_near("dx", dx, want, COUNT, 1e-6);
    digest = ops_reference_digest(digest, dx, COUNT * sizeof *dx);

    for (int i = 0; i < COUNT; i++)
        want[i] += (double)before[i];
    memcpy(dx, before, COUNT * sizeof *dx);
    assert_int_equal(table->activation_backward(self, a, COUNT, keeps ? x : NULL, keeps ? NULL : y, dy, dx, 1),
                     BASE_OK);
    ops_reference_near("accumulated dx", dx, want, COUNT, 1e-6);

    /* In place: y over x, dx over dy. */
    assert_int_equal(table->activation_backward(self, a, COUNT, x, y, dy, dx, 0), BASE_OK);
    assert_int_equal(table->activation_backward(self, a, COUNT, x, y, dy, dy, 0), BASE_OK);
    assert_memory_equal(dx, dy, COUNT * sizeof *dx);
    assert_int_equal(table->activation_forward(self, a, COUNT, x, x), BASE_OK);
    assert_memory_equal(x, y, COUNT * sizeof *x);
    assert_int_equal(table->activation_backward(self, a, COUNT, x, y, dy, NULL, 0), BASE_OK);

    void *all[] = {x, dy, y, dx, before, wide, want};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void activation_gradients(void **state)
{
    (void)state;
    for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
        ops_reference_run(gradient_case, &a);
}

/* Long enough for several tasks. */
enum { LONG = 400009 };

static uint64_t sums_case(const ops_table *table, ops_context *self, const void *argument)
{
    const int64_t count = *(const int64_t *)argument;
    uint64_t random = 5;
    float *a = ops_reference_random(&random, count, -1.0, 1.0), *b = ops_reference_random(&random, count, -1.0, 1.0);
    float *c = ops_reference_random(&random, count, -1.0, 1.0), *y = ops_reference_floats(count);
    float *to = ops_reference_floats(count);
    const void *const x[] = {a, b, c};
    assert_int_equal(table->add(self, 3, count, x, y), BASE_OK);
    assert_int_equal(table->copy(self, count, a, to, 0), BASE_OK);
    assert_memory_equal(to, a, (size_t)count * sizeof *a);
    assert_int_equal(table->copy(self, count, b, to, 1), BASE_OK);
    for (int64_t i = 0; i < count; i++) {
        assert_true(to[i] == a[i] + b[i]);
        assert_true(y[i] == (a[i] + b[i]) + c[i]);
    }
    uint64_t digest = ops_reference_digest(0, y, (size_t)count * sizeof *y);
    assert_int_equal(table->add(self, 3, count, x, c), BASE_OK); /* over its last input */
    assert_memory_equal(c, y, (size_t)count * sizeof *y);
    assert_int_equal(table->add(self, 1, count, x, y), BASE_OK);
    assert_memory_equal(a, y, (size_t)count * sizeof *y);
    void *all[] = {a, b, c, y, to};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void copy_and_add(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        ops_reference_run(sums_case, &(const int64_t[]){0, 1, 1031, LONG}[i]);
}

static uint64_t concat_case(const ops_table *table, ops_context *self, const void *argument)
{
    const int64_t rows = *(const int64_t *)argument, c[3] = {3, 17, 1}, total = 21;
    uint64_t random = 9;
    float *x[3], *y = ops_reference_floats(rows * total);
    for (int i = 0; i < 3; i++)
        x[i] = ops_reference_random(&random, rows * c[i], -1.0, 1.0);
    assert_int_equal(table->concat(self, 3, rows, c, (const void *const *)x, y), BASE_OK);
    for (int64_t from = 0, i = 0; i < 3; from += c[i++]) {
        float *dx = ops_reference_floats(rows * c[i]);
        assert_int_equal(table->concat_backward(self, rows, total, from, c[i], y, dx, 0), BASE_OK);
        assert_memory_equal(dx, x[i], (size_t)(rows * c[i]) * sizeof *dx);
        assert_int_equal(table->concat_backward(self, rows, total, from, c[i], y, dx, 1), BASE_OK);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < c[i]; j++) {
                assert_true(y[r * total + from + j] == x[i][r * c[i] + j]);
                assert_true(dx[r * c[i] + j] == 2.0f * x[i][r * c[i] + j]);
            }
        ops_reference_free(dx);
    }
    uint64_t digest = ops_reference_digest(0, y, (size_t)(rows * total) * sizeof *y);
    for (int i = 0; i < 3; i++)
        ops_reference_free(x[i]);
    ops_reference_free(y);
    return digest;
}

static void concat_and_its_gradient(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        ops_reference_run(concat_case, &(const int64_t[]){0, 1, 37, 40003}[i]);
}

static uint64_t normalize_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)self;
    const int64_t c = *(const int64_t *)argument, count = c * 61;
    uint64_t random = 3;
    float *scale = ops_reference_random(&random, c, 0.001, 0.02), *shift = ops_reference_random(&random, c, -3.0, 3.0);
    float *x = ops_reference_floats(count);
    uint8_t *pixels = ops_reference_alloc((size_t)count);
    double *want = ops_reference_doubles(count);
    for (int64_t i = 0; i < count; i++) {
        pixels[i] = (uint8_t)ops_reference_int(&random, 0, 255);
        want[i] = (double)pixels[i] * (double)scale[i % c] + (double)shift[i % c];
    }
    assert_int_equal(table->normalize(NULL, count, c, pixels, scale, shift, x), BASE_OK);
    ops_reference_near("x", x, want, count, 1e-6);
    assert_int_equal(table->normalize(NULL, 0, c, pixels, scale, shift, x), BASE_OK);
    void *all[] = {scale, shift, x, pixels, want};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return 0;
}

static void normalize_by_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++)
        ops_reference_run(normalize_case, &(const int64_t[]){1, 3, 17, 128, 129, 300}[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_accurate_everywhere),
        cmocka_unit_test(activations_are_accurate_everywhere),
        cmocka_unit_test(values_do_not_depend_on_place),
        cmocka_unit_test(activation_gradients),
        cmocka_unit_test(copy_and_add),
        cmocka_unit_test(concat_and_its_gradient),
        cmocka_unit_test(normalize_by_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
