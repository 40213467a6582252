#include "scaling_laws.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDEST 0.9 /* of an interval of a share between 0 and 1: wider ones say nothing */
#define EXACT 1e-6 /* relative noise at which two more timings than unknowns are not needed */
enum { SPARE_LEAST = 2 };

static scaling_data make_data(const scaling_observations *seen, const double *y, int terms)
{
    return (scaling_data){.count = seen->count,
                          .terms = terms,
                          .x = seen->x,
                          .y = y,
                          .group = seen->workers,
                          .spread = seen->spread,
                          .spread_df = seen->spread_df};
}

double scaling_line_fit(scaling_observations *seen, scaling_data *data, scaling_fit *fit)
{
    int weak = seen->mode == SCALING_WEAK;
    for (int i = 0; i < seen->count; i++) {
        double n = seen->workers[i];
        seen->x[2 * i] = 1.0;
        seen->x[2 * i + 1] = weak ? n : 1.0 / n;
        seen->y[i] = weak ? n / seen->step_s[i] : seen->step_s[i];
    }
    *data = make_data(seen, seen->y, 2);
    if (seen->distinct < 2 || seen->obstacle[0] || !scaling_fit_relative(data, seen->scale, fit))
        return (double)NAN;
    double sum = fit->c[0] + fit->c[1];
    return sum > 0.0 ? (weak ? 1.0 / sum : sum) : (double)NAN;
}

scaling_value scaling_line_start(scaling_observations *seen)
{
    static const double both[] = {1.0, 1.0};
    const scaling_value unknown = {(double)NAN, (double)NAN, (double)NAN};
    scaling_data data;
    scaling_fit fit = {0};
    if (isnan(scaling_line_fit(seen, &data, &fit)))
        return unknown;
    scaling_value sum = scaling_fit_sum(&fit, both);
    if (seen->mode != SCALING_WEAK)
        return sum;
    return (scaling_value){1.0 / sum.value, 1.0 / sum.high, sum.low > 0.0 ? 1.0 / sum.low : (double)INFINITY};
}

/* Are there enough observations for `terms` unknowns? */
static int enough(const scaling_observations *seen, int terms, scaling_law *law)
{
    static const char *const number[] = {"no", "one", "two", "three"};
    *law = (scaling_law){.ok = 1};
    if (seen->obstacle[0])
        scaling_refuse(law, seen, "%s", seen->obstacle);
    else if (seen->distinct == 0)
        scaling_refuse(law, seen, "no point counts");
    else if (seen->distinct == 1)
        scaling_refuse(law, seen, "there is one number of workers (n = %d), at least %s are needed", seen->smallest,
                       number[terms]);
    else if (seen->distinct < terms)
        scaling_refuse(law, seen, "there are two numbers of workers, at least %s are needed", number[terms]);
    return law->ok;
}

/* Do they tell how large the noise is? */
static int noise_is_known(const scaling_observations *seen, const scaling_fit *fit, scaling_law *law)
{
    int spare = seen->count - fit->terms;
    if (spare >= SPARE_LEAST || seen->spread_df > 0.0 || (spare > 0 && fit->variance < EXACT * EXACT))
        return 1;
    scaling_refuse(law, seen, "%d timings are too few to tell the noise from the effect: repeat the measurements",
                   seen->count);
    return 0;
}

static double clip(double value)
{
    return fmin(fmax(value, 0.0), 1.0);
}

static scaling_value clip_value(scaling_value share)
{
    return (scaling_value){clip(share.value), clip(share.low), clip(share.high)};
}

static void refuse_noise(scaling_law *law, const scaling_observations *seen)
{
    scaling_refuse(law, seen,
                   "the noise is larger than the effect: more repeats, longer runs or more workers are needed");
}

/* The serial share of a step, 1-p or s. */
static scaling_outcome find_share(const scaling_observations *seen, const scaling_fit *fit, scaling_law *law,
                                  scaling_value *share)
{
    static const double above[] = {1.0, 0.0}, below[] = {1.0, 1.0};
    int bounded = scaling_fit_ratio(fit, above, below, share);
    if (!bounded)
        *share = (scaling_value){fit->c[0] / (fit->c[0] + fit->c[1]), 0.0, 1.0};
    int wide = !bounded || clip(share->high) - clip(share->low) > WIDEST;
    if (wide && !fit->lack) {
        refuse_noise(law, seen);
        return SCALING_UNKNOWN;
    }
    int slower = share->low > 1.0 || (wide && share->value > 1.0);
    if (slower)
        scaling_refuse(law, seen, "%s with more workers, which the law does not describe",
                       seen->mode == SCALING_WEAK ? "fewer samples are trained in a second" : "a step takes longer");
    else if (wide)
        scaling_refuse(law, seen, "the points do not follow the law: no serial fraction fits them all");
    else if (share->high < 0.0)
        scaling_refuse(law, seen, "the scaling is better than linear, which the law does not describe");
    *share = clip_value(*share);
    return law->ok ? SCALING_DESCRIBED : slower ? SCALING_SLOWER : SCALING_OUTSIDE;
}

/* The line of the mode and its share. */
static scaling_outcome fit_share(scaling_observations *seen, scaling_law *law, scaling_value *share, double *t1_s)
{
    scaling_data data;
    scaling_fit fit = {0};
    if (!enough(seen, 2, law))
        return SCALING_UNKNOWN;
    *t1_s = scaling_line_fit(seen, &data, &fit);
    if (isnan(*t1_s)) {
        refuse_noise(law, seen);
        return SCALING_UNKNOWN;
    }
    return noise_is_known(seen, &fit, law) ? find_share(seen, &fit, law, share) : SCALING_UNKNOWN;
}

scaling_outcome scaling_amdahl_fit(scaling_observations *seen, scaling_amdahl *amdahl)
{
    scaling_value serial = {0};
    *amdahl = (scaling_amdahl){0};
    if (seen->mode != SCALING_STRONG) {
        snprintf(amdahl->law.reason, sizeof amdahl->law.reason, "Amdahl's law is for strong scaling");
        return SCALING_UNKNOWN;
    }
    scaling_outcome outcome = fit_share(seen, &amdahl->law, &serial, &amdahl->t1_s);
    amdahl->parallel_fraction = (scaling_value){1.0 - serial.value, 1.0 - serial.high, 1.0 - serial.low};
    amdahl->max_speedup = (scaling_value){1.0 / serial.value, 1.0 / serial.high, 1.0 / serial.low};
    if (!(serial.low > 0.0))
        amdahl->max_speedup.value = (double)INFINITY;
    return outcome;
}

scaling_outcome scaling_gustafson_fit(scaling_observations *seen, scaling_gustafson *gustafson)
{
    double t1_s;
    *gustafson = (scaling_gustafson){0};
    if (seen->mode != SCALING_WEAK) {
        snprintf(gustafson->law.reason, sizeof gustafson->law.reason, "Gustafson's law is for weak scaling");
        return SCALING_UNKNOWN;
    }
    return fit_share(seen, &gustafson->law, &gustafson->serial_fraction, &t1_s);
}

/* ---- USL ---- */

/* sqrt(c1/c2) through c2/c1, which is 0 where there is no peak, or, where c1 may be 0, through c1/c2, which is 0 where
 * one worker is the fastest. */
static scaling_value find_peak(const scaling_fit *fit)
{
    static const double c1[] = {0.0, 1.0, 0.0}, c2[] = {0.0, 0.0, 1.0};
    scaling_value r, square = {(double)INFINITY, 0.0, (double)INFINITY};
    if (fit->c[1] > 0.0 && scaling_fit_ratio(fit, c2, c1, &r)) {
        square = (scaling_value){1.0 / fmax(r.value, 0.0), 1.0 / fmax(r.high, 0.0), 1.0 / fmax(r.low, 0.0)};
        if (!(r.low > 0.0))
            square.value = (double)INFINITY;
    } else if (fit->c[2] > 0.0 && scaling_fit_ratio(fit, c1, c2, &r)) {
        square = r;
    }
    return (scaling_value){sqrt(fmax(square.value, 1.0)), sqrt(fmax(square.low, 1.0)), sqrt(fmax(square.high, 1.0))};
}

/* As far again from the value as an end of its interval is. With three figures, an end that lies a little outside of
 * what the law allows is there by chance too often. */
static double beyond(double end, double value)
{
    return end + (end - value);
}

scaling_outcome scaling_usl_fit(scaling_observations *seen, scaling_usl *usl)
{
    static const double contention[] = {1.0, 0.0, 1.0}, coherency[] = {0.0, 0.0, 1.0}, t1[] = {1.0, 1.0, 1.0};
    scaling_fit fit;
    *usl = (scaling_usl){0};
    if (!enough(seen, 3, &usl->law))
        return SCALING_UNKNOWN;
    /* Weak scaling does n times the work. */
    for (int i = 0; i < seen->count; i++) {
        double n = seen->workers[i];
        seen->x[3 * i] = 1.0;
        seen->x[3 * i + 1] = 1.0 / n;
        seen->x[3 * i + 2] = n;
        seen->y[i] = seen->mode == SCALING_WEAK ? seen->step_s[i] / n : seen->step_s[i];
    }
    scaling_data data = make_data(seen, seen->y, 3);
    if (!scaling_fit_relative(&data, seen->scale, &fit)) {
        refuse_noise(&usl->law, seen);
        return SCALING_UNKNOWN;
    }
    if (!noise_is_known(seen, &fit, &usl->law))
        return SCALING_UNKNOWN;
    usl->t1_s = fit.c[0] + fit.c[1] + fit.c[2];
    int bounded = scaling_fit_ratio(&fit, contention, t1, &usl->contention) &&
                  scaling_fit_ratio(&fit, coherency, t1, &usl->coherency) &&
                  clip(usl->contention.high) - clip(usl->contention.low) <= WIDEST;
    usl->peak_workers = find_peak(&fit);
    if (!bounded && fit.lack)
        scaling_refuse(&usl->law, seen, "the points do not follow the law");
    else if (!bounded)
        refuse_noise(&usl->law, seen);
    if (!bounded)
        return SCALING_UNKNOWN;
    if (beyond(usl->contention.low, usl->contention.value) > 1.0)
        scaling_refuse(&usl->law, seen,
                       "the second worker makes it slower, which the law does not describe: fastest on 1 worker");
    else if (beyond(usl->contention.high, usl->contention.value) < 0.0 ||
             beyond(usl->coherency.high, usl->coherency.value) < 0.0)
        scaling_refuse(&usl->law, seen,
                       "the scaling is better than linear, or gets better the more workers there are, "
                       "which the law does not describe");
    usl->contention = clip_value(usl->contention);
    usl->coherency =
        (scaling_value){fmax(usl->coherency.value, 0.0), fmax(usl->coherency.low, 0.0), fmax(usl->coherency.high, 0.0)};
    return usl->law.ok ? SCALING_DESCRIBED : SCALING_OUTSIDE;
}
