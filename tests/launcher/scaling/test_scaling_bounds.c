/* scaling_analyse: speedups where one worker was not measured, and bounds that the data do not give. */
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static scaling_sweep sweep;
static scaling_analysis analysis;

static int teardown(void **state)
{
    (void)state;
    scaling_analysis_clear(&analysis);
    scaling_sweep_clear(&sweep);
    return 0;
}

static void add(int workers, double step_s)
{
    const scaling_trial trial = {.workers = workers,
                                 .repeat = sweep.count,
                                 .batch = sweep.mode == SCALING_WEAK ? 8 * workers : 64,
                                 .step_s = step_s,
                                 .parts_s = {[SCALING_FORWARD] = step_s}};
    assert_int_equal(scaling_sweep_add(&sweep, &trial), BASE_OK);
}

static double amdahl(double p, int n)
{
    return 0.1 * (1.0 - p + p / n);
}

/* Three timings at each of 1, 2, 4 ... `largest`, alternately a share `noise` too long and too short. */
static void add_amdahl(double p, int largest, double noise)
{
    int sign = 1;
    for (int n = 1; n <= largest; n *= 2)
        for (int r = 0; r < 3; r++, sign = -sign)
            add(n, amdahl(p, n) * (1.0 + sign * noise));
}

static void analyse(void)
{
    const scaling_options options = {0};
    if (scaling_analyse(&sweep, &options, &analysis) != BASE_OK)
        fail_msg("%s", base_status_message());
}

static void assert_refused(const scaling_law *law, const char *words)
{
    if (law->ok || !strstr(law->reason, words))
        fail_msg("ok %d, '%s' is not in: %s", law->ok, words, law->reason);
}

static void without_a_point_at_one_worker(void **state)
{
    (void)state;
    for (int n = 4; n <= 64; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, amdahl(0.99, n) * (1.0 + 0.002 * (r - 1)));
    analyse();
    assert_true(analysis.amdahl.law.ok);
    assert_true(fabs(analysis.amdahl.t1_s - 0.1) < 0.003);
    assert_true(fabs(analysis.points[4].speedup.value - 1.0 / (0.01 + 0.99 / 64)) < 2.0);
    assert_true(analysis.prediction[0].efficiency.low < 1.0 / (128 * (0.01 + 0.99 / 128)) &&
                1.0 / (128 * (0.01 + 0.99 / 128)) < analysis.prediction[0].efficiency.high);
}

/* What the law says of one worker is as uncertain as the law: true speedups lie in the intervals. */
static void without_one_worker_intervals_hold(void **state)
{
    enum { SWEEPS = 200 };
    static const int workers[] = {4, 8};
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.005}, .divided_s = {[SCALING_FORWARD] = 0.095}};
    const synthetic_noise noise = {.relative = 0.02, .lognormal = 1};
    int held = 0, known = 0;
    (void)state;
    for (uint32_t k = 0; k < SWEEPS; k++) {
        scaling_random random = scaling_random_start(12, 402, k);
        synthetic_sweep(&truth, workers, 2, 3, &noise, &random, &sweep);
        analyse();
        assert_int_equal(analysis.speedup_law.ok, analysis.amdahl.law.ok);
        assert_int_equal(analysis.speedup_law.ok, !isnan(analysis.points[1].speedup.value));
        scaling_value s = analysis.points[1].speedup;
        double right = synthetic_step(&truth, 1, NULL) / synthetic_step(&truth, 8, NULL);
        known += analysis.speedup_law.ok;
        held += analysis.speedup_law.ok && s.low <= right && right <= s.high;
        assert_true(!analysis.speedup_law.ok || s.high <= 8.0 * 1.3);
        teardown(state);
    }
    if (known < SWEEPS / 2 || held < 0.92 * known)
        fail_msg("held %d of %d", held, known);
}

/* Two points side by side say nothing of one worker. */
static void without_one_worker_and_law_there_is_no_speedup(void **state)
{
    (void)state;
    for (int r = 0; r < 3; r++) {
        add(40, amdahl(0.99, 40) * (1.0 + 0.01 * (r - 1)));
        add(41, amdahl(0.99, 41) * (1.0 + 0.01 * (r - 1)));
    }
    analyse();
    assert_refused(&analysis.amdahl.law, "noise");
    assert_refused(&analysis.speedup_law, "one worker was not measured");
    assert_refused(&analysis.prediction_law, "one worker was not measured");
    assert_refused(&analysis.worth_law, "one worker was not measured");
    assert_true(isnan(analysis.points[0].speedup.value) && isnan(analysis.points[1].efficiency.value));
}

/* sqrt(n) times as long: whatever the fit makes of it, one worker is the fastest. */
static void one_worker_is_the_fastest(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, 0.1 * sqrt(n) * (1.0 + 0.001 * (r - 1)));
    analyse();
    assert_true(analysis.usl.law.ok);
    assert_true(analysis.usl.peak_workers.value <= 1.0 && analysis.usl.peak_workers.high <= 1.0);
    teardown(state);
    sweep.mode = SCALING_WEAK;
    for (int n = 1; n <= 8; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, 0.1 * n * n * (1.0 + 0.001 * (r - 1)));
    analyse();
    sweep.mode = SCALING_STRONG;
    assert_true(analysis.usl.law.ok && analysis.usl.peak_workers.high <= 1.0);
    teardown(state);
    for (int n = 1; n <= 8; n *= 2)
        for (int r = 0; r < 3; r++)
            add(n, 0.1 * (1.0 + 1.5 * (n - 1) + 0.3 * n * (n - 1)) / n * (1.0 + 0.001 * (r - 1)));
    analyse();
    assert_refused(&analysis.usl.law, "fastest on 1 worker");
}

/* Nothing of coherency, nothing serial: a fit through noise bounds neither. */
static void bounds_that_are_not_in_sight_are_not_named(void **state)
{
    (void)state;
    add_amdahl(0.95, 8, 1e-9);
    analyse();
    assert_true(analysis.usl.law.ok && isinf(analysis.usl.peak_workers.value));
    assert_true(analysis.usl.peak_workers.low > 8.0 && isinf(analysis.usl.peak_workers.high));
    assert_true(isfinite(analysis.amdahl.max_speedup.value));
    teardown(state);
    add_amdahl(1.0, 4, 1e-9);
    analyse();
    assert_true(analysis.amdahl.law.ok && isinf(analysis.amdahl.max_speedup.value));
    assert_true(analysis.amdahl.max_speedup.low > 1000.0 && isfinite(analysis.amdahl.max_speedup.low));
}

/* The law's line passes beside what was measured, here below the last point. */
static void limit_out_of_sight_lies_beyond_what_was_seen(void **state)
{
    static const double efficiency[] = {1.0, 0.62, 0.95, 0.55, 0.9};
    (void)state;
    for (int i = 0; i < 5; i++)
        for (int r = 0; r < 3; r++)
            add(1 << i, 0.1 / ((1 << i) * efficiency[i]) * (1.0 + 0.001 * (r - 1)));
    analyse();
    assert_true(analysis.amdahl.law.ok && isinf(analysis.amdahl.max_speedup.value));
    assert_true(analysis.amdahl.max_speedup.low >= analysis.points[4].speedup.low);
    assert_in_range(analysis.points[4].speedup.low, 13, 15);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_point_at_one_worker),
        TEST(without_one_worker_intervals_hold),
        TEST(without_one_worker_and_law_there_is_no_speedup),
        TEST(one_worker_is_the_fastest),
        TEST(bounds_that_are_not_in_sight_are_not_named),
        TEST(limit_out_of_sight_lies_beyond_what_was_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
