#include "scaling_fit.h"

#include "scaling_quantile.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { ITERATIONS_MAX = 50 };
#define FLOOR 1e-9       /* relative error that every observation has */
#define FIT_TEST 0.05    /* lack of fit that is less probable by chance is real */
#define FITTED_LEAST 0.1 /* of an observation: fitted values below do not make sense as a scale */

typedef double matrix[SCALING_TERMS_MAX][SCALING_TERMS_MAX];

/* Cholesky's factor, in place below and on the diagonal, of a matrix with ones on its diagonal. */
static int factor(matrix a, int terms)
{
    for (int j = 0; j < terms; j++) {
        for (int k = 0; k < j; k++)
            a[j][j] -= a[j][k] * a[j][k];
        if (!(a[j][j] > 1e-14))
            return 0;
        a[j][j] = sqrt(a[j][j]);
        for (int i = j + 1; i < terms; i++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
    return 1;
}

static void solve_factored(const matrix l, int terms, double *b)
{
    for (int i = 0; i < terms; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= l[i][k] * b[k];
        b[i] /= l[i][i];
    }
    for (int i = terms - 1; i >= 0; i--) {
        for (int k = i + 1; k < terms; k++)
            b[i] -= l[k][i] * b[k];
        b[i] /= l[i][i];
    }
}

/* X' W X, scaled by `norm` to ones on the diagonal. */
static int normal_matrix(const scaling_data *data, const double *scale, matrix a, double *norm)
{
    int terms = data->terms;
    memset(a, 0, sizeof(matrix));
    for (int i = 0; i < data->count; i++)
        for (int j = 0; j < terms; j++)
            for (int k = 0; k <= j; k++)
                a[j][k] += data->x[i * terms + j] * data->x[i * terms + k] / (scale[i] * scale[i]);
    for (int j = 0; j < terms; j++) {
        if (!(a[j][j] > 0.0) || isinf(a[j][j]))
            return 0;
        norm[j] = sqrt(a[j][j]);
    }
    for (int j = 0; j < terms; j++)
        for (int k = 0; k <= j; k++)
            a[j][k] /= norm[j] * norm[k];
    return 1;
}

static double fitted(const scaling_data *data, const scaling_fit *fit, int i)
{
    double sum = 0.0;
    for (int k = 0; k < data->terms; k++)
        sum += fit->c[k] * data->x[i * data->terms + k];
    return sum;
}

/* One step of refinement: what is left of y is solved for again, which brings back what normal equations lose. */
static void refine(const scaling_data *data, const double *scale, const matrix l, const double *norm, scaling_fit *fit)
{
    double b[SCALING_TERMS_MAX] = {0};
    int terms = data->terms;
    for (int i = 0; i < data->count; i++) {
        double left = (data->y[i] - fitted(data, fit, i)) / (scale[i] * scale[i]);
        for (int k = 0; k < terms; k++)
            b[k] += left * data->x[i * terms + k] / norm[k];
    }
    solve_factored(l, terms, b);
    for (int k = 0; k < terms; k++)
        fit->c[k] += b[k] / norm[k];
}

int scaling_fit_solve(const scaling_data *data, const double *scale, scaling_fit *fit)
{
    matrix l;
    double norm[SCALING_TERMS_MAX];
    *fit = (scaling_fit){.terms = data->terms};
    if (data->count < data->terms || !normal_matrix(data, scale, l, norm) || !factor(l, data->terms))
        return 0;
    for (int round = 0; round < 2; round++)
        refine(data, scale, (const double(*)[SCALING_TERMS_MAX])l, norm, fit);
    for (int j = 0; j < data->terms; j++) {
        double column[SCALING_TERMS_MAX] = {0};
        column[j] = 1.0 / norm[j];
        solve_factored((const double(*)[SCALING_TERMS_MAX])l, data->terms, column);
        for (int k = 0; k < data->terms; k++)
            fit->inverse[k][j] = column[k] / norm[k];
    }
    return 1;
}

/* ---- the variance ---- */

/* Sums of squares, relative: of all residuals and of those from the means of repeats; returns the number of groups. */
static int sums_of_squares(const scaling_data *data, const scaling_fit *fit, const double *scale, double *all,
                           double *repeats)
{
    int groups = 0;
    *all = *repeats = 0.0;
    for (int first = 0, end; first < data->count; first = end, groups++) {
        double sum = 0.0, squares = 0.0;
        for (end = first; end < data->count && data->group[end] == data->group[first]; end++) {
            double left = (data->y[end] - fitted(data, fit, end)) / scale[end];
            sum += left;
            squares += left * left;
        }
        *all += squares;
        *repeats += fmax(squares - sum * sum / (end - first), 0.0);
    }
    return groups;
}

/* The mean of the known squares of the spreads; NaN where one is not known. */
static double spread_variance(const scaling_data *data)
{
    double sum = 0.0;
    for (int i = 0; i < data->count; i++)
        sum += data->spread ? data->spread[i] * data->spread[i] : (double)NAN;
    return sum / data->count;
}

static void find_variance(const scaling_data *data, const double *scale, scaling_fit *fit)
{
    double all, repeats;
    int groups = sums_of_squares(data, fit, scale, &all, &repeats);
    int df = data->count - fit->terms, df_repeats = data->count - groups, df_fit = groups - fit->terms;
    double least = FLOOR * FLOOR, spread = spread_variance(data);
    fit->df = df;
    fit->variance = df > 0 ? fmax(all / df, least) : least;
    if (df_repeats > 0 && df_fit > 0) {
        double lack = (all - repeats) / df_fit, noise = fmax(repeats / df_repeats, least);
        if (scaling_f_tail(lack / noise, df_fit, df_repeats) < FIT_TEST) {
            fit->variance = lack;
            fit->df = df_fit;
            fit->lack = 1;
        }
    }
    if (!(spread >= 0.0))
        return;
    double own = scaling_t_95(data->spread_df);
    double found = fit->df > 0.0 ? scaling_t_95(fit->df) : 0.0;
    if (own * own * spread > found * found * fit->variance || fit->df <= 0.0) {
        fit->variance = fmax(spread, least);
        fit->df = data->spread_df;
    }
}

int scaling_fit_relative(const scaling_data *data, double *scale, scaling_fit *fit)
{
    memcpy(scale, data->y, (size_t)data->count * sizeof *scale);
    if (!scaling_fit_solve(data, scale, fit))
        return 0;
    double change = 1.0;
    for (int round = 0; round < ITERATIONS_MAX && change > 1e-13; round++) {
        change = 0.0;
        for (int i = 0; i < data->count; i++) {
            double next = fmax(fitted(data, fit, i), FITTED_LEAST * data->y[i]);
            change = fmax(change, fabs(next / scale[i] - 1.0));
            scale[i] = next;
        }
        if (!scaling_fit_solve(data, scale, fit))
            return 0;
    }
    find_variance(data, scale, fit);
    return 1;
}

/* ---- intervals ---- */

static double dot(const double *a, const double *b, int terms)
{
    double sum = 0.0;
    for (int k = 0; k < terms; k++)
        sum += a[k] * b[k];
    return sum;
}

/* Covariance of the sums with weights a and b. */
static double covariance(const scaling_fit *fit, const double *a, const double *b)
{
    double sum = 0.0;
    for (int k = 0; k < fit->terms; k++)
        sum += a[k] * dot(fit->inverse[k], b, fit->terms);
    return fit->variance * sum;
}

scaling_value scaling_fit_sum(const scaling_fit *fit, const double *weights)
{
    double value = dot(fit->c, weights, fit->terms);
    double half = scaling_t_95(fit->df) * sqrt(covariance(fit, weights, weights));
    return (scaling_value){value, value - half, value + half};
}

int scaling_fit_ratio(const scaling_fit *fit, const double *above, const double *below, scaling_value *ratio)
{
    double t = scaling_t_95(fit->df), t2 = t * t;
    double p = dot(fit->c, above, fit->terms), q = dot(fit->c, below, fit->terms);
    double vp = covariance(fit, above, above), vq = covariance(fit, below, below), vpq = covariance(fit, above, below);
    /* The r for which p - r q is not clearly different from 0: a r^2 - 2 b r + c <= 0. */
    double a = q * q - t2 * vq, b = p * q - t2 * vpq;
    if (!(a > 0.0))
        return 0;
    /* b^2 - a c, written so that nothing cancels where variances are tiny. */
    double apart[SCALING_TERMS_MAX];
    for (int k = 0; k < fit->terms; k++)
        apart[k] = q * above[k] - p * below[k];
    double root = t * sqrt(fmax(covariance(fit, apart, apart) - t2 * (vp * vq - vpq * vpq), 0.0));
    *ratio = (scaling_value){p / q, (b - root) / a, (b + root) / a};
    return 1;
}
