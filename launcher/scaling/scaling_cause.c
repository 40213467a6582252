#include "scaling_cause.h"

#include "scaling_quantile.h"

#include <math.h>
#include <stdlib.h>

#define SLOWER_LEAST 0.05
#define PART_LEAST 0.01 /* of a step */

/* ---- fractions ---- */

/* a / (a+b) of every part; returns their sum. */
static double divide_strong(scaling_observations *seen, double *fractions)
{
    scaling_data data;
    scaling_fit whole, part;
    double t1 = scaling_line_fit(seen, &data, &whole), sum = 0.0;
    for (int p = 0; p < SCALING_PART_COUNT; p++) {
        for (int i = 0; i < seen->count; i++)
            seen->y[i] = seen->parts_s[i][p];
        scaling_fit_solve(&data, seen->scale, &part);
        fractions[p] = part.c[0] / t1;
        sum += fractions[p];
    }
    return sum;
}

/* Slopes of the parts' growth, as shares of T(n), over 1/n0 - 1/n; returns their sum. */
static double divide_weak(const scaling_observations *seen, double *fractions)
{
    double base[SCALING_PART_COUNT] = {0}, squares = 0.0, sum = 0.0;
    int first = 0;
    for (; first < seen->count && seen->workers[first] == seen->smallest; first++)
        for (int p = 0; p < SCALING_PART_COUNT; p++)
            base[p] += seen->parts_s[first][p];
    for (int p = 0; p < SCALING_PART_COUNT; p++)
        fractions[p] = 0.0;
    for (int i = first; i < seen->count; i++) {
        double x = 1.0 / seen->smallest - 1.0 / seen->workers[i];
        squares += x * x;
        for (int p = 0; p < SCALING_PART_COUNT; p++)
            fractions[p] += x * (seen->parts_s[i][p] - base[p] / first) / seen->step_s[i];
    }
    for (int p = 0; p < SCALING_PART_COUNT; p++) {
        fractions[p] /= squares;
        sum += fractions[p];
    }
    return sum;
}

/* ---- ranks ---- */

/* Some rank is always the slowest. `count` logarithms of how many times as long one took: is their mean above 0 by more
 * than they differ? One value does not tell. */
static int is_beyond_chance(double sum, double squares, int count)
{
    if (count < 2)
        return 0;
    double mean = sum / count, variance = fmax(squares - sum * mean, 0.0) / (count - 1);
    return mean > scaling_t_95(count - 1) * sqrt(variance / count);
}

/* Is this rank to blame for the part at the largest n? */
static void blame(const scaling_observations *seen, const scaling_trials *trials, const scaling_analysis *analysis,
                  scaling_cause *cause)
{
    const scaling_point *point = NULL;
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].workers == seen->largest)
            point = &analysis->points[i];
    double sum = 0.0, squares = 0.0;
    int count = 0;
    cause->rank = -1;
    if (!point || point->parts_s[cause->part] < PART_LEAST * point->step_s.value)
        return;
    for (int i = 0; i < trials->count; i++) {
        const scaling_trial *trial = trials->trials[i];
        if (trial->workers != seen->largest)
            continue;
        if (trial->slowest != point->slowest || !(trial->slower[cause->part] >= SLOWER_LEAST))
            return;
        const double times = log1p(trial->slower[cause->part]);
        sum += times;
        squares += times * times;
        count++;
    }
    if (!is_beyond_chance(sum, squares, count))
        return;
    cause->rank = point->slowest;
    cause->slower = point->slower[cause->part];
}

static int largest_first(const void *a, const void *b)
{
    const scaling_cause *x = a, *y = b;
    if (x->fraction != y->fraction)
        return x->fraction > y->fraction ? -1 : 1;
    return (int)x->part - (int)y->part;
}

static int is_measured(const scaling_observations *seen, int part)
{
    for (int i = 0; i < seen->count; i++)
        if (seen->parts_s[i][part] != 0.0)
            return 1;
    return 0;
}

void scaling_cause_find(scaling_observations *seen, const scaling_trials *trials, scaling_outcome outcome,
                        scaling_analysis *analysis)
{
    int weak = seen->mode == SCALING_WEAK;
    const scaling_law *law = weak ? &analysis->gustafson.law : &analysis->amdahl.law;
    double total = weak ? analysis->gustafson.serial_fraction.value : 1.0 - analysis->amdahl.parallel_fraction.value;
    double fractions[SCALING_PART_COUNT];
    analysis->causes_law = *law;
    if (outcome == SCALING_UNKNOWN || outcome == SCALING_OUTSIDE)
        return;
    if (!seen->parts_known) {
        scaling_refuse(&analysis->causes_law, seen, "the phases of the steps are not known");
        return;
    }
    double sum = weak ? divide_weak(seen, fractions) : divide_strong(seen, fractions);
    if (!(sum > 0.0) || !(total > 0.0)) {
        scaling_refuse(&analysis->causes_law, seen, "there is nothing to divide: no serial part of a step can be seen");
        return;
    }
    analysis->causes_law = (scaling_law){.ok = 1};
    analysis->causes_total = total;
    for (int p = 0; p < SCALING_PART_COUNT; p++) {
        if (!is_measured(seen, p))
            continue;
        scaling_cause *cause = &analysis->causes[analysis->cause_count++];
        *cause = (scaling_cause){.part = (scaling_part)p, .fraction = fractions[p] * (total / sum)};
        blame(seen, trials, analysis, cause);
    }
    qsort(analysis->causes, (size_t)analysis->cause_count, sizeof *analysis->causes, largest_first);
}
