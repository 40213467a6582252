#include "scaling_expect.h"

#include "scaling_quantile.h"
#include "scaling_reduce.h"

#include <math.h>
#include <stdlib.h>

enum { DRAWS = 1000, REPEATS_LEAST = 2 };
enum { OWN, WAITING, EXPOSED, SERIES };
#define FLOOR_OF_SCALE 0.1 /* of a step: no series is known better than its noise allows */
#define NOISE_USUAL 0.02   /* relative, between trials */
#define NOISE_LEAST 0.01   /* relative: series have more than they happen to show */
#define MEDIAN_LOSS 1.2    /* error of a median over that of a mean */
#define EXTRAPOLATION 0.01 /* relative error of the best trend for each doubling beyond the largest n */

struct scaling_expectation {
    int weak, largest;
    double variance, df; /* relative, of a trial, and its degrees of freedom */
    scaling_draw draws[SERIES][DRAWS];
    int present[SERIES];
    double t1[DRAWS];                      /* T(1) */
    double beyond[DRAWS];                  /* standard normal: the error of the trends */
    double noise[DRAWS];                   /* relative: of the measurement */
    double step[DRAWS], efficiency[DRAWS]; /* scratch */
};

#define ONE SCALING_SHAPE_ONE
#define INVERSE SCALING_SHAPE_INVERSE
#define LOG SCALING_SHAPE_LOG
#define JITTER SCALING_SHAPE_JITTER
#define LINEAR SCALING_SHAPE_LINEAR
#define COUNT_OF(list) ((int)(sizeof(list) / sizeof *(list)))

static const scaling_trend own_strong[] = {
    {.shapes = {INVERSE}, .prior = 1.0},           {.shapes = {INVERSE, ONE}, .prior = 1.0},
    {.shapes = {INVERSE, ONE, LOG}, .prior = 0.2}, {.shapes = {INVERSE, ONE, LINEAR}, .prior = 0.2},
    {.shapes = {INVERSE, LOG}, .prior = 0.2},      {.shapes = {INVERSE, LINEAR}, .prior = 0.2}};
static const scaling_trend own_weak[] = {{.shapes = {ONE}, .prior = 1.0},
                                         {.shapes = {ONE, INVERSE}, .any_sign = 1, .prior = 1.0},
                                         {.shapes = {ONE, LOG}, .prior = 0.5},
                                         {.shapes = {ONE, LINEAR}, .prior = 0.2}};
static const scaling_trend waiting[] = {{.shapes = {ONE}, .prior = 1.0},      {.shapes = {LOG}, .prior = 1.0},
                                        {.shapes = {ONE, LOG}, .prior = 0.5}, {.shapes = {INVERSE}, .prior = 0.5},
                                        {.shapes = {JITTER}, .prior = 1.0},   {.shapes = {ONE, INVERSE}, .prior = 0.5},
                                        {.shapes = {LINEAR}, .prior = 0.1}};

/* ---- series ---- */

static double value_of(const scaling_observations *seen, int series, int i)
{
    const double *parts = seen->parts_s[i];
    switch (seen->parts_known ? series : SERIES) {
    case OWN: return seen->step_s[i] - parts[SCALING_IMBALANCE] - parts[SCALING_REDUCE];
    case WAITING: return parts[SCALING_IMBALANCE];
    case EXPOSED: return parts[SCALING_REDUCE];
    default: return series == OWN ? seen->step_s[i] : 0.0;
    }
}

/* Noise goes with the size of the series (mean over repeats) and, a little, with that of the step. */
static base_status make_series(base_arena *arena, const scaling_observations *seen, int which, scaling_series *out)
{
    double *y = BASE_NEW_ARRAY(arena, double, seen->count), *scale = BASE_NEW_ARRAY(arena, double, seen->count);
    int *workers = BASE_NEW_ARRAY(arena, int, seen->count);
    if (!y || !scale || !workers)
        return BASE_ERROR;
    *out = (scaling_series){.workers = workers, .y = y, .scale = scale};
    for (int first = 0, end; first < seen->count; first = end) {
        double mean = 0.0, step = 0.0;
        for (end = first; end < seen->count && seen->workers[end] == seen->workers[first]; end++) {
            mean += value_of(seen, which, end);
            step += seen->step_s[end];
        }
        /* Nobody waits for anybody at n = 1. */
        for (int i = first; i < end && (which == OWN || seen->workers[i] > 1); i++) {
            workers[out->count] = seen->workers[i];
            y[out->count] = value_of(seen, which, i);
            scale[out->count++] = hypot(mean, FLOOR_OF_SCALE * step) / (end - first);
        }
    }
    return BASE_OK;
}

static int is_zero(const scaling_series *series)
{
    for (int i = 0; i < series->count; i++)
        if (series->y[i] != 0.0)
            return 0;
    return 1;
}

/* Relative variance of one trial, from repeats. Without, from the residuals of the line of the mode, which are too
 * large where points do not follow the law; so not more than what the steps within trials tell, or what is usual
 * between trials.
 */
static double noise_of(scaling_observations *seen, double *df)
{
    double squares = 0.0;
    *df = seen->count - seen->distinct;
    for (int first = 0, end; first < seen->count; first = end) {
        double mean = 0.0;
        for (end = first; end < seen->count && seen->workers[end] == seen->workers[first]; end++)
            mean += seen->step_s[end];
        mean /= end - first;
        for (int i = first; i < end; i++)
            squares += (seen->step_s[i] / mean - 1.0) * (seen->step_s[i] / mean - 1.0);
    }
    if (*df >= REPEATS_LEAST)
        return squares / *df;
    scaling_data data;
    scaling_fit fit = {0};
    scaling_line_fit(seen, &data, &fit);
    *df = fit.df;
    if (seen->spread_df <= 0.0)
        return fit.variance;
    double usual = NOISE_USUAL * NOISE_USUAL;
    for (int i = 0; i < seen->count; i++)
        usual = fmax(usual, seen->spread[i] * seen->spread[i]);
    if (usual < fit.variance)
        *df = seen->spread_df;
    return fmin(usual, fit.variance);
}

/* ---- draws ---- */

static base_status draw_series(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                               const scaling_alpha_beta *alpha_beta, int which, scaling_random *random,
                               scaling_expectation *self)
{
    scaling_series series;
    const scaling_trend *trends = waiting;
    int count = COUNT_OF(waiting);
    BASE_TRY(make_series(arena, seen, which, &series));
    series.noise = fmax(sqrt(self->variance), NOISE_LEAST);
    self->present[which] = series.count > 0 && !is_zero(&series);
    if (which == OWN) {
        trends = self->weak ? own_weak : own_strong;
        count = self->weak ? COUNT_OF(own_weak) : COUNT_OF(own_strong);
    } else if (which == EXPOSED) {
        /* What is hidden at all measured n may come to light at larger ones. */
        self->present[which] =
            series.count > 0 && (self->present[which] || (seen->parts_known && sweep->gradient_bytes > 0));
        BASE_TRY(
            scaling_reduce_trends(arena, seen, &series, sweep->gradient_bytes, alpha_beta, random, &trends, &count));
    }
    if (self->present[which])
        BASE_TRY(scaling_trend_draw(arena, &series, trends, count, random, self->draws[which], DRAWS));
    return BASE_OK;
}

/* Of the median of `trials`, as a share of one's. */
static double shrink(int trials)
{
    return trials < 3 ? 1.0 / sqrt(trials) : MEDIAN_LOSS / sqrt(trials);
}

/* T(1): measured, with its error, or as the own work goes on to n = 1. */
static void draw_reference(const scaling_analysis *analysis, scaling_random *random, scaling_expectation *self)
{
    const scaling_point *first = &analysis->points[0], *last = first;
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].workers == self->largest)
            last = &analysis->points[i];
    for (int i = 0; i < DRAWS; i++) {
        double sd = sqrt(self->variance * self->df / scaling_random_chi_squared(random, self->df));
        double error = sd * shrink(first->trials) * scaling_random_normal(random);
        self->t1[i] =
            first->workers > 1 ? scaling_draw_at(&self->draws[OWN][i], 1.0) : first->step_s.value * exp(error);
        self->beyond[i] = scaling_random_normal(random);
        self->noise[i] = sd * shrink(last->trials) * scaling_random_normal(random);
    }
}

base_status scaling_expectation_create(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                                       const scaling_analysis *analysis, uint64_t seed, scaling_expectation **out)
{
    scaling_random random = scaling_random_start(seed, SCALING_STREAM_PREDICT, 0);
    scaling_expectation *self = BASE_NEW(arena, scaling_expectation);
    if (!self)
        return BASE_ERROR;
    self->weak = seen->mode == SCALING_WEAK;
    self->largest = seen->largest;
    self->variance = noise_of(seen, &self->df);
    for (int which = 0; which < SERIES; which++)
        BASE_TRY(draw_series(arena, seen, sweep, &analysis->alpha_beta, which, &random, self));
    draw_reference(analysis, &random, self);
    *out = self;
    return BASE_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static scaling_value summarise(double *draws)
{
    qsort(draws, DRAWS, sizeof *draws, ascending);
    return (scaling_value){0.5 * (draws[(DRAWS - 1) / 2] + draws[DRAWS / 2]), draws[DRAWS / 40],
                           draws[DRAWS - 1 - DRAWS / 40]};
}

scaling_prediction scaling_expectation_at(scaling_expectation *self, int workers)
{
    double n = workers, doublings = fmax(0.0, log2(n / self->largest));
    for (int i = 0; i < DRAWS; i++) {
        double step = 0.0;
        for (int which = 0; which < SERIES; which++)
            if (self->present[which] && (which == OWN || workers > 1))
                step += scaling_draw_at(&self->draws[which][i], n);
        step *= exp(EXTRAPOLATION * doublings * self->beyond[i] + self->noise[i]);
        self->step[i] = step;
        self->efficiency[i] = self->t1[i] / (self->weak ? step : n * step);
    }
    return (scaling_prediction){workers, summarise(self->step), summarise(self->efficiency)};
}
