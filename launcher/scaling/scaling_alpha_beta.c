#include "scaling_laws.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int by_workers_and_bytes(const void *a, const void *b)
{
    const scaling_reduction *x = a, *y = b;
    if (x->workers != y->workers)
        return x->workers < y->workers ? -1 : 1;
    return (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
}

static int counts(const scaling_trial *trial, int i)
{
    const scaling_allreduce *one = &trial->allreduce[i];
    return trial->workers > 1 && one->nbytes > 0 && isfinite(one->seconds) && one->seconds > 0.0;
}

base_status scaling_reductions_find(base_arena *arena, const scaling_trials *trials, const scaling_point *points,
                                    int point_count, scaling_reduction **reductions, int *count)
{
    *count = 0;
    *reductions = BASE_NEW_ARRAY(arena, scaling_reduction, (size_t)trials->count * SCALING_ALLREDUCE_MAX);
    if (!*reductions)
        return BASE_ERROR;
    for (int t = 0, at = 0; t < trials->count; t++) {
        const scaling_trial *trial = trials->trials[t];
        while (at < point_count && points[at].workers < trial->workers)
            at++;
        for (int i = 0; i < trial->allreduce_count && points[at].fitted; i++)
            if (counts(trial, i))
                (*reductions)[(*count)++] =
                    (scaling_reduction){trial->workers, trial->allreduce[i].nbytes, trial->allreduce[i].seconds};
    }
    qsort(*reductions, (size_t)*count, sizeof **reductions, by_workers_and_bytes);
    return BASE_OK;
}

/* ---- the fit ---- */

/* Numbers each pair of workers and bytes; returns how many there are. */
static int fill(const scaling_reduction *reductions, int count, double *x, double *y, int *group)
{
    int groups = 0;
    for (int i = 0; i < count; i++) {
        const scaling_reduction *one = &reductions[i];
        double n = one->workers;
        groups += i == 0 || by_workers_and_bytes(one, one - 1) != 0;
        x[2 * i] = log2(n);
        x[2 * i + 1] = 2.0 * (n - 1.0) / n * (double)one->nbytes;
        y[i] = one->seconds;
        group[i] = groups;
    }
    return groups;
}

static scaling_value from_zero(scaling_value v)
{
    return (scaling_value){fmax(v.value, 0.0), fmax(v.low, 0.0), fmax(v.high, 0.0)};
}

static void set_value(scaling_value *v, double value)
{
    *v = (scaling_value){value, fmin(v->low, value), fmax(v->high, value)};
}

/* With one term at 0: the other alone, of column `kept` of x (count, 2). */
static double fit_alone(scaling_data data, int kept, double *column, double *scale)
{
    scaling_fit fit;
    for (int i = 0; i < data.count; i++)
        column[i] = data.x[2 * i + kept];
    data.terms = 1;
    data.x = column;
    return scaling_fit_relative(&data, scale, &fit) ? fit.c[0] : 0.0;
}

base_status scaling_alpha_beta_fit(base_arena *arena, const scaling_observations *seen,
                                   const scaling_reduction *reductions, int count, scaling_alpha_beta *self)
{
    static const double alpha[] = {1.0, 0.0}, beta[] = {0.0, 1.0};
    *self = (scaling_alpha_beta){0};
    if (count == 0) {
        scaling_refuse(&self->law, seen, "no all-reduce of two or more workers was measured");
        return BASE_OK;
    }
    double *x = BASE_NEW_ARRAY(arena, double, 2 * (size_t)count), *y = BASE_NEW_ARRAY(arena, double, count);
    double *scale = BASE_NEW_ARRAY(arena, double, count), *column = BASE_NEW_ARRAY(arena, double, count);
    int *group = BASE_NEW_ARRAY(arena, int, count);
    if (!x || !y || !scale || !column || !group)
        return BASE_ERROR;
    scaling_data data = {.count = count, .terms = 2, .x = x, .y = y, .group = group};
    scaling_fit fit;
    if (fill(reductions, count, x, y, group) < 2 || count < 3 || !scaling_fit_relative(&data, scale, &fit)) {
        scaling_refuse(&self->law, seen, "%d all-reduce%s too few to tell latency from bandwidth", count,
                       count == 1 ? " is" : "s are");
        return BASE_OK;
    }
    self->law.ok = 1;
    self->alpha_s = from_zero(scaling_fit_sum(&fit, alpha));
    self->beta_s_per_byte = from_zero(scaling_fit_sum(&fit, beta));
    if (fit.c[0] < 0.0)
        set_value(&self->beta_s_per_byte, fit_alone(data, 1, column, scale));
    else if (fit.c[1] < 0.0)
        set_value(&self->alpha_s, fit_alone(data, 0, column, scale));
    return BASE_OK;
}
