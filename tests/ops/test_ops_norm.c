/* Batch normalisation: the chain sums, statistics, forward and its backward against a batch norm in double, on one rank
 * and split over three whose sums are added up between the steps. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct norm_case {
    int64_t rows, c;
    ops_activation activation;
    int ranks;
    int differences; /* 1: also against central differences */
} norm_case;

static const float MOMENTUM = 0.125f, EPS = 1e-3f;

typedef struct arrays {
    float *x, *y, *z, *dy, *dx, *weight; /* (R, C); weight is the gradient of y */
    float *mean, *invstd, *running_mean, *running_var, *gamma, *beta; /* (C) */
    double *dgamma, *dbeta;                                           /* (C) */
    double *sums, *part;                                              /* (2 C) */
} arrays;

static arrays arrays_create(const norm_case *n)
{
    uint64_t random = 41;
    int64_t count = n->rows * n->c;
    return (arrays){.x = ops_reference_random(&random, count, -1.0, 3.0),
                    .y = ops_reference_floats(count),
                    .z = ops_reference_floats(count),
                    .dy = ops_reference_floats(count),
                    .dx = ops_reference_floats(count),
                    .weight = ops_reference_random(&random, count, -1.0, 1.0),
                    .mean = ops_reference_floats(n->c),
                    .invstd = ops_reference_floats(n->c),
                    .running_mean = ops_reference_random(&random, n->c, -1.0, 1.0),
                    .running_var = ops_reference_random(&random, n->c, 0.5, 2.0),
                    .gamma = ops_reference_random(&random, n->c, 0.5, 1.5),
                    .beta = ops_reference_random(&random, n->c, -1.0, 1.0),
                    .dgamma = ops_reference_doubles(n->c),
                    .dbeta = ops_reference_doubles(n->c),
                    .sums = ops_reference_doubles(2 * n->c),
                    .part = ops_reference_doubles(2 * n->c)};
}

static void arrays_free(arrays *a)
{
    void *all[] = {
        a->x,           a->y,     a->z,    a->dy,     a->dx,    a->weight, a->mean, a->invstd, a->running_mean,
        a->running_var, a->gamma, a->beta, a->dgamma, a->dbeta, a->sums,   a->part};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
}

/* First row of a rank's share; the first one gets more. */
static int64_t share(const norm_case *n, int rank)
{
    return rank == n->ranks ? n->rows : rank == 0 ? 0 : n->rows / 2 + (n->rows - n->rows / 2) * (rank - 1) / n->ranks;
}

static void add_part(const norm_case *n, const arrays *a)
{
    for (int64_t i = 0; i < 2 * n->c; i++)
        a->sums[i] += a->part[i];
}

static void run_forward(const ops_table *table, ops_context *self, const norm_case *n, const arrays *a)
{
    int64_t c = n->c;
    memset(a->sums, 0, 2 * (size_t)c * sizeof *a->sums);
    for (int rank = 0; rank < n->ranks; rank++) {
        int64_t first = share(n, rank), rows = share(n, rank + 1) - first;
        assert_int_equal(table->batch_norm_sums(self, rows, c, a->x + first * c, a->part), BASE_OK);
        add_part(n, a);
    }
    assert_int_equal(table->batch_norm_statistics(self, c, a->sums, n->rows, MOMENTUM, EPS, a->mean, a->invstd,
                                                  a->running_mean, a->running_var),
                     BASE_OK);
    int keeps = ops_activation_keeps_input(n->activation);
    for (int rank = 0; rank < n->ranks; rank++) {
        int64_t at = share(n, rank) * c, rows = share(n, rank + 1) - share(n, rank);
        assert_int_equal(table->batch_norm_forward(self, rows, c, n->activation, a->x + at, a->mean, a->invstd,
                                                   a->gamma, a->beta, a->y + at, keeps ? a->z + at : NULL),
                         BASE_OK);
    }
}

/* dgamma and dbeta become the sums over ranks. */
static void run_backward(const ops_table *table, ops_context *self, const norm_case *n, const arrays *a, double *dgamma,
                         double *dbeta, int accumulate)
{
    int64_t c = n->c;
    int keeps = ops_activation_keeps_input(n->activation);
    memcpy(a->dy, a->weight, (size_t)(n->rows * c) * sizeof *a->dy);
    memset(a->sums, 0, 2 * (size_t)c * sizeof *a->sums);
    memset(dgamma, 0, (size_t)c * sizeof *dgamma);
    memset(dbeta, 0, (size_t)c * sizeof *dbeta);
    for (int rank = 0; rank < n->ranks; rank++) {
        int64_t at = share(n, rank) * c, rows = share(n, rank + 1) - share(n, rank);
        assert_int_equal(table->batch_norm_backward_sums(self, rows, c, n->activation, a->x + at, a->mean, a->invstd,
                                                         keeps ? NULL : a->y + at, keeps ? a->z + at : NULL, a->dy + at,
                                                         a->part, a->dgamma, a->dbeta),
                         BASE_OK);
        add_part(n, a);
        for (int64_t i = 0; i < c; i++) {
            dgamma[i] += a->dgamma[i];
            dbeta[i] += a->dbeta[i];
        }
    }
    for (int rank = 0; rank < n->ranks; rank++) {
        int64_t at = share(n, rank) * c, rows = share(n, rank + 1) - share(n, rank);
        assert_int_equal(table->batch_norm_backward(self, rows, c, a->x + at, a->mean, a->invstd, a->gamma, a->sums,
                                                    n->rows, a->dy + at, a->dx + at, accumulate),
                         BASE_OK);
    }
}

/* One channel's statistics in double. */
static void channel_statistics(const norm_case *n, const double *x, int64_t c, double *mean, double *variance)
{
    double sum = 0.0, square = 0.0;
    for (int64_t r = 0; r < n->rows; r++)
        sum += x[r * n->c + c];
    *mean = sum / (double)n->rows;
    for (int64_t r = 0; r < n->rows; r++)
        square += pow(x[r * n->c + c] - *mean, 2.0);
    *variance = square / (double)n->rows;
}

typedef struct problem {
    const norm_case *norm;
    const arrays *a;
} problem;

/* sum of weight f(gamma xhat + beta), over parameters {x (R, C), gamma (C), beta (C)}. */
static double weighted_norm(const void *argument, const double *parameters)
{
    const problem *q = argument;
    const norm_case *n = q->norm;
    const double *gamma = parameters + n->rows * n->c, *beta = gamma + n->c;
    double sum = 0.0;
    for (int64_t c = 0; c < n->c; c++) {
        double mean, variance;
        channel_statistics(n, parameters, c, &mean, &variance);
        for (int64_t r = 0; r < n->rows; r++) {
            double xhat = (parameters[r * n->c + c] - mean) / sqrt(variance + (double)EPS);
            sum +=
                (double)q->a->weight[r * n->c + c] * ops_reference_activate(n->activation, gamma[c] * xhat + beta[c]);
        }
    }
    return sum;
}

static void check_forward(const norm_case *n, const arrays *a, const float *running_mean, const float *running_var)
{
    double *x = ops_reference_widen(a->x, n->rows * n->c), *y = ops_reference_doubles(n->rows * n->c);
    double *z = ops_reference_doubles(n->rows * n->c), *running = ops_reference_doubles(2 * n->c);
    for (int64_t c = 0; c < n->c; c++) {
        double mean, variance, m = (double)MOMENTUM;
        channel_statistics(n, x, c, &mean, &variance);
        double unbiased = n->rows > 1 ? variance * (double)n->rows / (double)(n->rows - 1) : variance;
        running[c] = (1.0 - m) * (double)running_mean[c] + m * mean;
        running[n->c + c] = (1.0 - m) * (double)running_var[c] + m * unbiased;
        for (int64_t r = c; r < n->rows * n->c; r += n->c) {
            z[r] = (double)a->gamma[c] * (x[r] - mean) / sqrt(variance + (double)EPS) + (double)a->beta[c];
            y[r] = ops_reference_activate(n->activation, z[r]);
        }
    }
    /* x - mean rounds at the size of x, 3, and is divided by a deviation near 1. */
    ops_reference_near("y", a->y, y, n->rows * n->c, 3e-6);
    if (ops_activation_keeps_input(n->activation))
        ops_reference_near("z", a->z, z, n->rows * n->c, 3e-6);
    ops_reference_near("running mean", a->running_mean, running, n->c, 1e-7);
    ops_reference_near("running variance", a->running_var, running + n->c, n->c, 1e-7);
    ops_reference_free(x);
    ops_reference_free(y);
    ops_reference_free(z);
    ops_reference_free(running);
}

static void check_backward(const ops_table *table, ops_context *self, const norm_case *n, const arrays *a)
{
    int64_t count = n->rows * n->c, all = count + 2 * n->c;
    double *parameters = ops_reference_doubles(all), *want = ops_reference_doubles(all);
    double *dgamma = ops_reference_doubles(n->c), *dbeta = ops_reference_doubles(n->c);
    problem q = {n, a};
    for (int64_t i = 0; i < count; i++)
        parameters[i] = (double)a->x[i];
    for (int64_t i = 0; i < n->c; i++) {
        parameters[count + i] = (double)a->gamma[i];
        parameters[count + n->c + i] = (double)a->beta[i];
    }
    ops_reference_gradient(weighted_norm, &q, parameters, all, want);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        run_backward(table, self, n, a, dgamma, dbeta, accumulate);
        ops_reference_near(accumulate ? "accumulated dx" : "dx", a->dx, want, count, 1e-5);
        for (int64_t i = 0; i < n->c; i++) {
            assert_true(fabs(dgamma[i] - want[count + i]) <= 1e-5 * (1.0 + fabs(want[count + i])));
            assert_true(fabs(dbeta[i] - want[count + n->c + i]) <= 1e-5 * (1.0 + fabs(want[count + n->c + i])));
        }
        for (int64_t i = 0; i < count; i++) /* the next round adds to what is there */
            want[i] *= 2.0;
    }
    ops_reference_free(parameters);
    ops_reference_free(want);
    ops_reference_free(dgamma);
    ops_reference_free(dbeta);
}

static uint64_t norm_run(const ops_table *table, ops_context *self, const void *argument)
{
    const norm_case *n = argument;
    arrays a = arrays_create(n);
    size_t nbytes = (size_t)n->c * sizeof(float), floats = (size_t)(n->rows * n->c) * sizeof(float);
    float *mean = ops_reference_floats(n->c), *var = ops_reference_floats(n->c);
    double *dgamma = ops_reference_doubles(n->c), *dbeta = ops_reference_doubles(n->c);
    memcpy(mean, a.running_mean, nbytes);
    memcpy(var, a.running_var, nbytes);
    run_forward(table, self, n, &a);
    check_forward(n, &a, mean, var);
    if (n->differences)
        check_backward(table, self, n, &a);
    run_backward(table, self, n, &a, dgamma, dbeta, 0);
    uint64_t digest = ops_reference_digest(0, a.y, floats);
    digest = ops_reference_digest(digest, a.dx, floats);
    digest = ops_reference_digest(digest, dgamma, (size_t)n->c * sizeof *dgamma);
    arrays_free(&a);
    ops_reference_free(mean);
    ops_reference_free(var);
    ops_reference_free(dgamma);
    ops_reference_free(dbeta);
    return digest;
}

static void chain_equals_a_batch_norm_in_double(void **state)
{
    (void)state;
    static const norm_case cases[] = {
        {1, 3, OPS_IDENTITY, 1, 1},     {5, 1, OPS_IDENTITY, 1, 1},  {70, 3, OPS_TANH, 1, 1},
        {9, 17, OPS_IDENTITY, 1, 1},    {13, 64, OPS_SIGMOID, 1, 0}, {3, 130, OPS_GELU, 1, 1},
        {37, 5, OPS_GELU, 1, 1},        {5, 2500, OPS_RELU, 1, 0},   {300000, 1, OPS_RELU, 1, 0},
        {20011, 17, OPS_GELU, 1, 0},    {5001, 64, OPS_RELU, 1, 0},  {300, 1100, OPS_TANH, 1, 0},
        {4, 70000, OPS_IDENTITY, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(norm_run, &cases[i]);
}

static void three_ranks_equal_one(void **state)
{
    (void)state;
    static const norm_case cases[] = {
        {70, 3, OPS_TANH, 3, 1}, {9, 17, OPS_GELU, 3, 1}, {2, 4, OPS_IDENTITY, 3, 1}, {9001, 17, OPS_RELU, 3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(norm_run, &cases[i]);
}

/* ReLU has a kink, so its gradient is checked where every input is away from it. */
static uint64_t relu_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { ROWS = 40, C = 6 };
    const float mean[C] = {0}, beta[C] = {0};
    const float ones[C] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    float x[ROWS * C], y[ROWS * C], dy[ROWS * C];
    double sums[2 * C], dgamma[C], dbeta[C];
    for (int i = 0; i < ROWS * C; i++) {
        x[i] = i % 3 ? 2.0f : -2.0f;
        dy[i] = 1.0f;
    }
    assert_int_equal(table->batch_norm_forward(self, ROWS, C, OPS_RELU, x, mean, ones, ones, beta, y, NULL), BASE_OK);
    assert_int_equal(
        table->batch_norm_backward_sums(self, ROWS, C, OPS_RELU, x, mean, ones, y, NULL, dy, sums, dgamma, dbeta),
        BASE_OK);
    for (int i = 0; i < ROWS * C; i++)
        assert_true(y[i] == (i % 3 ? 2.0f : 0.0f) && dy[i] == (i % 3 ? 1.0f : 0.0f));
    for (int c = 0; c < C; c++) {
        double want = c % 3 ? ROWS : 0.0;
        assert_true(sums[c] == want && sums[C + c] == 2.0 * want);
        assert_true(dbeta[c] == want && dgamma[c] == 2.0 * want);
    }
    return 0;
}

static void relu_stops_gradients(void **state)
{
    (void)state;
    ops_reference_run(relu_case, NULL);
}

static uint64_t running_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    const float running_mean[2] = {1.5f, -2.0f}, running_var[2] = {4.0f, 0.0f};
    float mean[2], invstd[2];
    const double want[2] = {1.0 / sqrt(4.0 + (double)EPS), 1.0 / sqrt((double)EPS)};
    assert_int_equal(table->batch_norm_running(self, 2, running_mean, running_var, EPS, mean, invstd), BASE_OK);
    assert_memory_equal(mean, running_mean, sizeof mean);
    ops_reference_near("invstd", invstd, want, 2, 1e-7);
    return 0;
}

static void running_statistics_in_evaluation(void **state)
{
    (void)state;
    ops_reference_run(running_case, NULL);
}

static uint64_t empty_case(const ops_table *table, ops_context *self, const void *argument)
{
    const int64_t c = *(const int64_t *)argument;
    double *sums = ops_reference_doubles(2 * c), *g = ops_reference_doubles(c);
    float *f = ops_reference_floats(c), none[1] = {0.0f};
    memset(f, 0, (size_t)c * sizeof *f);
    assert_int_equal(table->batch_norm_sums(self, 0, c, none, sums), BASE_OK);
    for (int64_t i = 0; i < 2 * c; i++)
        assert_true(sums[i] == 0.0);
    assert_int_equal(table->batch_norm_forward(self, 0, c, OPS_RELU, none, f, f, f, f, none, NULL), BASE_OK);
    assert_int_equal(table->batch_norm_backward_sums(self, 0, c, OPS_RELU, none, f, f, none, NULL, none, sums, g, g),
                     BASE_OK);
    for (int64_t i = 0; i < 2 * c; i++)
        assert_true(sums[i] == 0.0 && g[i / 2] == 0.0);
    assert_int_equal(table->batch_norm_backward(self, 0, c, none, f, f, f, sums, 4, none, none, 0), BASE_OK);
    ops_reference_free(sums);
    ops_reference_free(f);
    ops_reference_free(g);
    return 0;
}

static void a_rank_without_samples_adds_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        ops_reference_run(empty_case, &(const int64_t[]){1, 17, 2000}[i]);
}

/* A mean far from 0: float sums of squares would lose the variance; double ones keep it. */
static uint64_t offset_case(const ops_table *table, ops_context *self, const void *argument)
{
    (void)argument;
    enum { ROWS = 1000 };
    float x[ROWS], mean, invstd, running_mean = 0.0f, running_var = 0.0f;
    double sums[2], want = 1.0 / sqrt(0.25 + (double)EPS);
    for (int i = 0; i < ROWS; i++)
        x[i] = 10000.0f + (i % 2 ? 0.5f : -0.5f);
    assert_int_equal(table->batch_norm_sums(self, ROWS, 1, x, sums), BASE_OK);
    assert_int_equal(
        table->batch_norm_statistics(self, 1, sums, ROWS, 1.0f, EPS, &mean, &invstd, &running_mean, &running_var),
        BASE_OK);
    assert_true(mean == 10000.0f && running_mean == 10000.0f);
    ops_reference_near("invstd", &invstd, &want, 1, 1e-6);
    return 0;
}

static void variance_survives_a_large_mean(void **state)
{
    (void)state;
    ops_reference_run(offset_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_equals_a_batch_norm_in_double),
        cmocka_unit_test(three_ranks_equal_one),
        cmocka_unit_test(relu_stops_gradients),
        cmocka_unit_test(running_statistics_in_evaluation),
        cmocka_unit_test(a_rank_without_samples_adds_nothing),
        cmocka_unit_test(variance_survives_a_large_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
