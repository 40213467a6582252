/* scaling_predict: sweeps of known truths whose larger points are held back: the intervals hold them, and what is
 * expected comes near. An argument multiplies the number of sweeps. */
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEPS = 15, FACTORS = 3, ERRORS_MAX = 4000 };
#define COVERED 0.9
#define MISSED 0.07
#define WIDEST 0.2 /* median half width of the efficiency at 2x, relative */
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static int more = 1;

/* 92 ms of work that is divided, 1.5 ms that is not. */
#define WORK                                                                                                           \
    .fixed_s = {[SCALING_UPDATE] = 0.001, [SCALING_OTHER] = 0.0005},                                                   \
    .divided_s = {[SCALING_DATA] = 0.002, [SCALING_FORWARD] = 0.03, [SCALING_BACKWARD] = 0.06}
/* Weak scaling: on every worker. */
#define WEAK_WORK .mode = SCALING_WEAK, .divided_s = {[SCALING_FORWARD] = 0.03, [SCALING_BACKWARD] = 0.06}
#define FAST .alpha_s = 5e-5, .beta_s_per_byte = 1e-9, .bytes = 2000000
#define SLOW .alpha_s = 2e-4, .beta_s_per_byte = 2e-9, .bytes = 4000000

typedef struct named_truth {
    const char *name;
    synthetic_truth truth;
    double error; /* median relative error of the efficiency that is expected at 2x, at most */
} named_truth;

static const named_truth truths[] = {
    {"Amdahl", {.fixed_s = {[SCALING_UPDATE] = 0.003}, .divided_s = {[SCALING_FORWARD] = 0.09}}, 0.05},
    {"ring", {WORK, FAST, .allreduce = 1}, 0.05},
    {"slow ring", {WORK, SLOW, .allreduce = 1}, 0.05},
    {"overlap", {WORK, FAST, .overlap = 0.5, .allreduce = 1}, 0.12},
    {"much overlap", {WORK, SLOW, .overlap = 0.8, .allreduce = 1}, 0.05},
    {"ring, all-reduce not measured", {WORK, SLOW}, 0.05},
    {"overlap, all-reduce not measured", {WORK, SLOW, .overlap = 0.5}, 0.10},
    {"imbalance like log n", {WORK, FAST, .imbalance_log_s = 6e-4, .allreduce = 1}, 0.05},
    {"jitter", {WORK, FAST, .jitter_s = 0.005, .allreduce = 1}, 0.05},
    {"USL", {WORK, .contention = 0.02, .coherency = 5e-4}, 0.05},
    {"steep USL", {WORK, .contention = 0.05, .coherency = 3e-3}, 0.08},
    {"weak ring", {WEAK_WORK, SLOW, .imbalance_log_s = 5e-4, .allreduce = 1}, 0.03},
    {"weak overlap",
     {WEAK_WORK, .alpha_s = 2e-3, .beta_s_per_byte = 1e-8, .bytes = 4000000, .overlap = 0.9, .allreduce = 1},
     0.03},
};

static const int eight[] = {1, 2, 4, 8}, thirty_two[] = {1, 2, 4, 8, 16, 32};
static const struct {
    const int *workers;
    int count, repeats;
    double noise;
} plans[] = {{eight, 4, 3, 0.0},       {eight, 4, 3, 0.01},      {eight, 4, 3, 0.05},     {eight, 4, 1, 0.01},
             {thirty_two, 6, 3, 0.01}, {thirty_two, 6, 3, 0.05}, {thirty_two, 6, 1, 0.01}};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct tally {
    int sweeps, refused, held[FACTORS];
    int errors;
    double error[ERRORS_MAX], half[ERRORS_MAX]; /* relative, at 2x */
} tally;

static const int factors[FACTORS] = {2, 4, 16};

static void predict(const synthetic_truth *truth, size_t plan, uint32_t sample, tally *t)
{
    scaling_random random = scaling_random_start(13, (uint32_t)(500 + plan), sample);
    const synthetic_noise noise = {.relative = plans[plan].noise, .parts = plans[plan].noise};
    const scaling_options options = {0};
    scaling_sweep sweep = {0};
    scaling_analysis analysis;
    synthetic_sweep(truth, plans[plan].workers, plans[plan].count, plans[plan].repeats, &noise, &random, &sweep);
    assert_int_equal(scaling_analyse(&sweep, &options, &analysis), BASE_OK);
    t->sweeps++;
    t->refused += !analysis.prediction_law.ok;
    for (int i = 0; i < FACTORS && analysis.prediction_law.ok; i++) {
        const scaling_prediction *p = &analysis.prediction[i];
        double t1 = synthetic_step(truth, 1, NULL), step = synthetic_step(truth, p->workers, NULL);
        double efficiency = truth->mode == SCALING_WEAK ? t1 / step : t1 / step / p->workers;
        assert_int_equal(p->workers, factors[i] * plans[plan].workers[plans[plan].count - 1]);
        t->held[i] += p->efficiency.low <= efficiency && efficiency <= p->efficiency.high;
        if (i == 0 && t->errors < ERRORS_MAX) {
            t->half[t->errors] = 0.5 * (p->efficiency.high - p->efficiency.low) / p->efficiency.value;
            t->error[t->errors++] = fabs(p->efficiency.value / efficiency - 1.0);
        }
    }
    scaling_analysis_clear(&analysis);
    scaling_sweep_clear(&sweep);
}

static void held_back_points_are_predicted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(truths); i++) {
        tally t = {0};
        for (size_t k = 0; k < COUNT_OF(plans) * SWEEPS * (size_t)more; k++)
            predict(&truths[i].truth, k % COUNT_OF(plans), (uint32_t)(k * COUNT_OF(truths) + i), &t);
        qsort(t.error, (size_t)t.errors, sizeof *t.error, ascending);
        qsort(t.half, (size_t)t.errors, sizeof *t.half, ascending);
        int predicted = t.sweeps - t.refused;
        double error = t.error[t.errors / 2], half = t.half[t.errors / 2];
        print_message(
            "%-34s %4d sweeps, refused %3d; held at 2x %.3f, 4x %.3f, 16x %.3f; error at 2x %.3f, half width %.3f\n",
            truths[i].name, t.sweeps, t.refused, (double)t.held[0] / predicted, (double)t.held[1] / predicted,
            (double)t.held[2] / predicted, error, half);
        if (t.refused > 0.05 * t.sweeps || t.held[0] < COVERED * predicted || t.held[1] < COVERED * predicted ||
            error > truths[i].error || half > WIDEST)
            fail_msg("%s: see above", truths[i].name);
    }
}

/* ---- what a prediction is made of ---- */

static scaling_sweep sweep;
static scaling_analysis analysis;

static int teardown(void **state)
{
    (void)state;
    scaling_analysis_clear(&analysis);
    scaling_sweep_clear(&sweep);
    return 0;
}

static void analyse(const synthetic_truth *truth, double noise, const scaling_options *options)
{
    scaling_random random = scaling_random_start(14, 600, 0);
    const synthetic_noise all = {.relative = noise, .parts = noise};
    synthetic_sweep(truth, eight, 4, 3, &all, &random, &sweep);
    assert_int_equal(scaling_analyse(&sweep, options, &analysis), BASE_OK);
}

static double width(const scaling_value *v)
{
    return (v->high - v->low) / v->value;
}

static void intervals_widen_with_distance(void **state)
{
    const synthetic_truth truth = {WORK, FAST, .allreduce = 1};
    const scaling_options options = {.predict_count = 4, .predict = {12, 32, 128, 512}};
    (void)state;
    analyse(&truth, 0.01, &options);
    assert_int_equal(analysis.prediction_count, 4);
    for (int i = 0; i < 4; i++) {
        const scaling_prediction *p = &analysis.prediction[i];
        assert_int_equal(p->workers, options.predict[i]);
        assert_true(p->efficiency.low < p->efficiency.value && p->efficiency.value < p->efficiency.high);
        assert_true(p->step_s.low < p->step_s.value && p->step_s.value < p->step_s.high);
        assert_true(i == 0 || width(&p->efficiency) > width(&analysis.prediction[i - 1].efficiency));
    }
}

/* All of the all-reduce is hidden at n <= 8: only that it was measured by itself tells of what comes. */
static void what_is_hidden_comes_to_light(void **state)
{
    const synthetic_truth known = {
        WORK, .alpha_s = 5e-5, .beta_s_per_byte = 1e-9, .bytes = 3000000, .overlap = 0.75, .allreduce = 1};
    synthetic_truth unknown = known;
    (void)state;
    unknown.allreduce = 0;
    analyse(&known, 0.005, &(scaling_options){0});
    assert_true(analysis.points[3].parts_s[SCALING_REDUCE] <= 0.0);
    double expected = analysis.prediction[1].step_s.value, step = synthetic_step(&known, 32, NULL);
    assert_true(analysis.prediction[1].step_s.low < step && step < analysis.prediction[1].step_s.high);
    teardown(state);
    analyse(&unknown, 0.005, &(scaling_options){0});
    assert_true(expected > 1.5 * analysis.prediction[1].step_s.value);
    assert_true(analysis.prediction[1].step_s.high > 1.2 * analysis.prediction[1].step_s.value); /* it may be there */
}

static void without_phases_the_step_is_predicted_whole(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.003}, .divided_s = {[SCALING_FORWARD] = 0.09}};
    (void)state;
    analyse(&truth, 0.01, &(scaling_options){0});
    scaling_analysis_clear(&analysis);
    for (int i = 0; i < sweep.count; i++)
        memset(sweep.trials[i].parts_s, 0, sizeof sweep.trials[i].parts_s);
    assert_int_equal(scaling_analyse(&sweep, &(scaling_options){0}, &analysis), BASE_OK);
    assert_true(analysis.prediction_law.ok && !analysis.causes_law.ok);
    double step = synthetic_step(&truth, 16, NULL);
    assert_true(analysis.prediction[0].step_s.low < step && step < analysis.prediction[0].step_s.high);
}

/* ---- worth it ---- */

/* E(n) = 1 / (n (1-p) + p) is 0.7 at n = 1 + 3/7 / (1-p): 22.4 for p = 0.98, 11.7 for 0.96, 3.1 for 0.8. */
static void the_most_workers_that_are_worth_it(void **state)
{
    synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.002}, .divided_s = {[SCALING_FORWARD] = 0.098}};
    (void)state;
    analyse(&truth, 0.0, &(scaling_options){0});
    assert_true(analysis.worth_law.ok && !analysis.worth_beyond);
    assert_true(analysis.worth_workers >= 21 && analysis.worth_workers <= 23);
    assert_true(fabs(analysis.target_efficiency - 0.7) < 1e-12);
    teardown(state);
    analyse(&truth, 0.0, &(scaling_options){.target_efficiency = 0.98});
    assert_int_equal(analysis.worth_workers, 2);
    assert_false(analysis.worth_beyond);
    teardown(state);
    truth.fixed_s[SCALING_UPDATE] = 0.004;
    truth.divided_s[SCALING_FORWARD] = 0.096;
    analyse(&truth, 0.0, &(scaling_options){0}); /* more than the largest, less than twice that */
    assert_true(analysis.worth_workers >= 11 && analysis.worth_workers <= 12);
    teardown(state);
    truth.fixed_s[SCALING_UPDATE] = 0.02;
    truth.divided_s[SCALING_FORWARD] = 0.08;
    analyse(&truth, 0.0, &(scaling_options){0});
    assert_int_equal(analysis.worth_workers, 3); /* between those measured: 2 is, 4 is not */
    assert_true(analysis.worth_interval.low >= 2.0 && analysis.worth_interval.high <= 3.0);
}

/* Between 2 and 64 workers, and between 1000 and a million. */
static void what_was_not_measured_is_expected(void **state)
{
    static const struct {
        int workers[3];
        double serial;
        int low, high;
    } cases[] = {{{1, 2, 64}, 0.05, 9, 10}, {{1, 8, 64}, 0.0159, 27, 29}, {{1, 1000, 1000000}, 0.0005, 840, 890}};
    const synthetic_noise noise = {.relative = 0.002, .parts = 0.002};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.1 * cases[i].serial},
                                       .divided_s = {[SCALING_FORWARD] = 0.1 * (1.0 - cases[i].serial)}};
        scaling_random random = scaling_random_start(15, 601, (uint32_t)i);
        synthetic_sweep(&truth, cases[i].workers, 3, 3, &noise, &random, &sweep);
        assert_int_equal(scaling_analyse(&sweep, &(scaling_options){0}, &analysis), BASE_OK);
        assert_true(analysis.worth_law.ok && !analysis.worth_beyond);
        assert_in_range(analysis.worth_workers, cases[i].low, cases[i].high);
        double right = floor(1.0 + 3.0 / 7.0 / cases[i].serial);
        assert_true(analysis.worth_interval.low <= right && right <= analysis.worth_interval.high);
        assert_true(analysis.worth_interval.low > 0.9 * right && analysis.worth_interval.high < 1.15 * right);
        teardown(state);
    }
}

/* Over sweeps with noise the interval misses the right number in 7 of 100 at most, and is refused where it is wide. */
static void what_is_worth_it_lies_in_its_interval(void **state)
{
    enum { TRIED = 100 };
    static const struct {
        int count;
        double serial, noise;
        int refused; /* at most, of 100 */
    } cases[] = {{2, 0.05, 0.01, 0}, {3, 0.05, 0.05, 10}, {4, 0.01, 0.02, 0}, {2, 0.2, 0.1, 80}, {2, 0.05, 0.3, 100}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.1 * cases[i].serial},
                                       .divided_s = {[SCALING_FORWARD] = 0.1 * (1.0 - cases[i].serial)}};
        const synthetic_noise noise = {.relative = cases[i].noise, .steps = 20};
        double right = floor(1.0 + 3.0 / 7.0 / cases[i].serial);
        int refused = 0, missed = 0;
        for (uint32_t k = 0; k < (uint32_t)(TRIED * more); k++) {
            scaling_random random = scaling_random_start(16, (uint32_t)(602 + i), k);
            synthetic_sweep(&truth, eight, cases[i].count, 3, &noise, &random, &sweep);
            assert_int_equal(scaling_analyse(&sweep, &(scaling_options){0}, &analysis), BASE_OK);
            scaling_value v = analysis.worth_interval;
            refused += !analysis.worth_law.ok;
            missed += analysis.worth_law.ok && !(v.low <= right && right <= v.high);
            assert_true(!analysis.worth_law.ok || (v.low <= v.value && v.value <= v.high));
            teardown(state);
        }
        print_message("1-p %.3g, noise %.3g, %d points: missed %d, refused %d of %d\n", cases[i].serial, cases[i].noise,
                      cases[i].count, missed, refused, TRIED * more);
        if (refused > cases[i].refused * more || missed > MISSED * TRIED * more)
            fail_msg("see above");
    }
}

static scaling_trial *add(int workers, double step_s)
{
    const scaling_trial trial = {.workers = workers, .repeat = sweep.count, .batch = 64, .step_s = step_s};
    assert_int_equal(scaling_sweep_add(&sweep, &trial), BASE_OK);
    return &sweep.trials[sweep.count - 1];
}

static void analyse_all(void)
{
    assert_int_equal(scaling_analyse(&sweep, &(scaling_options){0}, &analysis), BASE_OK);
}

/* No law holds: the measured points must tell by themselves. */
static void noise_says_nothing_of_what_is_worth_it(void **state)
{
    static const double noise[] = {0.5, 1.0, 1.5};
    (void)state;
    for (int i = 0; i < 3; i++) {
        add(1, 0.1 * noise[i]);
        add(2, 0.08 * noise[i]);
        add(4, 0.07 * noise[i]);
    }
    analyse_all();
    assert_false(analysis.prediction_law.ok);
    assert_false(analysis.worth_law.ok);
    assert_non_null(strstr(analysis.worth_law.reason, "may be anything from"));
    teardown(state);
    for (int i = 0; i < 3; i++) {
        add(1, 1e-7 * (1.0 + 0.001 * i));
        add(2, 100.0 * (1.0 + 0.001 * i));
        add(8, 900.0 * (1.0 + 0.001 * i));
    }
    analyse_all(); /* no law, but no doubt */
    assert_true(analysis.worth_law.ok);
    assert_int_equal(analysis.worth_workers, 1);
    assert_true(analysis.worth_interval.high <= 1.0);
}

/* E(8) is somewhere around the target, and there is no telling beyond. */
static void an_interval_of_everything_is_none(void **state)
{
    static const double noise[] = {0.4, 1.0, 2.5};
    (void)state;
    for (int n = 1; n <= 16; n *= 4)
        for (int i = 0; i < 3; i++)
            add(n, 0.1 / n * noise[(i + n) % 3] * (1.0 + 0.01 * i));
    analyse_all();
    assert_true(analysis.prediction_law.ok);
    assert_false(analysis.worth_law.ok);
    assert_non_null(strstr(analysis.worth_law.reason, "anything from 1 worker to more than 256"));
}

/* ---- what is asked for ---- */

static void what_is_known_is_not_predicted(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.002}, .divided_s = {[SCALING_FORWARD] = 0.098}};
    const scaling_options options = {.predict_count = 7, .predict = {64, 1, 3, 16, 8, 64, 3}};
    (void)state;
    analyse(&truth, 0.01, &options);
    assert_int_equal(analysis.prediction_count, 3);
    assert_int_equal(analysis.prediction[0].workers, 3);
    assert_int_equal(analysis.prediction[1].workers, 16);
    assert_int_equal(analysis.prediction[2].workers, 64);
    teardown(state);
    analyse(&truth, 0.01, &(scaling_options){.predict_count = 2, .predict = {1, 4}});
    assert_int_equal(analysis.prediction_count, 0);
    assert_false(analysis.prediction_law.ok);
    assert_non_null(strstr(analysis.prediction_law.reason, "was measured"));
    assert_true(analysis.worth_law.ok);
}

static void perfect_scaling_is_worth_more_than_was_looked_at(void **state)
{
    const synthetic_truth truth = {.divided_s = {[SCALING_FORWARD] = 0.1}};
    (void)state;
    analyse(&truth, 0.0, &(scaling_options){0});
    assert_int_equal(analysis.worth_workers, 128);
    assert_true(analysis.worth_beyond && isinf(analysis.worth_interval.high));
    assert_true(analysis.worth_interval.low >= 8.0 && analysis.worth_most == 128);
}

static void nothing_is_worth_a_target_above_all(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.02}, .divided_s = {[SCALING_FORWARD] = 0.08}};
    (void)state;
    analyse(&truth, 0.0, &(scaling_options){.target_efficiency = 1.5});
    assert_false(analysis.worth_law.ok);
    assert_non_null(strstr(analysis.worth_law.reason, "150 %"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_back_points_are_predicted),
        cmocka_unit_test_teardown(intervals_widen_with_distance, teardown),
        cmocka_unit_test_teardown(what_is_hidden_comes_to_light, teardown),
        cmocka_unit_test_teardown(without_phases_the_step_is_predicted_whole, teardown),
        cmocka_unit_test_teardown(the_most_workers_that_are_worth_it, teardown),
        cmocka_unit_test_teardown(what_was_not_measured_is_expected, teardown),
        cmocka_unit_test_teardown(what_is_worth_it_lies_in_its_interval, teardown),
        cmocka_unit_test_teardown(noise_says_nothing_of_what_is_worth_it, teardown),
        cmocka_unit_test_teardown(an_interval_of_everything_is_none, teardown),
        cmocka_unit_test_teardown(what_is_known_is_not_predicted, teardown),
        cmocka_unit_test_teardown(perfect_scaling_is_worth_more_than_was_looked_at, teardown),
        cmocka_unit_test_teardown(nothing_is_worth_a_target_above_all, teardown),
    };
    more = argc > 1 ? atoi(argv[1]) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
