/* scaling_laws: from timings whose law is known, with noise, the fits find the law's figures within their intervals in
 * at least 93 of 100 trials. An argument multiplies the number of trials. */
#include "scaling_laws.h"
#include "scaling_quantile.h"
#include "scaling_synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 1000, AGAIN = 10, FIGURES = 3, OBSERVED_MAX = 64, SIZES = 4 };
#define COVERED 0.93
/* With intervals that hold exactly 95 %, 3 of 1000 combinations come out below 93 % by chance, and there are hundreds:
 * such a combination is tried again with ten times the trials. */
#define COVERED_AGAIN 0.94

static int more = 1;

/* ---- observations ---- */

typedef struct worker_set {
    int count, workers[8];
} worker_set;
static const worker_set sets[] = {
    {4, {1, 2, 4, 8}}, {7, {1, 2, 4, 8, 16, 32, 64}}, {7, {1, 4, 16, 64, 256, 1024, 4096}}};
static const double noises[] = {0.0, 0.01, 0.05};
static const int repeats[] = {1, 3, 5};
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

typedef struct combination {
    const worker_set *set;
    int repeats;
    double noise;
    int lognormal;
    double truth[FIGURES]; /* of the law */
} combination;

static int workers[OBSERVED_MAX];
static double step_s[OBSERVED_MAX], spread[OBSERVED_MAX], x[OBSERVED_MAX * SCALING_TERMS_MAX], y[OBSERVED_MAX],
    scale[OBSERVED_MAX];

/* Timings of `set`, by the function `law`. */
static scaling_observations observe(const combination *c, scaling_mode mode, scaling_random *random,
                                    double (*law)(const combination *c, double n))
{
    scaling_observations seen = {.mode = mode,
                                 .workers = workers,
                                 .step_s = step_s,
                                 .spread = spread,
                                 .distinct = c->set->count,
                                 .smallest = c->set->workers[0],
                                 .largest = c->set->workers[c->set->count - 1],
                                 .x = x,
                                 .y = y,
                                 .scale = scale};
    for (int i = 0; i < c->set->count; i++)
        for (int r = 0; r < c->repeats; r++) {
            workers[seen.count] = c->set->workers[i];
            step_s[seen.count] = law(c, c->set->workers[i]) * synthetic_factor(random, c->noise, c->lognormal);
            spread[seen.count++] = (double)NAN;
        }
    return seen;
}

/* ---- counting ---- */

typedef struct tally {
    int tried, refused;
    int held[FIGURES];
    double width; /* of the first figure, sum */
} tally;

/* A trial's figures; returns 0 where the law is refused for lack of data. */
typedef int trial_function(const combination *c, scaling_random *random, scaling_value *figures);

static tally repeat(const combination *c, trial_function *trial, const double *truth, int count, uint32_t stream)
{
    tally t = {.tried = count};
    for (int k = 0; k < count; k++) {
        scaling_random random = scaling_random_start(4, stream, (uint32_t)k);
        scaling_value figures[FIGURES] = {{0}};
        if (!trial(c, &random, figures)) {
            t.refused++;
            continue;
        }
        for (int i = 0; i < FIGURES; i++) /* closed forms and fits differ in the last digit */
            t.held[i] += figures[i].low <= truth[i] * (1.0 + 1e-12) && truth[i] * (1.0 - 1e-12) <= figures[i].high;
        t.width += figures[0].high - figures[0].low;
    }
    return t;
}

static double least_share(const tally *t)
{
    double least = 1.0;
    for (int i = 0; i < FIGURES; i++)
        least = fmin(least, (double)t->held[i] / (t->tried - t->refused));
    return least;
}

/* Of the combinations, those that are refused more often than `refused` fail, and those whose intervals miss too often.
 */
static tally expect_covered(const combination *c, trial_function *trial, const double *truth, double refused)
{
    static uint32_t stream = 1000;
    tally t = repeat(c, trial, truth, TRIALS * more, ++stream);
    double least = 0.0;
    if (t.refused <= refused * t.tried) {
        least = least_share(&t);
        if (least >= COVERED)
            return t;
        tally again = repeat(c, trial, truth, TRIALS * AGAIN, stream + 10000);
        if (least_share(&again) >= COVERED_AGAIN)
            return t;
    }
    fail_msg("n <= %d, noise %g, %d repeats, truth %g %g %g: refused %d of %d, covered %.3f",
             c->set->workers[c->set->count - 1], c->noise, c->repeats, c->truth[0], c->truth[1], c->truth[2], t.refused,
             t.tried, least);
    return t;
}

/* ---- Amdahl ---- */

static double amdahl_law(const combination *c, double n)
{
    return 0.01 * ((1.0 - c->truth[0]) + c->truth[0] / n);
}

/* A law that says that the scaling is better than linear, or that there is none, misses. */
static int amdahl_trial(const combination *c, scaling_random *random, scaling_value *figures)
{
    scaling_amdahl amdahl;
    scaling_observations seen = observe(c, SCALING_STRONG, random, amdahl_law);
    if (scaling_amdahl_fit(&seen, &amdahl) == SCALING_UNKNOWN)
        return 0;
    if (!amdahl.law.ok)
        return 1;
    figures[0] = amdahl.parallel_fraction;
    figures[1] = amdahl.max_speedup;
    figures[2] = (scaling_value){0};
    assert_true(figures[0].low <= figures[0].value && figures[0].value <= figures[0].high);
    assert_true(figures[1].low <= figures[1].value && figures[1].value <= figures[1].high);
    return 1;
}

static void for_all_amdahl(int lognormal, void (*check)(const combination *c, const tally *t))
{
    static const double fractions[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    for (size_t i = 0; i < COUNT_OF(sets) * COUNT_OF(fractions) * COUNT_OF(noises) * COUNT_OF(repeats); i++) {
        combination c = {.set = &sets[i % COUNT_OF(sets)], .lognormal = lognormal};
        size_t rest = i / COUNT_OF(sets);
        c.truth[0] = fractions[rest % COUNT_OF(fractions)];
        rest /= COUNT_OF(fractions);
        c.noise = noises[rest % COUNT_OF(noises)];
        c.repeats = repeats[rest / COUNT_OF(noises)];
        double truth[FIGURES] = {c.truth[0], 1.0 / (1.0 - c.truth[0]), 0.0};
        tally t = expect_covered(&c, amdahl_trial, truth, 0.01);
        check(&c, &t);
    }
}

/* Mean width of Student's interval for 1-p from the covariance of weighted least squares with known noise. */
static double theoretical_width(const combination *c)
{
    double s00 = 0.0, s01 = 0.0, s11 = 0.0, a = 1.0 - c->truth[0], b = c->truth[0];
    for (int i = 0; i < c->set->count; i++) {
        double n = c->set->workers[i], w = c->repeats / ((a + b / n) * (a + b / n));
        s00 += w;
        s01 += w / n;
        s11 += w / (n * n);
    }
    /* d(a / (a+b)) = b da - a db at a + b = 1 */
    double variance = (b * b * s11 + 2.0 * a * b * s01 + a * a * s00) / (s00 * s11 - s01 * s01);
    double df = c->set->count * c->repeats - 2.0;
    double mean_of_s = sqrt(2.0 / df) * exp(lgamma(0.5 * df + 0.5) - lgamma(0.5 * df));
    return 2.0 * scaling_t_95(df) * mean_of_s * c->noise * sqrt(variance);
}

/* Neither wider than theory says nor right all the time; where the interval is cut at p = 1, theory has nothing to say.
 */
static void amdahl_width_is_theory_s(const combination *c, const tally *t)
{
    double theory = theoretical_width(c), width = t->width / (t->tried - t->refused);
    if (c->noise <= 0.0 || theory > 1.0 - c->truth[0])
        return;
    /* Lack of fit that is there by chance widens one interval in 20. */
    if (!(width > 0.93 * theory && width < 1.3 * theory) || t->held[0] == t->tried)
        fail_msg("n <= %d, noise %g, %d repeats, p %g: width %g, in theory %g, covered %d of %d",
                 c->set->workers[c->set->count - 1], c->noise, c->repeats, c->truth[0], width, theory, t->held[0],
                 t->tried);
}

static void nothing_more(const combination *c, const tally *t)
{
    (void)c;
    (void)t;
}

static void amdahl_is_found(void **state)
{
    (void)state;
    for_all_amdahl(0, amdahl_width_is_theory_s);
}

static void amdahl_is_found_with_skewed_noise(void **state)
{
    (void)state;
    for_all_amdahl(1, nothing_more);
}

/* ---- Gustafson ---- */

static double gustafson_law(const combination *c, double n)
{
    return 0.01 * n / (n - c->truth[0] * (n - 1.0));
}

static int gustafson_trial(const combination *c, scaling_random *random, scaling_value *figures)
{
    scaling_gustafson gustafson;
    scaling_observations seen = observe(c, SCALING_WEAK, random, gustafson_law);
    if (scaling_gustafson_fit(&seen, &gustafson) == SCALING_UNKNOWN)
        return 0;
    if (!gustafson.law.ok)
        return 1;
    figures[0] = figures[1] = figures[2] = gustafson.serial_fraction;
    return 1;
}

static void gustafson_is_found(void **state)
{
    static const double fractions[] = {0.001, 0.02, 0.1, 0.5};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sets) * COUNT_OF(fractions) * COUNT_OF(noises) * COUNT_OF(repeats); i++) {
        combination c = {.set = &sets[i % COUNT_OF(sets)]};
        size_t rest = i / COUNT_OF(sets);
        double s = fractions[rest % COUNT_OF(fractions)];
        rest /= COUNT_OF(fractions);
        c.noise = noises[rest % COUNT_OF(noises)];
        c.repeats = repeats[rest / COUNT_OF(noises)];
        memcpy(c.truth, (const double[FIGURES]){s, s, s}, sizeof c.truth);
        expect_covered(&c, gustafson_trial, c.truth, 0.01);
    }
}

/* ---- USL ---- */

static double usl_law(const combination *c, double n)
{
    return 0.01 * (1.0 + c->truth[0] * (n - 1.0) + c->truth[1] * n * (n - 1.0)) / n;
}

static int usl_trial(const combination *c, scaling_random *random, scaling_value *figures)
{
    scaling_usl usl;
    scaling_observations seen = observe(c, SCALING_STRONG, random, usl_law);
    if (scaling_usl_fit(&seen, &usl) == SCALING_UNKNOWN)
        return 0;
    figures[0] = usl.contention;
    figures[1] = usl.coherency;
    figures[2] = usl.peak_workers;
    if (!usl.law.ok)
        figures[0] = figures[1] = figures[2] = (scaling_value){NAN, NAN, NAN};
    return 1;
}

static void usl_is_found(void **state)
{
    static const double contentions[] = {0.0, 0.02, 0.2}, coherencies[] = {0.0, 1e-5, 1e-4, 1e-3};
    size_t count =
        COUNT_OF(sets) * COUNT_OF(contentions) * COUNT_OF(coherencies) * COUNT_OF(noises) * COUNT_OF(repeats);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        combination c = {.set = &sets[i % COUNT_OF(sets)]};
        size_t rest = i / COUNT_OF(sets);
        double contention = contentions[rest % COUNT_OF(contentions)];
        rest /= COUNT_OF(contentions);
        double coherency = coherencies[rest % COUNT_OF(coherencies)];
        rest /= COUNT_OF(coherencies);
        c.noise = noises[rest % COUNT_OF(noises)];
        c.repeats = repeats[rest / COUNT_OF(noises)];
        double peak = coherency > 0.0 ? sqrt((1.0 - contention) / coherency) : (double)INFINITY;
        memcpy(c.truth, (const double[FIGURES]){contention, coherency, peak}, sizeof c.truth);
        /* Four noisy timings do not tell three unknowns; with 12, lack of fit that is there by chance hides the effect
         * now and then. */
        if (c.set->count == 4 && c.repeats == 1 && c.noise > 0.0) {
            tally t = repeat(&c, usl_trial, c.truth, 100, 1);
            assert_int_equal(t.refused, t.tried);
        } else
            expect_covered(&c, usl_trial, c.truth, c.set->count == 4 ? 0.1 : 0.01);
    }
}

/* ---- alpha and beta ---- */

static base_arena *arena;

static int alpha_beta_trial(const combination *c, scaling_random *random, scaling_value *figures)
{
    static const int64_t sizes[SIZES] = {1 << 10, 1 << 14, 1 << 18, 1 << 22};
    scaling_reduction reductions[OBSERVED_MAX * SIZES];
    scaling_observations seen = {0};
    scaling_alpha_beta fit;
    int count = 0;
    for (int i = 1; i < c->set->count; i++)
        for (int k = 0; k < SIZES * c->repeats; k++) {
            int64_t nbytes = sizes[k / c->repeats];
            double n = c->set->workers[i], bytes = (double)nbytes;
            double seconds = c->truth[0] * log2(n) + c->truth[1] * bytes * 2.0 * (n - 1.0) / n;
            reductions[count++] = (scaling_reduction){c->set->workers[i], nbytes,
                                                      seconds * synthetic_factor(random, c->noise, c->lognormal)};
        }
    base_arena_destroy(&arena);
    assert_int_equal(base_arena_create(&arena, "alpha beta test"), BASE_OK);
    assert_int_equal(scaling_alpha_beta_fit(arena, &seen, reductions, count, &fit), BASE_OK);
    figures[0] = fit.alpha_s;
    figures[1] = figures[2] = fit.beta_s_per_byte;
    assert_true(fit.alpha_s.low <= fit.alpha_s.value && fit.alpha_s.value <= fit.alpha_s.high);
    return fit.law.ok;
}

static void alpha_and_beta_are_found(void **state)
{
    static const double alphas[] = {0.0, 2e-6, 5e-5}, betas[] = {1e-10, 4e-9};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(alphas) * COUNT_OF(betas) * COUNT_OF(noises) * 2; i++) {
        combination c = {.set = &sets[i % 2], .repeats = (i / 2) % 2 ? 3 : 1};
        size_t rest = i / 4;
        double alpha = alphas[rest % COUNT_OF(alphas)];
        rest /= COUNT_OF(alphas);
        double beta = betas[rest % COUNT_OF(betas)];
        c.noise = noises[rest / COUNT_OF(betas)];
        memcpy(c.truth, (const double[FIGURES]){alpha, beta, beta}, sizeof c.truth);
        expect_covered(&c, alpha_beta_trial, c.truth, 0.0);
    }
    base_arena_destroy(&arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amdahl_is_found),          cmocka_unit_test(amdahl_is_found_with_skewed_noise),
        cmocka_unit_test(gustafson_is_found),       cmocka_unit_test(usl_is_found),
        cmocka_unit_test(alpha_and_beta_are_found),
    };
    more = argc > 1 ? atoi(argv[1]) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
