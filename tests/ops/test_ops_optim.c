/* Optimizers against the update formulas of PyTorch's documentation, written out in double. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Odd, and long enough for several tasks. */
enum { LONG = 200003, STEPS = 4 };

static void begin_step(const ops_table *table, ops_context *self, float lr, float grad_scale, int64_t update)
{
    const ops_step step = {.update = update, .lr = lr, .grad_scale = grad_scale};
    assert_int_equal(table->begin_step(self, &step), BASE_OK);
}

typedef struct sgd_case {
    float lr, grad_scale;
    ops_sgd op;
    int64_t count;
} sgd_case;

static uint64_t sgd_run(const ops_table *table, ops_context *self, const void *argument)
{
    const sgd_case *s = argument;
    const ops_sgd *op = &s->op;
    uint64_t random = 4;
    float *p = ops_reference_random(&random, s->count, -1.0, 1.0), *g = ops_reference_floats(s->count);
    float *v = op->momentum > 0.0f ? ops_reference_floats(s->count) : NULL;
    double *want = ops_reference_widen(p, s->count), *buffer = ops_reference_doubles(s->count);
    memset(buffer, 0, (size_t)s->count * sizeof *buffer);
    if (v)
        memset(v, 0, (size_t)s->count * sizeof *v);
    for (int step = 0; step < STEPS; step++) {
        ops_reference_fill(&random, g, s->count, -1.0, 1.0);
        begin_step(table, self, s->lr, s->grad_scale, step + 1);
        assert_int_equal(table->sgd_update(self, op, s->count, g, p, v), BASE_OK);
        for (int64_t i = 0; i < s->count; i++) {
            double gradient = (double)s->grad_scale * (double)g[i] + (double)op->weight_decay * want[i];
            buffer[i] = (double)op->momentum * buffer[i] + gradient;
            double move = op->nesterov ? gradient + (double)op->momentum * buffer[i] : buffer[i];
            want[i] -= (double)s->lr * move;
        }
    }
    ops_reference_near("p", p, want, s->count, 1e-6);
    if (v)
        ops_reference_near("v", v, buffer, s->count, 1e-6);
    uint64_t digest = ops_reference_digest(0, p, (size_t)s->count * sizeof *p);
    void *all[] = {p, g, v, want, buffer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void sgd_follows_its_formula(void **state)
{
    (void)state;
    static const sgd_case cases[] = {
        {0.1f, 1.0f, {.nesterov = 0}, 1031},
        {0.1f, 0.25f, {.weight_decay = 0.01f}, 17},
        {0.1f, 1.0f, {.momentum = 0.9f}, LONG},
        {0.01f, 0.5f, {.momentum = 0.9f, .weight_decay = 5e-4f}, 1},
        {0.05f, 0.5f, {.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = 1}, 333},
        {0.05f, 1.0f, {.momentum = 0.5f, .nesterov = 1}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(sgd_run, &cases[i]);
}

/* One parameter, constant gradient 1, no decay: v_t = (1 - m^t) / (1 - m), so that p moves by lr times their sum. */
static uint64_t geometric_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    const ops_sgd op = {.momentum = 0.5f};
    float g = 1.0f, p = 0.0f, v = 0.0f;
    begin_step(table, self, 0.125f, 1.0f, 1);
    for (int t = 0; t < 10; t++)
        assert_int_equal(table->sgd_update(self, &op, 1, &g, &p, &v), BASE_OK);
    double sum = 0.0;
    for (int t = 1; t <= 10; t++)
        sum += (1.0 - pow(0.5, t)) / 0.5;
    assert_true((double)p == -0.125 * sum); /* powers of two: exact */
    return 0;
}

static void momentum_is_a_geometric_sum(void **state)
{
    (void)state;
    ops_reference_run(geometric_case, NULL);
}

typedef struct adam_case {
    float lr, grad_scale;
    ops_adam op;
    int64_t count;
} adam_case;

static uint64_t adam_run(const ops_table *table, ops_context *self, const void *argument)
{
    const adam_case *s = argument;
    const ops_adam op = s->op;
    size_t nbytes = (size_t)s->count * sizeof(float);
    const double b1 = (double)op.beta1, b2 = (double)op.beta2, lr = (double)s->lr, decay = (double)op.weight_decay;
    uint64_t random = 8;
    float *p = ops_reference_random(&random, s->count, -1.0, 1.0), *g = ops_reference_floats(s->count);
    float *m = ops_reference_floats(s->count), *v = ops_reference_floats(s->count);
    double *want = ops_reference_widen(p, s->count), *dm = ops_reference_doubles(s->count);
    double *dv = ops_reference_doubles(s->count);
    memset(m, 0, nbytes);
    memset(v, 0, nbytes);
    memset(dm, 0, 2 * nbytes);
    memset(dv, 0, 2 * nbytes);
    for (int step = 1; step <= STEPS; step++) {
        ops_reference_fill(&random, g, s->count, -1.0, 1.0);
        begin_step(table, self, s->lr, s->grad_scale, step);
        assert_int_equal(table->adam_update(self, &op, s->count, g, p, m, v), BASE_OK);
        for (int64_t i = 0; i < s->count; i++) {
            double gradient = (double)s->grad_scale * (double)g[i];
            if (op.decoupled)
                want[i] -= lr * decay * want[i];
            else
                gradient += decay * want[i];
            dm[i] = b1 * dm[i] + (1.0 - b1) * gradient;
            dv[i] = b2 * dv[i] + (1.0 - b2) * gradient * gradient;
            double mean = dm[i] / (1.0 - pow(b1, step)), square = dv[i] / (1.0 - pow(b2, step));
            want[i] -= lr * mean / (sqrt(square) + (double)op.eps);
        }
    }
    ops_reference_near("p", p, want, s->count, 1e-6);
    ops_reference_near("m", m, dm, s->count, 1e-6);
    ops_reference_near("v", v, dv, s->count, 1e-6);
    uint64_t digest = ops_reference_digest(0, p, nbytes);
    void *all[] = {p, g, m, v, want, dm, dv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void adam_follows_its_formula(void **state)
{
    (void)state;
    static const adam_case cases[] = {
        {1e-3f, 1.0f, {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f}, 1031},
        {1e-2f, 0.5f, {.beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-6f, .weight_decay = 0.1f}, LONG},
        {1e-2f, 1.0f, {.beta1 = 0.8f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f, .decoupled = 1}, 333},
        {1e-2f, 1.0f, {.beta1 = 0.8f, .beta2 = 0.95f, .eps = 1e-8f}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(adam_run, &cases[i]);
}

/* A first step moves every parameter by lr against the gradient's sign, whatever its size. */
static uint64_t first_step_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    const ops_adam op = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-12f};
    const float g[4] = {1e-4f, -3.0f, 1e4f, 0.0f};
    float p[4] = {0}, m[4] = {0}, v[4] = {0};
    const double want[4] = {-0.01, 0.01, -0.01, 0.0};
    begin_step(table, self, 0.01f, 1.0f, 1);
    assert_int_equal(table->adam_update(self, &op, 4, g, p, m, v), BASE_OK);
    ops_reference_near("p", p, want, 4, 1e-7);
    return 0;
}

static void adams_first_step_is_lr(void **state)
{
    (void)state;
    ops_reference_run(first_step_case, NULL);
}

/* Slices of a slab begin anywhere: addresses are aligned to 4 bytes only, and a cut changes no parameter. */
static uint64_t slices_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { COUNT = 1000, CUT = 333 };
    const ops_sgd op = {.momentum = 0.9f, .weight_decay = 0.01f};
    uint64_t random = 6;
    float *g = ops_reference_random(&random, COUNT, -1.0, 1.0), *p = ops_reference_random(&random, COUNT, -1.0, 1.0);
    float *v = ops_reference_random(&random, COUNT, -1.0, 1.0), *p2 = ops_reference_floats(COUNT);
    float *v2 = ops_reference_floats(COUNT);
    memcpy(p2, p, COUNT * sizeof *p);
    memcpy(v2, v, COUNT * sizeof *v);
    begin_step(table, self, 0.1f, 0.3f, 1);
    assert_int_equal(table->sgd_update(self, &op, COUNT, g, p, v), BASE_OK);
    assert_int_equal(table->sgd_update(self, &op, CUT, g, p2, v2), BASE_OK);
    assert_int_equal(table->sgd_update(self, &op, COUNT - CUT, g + CUT, p2 + CUT, v2 + CUT), BASE_OK);
    assert_memory_equal(p, p2, COUNT * sizeof *p);
    assert_memory_equal(v, v2, COUNT * sizeof *v);
    void *all[] = {g, p, v, p2, v2};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return 0;
}

static void slices_equal_the_whole(void **state)
{
    (void)state;
    ops_reference_run(slices_case, NULL);
}

static uint64_t squares_case(const ops_table *table, ops_context *self, const void *argument)
{
    const int64_t count = *(const int64_t *)argument;
    uint64_t random = 12;
    float *x = ops_reference_random(&random, count, -1.0, 1.0);
    double want = 0.0, got = NAN;
    for (int64_t i = 0; i < count; i++)
        want += (double)x[i] * (double)x[i];
    assert_int_equal(table->sum_of_squares(self, count, x, 0, &got), BASE_OK);
    assert_true(fabs(got - want) <= 1e-12 * want);
    uint64_t digest = ops_reference_digest(0, &got, sizeof got);
    assert_int_equal(table->sum_of_squares(self, count, x, 1, &got), BASE_OK);
    assert_true(fabs(got - 2.0 * want) <= 2e-12 * want);
    if (count > 0) {
        x[count / 2] = NAN;
        assert_int_equal(table->sum_of_squares(self, count, x, 0, &got), BASE_OK);
        assert_true(isnan(got));
    }
    ops_reference_free(x);
    return digest;
}

static void sum_of_squares_in_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        ops_reference_run(squares_case, &(const int64_t[]){0, 1, 77, LONG}[i]);
}

/* A norm of 4 against limits around it: the factor shows in what plain SGD with lr 1 takes from 0. */
static uint64_t clip_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    static const struct {
        double limit, factor;
    } cases[] = {{1.0, 0.25}, {3.9, 3.9 / 4.0}, {4.0, 1.0}, {5.0, 1.0}};
    const double squares = 16.0;
    const ops_sgd op = {0};
    const float g = 4.0f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float p = 0.0f;
        begin_step(table, self, 1.0f, 1.0f, 1);
        assert_int_equal(table->clip(self, cases[i].limit, &squares), BASE_OK);
        assert_int_equal(table->sgd_update(self, &op, 1, &g, &p, NULL), BASE_OK);
        assert_true(p == -4.0f * (float)cases[i].factor);
    }
    begin_step(table, self, 1.0f, 1.0f, 2); /* a step does not inherit the factor of the one before */
    float p = 0.0f;
    assert_int_equal(table->sgd_update(self, &op, 1, &g, &p, NULL), BASE_OK);
    assert_true(p == -4.0f);
    return 0;
}

static void clipping_by_the_norm(void **state)
{
    (void)state;
    ops_reference_run(clip_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_its_formula),  cmocka_unit_test(momentum_is_a_geometric_sum),
        cmocka_unit_test(adam_follows_its_formula), cmocka_unit_test(adams_first_step_is_lr),
        cmocka_unit_test(slices_equal_the_whole),   cmocka_unit_test(sum_of_squares_in_double),
        cmocka_unit_test(clipping_by_the_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
