#include "scaling_trend.h"

#include <math.h>
#include <string.h>

#define EVIDENCE 0.6      /* BIC is this far to be trusted with a handful of observations */
#define PRIOR_DF 1.0      /* how many observations the expected noise is worth */
#define FACTOR_SPREAD 0.3 /* of the logarithm of a factor that is expected to be 1 */
#define SHARE_LEAST 0.02  /* of a posterior: what is allowed of it, or the trend is dropped */
enum { TRIES_MAX = 400, SHARE_DRAWS = 100 };

typedef struct posterior {
    const scaling_trend *trend;
    scaling_fit fit;
    double root[SCALING_TERMS_MAX][SCALING_TERMS_MAX]; /* Cholesky's factor of fit.inverse */
    double squares, df;
    double weight; /* cumulative in the end */
} posterior;

double scaling_exposed_at(const scaling_exposed *self, double n)
{
    double all = self->alpha_s * log2(n) + self->transfer_s * 2.0 * (n - 1.0) / n;
    return fmax(0.0, all - self->overlap * (self->hidden_s + self->hidden_divided_s / n));
}

static double shape_at(const scaling_trend *trend, int k, double n)
{
    switch (trend->shapes[k]) {
    case SCALING_SHAPE_ONE: return 1.0;
    case SCALING_SHAPE_INVERSE: return 1.0 / n;
    case SCALING_SHAPE_LOG: return log2(n);
    case SCALING_SHAPE_JITTER: return log2(n) / n;
    case SCALING_SHAPE_RING: return (n - 1.0) / n;
    case SCALING_SHAPE_LINEAR: return n - 1.0;
    case SCALING_SHAPE_REDUCE: return scaling_exposed_at(&trend->exposed, n);
    case SCALING_SHAPE_NONE: break;
    }
    return 0.0;
}

static int count_terms(const scaling_trend *trend)
{
    int terms = 0;
    while (terms < SCALING_TERMS_MAX && trend->shapes[terms] != SCALING_SHAPE_NONE)
        terms++;
    return terms;
}

static double offset_at(const scaling_trend *trend, double n)
{
    return trend->offset ? scaling_exposed_at(&trend->exposed, n) : 0.0;
}

double scaling_draw_at(const scaling_draw *draw, double n)
{
    double sum = offset_at(draw->trend, n);
    for (int k = 0; k < count_terms(draw->trend); k++)
        sum += draw->c[k] * shape_at(draw->trend, k, n);
    return fmax(sum, 0.0);
}

/* ---- posterior ---- */

static int is_allowed(const scaling_trend *trend, const double *c, int terms)
{
    for (int k = 0; k < terms && !trend->any_sign; k++)
        if (c[k] < 0.0)
            return 0;
    return 1;
}

static int take_root(const scaling_fit *fit, double root[SCALING_TERMS_MAX][SCALING_TERMS_MAX])
{
    for (int j = 0; j < fit->terms; j++)
        for (int i = j; i < fit->terms; i++) {
            double left = fit->inverse[i][j];
            for (int k = 0; k < j; k++)
                left -= root[i][k] * root[j][k];
            if (i == j && !(left > 0.0))
                return 0;
            root[i][j] = i == j ? sqrt(left) : left / root[j][j];
        }
    return 1;
}

static double log_prior(const scaling_trend *trend, const double *c)
{
    double factor = trend->near_one ? log(c[0]) / FACTOR_SPREAD : 0.0;
    return log(trend->prior) - 0.5 * factor * factor;
}

/* `x` (count, SCALING_TERMS_MAX) and `y` (count) are scratch. Returns 0 for a trend that does not apply. */
static int fit_trend(const scaling_series *series, const scaling_trend *trend, double *x, double *y, posterior *self)
{
    int terms = count_terms(trend), n = series->count;
    *self = (posterior){.trend = trend};
    for (int i = 0; i < n; i++) {
        y[i] = series->y[i] - offset_at(trend, series->workers[i]);
        for (int k = 0; k < terms; k++)
            x[i * terms + k] = shape_at(trend, k, series->workers[i]);
    }
    scaling_data data = {.count = n, .terms = terms, .x = x, .y = y};
    if (terms > 0 && (!scaling_fit_solve(&data, series->scale, &self->fit) || !take_root(&self->fit, self->root)))
        return 0;
    if (trend->near_one && self->fit.c[0] <= 0.0)
        return 0;
    self->squares = PRIOR_DF * series->noise * series->noise;
    for (int i = 0; i < n; i++) {
        double left = y[i];
        for (int k = 0; k < terms; k++)
            left -= self->fit.c[k] * x[i * terms + k];
        self->squares += left * left / (series->scale[i] * series->scale[i]);
    }
    self->df = n - terms + PRIOR_DF;
    self->weight =
        log_prior(trend, self->fit.c) - 0.5 * EVIDENCE * ((n + PRIOR_DF) * log(self->squares) + terms * log(n));
    return 1;
}

/* From logarithms to a cumulative distribution. */
static void make_cumulative(posterior *posteriors, int count)
{
    double most = posteriors[0].weight, sum = 0.0;
    for (int i = 1; i < count; i++)
        most = fmax(most, posteriors[i].weight);
    for (int i = 0; i < count; i++)
        posteriors[i].weight = sum += exp(posteriors[i].weight - most);
    for (int i = 0; i < count; i++)
        posteriors[i].weight /= sum;
}

static const posterior *choose(const posterior *posteriors, int count, double uniform)
{
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (posteriors[middle].weight < uniform)
            low = middle + 1;
        else
            high = middle;
    }
    return &posteriors[low];
}

static void draw_once(const posterior *self, scaling_random *random, double *c)
{
    double sd = sqrt(self->squares / scaling_random_chi_squared(random, self->df));
    double z[SCALING_TERMS_MAX];
    for (int k = 0; k < self->fit.terms; k++) {
        z[k] = scaling_random_normal(random);
        c[k] = self->fit.c[k];
        for (int j = 0; j <= k; j++)
            c[k] += sd * self->root[k][j] * z[j];
    }
}

/* Coefficients that are not allowed are drawn again, and in the end made 0. */
static void draw_coefficients(const posterior *self, scaling_random *random, double *c)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        draw_once(self, random, c);
        if (is_allowed(self->trend, c, self->fit.terms))
            return;
    }
    for (int k = 0; k < self->fit.terms; k++)
        c[k] = fmax(self->fit.c[k], 0.0);
}

/* An estimate that is not allowed leaves of a trend the share of its posterior that is: noise makes a small coefficient
 * negative, which says nothing against its being small. Returns 0 for next to nothing. */
static int weigh_allowed(posterior *self, scaling_random *random)
{
    double c[SCALING_TERMS_MAX];
    int allowed = 0, terms = self->fit.terms;
    if (is_allowed(self->trend, self->fit.c, terms))
        return 1;
    for (int i = 0; i < SHARE_DRAWS; i++) {
        draw_once(self, random, c);
        allowed += is_allowed(self->trend, c, terms);
    }
    double share = (double)allowed / SHARE_DRAWS;
    if (share < SHARE_LEAST)
        return 0;
    self->weight += log(share);
    return 1;
}

base_status scaling_trend_draw(base_arena *arena, const scaling_series *series, const scaling_trend *trends,
                               int trend_count, scaling_random *random, scaling_draw *draws, int draw_count)
{
    double *x = BASE_NEW_ARRAY(arena, double, (size_t)series->count *SCALING_TERMS_MAX);
    double *y = BASE_NEW_ARRAY(arena, double, series->count);
    posterior *posteriors = BASE_NEW_ARRAY(arena, posterior, trend_count);
    int count = 0;
    if (!x || !y || !posteriors)
        return BASE_ERROR;
    for (int i = 0; i < trend_count; i++)
        count += fit_trend(series, &trends[i], x, y, &posteriors[count]) && weigh_allowed(&posteriors[count], random);
    if (count > 0)
        make_cumulative(posteriors, count);
    for (int i = 0; i < draw_count; i++) {
        /* Nothing applies to a series that is 0 everywhere, or below. */
        static const scaling_trend nothing = {.prior = 1.0};
        draws[i] = (scaling_draw){.trend = &nothing};
        if (count == 0)
            continue;
        const posterior *chosen = choose(posteriors, count, scaling_random_uniform(random));
        draws[i].trend = chosen->trend;
        draw_coefficients(chosen, random, draws[i].c);
    }
    return BASE_OK;
}
