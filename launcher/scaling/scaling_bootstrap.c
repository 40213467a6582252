#include "scaling_bootstrap.h"

#include "scaling_quantile.h"
#include "scaling_random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS_LEAST = 8, /* fewer tell nothing */
    RATIOS = 500,
    RATIOS_LEAST = 20,
    REPLICATES = 2000,
    REPLICATES_LEAST = 200,
    INSERTION_MOST = 16 /* values that are sorted faster by insertion */
};
#define LOPSIDED 2.0
#define STEPS_WORK 200000000 /* steps drawn in all */
#define TRIALS_WORK 400000   /* trials drawn for a point */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, int count)
{
    return 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
}

double scaling_median(double *values, int count)
{
    if (count > INSERTION_MOST)
        qsort(values, (size_t)count, sizeof *values, ascending);
    for (int i = 1; i < count && count <= INSERTION_MOST; i++) {
        double value = values[i];
        int k = i;
        for (; k > 0 && values[k - 1] > value; k--)
            values[k] = values[k - 1];
        values[k] = value;
    }
    return middle(values, count);
}

static double variance(const double *values, int count)
{
    double mean = 0.0, sum = 0.0;
    for (int i = 0; i < count; i++)
        mean += values[i] / count;
    for (int i = 0; i < count; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sum / (count - 1) : 0.0;
}

/* ---- steps ---- */

/* The steps of a trial as places in their order of size: medians of resamples come from counting. */
typedef struct ranked {
    int count;
    const double *sorted;
    const int *places;
    int *counts;
    int block; /* length */
    double stretch;
} ranked;

/* Correlation of neighbours in whether a step is longer than the median, as only that matters for the median. */
static double correlation(const int *places, int count)
{
    double sum = 0.0;
    for (int i = 1; i < count; i++)
        sum += (2 * places[i] >= count) == (2 * places[i - 1] >= count) ? 1.0 : -1.0;
    return fmin(fmax(sum / (count - 1), 0.0), 0.97);
}

static int block_length(double r, int count)
{
    double per_cube = 2.0 * r / (1.0 - r * r);
    double length = cbrt(1.5 * per_cube * per_cube * count);
    return (int)fmin(fmax(ceil(length), 1.0), fmax(count / 4.0, 1.0));
}

/* By how much the error comes out too small because correlation over the ends of blocks is lost. */
static double lost_by_blocks(double r, int length)
{
    double kept = 1.0, power = 1.0;
    for (int k = 1; k < length; k++) {
        power *= r;
        kept += 2.0 * (1.0 - (double)k / length) * power;
    }
    return sqrt((1.0 + r) / (1.0 - r) / kept);
}

static base_status rank_steps(base_arena *arena, const scaling_trial *trial, ranked *out)
{
    int n = trial->steps_count;
    double *sorted = BASE_NEW_ARRAY(arena, double, n);
    int *places = BASE_NEW_ARRAY(arena, int, n);
    out->counts = BASE_NEW_ARRAY(arena, int, n);
    if (!sorted || !places || !out->counts)
        return BASE_ERROR;
    memcpy(sorted, trial->steps_s, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    for (int i = 0; i < n; i++) {
        /* The first place of equal ones. */
        int low = 0, high = n - 1;
        while (low < high) {
            int half = (low + high) / 2;
            if (sorted[half] < trial->steps_s[i])
                low = half + 1;
            else
                high = half;
        }
        places[i] = low;
    }
    out->count = n;
    out->sorted = sorted;
    out->places = places;
    double r = correlation(places, n);
    out->block = block_length(r, n);
    out->stretch = lost_by_blocks(r, out->block);
    return BASE_OK;
}

static double resampled_median(const ranked *steps, scaling_random *random)
{
    int n = steps->count;
    memset(steps->counts, 0, (size_t)n * sizeof *steps->counts);
    for (int drawn = 0; drawn < n;) {
        int at = scaling_random_below(random, n);
        for (int i = 0; i < steps->block && drawn < n; i++, drawn++) {
            steps->counts[steps->places[at]]++;
            at = at + 1 < n ? at + 1 : 0;
        }
    }
    int seen = 0, lower = -1;
    for (int i = 0;; i++) {
        seen += steps->counts[i];
        if (lower < 0 && seen > (n - 1) / 2)
            lower = i;
        if (seen > n / 2)
            return 0.5 * (steps->sorted[lower] + steps->sorted[i]);
    }
}

base_status scaling_bootstrap_steps(base_arena *arena, const scaling_trial *trial, int64_t all_steps, uint64_t seed,
                                    int number, scaling_spread *spread)
{
    ranked steps;
    *spread = (scaling_spread){.error = (double)NAN};
    if (trial->steps_count < STEPS_LEAST)
        return BASE_OK;
    BASE_TRY(rank_steps(arena, trial, &steps));
    int64_t room = STEPS_WORK / all_steps;
    int count = room > RATIOS ? RATIOS : room < RATIOS_LEAST ? RATIOS_LEAST : (int)room;
    spread->ratios = BASE_NEW_ARRAY(arena, double, count);
    if (!spread->ratios)
        return BASE_ERROR;
    scaling_random random = scaling_random_start(seed, SCALING_STREAM_STEPS, (uint32_t)number);
    double median = middle(steps.sorted, steps.count);
    for (int i = 0; i < count; i++)
        spread->ratios[i] = pow(resampled_median(&steps, &random) / median, steps.stretch);
    spread->count = count;
    spread->error = sqrt(variance(spread->ratios, count));
    spread->df = fmax((double)steps.count / steps.block - 1.0, 1.0);
    return BASE_OK;
}

/* ---- trials ---- */

enum { DRAW_TRIALS = 1, DRAW_STEPS = 2 };

typedef struct resampling {
    const scaling_trial *const *trials;
    const scaling_spread *spreads;
    int count;
    double *drawn;  /* (count) */
    double *values; /* (replicates) log of medians */
    int replicates;
    scaling_random random;
} resampling;

/* Fills values; returns their variance. */
static double resample(resampling *self, int what)
{
    for (int k = 0; k < self->replicates; k++) {
        for (int i = 0; i < self->count; i++) {
            int t = what & DRAW_TRIALS ? scaling_random_below(&self->random, self->count) : i;
            const scaling_spread *spread = &self->spreads[t];
            int draw = what & DRAW_STEPS && spread->count > 0;
            double ratio = draw ? spread->ratios[scaling_random_below(&self->random, spread->count)] : 1.0;
            self->drawn[i] = self->trials[t]->step_s * ratio;
        }
        self->values[k] = log(scaling_median(self->drawn, self->count));
    }
    return variance(self->values, self->replicates);
}

static double least_df(const resampling *self)
{
    double least = (double)INFINITY;
    for (int i = 0; i < self->count; i++)
        least = self->spreads[i].count > 0 ? fmin(least, self->spreads[i].df) : least;
    return least;
}

/* Fills values; returns how much wider than they lie the interval is. */
static double resample_all(resampling *self)
{
    int r = self->count;
    double within = resample(self, DRAW_STEPS);
    double between = r > 1 ? resample(self, DRAW_TRIALS) * r / (r - 1) : 0.0;
    /* Trials differ by what their steps explain, too. */
    between = fmax(between - within, 0.0);
    double both = resample(self, DRAW_TRIALS | DRAW_STEPS), sum = between + within;
    if (!(both > 0.0) || !(sum > 0.0))
        return 1.0;
    /* Satterthwaite's degrees of freedom of the sum. */
    double share = between / sum, rest = within / sum;
    double inverse = (r > 1 ? share * share / (r - 1) : 0.0) + rest * rest / (least_df(self) * r);
    return sqrt(sum / both) * scaling_t_95(1.0 / inverse) / scaling_t_95((double)INFINITY);
}

/* How far the interval reaches on a side where resampled medians go as far as `side`, and `other` on the other. One
 * trial that lies far from the rest pulls one side alone; stretching that would reach where no measurement came near.
 */
static double reach(double side, double other, double factor)
{
    return fmax(side, factor * fmin(side, LOPSIDED * sqrt(side * other)));
}

base_status scaling_bootstrap_trials(base_arena *arena, const scaling_trial *const *trials,
                                     const scaling_spread *spreads, int count, uint64_t seed, int number,
                                     scaling_value *step_s)
{
    int replicates = TRIALS_WORK / count < REPLICATES ? TRIALS_WORK / count : REPLICATES;
    if (replicates < REPLICATES_LEAST)
        replicates = REPLICATES_LEAST;
    resampling self = {.trials = trials,
                       .spreads = spreads,
                       .count = count,
                       .drawn = BASE_NEW_ARRAY(arena, double, count),
                       .values = BASE_NEW_ARRAY(arena, double, replicates),
                       .replicates = replicates,
                       .random = scaling_random_start(seed, SCALING_STREAM_TRIALS, (uint32_t)number)};
    if (!self.drawn || !self.values)
        return BASE_ERROR;
    for (int i = 0; i < count; i++)
        self.drawn[i] = trials[i]->step_s;
    double value = scaling_median(self.drawn, count);
    *step_s = (scaling_value){value, (double)NAN, (double)NAN};
    if (count == 1 && spreads[0].count == 0)
        return BASE_OK;
    double factor = resample_all(&self);
    qsort(self.values, (size_t)replicates, sizeof *self.values, ascending);
    double low = self.values[(int)(0.025 * replicates)], high = self.values[replicates - 1 - (int)(0.025 * replicates)];
    double down = fmax(log(value) - low, 0.0), up = fmax(high - log(value), 0.0);
    step_s->low = value * exp(-reach(down, up, factor));
    step_s->high = value * exp(reach(up, down, factor));
    return BASE_OK;
}
