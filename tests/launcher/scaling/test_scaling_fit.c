/* scaling_quantile, scaling_random, scaling_fit: against tables and closed forms. */
#include "scaling_fit.h"
#include "scaling_quantile.h"
#include "scaling_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.15g, not %.15g", value, expected);
}

/* ---- quantiles ---- */

/* 97.5 % points from printed tables, and closed forms for one and two degrees of freedom. */
static void student_s_quantiles(void **state)
{
    static const double table[][2] = {{3, 3.182446305},  {4, 2.776445105},   {5, 2.570581836},   {10, 2.228138852},
                                      {30, 2.042272456}, {120, 1.979930405}, {1000, 1.962339081}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        assert_near(scaling_t_95(table[i][0]), table[i][1], 1e-9);
    assert_near(scaling_t_95((double)INFINITY), 1.959963984540054, 1e-12);
    for (int i = 1; i < 60; i++) {
        double pi = acos(-1.0), p = i / 60.0;
        assert_near(scaling_t_quantile(p, 1.0), tan(pi * (p - 0.5)), 1e-10);
        assert_near(scaling_t_quantile(p, 2.0), (2.0 * p - 1.0) * sqrt(2.0 / (4.0 * p * (1.0 - p))), 1e-10);
    }
}

static void quantile_and_probability_are_inverse(void **state)
{
    static const double dfs[] = {0.3, 0.9, 1.5, 2.7, 7.0, 63.5, 1e4, 1e6, INFINITY};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dfs); i++)
        for (int k = 1; k < 20; k++)
            assert_near(scaling_t_probability(scaling_t_quantile(0.05 * k, dfs[i]), dfs[i]), 0.05 * k, 1e-9);
}

/* 5 % points of F from printed tables; F with one degree above is t squared. */
static void snedecor_s_tail(void **state)
{
    static const double table[][3] = {
        {1, 10, 4.964602744}, {5, 10, 3.325834530}, {2, 4, 6.944271910}, {3, 20, 3.098391212}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        assert_near(scaling_f_tail(table[i][2], table[i][0], table[i][1]), 0.05, 1e-8);
    double t = scaling_t_95(6.0);
    assert_near(scaling_f_tail(t * t, 1.0, 6.0), 0.05, 1e-10);
    assert_true(scaling_f_tail(0.0, 2.0, 3.0) >= 1.0);
}

/* I_x(a, 1) = x^a, I_x(1, b) = 1 - (1-x)^b, I_x(a, b) = 1 - I_{1-x}(b, a). */
static void incomplete_beta(void **state)
{
    (void)state;
    for (int i = 1; i < 20; i++) {
        double x = 0.05 * i;
        assert_near(scaling_beta_incomplete(3.7, 1.0, x), pow(x, 3.7), 1e-12);
        assert_near(scaling_beta_incomplete(1.0, 0.4, x), 1.0 - pow(1.0 - x, 0.4), 1e-12);
        assert_near(scaling_beta_incomplete(20.0, 0.5, x) + scaling_beta_incomplete(0.5, 20.0, 1.0 - x), 1.0, 1e-12);
    }
    assert_true(scaling_beta_incomplete(2.0, 3.0, 0.0) <= 0.0 && scaling_beta_incomplete(2.0, 3.0, 1.0) >= 1.0);
}

/* ---- random numbers ---- */

enum { DRAWS = 40000 };

/* Means and variances within five standard errors. */
static void random_numbers_have_their_moments(void **state)
{
    static const double dfs[] = {0.7, 1.0, 3.0, 40.0};
    scaling_random random = scaling_random_start(9, 500, 3);
    double uniform = 0.0, normal = 0.0, squares = 0.0;
    int below[7] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        double z = scaling_random_normal(&random), u = scaling_random_uniform(&random);
        assert_true(u > 0.0 && u < 1.0);
        uniform += u / DRAWS;
        normal += z / DRAWS;
        squares += z * z / DRAWS;
        below[scaling_random_below(&random, 7)]++;
    }
    assert_true(fabs(uniform - 0.5) < 5.0 * sqrt(1.0 / 12.0 / DRAWS));
    assert_true(fabs(normal) < 5.0 / sqrt(DRAWS) && fabs(squares - 1.0) < 5.0 * sqrt(2.0 / DRAWS));
    for (int i = 0; i < 7; i++)
        assert_true(fabs(below[i] - DRAWS / 7.0) < 5.0 * sqrt(DRAWS / 7.0));
    for (size_t k = 0; k < COUNT_OF(dfs); k++) {
        double mean = 0.0;
        for (int i = 0; i < DRAWS; i++)
            mean += scaling_random_chi_squared(&random, dfs[k]) / DRAWS;
        assert_true(fabs(mean - dfs[k]) < 5.0 * sqrt(2.0 * dfs[k] / DRAWS));
    }
}

static void random_numbers_repeat(void **state)
{
    (void)state;
    scaling_random a = scaling_random_start(1, 70, 5), b = scaling_random_start(1, 70, 5);
    scaling_random other = scaling_random_start(1, 70, 6);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        int drawn = scaling_random_below(&a, 1000);
        assert_int_equal(drawn, scaling_random_below(&b, 1000));
        same += drawn == scaling_random_below(&other, 1000);
    }
    assert_true(same < 5);
}

/* ---- fits ---- */

enum { POINTS = 4, REPEATS = 3, COUNT = POINTS * REPEATS };

static double x[COUNT * 2], y[COUNT], scale[COUNT], spread[COUNT];
static int group[COUNT];

/* y = 2 + 6 / n at n = 1, 2, 4, 8, three times each, times 1 + error. */
static scaling_data line(const double errors[COUNT])
{
    for (int i = 0; i < COUNT; i++) {
        group[i] = 1 << (i / REPEATS);
        x[2 * i] = 1.0;
        x[2 * i + 1] = 1.0 / group[i];
        y[i] = (2.0 + 6.0 / group[i]) * (1.0 + errors[i]);
    }
    return (scaling_data){.count = COUNT, .terms = 2, .x = x, .y = y, .group = group};
}

static const double none[COUNT];

static void exact_data_are_fitted_exactly(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_value ratio;
    scaling_data data = line(none);
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_near(fit.c[0], 2.0, 1e-14);
    assert_near(fit.c[1], 6.0, 1e-14);
    assert_near(fit.df, COUNT - 2, 0.0);
    assert_true(scaling_fit_ratio(&fit, (const double[]){1.0, 0.0}, (const double[]){1.0, 1.0}, &ratio));
    /* Clocks and rounding leave an interval all the same. */
    assert_true(ratio.low < 0.25 && 0.25 < ratio.high && ratio.high - ratio.low < 1e-7);
}

/* Errors of +-e that cancel within each group: fit exact, variance e^2 * 8/12 * 12/10. */
static const double alternating[COUNT] = {0.01, 0.0, -0.01, 0.01, 0.0, -0.01, 0.01, 0.0, -0.01, 0.01, 0.0, -0.01};

static void variance_is_that_of_the_residuals(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_data data = line(alternating);
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_near(fit.c[0], 2.0, 1e-12);
    assert_near(fit.variance, 8.0 * 1e-4 / 10.0, 1e-9);
    assert_near(fit.df, 10.0, 0.0);
    assert_false(fit.lack);
}

/* The same noise, and a point that lies off the line by 20 %. */
static void lack_of_fit_counts_where_it_is_larger(void **state)
{
    (void)state;
    double errors[COUNT];
    scaling_fit fit;
    for (int i = 0; i < COUNT; i++)
        errors[i] = alternating[i] + (i / REPEATS == 2 ? 0.2 : 0.0);
    scaling_data data = line(errors);
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_true(fit.lack);
    assert_near(fit.df, POINTS - 2, 0.0);
    assert_true(fit.variance > 0.01);
}

static void spread_bounds_the_variance_from_below(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_data data = line(alternating);
    data.spread = spread;
    data.spread_df = 1000.0;
    for (int i = 0; i < COUNT; i++)
        spread[i] = 0.05;
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_near(fit.variance, 0.0025, 1e-12);
    assert_near(fit.df, 1000.0, 0.0);
    spread[3] = (double)NAN; /* one that is not known: none is */
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_near(fit.df, 10.0, 0.0);
}

static void two_observations_need_their_spreads(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_data data = line(none);
    x[3] = 0.5;
    group[1] = 2;
    data.count = 2;
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_true(fit.df <= 0.0);
    spread[0] = 0.01;
    spread[1] = 0.03;
    data.spread = spread;
    data.spread_df = 50.0;
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_near(fit.variance, 0.0005, 1e-12);
    assert_near(fit.df, 50.0, 0.0);
}

static void terms_that_cannot_be_told_apart(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_data data = line(none);
    for (int i = 0; i < COUNT; i++)
        x[2 * i + 1] = 3.0;
    assert_false(scaling_fit_relative(&data, scale, &fit));
    data.count = 1;
    assert_false(scaling_fit_relative(&data, scale, &fit));
}

/* At the ends of Fieller's interval, above - r below is t standard errors from 0, by its definition. */
static void fieller_s_interval_ends_where_it_should(void **state)
{
    (void)state;
    static const double above[] = {1.0, 0.0}, below[] = {1.0, 1.0};
    scaling_fit fit;
    scaling_value ratio;
    double errors[COUNT];
    for (int i = 0; i < COUNT; i++)
        errors[i] = 10.0 * alternating[i];
    scaling_data data = line(errors);
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_true(scaling_fit_ratio(&fit, above, below, &ratio));
    const double ends[] = {ratio.low, ratio.high};
    for (int i = 0; i < 2; i++) {
        const double apart[] = {above[0] - ends[i] * below[0], above[1] - ends[i] * below[1]};
        scaling_value sum = scaling_fit_sum(&fit, apart);
        assert_near(fabs(sum.value), sum.high - sum.value, 1e-9);
    }
    assert_true(ratio.low < ratio.value && ratio.value < ratio.high);
}

static void no_interval_where_the_divisor_may_be_zero(void **state)
{
    (void)state;
    scaling_fit fit;
    scaling_value ratio;
    double errors[COUNT];
    for (int i = 0; i < COUNT; i++)
        errors[i] = 90.0 * alternating[i];
    scaling_data data = line(errors);
    assert_true(scaling_fit_relative(&data, scale, &fit));
    assert_false(scaling_fit_ratio(&fit, (const double[]){0.0, 1.0}, (const double[]){1.0, 0.0}, &ratio));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(student_s_quantiles),
        cmocka_unit_test(quantile_and_probability_are_inverse),
        cmocka_unit_test(snedecor_s_tail),
        cmocka_unit_test(incomplete_beta),
        cmocka_unit_test(random_numbers_have_their_moments),
        cmocka_unit_test(random_numbers_repeat),
        cmocka_unit_test(exact_data_are_fitted_exactly),
        cmocka_unit_test(variance_is_that_of_the_residuals),
        cmocka_unit_test(lack_of_fit_counts_where_it_is_larger),
        cmocka_unit_test(spread_bounds_the_variance_from_below),
        cmocka_unit_test(two_observations_need_their_spreads),
        cmocka_unit_test(terms_that_cannot_be_told_apart),
        cmocka_unit_test(fieller_s_interval_ends_where_it_should),
        cmocka_unit_test(no_interval_where_the_divisor_may_be_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
