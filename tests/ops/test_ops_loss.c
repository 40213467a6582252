/* Losses against their definitions in double, and their gradients against central differences. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct loss_shape {
    int64_t batch, n;
    int squares; /* mean_squared_error */
} loss_shape;

typedef struct problem {
    const loss_shape *shape;
    const int32_t *labels;
    double scale;
} problem;

static double row_loss(const loss_shape *s, const double *x, int32_t label)
{
    double sum = 0.0, most = x[0];
    if (s->squares) {
        for (int64_t i = 0; i < s->n; i++)
            sum += pow(x[i] - (i == label ? 1.0 : 0.0), 2.0);
        return sum / (double)s->n;
    }
    for (int64_t i = 0; i < s->n; i++)
        most = fmax(most, x[i]);
    for (int64_t i = 0; i < s->n; i++)
        sum += exp(x[i] - most);
    return log(sum) + most - x[label];
}

static double scaled_loss(const void *argument, const double *x)
{
    const problem *p = argument;
    double sum = 0.0;
    for (int64_t r = 0; r < p->shape->batch; r++)
        sum += row_loss(p->shape, x + r * p->shape->n, p->labels[r]);
    return p->scale * sum;
}

static base_status loss(const ops_table *table, ops_context *self, const loss_shape *s, const float *x,
                        const int32_t *labels, float scale, float *dx, double result[2])
{
    return s->squares ? table->mean_squared_error(self, s->batch, s->n, x, labels, scale, dx, result)
                      : table->softmax_cross_entropy(self, s->batch, s->n, x, labels, scale, dx, result);
}

static int is_right(const float *x, int64_t n, int32_t label)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best == label;
}

static uint64_t loss_case(const ops_table *table, ops_context *self, const void *argument)
{
    const loss_shape *s = argument;
    const int64_t count = s->batch * s->n;
    const float scale = 0.25f;
    uint64_t random = 31;
    float *x = ops_reference_random(&random, count, -4.0, 4.0), *dx = ops_reference_floats(count);
    int32_t *labels = ops_reference_alloc((size_t)s->batch * sizeof *labels);
    double right = 0.0, *result = ops_reference_doubles(2), *evaluated = ops_reference_doubles(2);
    for (int64_t r = 0; r < s->batch; r++) {
        labels[r] = (int32_t)ops_reference_int(&random, 0, s->n - 1);
        right += is_right(x + r * s->n, s->n, labels[r]);
    }
    double *wide = ops_reference_widen(x, count), *want = ops_reference_doubles(count);
    problem p = {s, labels, (double)scale};
    assert_int_equal(loss(table, self, s, x, labels, scale, dx, result), BASE_OK);
    assert_int_equal(loss(table, self, s, x, labels, scale, NULL, evaluated), BASE_OK);
    double total = scaled_loss(&p, wide) / (double)scale;
    assert_true(fabs(result[0] - total) <= 3e-7 * (1.0 + total)); /* exponentials are floats */
    assert_true(fabs(evaluated[0] - total) <= 3e-7 * (1.0 + total));
    assert_true(result[1] == right && evaluated[1] == right);
    if (count < 5000) { /* the reference takes 2 count losses */
        ops_reference_gradient(scaled_loss, &p, wide, count, want);
        ops_reference_near("dlogits", dx, want, count, 1e-6);
    }
    uint64_t digest =
        ops_reference_digest(ops_reference_digest(0, result, 2 * sizeof *result), dx, (size_t)count * sizeof *dx);
    void *all[] = {x, dx, labels, result, evaluated, wide, want};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void losses_and_gradients(void **state)
{
    (void)state;
    static const loss_shape cases[] = {
        {0, 10, 0}, {1, 1, 0}, {7, 10, 0}, {128, 10, 0}, {3, 17, 0}, {2, 1024, 0},  {2, 1025, 0},  {90, 1500, 0},
        {0, 10, 1}, {1, 1, 1}, {7, 10, 1}, {128, 10, 1}, {3, 17, 1}, {9000, 10, 0}, {9000, 10, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(loss_case, &cases[i]);
}

/* The loss of one sample of three logits. */
static double loss_of(const ops_table *table, ops_context *self, const float x[3], int32_t label, float dx[3],
                      double *right)
{
    double result[2];
    assert_int_equal(table->softmax_cross_entropy(self, 1, 3, x, &label, 1.0f, dx, result), BASE_OK);
    *right = result[1];
    return result[0];
}

static uint64_t extreme_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    float dx[3];
    double right;
    double far = loss_of(table, self, (const float[]){3e38f, -3e38f, 0.0f}, 1, dx, &right);
    assert_true(far > 5.9e38 && isfinite(far) && right == 0.0);
    assert_true(dx[0] == 1.0f && dx[1] == -1.0f && dx[2] == 0.0f);
    assert_true(loss_of(table, self, (const float[]){3e38f, -3e38f, 0.0f}, 0, dx, &right) == 0.0 && right == 1.0);
    double even = loss_of(table, self, (const float[]){-1e30f, -1e30f, -1e30f}, 2, dx, &right);
    assert_true(fabs(even - log(3.0)) < 1e-12 && right == 0.0); /* the first of equals is 0 */
    loss_of(table, self, (const float[]){1.0f, 2.0f, 2.0f}, 1, dx, &right);
    assert_true(right == 1.0);
    loss_of(table, self, (const float[]){1.0f, 2.0f, 2.0f}, 2, dx, &right);
    assert_true(right == 0.0);
    for (int32_t label = 0; label < 3; label++) {
        assert_true(isnan(loss_of(table, self, (const float[]){1.0f, NAN, 0.0f}, label, dx, &right)) && right == 0.0);
        assert_true(isnan(dx[0]) && isnan(dx[1]) && isnan(dx[2]));
        assert_true(isnan(loss_of(table, self, (const float[]){NAN, 1.0f, 0.0f}, label, dx, &right)));
        assert_true(!isfinite(loss_of(table, self, (const float[]){1.0f, INFINITY, 0.0f}, label, dx, &right)));
    }
    return 0;
}

static void extreme_logits(void **state)
{
    (void)state;
    ops_reference_run(extreme_case, NULL);
}

/* A sample's gradient is the same alone and within a batch, so on every rank. */
static uint64_t batch_case(const ops_table *table, ops_context *self, const void *argument)
{
    const loss_shape *s = argument;
    uint64_t random = 17;
    float *x = ops_reference_random(&random, s->batch * s->n, -4.0, 4.0), *dx = ops_reference_floats(s->batch * s->n);
    float *one = ops_reference_floats(s->n);
    int32_t *labels = ops_reference_alloc((size_t)s->batch * sizeof *labels);
    double result[2], sum[2] = {0.0, 0.0};
    for (int64_t r = 0; r < s->batch; r++)
        labels[r] = (int32_t)(r % s->n);
    assert_int_equal(loss(table, self, s, x, labels, 0.5f, dx, result), BASE_OK);
    const loss_shape single = {1, s->n, s->squares};
    for (int64_t r = 0; r < s->batch; r++) {
        double part[2];
        assert_int_equal(loss(table, self, &single, x + r * s->n, labels + r, 0.5f, one, part), BASE_OK);
        assert_memory_equal(one, dx + r * s->n, (size_t)s->n * sizeof *one);
        sum[0] += part[0];
        sum[1] += part[1];
    }
    assert_true(fabs(sum[0] - result[0]) <= 1e-13 * result[0] && sum[1] == result[1]);
    void *all[] = {x, dx, one, labels};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return 0;
}

static void samples_do_not_depend_on_their_batch(void **state)
{
    (void)state;
    static const loss_shape cases[] = {{37, 10, 0}, {5, 700, 0}, {37, 10, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(batch_case, &cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients),
        cmocka_unit_test(extreme_logits),
        cmocka_unit_test(samples_do_not_depend_on_their_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
