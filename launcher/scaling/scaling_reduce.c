#include "scaling_reduce.h"

#include "scaling_quantile.h"

#include <math.h>

enum { DRAWS = 8, OVERLAPS = 11, FORMS = 4, SCANS = 200, TRENDS_MAX = 512 };
#define HIDDEN_MOST 10.0 /* of a part of the all-reduce, where its length is not known */
#define HIDDEN 0.5       /* prior of an all-reduce of which nothing has been seen */
#define UNRELATED 0.02   /* prior of trends that know nothing of the measured all-reduce */
#define COUNT_OF(list) ((int)(sizeof(list) / sizeof *(list)))

#define ONE SCALING_SHAPE_ONE
#define LOG SCALING_SHAPE_LOG
#define RING SCALING_SHAPE_RING
#define LINEAR SCALING_SHAPE_LINEAR
#define REDUCE SCALING_SHAPE_REDUCE

static const scaling_trend alone[] = {
    {.shapes = {ONE}, .prior = 1.0},         {.shapes = {RING}, .prior = 1.0},
    {.shapes = {LOG}, .prior = 1.0},         {.shapes = {ONE, LOG}, .prior = 1.0},
    {.shapes = {RING, LOG}, .prior = 1.0},   {.shapes = {LINEAR}, .prior = 1.0},
    {.shapes = {ONE, LINEAR}, .prior = 1.0}, {.shapes = {RING, LINEAR}, .prior = 1.0}};

typedef struct trend_list {
    scaling_trend *trends;
    int count;
} trend_list;

static void add(trend_list *list, const scaling_trend *form, const scaling_exposed *exposed, double prior)
{
    scaling_trend *trend = &list->trends[list->count++];
    *trend = *form;
    trend->prior *= prior;
    if (exposed)
        trend->exposed = *exposed;
}

/* Backward passes as a + b/n, a and b at least 0. */
static void fit_backward(scaling_observations *seen, scaling_exposed *exposed)
{
    scaling_data data = {.count = seen->count, .terms = 2, .x = seen->x, .y = seen->y};
    scaling_fit fit;
    double mean = 0.0, divided = 0.0;
    for (int i = 0; i < seen->count; i++) {
        seen->x[2 * i] = 1.0;
        seen->x[2 * i + 1] = 1.0 / seen->workers[i];
        seen->y[i] = seen->parts_s[i][SCALING_BACKWARD];
        seen->scale[i] = seen->step_s[i];
        mean += seen->y[i] / seen->count;
        divided += seen->y[i] * seen->workers[i] / seen->count;
    }
    int known = scaling_fit_solve(&data, seen->scale, &fit);
    exposed->hidden_s = known ? fit.c[0] : mean;
    exposed->hidden_divided_s = known ? fit.c[1] : 0.0;
    if (exposed->hidden_s < 0.0)
        *exposed = (scaling_exposed){.hidden_divided_s = divided};
    else if (exposed->hidden_divided_s < 0.0)
        *exposed = (scaling_exposed){.hidden_s = mean};
}

static double draw_from(const scaling_value *figure, scaling_random *random)
{
    double sd = (figure->high - figure->low) / (2.0 * scaling_t_95((double)INFINITY));
    return fmax(0.0, figure->value + sd * scaling_random_normal(random));
}

/* Sum of squares of what a factor of 1, or the best one, leaves of the series. */
static double misfit(const scaling_series *series, const scaling_exposed *exposed, int any_factor)
{
    double yy = 0.0, xy = 0.0, xx = 0.0;
    for (int i = 0; i < series->count; i++) {
        double y = series->y[i] / series->scale[i];
        double x = scaling_exposed_at(exposed, series->workers[i]) / series->scale[i];
        yy += y * y;
        xy += x * y;
        xx += x * x;
    }
    double factor = !any_factor ? 1.0 : xx > 0.0 ? fmax(xy / xx, 0.0) : 0.0;
    return yy - 2.0 * factor * xy + factor * factor * xx;
}

/* The overlap from 0 to `most` that fits best. */
static double best_overlap(const scaling_series *series, scaling_exposed exposed, double most, int any_factor)
{
    double best = 0.0, least = (double)INFINITY;
    for (int i = 0; i <= SCANS; i++) {
        exposed.overlap = most * i / SCANS;
        double left = misfit(series, &exposed, any_factor);
        if (left < least) {
            least = left;
            best = exposed.overlap;
        }
    }
    return best;
}

/* All forms of one draw of alpha and beta. */
static void add_known(trend_list *list, const scaling_series *series, scaling_exposed exposed)
{
    static const scaling_trend forms[FORMS] = {{.shapes = {REDUCE}, .near_one = 1, .prior = 0.2},
                                               {.offset = 1, .prior = 1.0},
                                               {.shapes = {REDUCE, ONE}, .near_one = 1, .prior = 0.1},
                                               {.shapes = {ONE}, .offset = 1, .prior = 1.0}};
    double best = best_overlap(series, exposed, 1.0, 0);
    for (int o = 0; o <= OVERLAPS; o++) {
        exposed.overlap = o < OVERLAPS ? (double)o / (OVERLAPS - 1) : best;
        for (int f = 0; f < FORMS; f++)
            add(list, &forms[f], &exposed, 1.0 / (DRAWS * (OVERLAPS + 1)));
    }
}

/* A share of an all-reduce whose length is not known, behind a backward pass. */
static void add_unknown(trend_list *list, const scaling_series *series, scaling_exposed exposed)
{
    static const scaling_trend form = {.shapes = {REDUCE}, .prior = 1.0};
    static const double hidden[] = {0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0};
    double first = exposed.hidden_s + exposed.hidden_divided_s;
    if (!(first > 0.0))
        return;
    exposed.hidden_s /= first;
    exposed.hidden_divided_s /= first;
    double best = best_overlap(series, exposed, HIDDEN_MOST, 1);
    for (int i = 0; i <= COUNT_OF(hidden); i++) {
        exposed.overlap = i < COUNT_OF(hidden) ? hidden[i] : best;
        add(list, &form, &exposed, 1.0 / (COUNT_OF(hidden) + 1));
    }
}

/* An all-reduce that is hidden up to the largest n, where a share of the backward pass hides it, and comes to light
 * when that gets shorter. */
static void add_hidden(trend_list *list, double largest, scaling_exposed exposed)
{
    static const scaling_trend form = {.offset = 1, .prior = HIDDEN};
    static const double shares[] = {0.25, 0.5, 0.75, 1.0};
    double pass = exposed.hidden_s + exposed.hidden_divided_s / largest;
    exposed.overlap = 1.0;
    for (int i = 0; i < COUNT_OF(shares) && largest > 1.0; i++) {
        exposed.transfer_s = shares[i] * pass * 0.5 * largest / (largest - 1.0);
        add(list, &form, &exposed, 1.0 / COUNT_OF(shares));
    }
}

base_status scaling_reduce_trends(base_arena *arena, scaling_observations *seen, const scaling_series *series,
                                  int64_t gradient_bytes, const scaling_alpha_beta *alpha_beta, scaling_random *random,
                                  const scaling_trend **trends, int *count)
{
    trend_list list = {.trends = BASE_NEW_ARRAY(arena, scaling_trend, TRENDS_MAX)};
    scaling_exposed exposed = {0};
    int known = alpha_beta->law.ok && gradient_bytes > 0;
    if (!list.trends)
        return BASE_ERROR;
    fit_backward(seen, &exposed);
    for (int i = 0; i < COUNT_OF(alone); i++)
        add(&list, &alone[i], NULL, known ? UNRELATED : 1.0);
    for (int d = 0; d < DRAWS && known; d++) {
        exposed.alpha_s = draw_from(&alpha_beta->alpha_s, random);
        exposed.transfer_s = (double)gradient_bytes * draw_from(&alpha_beta->beta_s_per_byte, random);
        add_known(&list, series, exposed);
    }
    for (int ring = 0; ring < 2 && !known; ring++) {
        exposed.alpha_s = ring ? 0.0 : 1.0;
        exposed.transfer_s = ring ? 0.5 : 0.0;
        add_unknown(&list, series, exposed);
    }
    exposed.alpha_s = 0.0;
    if (gradient_bytes > 0 && !known)
        add_hidden(&list, seen->largest, exposed);
    *trends = list.trends;
    *count = list.count;
    return BASE_OK;
}
