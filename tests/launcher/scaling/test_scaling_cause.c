/* scaling_cause: the serial fraction by part, on sweeps whose parts are known. */
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static const int workers[] = {1, 2, 4, 8};
enum { POINTS = 4, REPEATS = 3 };

/* 90 ms of work that is divided. */
#define WORK                                                                                                           \
    {                                                                                                                  \
        [SCALING_DATA] = 0.002, [SCALING_FORWARD] = 0.028, [SCALING_BACKWARD] = 0.06                                   \
    }

static scaling_sweep sweep;
static scaling_analysis analysis;

static int teardown(void **state)
{
    (void)state;
    scaling_analysis_clear(&analysis);
    scaling_sweep_clear(&sweep);
    return 0;
}

static void measure(const synthetic_truth *truth, double noise, uint32_t stream)
{
    scaling_random random = scaling_random_start(8, stream, 0);
    const synthetic_noise all = {.relative = noise, .parts = noise};
    synthetic_sweep(truth, workers, POINTS, REPEATS, &all, &random, &sweep);
}

static void analyse(void)
{
    const scaling_options options = {0};
    if (scaling_analyse(&sweep, &options, &analysis) != BASE_OK)
        fail_msg("%s", base_status_message());
}

static double sum_of_causes(void)
{
    double sum = 0.0;
    for (int i = 0; i < analysis.cause_count; i++)
        sum += analysis.causes[i].fraction;
    return sum;
}

static const scaling_cause *cause(scaling_part part)
{
    for (int i = 0; i < analysis.cause_count; i++)
        if (analysis.causes[i].part == part)
            return &analysis.causes[i];
    fail_msg("no cause %s", scaling_part_name(part));
    return NULL;
}

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.15g, not %.15g", value, expected);
}

/* ---- strong scaling ---- */

/* Noise in every part of every trial: the sum is that of the fit, whatever the parts. */
static void causes_add_up_to_the_serial_fraction(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.003, [SCALING_OTHER] = 0.001},
                                   .divided_s = WORK,
                                   .alpha_s = 2e-4,
                                   .beta_s_per_byte = 1e-9,
                                   .bytes = 1 << 22,
                                   .imbalance_log_s = 3e-4};
    (void)state;
    for (uint32_t k = 0; k < 100; k++) {
        measure(&truth, 0.03, k);
        analyse();
        assert_true(analysis.amdahl.law.ok && analysis.causes_law.ok);
        assert_near(sum_of_causes(), 1.0 - analysis.amdahl.parallel_fraction.value, 1e-9);
        assert_near(sum_of_causes(), analysis.causes_total, 1e-9);
        for (int i = 1; i < analysis.cause_count; i++)
            assert_true(analysis.causes[i - 1].fraction >= analysis.causes[i].fraction);
        teardown(state);
    }
}

static void fractions_are_the_parts_serial_shares(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.006, [SCALING_OTHER] = 0.004}, .divided_s = WORK};
    (void)state;
    measure(&truth, 0.0, 0);
    analyse();
    assert_near(cause(SCALING_UPDATE)->fraction, 0.06, 1e-9);
    assert_near(cause(SCALING_OTHER)->fraction, 0.04, 1e-9);
    assert_true(fabs(cause(SCALING_FORWARD)->fraction) < 1e-12);
    assert_int_equal(analysis.causes[0].part, SCALING_UPDATE);
    assert_int_equal(analysis.cause_count, 5); /* nothing was measured of imbalance and reduce */
}

/* The all-reduce grows, as all-reduces do, and the law's line goes through it. */
static void exposed_all_reduce_is_the_cause(void **state)
{
    const synthetic_truth truth = {.divided_s = WORK, .contention = 0.05};
    (void)state;
    measure(&truth, 0.0, 0);
    analyse();
    assert_int_equal(analysis.causes[0].part, SCALING_REDUCE);
    assert_near(analysis.causes[0].fraction, 0.05, 1e-9);
}

/* ---- a planted part ---- */

/* Rank `rank` sleeps `sleep_s` in `part` of every step; the median rank does not. The others wait. */
static void plant(scaling_part part, int rank, double sleep_s)
{
    for (int i = 0; i < sweep.count; i++) {
        scaling_trial *trial = &sweep.trials[i];
        double usual = trial->parts_s[part];
        trial->parts_s[part] += sleep_s;
        trial->step_s += sleep_s;
        trial->slowest = trial->workers > 1 ? rank : 0;
        for (int p = 0; p < SCALING_PART_COUNT; p++)
            trial->slower[p] = 0.01;
        trial->slower[part] = trial->workers > 1 ? sleep_s / usual : 0.0;
    }
}

static void a_planted_serial_part_is_found(void **state)
{
    static const scaling_part parts[] = {SCALING_DATA, SCALING_FORWARD, SCALING_BACKWARD, SCALING_UPDATE,
                                         SCALING_OTHER};
    static const double sleeps[] = {0.005, 0.02, 0.1};
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.0005, [SCALING_OTHER] = 0.0002}, .divided_s = WORK};
    (void)state;
    for (uint32_t k = 0; k < 15; k++) {
        scaling_part part = parts[k % 5];
        double sleep_s = sleeps[k / 5], own = truth.fixed_s[part];
        measure(&truth, 0.02, 200 + k);
        plant(part, 1, sleep_s);
        analyse();
        assert_int_equal(analysis.causes[0].part, part);
        assert_int_equal(analysis.causes[0].rank, 1);
        assert_true(analysis.causes[0].slower > 0.05);
        assert_near(analysis.causes[0].fraction, (sleep_s + own) / (synthetic_step(&truth, 1, NULL) + sleep_s), 0.2);
        for (int i = 1; i < analysis.cause_count; i++)
            assert_int_equal(analysis.causes[i].rank, -1);
        teardown(state);
    }
}

/* Some rank is the slowest of every trial, by much where a part is short. */
static void nobody_is_blamed_for_what_chance_does(void **state)
{
    const synthetic_truth truth = {.divided_s = WORK};
    (void)state;
    measure(&truth, 0.0, 0);
    plant(SCALING_FORWARD, 1, 0.02);
    for (int i = 0; i < sweep.count; i++) /* by 6 % to hundreds of per cent */
        sweep.trials[i].slower[SCALING_FORWARD] = i % 2 ? 0.06 : 2.0;
    analyse();
    assert_int_equal(cause(SCALING_FORWARD)->rank, -1);
    teardown(state);
    scaling_random random = scaling_random_start(8, 0, 0);
    synthetic_sweep(&truth, workers, POINTS, 1, &(synthetic_noise){0}, &random, &sweep);
    plant(SCALING_FORWARD, 1, 0.02);
    analyse();
    assert_int_equal(cause(SCALING_FORWARD)->rank, -1);
}

static void nobody_is_blamed_unless_all_trials_agree(void **state)
{
    const synthetic_truth truth = {.divided_s = WORK};
    (void)state;
    measure(&truth, 0.0, 0);
    plant(SCALING_FORWARD, 1, 0.02);
    sweep.trials[sweep.count - 2].slowest = 5;
    analyse();
    assert_int_equal(cause(SCALING_FORWARD)->rank, -1);
    teardown(state);
    measure(&truth, 0.0, 0);
    plant(SCALING_FORWARD, 1, 0.02);
    sweep.trials[sweep.count - 2].slower[SCALING_FORWARD] = 0.04;
    analyse();
    assert_int_equal(cause(SCALING_FORWARD)->rank, -1);
    teardown(state);
    measure(&truth, 0.0, 0);
    plant(SCALING_FORWARD, 1, 0.02);
    for (int i = 0; i < sweep.count; i++) { /* slower, but in what hardly counts */
        sweep.trials[i].slower[SCALING_DATA] = 3.0;
        sweep.trials[i].parts_s[SCALING_DATA] = 1e-4;
    }
    analyse();
    assert_int_equal(cause(SCALING_DATA)->rank, -1);
    assert_int_equal(cause(SCALING_FORWARD)->rank, 1);
}

/* ---- beyond the law ---- */

/* More workers make steps longer: no p, but the reasons are there, as shares of the whole. */
static void a_slowdown_has_causes(void **state)
{
    const synthetic_truth truth = {.divided_s = {[SCALING_BACKWARD] = 0.01}, .contention = 1.5, .coherency = 0.3};
    (void)state;
    measure(&truth, 0.01, 1);
    analyse();
    assert_false(analysis.amdahl.law.ok);
    assert_non_null(strstr(analysis.amdahl.law.reason, "a step takes longer"));
    assert_true(analysis.causes_law.ok);
    assert_near(sum_of_causes(), 1.0, 1e-9);
    assert_near(analysis.causes_total, 1.0, 1e-9);
    assert_int_equal(analysis.causes[0].part, SCALING_REDUCE);
}

static void perfect_scaling_has_none(void **state)
{
    const synthetic_truth truth = {.divided_s = WORK};
    (void)state;
    measure(&truth, 0.0, 0);
    for (int i = 0; i < sweep.count; i++) { /* better than linear: caches */
        scaling_trial *trial = &sweep.trials[i];
        double gain = trial->workers > 1 ? 0.9 : 1.0;
        trial->step_s *= gain;
    }
    analyse();
    assert_false(analysis.causes_law.ok);
    assert_non_null(strstr(analysis.causes_law.reason, "no serial part"));
    assert_int_equal(analysis.cause_count, 0);
}

/* It gets faster up to 4 workers and slower from there: no serial fraction, and none to divide. */
static void a_law_that_fits_nothing_has_none(void **state)
{
    const synthetic_truth truth = {.divided_s = WORK, .contention = 0.05, .coherency = 0.1};
    (void)state;
    measure(&truth, 0.002, 2);
    analyse();
    assert_false(analysis.amdahl.law.ok);
    assert_non_null(strstr(analysis.amdahl.law.reason, "no serial fraction fits"));
    assert_false(analysis.causes_law.ok);
    assert_string_equal(analysis.causes_law.reason, analysis.amdahl.law.reason);
    assert_int_equal(analysis.cause_count, 0);
}

static void without_phases_there_are_no_causes(void **state)
{
    const synthetic_truth truth = {.fixed_s = {[SCALING_UPDATE] = 0.01}, .divided_s = WORK};
    (void)state;
    measure(&truth, 0.0, 0);
    memset(sweep.trials[4].parts_s, 0, sizeof sweep.trials[4].parts_s);
    analyse();
    assert_true(analysis.amdahl.law.ok);
    assert_false(analysis.causes_law.ok);
    assert_non_null(strstr(analysis.causes_law.reason, "phases"));
}

/* ---- weak scaling ---- */

/* T(n) = T1 / (1 - s + s/n): the growth over n = 1 in two parts, one twice the other. */
static void weak_causes_are_shares_of_the_growth(void **state)
{
    const synthetic_truth truth = {.mode = SCALING_WEAK, .divided_s = WORK};
    const double s = 0.12, t1 = 0.09;
    (void)state;
    measure(&truth, 0.0, 0);
    for (int i = 0; i < sweep.count; i++) {
        scaling_trial *trial = &sweep.trials[i];
        double growth = t1 / (1.0 - s + s / trial->workers) - t1;
        trial->parts_s[SCALING_REDUCE] = growth * 2.0 / 3.0;
        trial->parts_s[SCALING_IMBALANCE] = growth / 3.0;
        trial->step_s += growth;
    }
    analyse();
    assert_true(analysis.gustafson.law.ok);
    assert_near(analysis.gustafson.serial_fraction.value, s, 1e-9);
    assert_near(analysis.causes_total, s, 1e-9);
    assert_near(cause(SCALING_REDUCE)->fraction, 0.08, 1e-9);
    assert_near(cause(SCALING_IMBALANCE)->fraction, 0.04, 1e-9);
    assert_near(sum_of_causes(), s, 1e-9);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(causes_add_up_to_the_serial_fraction),
        TEST(fractions_are_the_parts_serial_shares),
        TEST(exposed_all_reduce_is_the_cause),
        TEST(a_planted_serial_part_is_found),
        TEST(nobody_is_blamed_for_what_chance_does),
        TEST(nobody_is_blamed_unless_all_trials_agree),
        TEST(a_slowdown_has_causes),
        TEST(perfect_scaling_has_none),
        TEST(a_law_that_fits_nothing_has_none),
        TEST(without_phases_there_are_no_causes),
        TEST(weak_causes_are_shares_of_the_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
