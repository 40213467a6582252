#include "scaling_observe.h"

#include <math.h>

int scaling_parts_scale(const double *parts_s, double whole, double *scaled)
{
    double sum = 0.0;
    for (int p = 0; p < SCALING_PART_COUNT; p++)
        sum += parts_s[p];
    int known = isfinite(sum) && sum > 0.0;
    for (int p = 0; p < SCALING_PART_COUNT; p++)
        scaled[p] = known ? parts_s[p] * whole / sum : 0.0;
    return known;
}

/* The rank that is the slowest most often. */
static int usual_slowest(const scaling_trial *const *trials, int count)
{
    int slowest = -1, most = 0;
    for (int i = 0; i < count; i++) {
        int times = 0;
        for (int k = 0; k < count && most <= count / 2; k++)
            times += trials[k]->slowest == trials[i]->slowest;
        if (times > most) {
            most = times;
            slowest = trials[i]->slowest;
        }
    }
    return slowest;
}

/* Means of the parts, and by how much the usual slowest rank is slower: the median over trials, as 0 where another rank
 * was the slowest. `scratch` (count). */
static void describe_ranks(const scaling_trial *const *trials, int count, double *scratch, scaling_point *point)
{
    double sums[SCALING_PART_COUNT] = {0}, scaled[SCALING_PART_COUNT];
    point->slowest = usual_slowest(trials, count);
    for (int i = 0; i < count; i++) {
        scaling_parts_scale(trials[i]->parts_s, 1.0, scaled);
        for (int p = 0; p < SCALING_PART_COUNT; p++)
            sums[p] += scaled[p];
    }
    for (int p = 0; p < SCALING_PART_COUNT; p++) {
        for (int i = 0; i < count; i++)
            scratch[i] = trials[i]->slowest == point->slowest ? trials[i]->slower[p] : 0.0;
        point->slower[p] = scaling_median(scratch, count);
    }
    scaling_parts_scale(sums, point->step_s.value, point->parts_s);
}

int scaling_shares_cores(const scaling_trial *trial)
{
    return trial->cores > 0 && (int64_t)trial->workers * (trial->threads > 0 ? trial->threads : 1) > trial->cores;
}

static base_status make_point(base_arena *arena, const scaling_sweep *sweep, const scaling_trial *const *trials,
                              const scaling_spread *spreads, int count, uint64_t seed, scaling_point *point)
{
    *point = (scaling_point){.workers = trials[0]->workers, .trials = count, .batch = trials[0]->batch};
    BASE_TRY(scaling_bootstrap_trials(arena, trials, spreads, count, seed, point->workers, &point->step_s));
    point->samples_per_second = (double)point->batch / point->step_s.value;
    for (int i = 0; i < count; i++)
        point->shares_cores |= scaling_shares_cores(trials[i]);
    point->fitted = !point->shares_cores || sweep->oversubscribe;
    double *scratch = BASE_NEW_ARRAY(arena, double, count);
    if (!scratch)
        return BASE_ERROR;
    describe_ranks(trials, count, scratch, point);
    return BASE_OK;
}

base_status scaling_points_make(base_arena *arena, const scaling_sweep *sweep, const scaling_trials *trials,
                                uint64_t seed, scaling_point *points, int *count)
{
    *count = 0;
    for (int first = 0, end; first < trials->count; first = end) {
        for (end = first; end < trials->count && trials->trials[end]->workers == trials->trials[first]->workers;)
            end++;
        scaling_point *point = &points[(*count)++];
        BASE_TRY(make_point(arena, sweep, trials->trials + first, trials->spreads + first, end - first, seed, point));
        for (int i = 0; i < trials->disturbed_count; i++)
            point->disturbed += trials->disturbed[i]->workers == point->workers;
    }
    return BASE_OK;
}

/* The ratio of two figures that err independently, by the method of variance estimates recovery (Zou and Donner 2008,
 * Stat. Med. 27, 1693) on logarithms. */
static scaling_value ratio(scaling_value above, scaling_value below)
{
    double value = above.value / below.value;
    double down = hypot(log(above.value / above.low), log(below.high / below.value));
    double up = hypot(log(above.high / above.value), log(below.value / below.low));
    return (scaling_value){value, value * exp(-down), value * exp(up)};
}

static scaling_value times(scaling_value a, double factor)
{
    return (scaling_value){a.value * factor, a.low * factor, a.high * factor};
}

void scaling_points_compare(scaling_mode mode, scaling_point *points, int count, scaling_value t1_s)
{
    for (int i = 0; i < count; i++) {
        scaling_point *point = &points[i];
        double n = point->workers;
        scaling_value speed = ratio(t1_s, point->step_s);
        if (point->workers == 1)
            speed = (scaling_value){1.0, 1.0, 1.0};
        point->speedup = mode == SCALING_WEAK ? times(speed, n) : speed;
        point->efficiency = times(point->speedup, 1.0 / n);
        point->karp_flatt = (double)NAN;
        if (mode == SCALING_STRONG && point->workers > 1)
            point->karp_flatt = (1.0 / point->speedup.value - 1.0 / n) / (1.0 - 1.0 / n);
    }
}

int scaling_point_is_superlinear(const scaling_point *point)
{
    scaling_value e = point->efficiency;
    return point->workers > 1 && e.low - (e.value - e.low) > 1.0;
}
