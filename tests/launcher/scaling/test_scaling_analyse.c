/* scaling_analyse: whole sweeps, and what is refused and why. */
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static scaling_sweep sweep;
static scaling_analysis analysis;
static scaling_options options;

static int setup(void **state)
{
    (void)state;
    options = (scaling_options){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scaling_analysis_clear(&analysis);
    scaling_sweep_clear(&sweep);
    return 0;
}

/* ---- sweeps by hand ---- */

static scaling_trial *add(int workers, double step_s)
{
    const scaling_trial trial = {.workers = workers,
                                 .repeat = sweep.count,
                                 .batch = sweep.mode == SCALING_WEAK ? 8 * workers : 64,
                                 .step_s = step_s,
                                 .threads = 1,
                                 .cores = 64,
                                 .parts_s = {[SCALING_FORWARD] = step_s}};
    assert_int_equal(scaling_sweep_add(&sweep, &trial), BASE_OK);
    return &sweep.trials[sweep.count - 1];
}

/* Steps of their own, `relative` apart. */
static void add_steps(scaling_trial *trial, int count, double relative)
{
    trial->steps_s = malloc((size_t)count * sizeof *trial->steps_s);
    trial->steps_count = count;
    assert_non_null(trial->steps_s);
    for (int i = 0; i < count; i++)
        trial->steps_s[i] = trial->step_s * (1.0 + relative * ((i * 7) % 11 - 5) / 5.0);
}

static double amdahl(double p, int n)
{
    return 0.1 * (1.0 - p + p / n);
}

/* `repeats` timings at each of 1, 2, 4 ... `largest`, alternately a share `noise` too long and too short. */
static void add_amdahl(double p, int largest, int repeats, double noise)
{
    int sign = 1;
    for (int n = 1; n <= largest; n *= 2)
        for (int r = 0; r < repeats; r++, sign = -sign)
            add(n, amdahl(p, n) * (1.0 + sign * noise));
}

static void analyse(void)
{
    if (scaling_analyse(&sweep, &options, &analysis) != BASE_OK)
        fail_msg("%s", base_status_message());
}

static void assert_refused(const scaling_law *law, const char *words)
{
    if (law->ok || !strstr(law->reason, words))
        fail_msg("ok %d, '%s' is not in: %s", law->ok, words, law->reason);
}

static void assert_no_data(const char *words)
{
    assert_int_equal(scaling_analyse(&sweep, &options, &analysis), BASE_DATA);
    if (!strstr(base_status_message(), words))
        fail_msg("'%s' is not in: %s", words, base_status_message());
    assert_null(analysis.points);
}

/* Everything that needs two points says so. */
static void assert_nothing_is_said(const char *words)
{
    analyse();
    assert_refused(&analysis.amdahl.law, words);
    assert_refused(&analysis.usl.law, words);
    assert_refused(&analysis.causes_law, words);
    assert_refused(&analysis.prediction_law, words);
    assert_int_equal(analysis.cause_count, 0);
    assert_int_equal(analysis.prediction_count, 0);
}

/* ---- refused ---- */

static void one_point(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        add(1, 0.1 + 0.001 * i);
    assert_nothing_is_said("one number of workers (n = 1)");
    assert_refused(&analysis.worth_law, "not known");
    assert_refused(&analysis.alpha_beta.law, "no all-reduce");
    assert_int_equal(analysis.point_count, 1);
    assert_int_equal(analysis.points[0].trials, 5);
}

static void two_timings(void **state)
{
    (void)state;
    add(1, 0.1);
    add(2, 0.06);
    analyse();
    assert_refused(&analysis.amdahl.law, "2 timings are too few");
    assert_refused(&analysis.usl.law, "at least three");
    assert_refused(&analysis.prediction_law, "too few");
    /* What was measured is there, without an interval. */
    assert_true(fabs(analysis.points[1].speedup.value - 1.0 / 0.6) < 1e-12);
    assert_true(isnan(analysis.points[1].speedup.low));
    assert_refused(&analysis.worth_law, "too few timings to tell how sure the efficiency on 2 workers is");
}

/* The same two with steps tell how sure they are. */
static void two_timings_with_steps(void **state)
{
    (void)state;
    add_steps(add(1, 0.1), 100, 0.02);
    add_steps(add(2, 0.06), 100, 0.02);
    analyse();
    assert_true(analysis.amdahl.law.ok);
    scaling_value p = analysis.amdahl.parallel_fraction;
    assert_true(fabs(p.value - 0.8) < 1e-9 && p.low > 0.77 && p.low < 0.799 && p.high > 0.801 && p.high < 0.83);
    assert_true(analysis.points[1].speedup.low < analysis.points[1].speedup.value);
}

static void steps_of_one_of_two_are_not_enough(void **state)
{
    (void)state;
    add_steps(add(1, 0.1), 100, 0.02);
    add(2, 0.06);
    analyse();
    assert_refused(&analysis.amdahl.law, "too few");
}

static void noise_larger_than_the_effect(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        add(1, 0.1 * (1.0 + 0.5 * (i - 1)));
        add(2, 0.08 * (1.0 + 0.5 * (i - 1)));
        add(4, 0.07 * (1.0 + 0.5 * (i - 1)));
    }
    assert_nothing_is_said("noise");
}

static void workers_that_share_cores(void **state)
{
    (void)state;
    add_amdahl(0.9, 8, 3, 0.01);
    for (int i = 0; i < sweep.count; i++)
        sweep.trials[i].cores = 2;
    analyse();
    assert_true(analysis.amdahl.law.ok);
    assert_refused(&analysis.usl.law, "n = 4 and 8 share 2 cores");
    assert_int_equal(analysis.prediction[0].workers, 4);
    assert_true(analysis.points[1].fitted && !analysis.points[2].fitted && analysis.points[3].shares_cores);
    teardown(state);
    add_amdahl(0.9, 8, 3, 0.01);
    for (int i = 0; i < sweep.count; i++)
        sweep.trials[i].cores = 1;
    assert_nothing_is_said("(n = 2, 4 and 8 share 1 core)");
    scaling_analysis_clear(&analysis);
    sweep.oversubscribe = 1;
    analyse();
    assert_true(analysis.amdahl.law.ok && analysis.usl.law.ok && analysis.points[3].fitted);
    assert_int_equal(analysis.prediction[0].workers, 16);
}

static void threads_count_as_workers(void **state)
{
    (void)state;
    add_amdahl(0.9, 4, 3, 0.01);
    for (int i = 0; i < sweep.count; i++) {
        sweep.trials[i].cores = 8;
        sweep.trials[i].threads = 4;
    }
    analyse();
    assert_true(analysis.points[1].fitted && !analysis.points[2].fitted);
    assert_refused(&analysis.usl.law, "(n = 4 shares 8 cores)");
}

static void workers_of_different_kinds(void **state)
{
    (void)state;
    add_amdahl(0.9, 4, 3, 0.01);
    sweep.trials[0].threads = sweep.trials[1].threads = sweep.trials[2].threads = 2;
    assert_nothing_is_said("2 threads at n = 1 and 1 at n = 2");
    assert_refused(&analysis.speedup_law, "2 threads at n = 1 and 1 at n = 2");
    assert_refused(&analysis.worth_law, "2 threads at n = 1 and 1 at n = 2");
    assert_true(fabs(analysis.points[2].speedup.value - 1.0 / (0.1 + 0.9 / 4)) < 0.1);
}

static void trials_that_do_not_belong_together(void **state)
{
    (void)state;
    assert_no_data("no trial");
    add_amdahl(0.9, 4, 1, 0.0);
    sweep.trials[2].batch = 128;
    assert_no_data("strong scaling keeps the global batch, but it is 64 at 1 workers and 128 at 4");
    sweep.mode = SCALING_WEAK;
    sweep.trials[1].batch = 128;
    sweep.trials[2].batch = 257;
    assert_no_data("weak scaling keeps the batch of a worker");
    sweep.trials[2].batch = 256;
    analyse();
}

static void times_that_are_none(void **state)
{
    static const double none[] = {NAN, 0.0, -0.1, INFINITY};
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        add_amdahl(0.9, 4, 1, 0.0);
        sweep.trials[1].step_s = none[i];
        assert_no_data("at 2 workers: a step took");
        sweep.trials[1].step_s = 0.05;
        add_steps(&sweep.trials[1], 20, 0.01);
        sweep.trials[1].steps_s[7] = none[i];
        assert_no_data("at 2 workers: step 7 took");
        teardown(state);
    }
    add(0, 0.1);
    assert_no_data("0 workers");
}

/* Parts that are no numbers cost the causes, nothing else. */
static void parts_that_are_none(void **state)
{
    (void)state;
    add_amdahl(0.9, 8, 3, 0.01);
    sweep.trials[4].parts_s[SCALING_DATA] = (double)NAN;
    analyse();
    assert_true(analysis.amdahl.law.ok && analysis.prediction_law.ok);
    assert_refused(&analysis.causes_law, "phases");
}

static void better_than_linear(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, (0.105 / n - 0.005) * (1.0 + 0.001 * r));
    analyse();
    assert_refused(&analysis.amdahl.law, "better than linear");
    assert_refused(&analysis.usl.law, "better than linear");
    assert_refused(&analysis.prediction_law, "better than linear on 8 workers");
    assert_true(analysis.worth_law.ok && analysis.worth_workers == 8);
}

/* T(n) = n^-1.1: with a gain for each worker in place of a loss USL fits it, and names a peak where none is. */
static void better_than_linear_the_more_workers(void **state)
{
    (void)state;
    for (int n = 1; n <= 64; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, 0.1 / pow(n, 1.1) * (1.0 + 0.001 * r));
    analyse();
    assert_refused(&analysis.usl.law, "better than linear on 2 workers");
    assert_refused(&analysis.prediction_law, "better than linear on 64 workers");
}

/* Caches make one point better than linear; what follows is as usual. */
static void better_than_linear_at_one_point(void **state)
{
    (void)state;
    for (int n = 1; n <= 64; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, (n == 4 ? 0.8 : 1.0) * (0.02 + 0.98 / n) * (1.0 + 0.001 * r));
    analyse();
    assert_refused(&analysis.usl.law, "better than linear on 4 workers");
    assert_true(analysis.prediction_law.ok);
}

/* A number of workers in between that is not worth it makes "up to" untrue. */
static void a_dip_of_the_efficiency(void **state)
{
    static const double efficiency[] = {1.0, 0.98, 0.63, 0.91, 0.87};
    (void)state;
    for (int i = 0; i < 5; i++)
        for (int r = 0; r < 3; r++)
            add(1 << i, 0.1 / ((1 << i) * efficiency[i]) * (1.0 + 0.002 * r));
    analyse();
    assert_refused(&analysis.worth_law, "63 % on 4, and above 70 % on more");
}

/* ---- whole sweeps ---- */

static void repeats_make_one_point(void **state)
{
    (void)state;
    add_amdahl(0.9, 8, 5, 0.01);
    for (int i = 0; i < sweep.count; i++) /* the same number twice, and out of order */
        sweep.trials[i].repeat = 0;
    scaling_trial last = sweep.trials[sweep.count - 1];
    sweep.trials[sweep.count - 1] = sweep.trials[0];
    sweep.trials[0] = last;
    analyse();
    assert_int_equal(analysis.point_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(analysis.points[i].workers, 1 << i);
        assert_int_equal(analysis.points[i].trials, 5);
        assert_true(fabs(analysis.points[i].step_s.value / amdahl(0.9, 1 << i) - 1.0) < 0.0101);
        assert_true(analysis.points[i].efficiency.low <= analysis.points[i].efficiency.value);
        assert_true(fabs(analysis.points[i].samples_per_second * analysis.points[i].step_s.value - 64.0) < 1e-9);
    }
    assert_true(fabs(analysis.points[3].karp_flatt - 0.1) < 0.01);
}

/* Something else ran on the machine: it is seen where most trials agree, and only there. */
static void a_disturbed_trial_does_not_count(void **state)
{
    (void)state;
    add_amdahl(0.9, 8, 3, 0.002);
    sweep.trials[4].step_s *= 2.0;
    sweep.trials[4].parts_s[SCALING_REDUCE] = 1.0;
    sweep.trials[9].step_s *= 1.2; /* not that far */
    analyse();
    assert_int_equal(analysis.points[1].disturbed, 1);
    assert_int_equal(analysis.points[1].trials, 2);
    assert_int_equal(analysis.points[3].disturbed, 0);
    assert_true(fabs(analysis.points[1].step_s.value / amdahl(0.9, 2) - 1.0) < 0.01);
    assert_true(analysis.points[1].parts_s[SCALING_REDUCE] <= 0.0);
    assert_true(analysis.amdahl.law.ok && fabs(analysis.amdahl.parallel_fraction.value - 0.9) < 0.03);
    assert_true(analysis.points[3].step_s.high < 1.3 * amdahl(0.9, 8));
}

static void trials_of_which_most_disagree_all_count(void **state)
{
    static const double times[] = {0.1, 0.1, 0.14, 0.14};
    (void)state;
    for (int i = 0; i < 4; i++) {
        add(1, times[i]);
        add(2, 0.6 * times[i]);
        add(4, 0.3 * (1.0 + 0.3 * (i % 3))); /* all apart */
    }
    sweep.count -= 1;
    analyse();
    for (int i = 0; i < 3; i++)
        assert_int_equal(analysis.points[i].disturbed, 0);
    assert_true(analysis.points[0].step_s.low <= 0.1 && analysis.points[0].step_s.high >= 0.14);
}

static void ten_thousand_trials(void **state)
{
    (void)state;
    scaling_random random = scaling_random_start(11, 400, 0);
    for (int i = 0; i < 10000; i++) {
        int n = 1 << (i % 10);
        add(n, amdahl(0.95, n) * synthetic_factor(&random, 0.05, 0));
    }
    for (int i = 0; i < sweep.count; i++) {
        sweep.trials[i].cores = 1024;
        add_steps(&sweep.trials[i], 20, 0.05);
    }
    analyse();
    assert_int_equal(analysis.point_count, 10);
    assert_true(fabs(analysis.amdahl.parallel_fraction.value - 0.95) < 0.001);
}

/* Timings through their steps: noise, outlying steps, three trials a point. */
static void figures_hold_through_the_whole_analysis(void **state)
{
    enum { SWEEPS = 200 };
    static const int workers[] = {1, 2, 4, 8, 16};
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.005}, .divided_s = {[SCALING_FORWARD] = 0.095}};
    const synthetic_noise noise = {.relative = 0.01, .lognormal = 1, .steps = 30};
    int held = 0, t_held = 0;
    for (uint32_t k = 0; k < SWEEPS; k++) {
        scaling_random random = scaling_random_start(12, 401, k);
        synthetic_sweep(&truth, workers, 5, 3, &noise, &random, &sweep);
        analyse();
        assert_true(analysis.amdahl.law.ok);
        held += analysis.amdahl.parallel_fraction.low <= 0.95 && 0.95 <= analysis.amdahl.parallel_fraction.high;
        t_held +=
            analysis.points[2].step_s.low <= 0.02875 * 1.0013 && 0.02875 * 1.0013 <= analysis.points[2].step_s.high;
        teardown(state);
    }
    /* 95 %, less two standard errors of 200 */
    if (held < 0.92 * SWEEPS || t_held < 0.92 * SWEEPS)
        fail_msg("p covered in %d, T(4) in %d of %d", held, t_held, SWEEPS);
}

static void the_same_sweep_brings_the_same_analysis(void **state)
{
    (void)state;
    scaling_analysis other;
    add_amdahl(0.9, 8, 3, 0.01);
    analyse();
    assert_int_equal(scaling_analyse(&sweep, &options, &other), BASE_OK);
    assert_memory_equal(analysis.points, other.points, (size_t)other.point_count * sizeof *other.points);
    assert_memory_equal(analysis.prediction, other.prediction, sizeof other.prediction);
    scaling_analysis_clear(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_point),
        TEST(two_timings),
        TEST(two_timings_with_steps),
        TEST(steps_of_one_of_two_are_not_enough),
        TEST(noise_larger_than_the_effect),
        TEST(workers_that_share_cores),
        TEST(threads_count_as_workers),
        TEST(workers_of_different_kinds),
        TEST(trials_that_do_not_belong_together),
        TEST(times_that_are_none),
        TEST(parts_that_are_none),
        TEST(better_than_linear),
        TEST(better_than_linear_the_more_workers),
        TEST(better_than_linear_at_one_point),
        TEST(a_dip_of_the_efficiency),
        TEST(repeats_make_one_point),
        TEST(a_disturbed_trial_does_not_count),
        TEST(trials_of_which_most_disagree_all_count),
        TEST(ten_thousand_trials),
        TEST(figures_hold_through_the_whole_analysis),
        TEST(the_same_sweep_brings_the_same_analysis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
