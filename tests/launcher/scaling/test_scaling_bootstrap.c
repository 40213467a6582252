/* scaling_bootstrap and scaling_points: T(n), its interval and what is compared with it. */
#include "scaling_bootstrap.h"
#include "scaling_observe.h"
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { STEPS_MAX = 200, TRIALS_MAX = 5, SAMPLES = 200 };

static double steps[TRIALS_MAX][STEPS_MAX];

/* A process of first order around 1 with a standard deviation of 3 %, and one step in 30 far above. */
static void make_steps(double *values, int count, double correlation, double shift, scaling_random *random)
{
    double x = scaling_random_normal(random);
    for (int i = 0; i < count; i++) {
        values[i] = 1.0 + shift + 0.03 * x;
        if (scaling_random_below(random, 30) == 0)
            values[i] *= 3.0;
        x = correlation * x + sqrt(1.0 - correlation * correlation) * scaling_random_normal(random);
    }
}

static scaling_trial make_trial(int k, int count)
{
    double sorted[STEPS_MAX];
    for (int i = 0; i < count; i++)
        sorted[i] = steps[k][i];
    return (scaling_trial){
        .workers = 2, .repeat = k, .steps_s = steps[k], .steps_count = count, .step_s = scaling_median(sorted, count)};
}

typedef struct circumstances {
    int trials, steps;
    double correlation, between; /* standard deviation between trials */
} circumstances;

/* Of SAMPLES experiments, how many intervals hold the true median; with the outliers, all above, it is at
 * the quantile 15/29 of the others. */
static double covered(const circumstances *c, uint32_t stream, double *width)
{
    double truth = 1.0 + 0.03 * 0.0432;
    int held = 0;
    *width = 0.0;
    for (int k = 0; k < SAMPLES; k++) {
        scaling_random random = scaling_random_start(6, stream, (uint32_t)k);
        scaling_trial trials[TRIALS_MAX];
        scaling_value t;
        for (int i = 0; i < c->trials; i++) {
            make_steps(steps[i], c->steps, c->correlation, c->between * scaling_random_normal(&random), &random);
            trials[i] = make_trial(i, c->steps);
        }
        assert_int_equal(scaling_step_interval(trials, c->trials, 0, &t), BASE_OK);
        assert_true(t.low <= t.value && t.value <= t.high);
        held += t.low <= truth && truth <= t.high;
        *width += (t.high - t.low) / SAMPLES;
    }
    return (double)held / SAMPLES;
}

/* With 200 samples, 95 % come out as 91 % or less once in 100. Two trials alone, or strongly correlated steps of one,
 * cannot tell all. */
static void interval_of_a_step_holds_its_median(void **state)
{
    static const struct {
        circumstances c;
        double least, widest;
    } cases[] = {{{1, 40, 0.0, 0.0}, 0.91, 0.03},   {{1, 200, 0.0, 0.0}, 0.91, 0.013},
                 {{1, 200, 0.6, 0.0}, 0.88, 0.025}, {{1, 200, 0.9, 0.0}, 0.80, 0.045},
                 {{2, 60, 0.3, 0.01}, 0.82, 0.09},  {{3, 60, 0.0, 0.0}, 0.91, 0.03},
                 {{3, 60, 0.6, 0.005}, 0.91, 0.05}, {{3, 60, 0.3, 0.05}, 0.91, 0.3},
                 {{5, 60, 0.3, 0.01}, 0.91, 0.04},  {{5, 30, 0.6, 0.05}, 0.91, 0.18}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double width, share = covered(&cases[i].c, (uint32_t)(300 + i), &width);
        if (share < cases[i].least || width > cases[i].widest)
            fail_msg("case %zu: covered %.3f, at least %.3f; mean width %.4f, at most %.4f", i, share, cases[i].least,
                     width, cases[i].widest);
    }
}

static void outlying_steps_do_not_matter(void **state)
{
    (void)state;
    scaling_value t;
    for (int i = 0; i < 50; i++)
        steps[0][i] = i % 10 == 3 ? 50.0 : 1.0 + 0.001 * (i % 5);
    scaling_trial trial = make_trial(0, 50);
    assert_int_equal(scaling_step_interval(&trial, 1, 0, &t), BASE_OK);
    assert_true(t.low >= 1.0 && t.high <= 1.004);
}

static void too_few_steps_tell_no_interval(void **state)
{
    (void)state;
    scaling_value t;
    for (int i = 0; i < 5; i++)
        steps[0][i] = steps[1][i] = 1.0 + 0.01 * i;
    scaling_trial trials[] = {make_trial(0, 5), make_trial(1, 5)};
    assert_int_equal(scaling_step_interval(trials, 1, 0, &t), BASE_OK);
    assert_true(t.value >= 1.02 && t.value <= 1.02 && isnan(t.low) && isnan(t.high));
    trials[1].step_s = 1.04; /* two trials tell what lies between them */
    assert_int_equal(scaling_step_interval(trials, 2, 0, &t), BASE_OK);
    assert_true(t.low < 1.02 && t.high > 1.04);
}

static void the_same_seed_brings_the_same_interval(void **state)
{
    (void)state;
    scaling_value a, b, other;
    scaling_trial trials[3];
    scaling_random random = scaling_random_start(6, 299, 0);
    for (int i = 0; i < 3; i++) {
        make_steps(steps[i], 100, 0.3, 0.0, &random);
        trials[i] = make_trial(i, 100);
    }
    assert_int_equal(scaling_step_interval(trials, 3, 7, &a), BASE_OK);
    assert_int_equal(scaling_step_interval(trials, 3, 7, &b), BASE_OK);
    assert_int_equal(scaling_step_interval(trials, 3, 8, &other), BASE_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(other.low != a.low && fabs(other.low / a.low - 1.0) < 0.01);
}

/* ---- points ---- */

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.15g, not %.15g", value, expected);
}

/* T(1) = 8, T(2) = 5 with intervals: S = 1.6, E = 0.8, Karp and Flatt (1/1.6 - 1/2) / (1/2) = 0.25. */
static void speedups_follow_from_times(void **state)
{
    (void)state;
    scaling_point points[] = {{.workers = 1, .step_s = {8.0, 8.0 / 1.03, 8.0 * 1.03}},
                              {.workers = 2, .step_s = {5.0, 5.0 / 1.04, 5.0 * 1.04}}};
    scaling_points_compare(SCALING_STRONG, points, 2, points[0].step_s);
    assert_near(points[0].speedup.value, 1.0);
    assert_near(points[0].efficiency.low, 1.0);
    assert_true(isnan(points[0].karp_flatt));
    assert_near(points[1].speedup.value, 1.6);
    assert_near(points[1].efficiency.value, 0.8);
    assert_near(points[1].karp_flatt, 0.25);
    assert_near(points[1].speedup.high, 1.6 * exp(hypot(log(1.03), log(1.04))));
    assert_near(points[1].speedup.low, 1.6 * exp(-hypot(log(1.03), log(1.04))));
}

static void weak_speedups_are_ratios_of_rates(void **state)
{
    (void)state;
    scaling_point points[] = {{.workers = 1, .step_s = {8.0, 8.0, 8.0}}, {.workers = 4, .step_s = {10.0, 9.0, 11.0}}};
    scaling_points_compare(SCALING_WEAK, points, 2, points[0].step_s);
    assert_near(points[1].speedup.value, 3.2);
    assert_near(points[1].efficiency.value, 0.8);
    assert_near(points[1].efficiency.high, 8.0 / 9.0);
    assert_true(isnan(points[1].karp_flatt));
}

static void the_error_of_a_fitted_time_counts(void **state)
{
    (void)state;
    const double nan = (double)NAN;
    scaling_point points[] = {{.workers = 2, .step_s = {5.0, 4.0, 6.0}}};
    scaling_points_compare(SCALING_STRONG, points, 1, (scaling_value){8.0, 8.0, 8.0});
    assert_near(points[0].speedup.value, 1.6);
    assert_near(points[0].speedup.high, 2.0);
    scaling_points_compare(SCALING_STRONG, points, 1, (scaling_value){8.0, 7.0, 10.0});
    assert_near(points[0].speedup.value, 1.6);
    assert_near(points[0].speedup.high, 1.6 * exp(hypot(log(10.0 / 8.0), log(5.0 / 4.0))));
    assert_near(points[0].efficiency.low, 0.8 * exp(-hypot(log(8.0 / 7.0), log(6.0 / 5.0))));
    scaling_points_compare(SCALING_STRONG, points, 1, (scaling_value){nan, nan, nan});
    assert_true(isnan(points[0].speedup.value) && isnan(points[0].efficiency.value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_of_a_step_holds_its_median), cmocka_unit_test(outlying_steps_do_not_matter),
        cmocka_unit_test(too_few_steps_tell_no_interval),      cmocka_unit_test(the_same_seed_brings_the_same_interval),
        cmocka_unit_test(speedups_follow_from_times),          cmocka_unit_test(weak_speedups_are_ratios_of_rates),
        cmocka_unit_test(the_error_of_a_fitted_time_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
