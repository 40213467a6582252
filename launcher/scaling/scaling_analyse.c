#include "scaling_cause.h"
#include "scaling_predict.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TARGET 0.7

/* What is known of n needs no prediction. */
static int is_known(const scaling_analysis *analysis, int workers)
{
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].workers == workers && analysis->points[i].fitted)
            return 1;
    return workers == 1;
}

static void insert(int *workers, int *count, int n)
{
    int at = *count;
    while (at > 0 && workers[at - 1] > n)
        at--;
    if (at > 0 && workers[at - 1] == n)
        return;
    memmove(workers + at + 1, workers + at, (size_t)(*count - at) * sizeof *workers);
    workers[at] = n;
    ++*count;
}

/* 2x, 4x and 16x the largest n unless others are asked for; returns how many. */
static int choose_targets(const scaling_options *options, const scaling_analysis *analysis, int largest, int *workers)
{
    static const int factors[] = {2, 4, 16};
    int count = 0;
    for (int i = 0; i < options->predict_count && i < SCALING_PREDICTION_MAX; i++)
        if (!is_known(analysis, options->predict[i]))
            insert(workers, &count, options->predict[i]);
    if (options->predict_count > 0)
        return count;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (largest <= INT_MAX / factors[i])
            workers[count++] = factors[i] * largest;
    return count;
}

/* ---- speedups ---- */

/* T(1) of the law, but no less than the first T(n) says if n workers are as fast as one, and no more than if they are n
 * times as fast: the law lies between. */
static scaling_value start_of_law(scaling_observations *seen, const scaling_analysis *analysis)
{
    scaling_value t1 = scaling_line_start(seen);
    const scaling_point *first = analysis->points;
    while (first->workers != seen->smallest)
        first++;
    double n = first->workers, low = first->step_s.value, high = first->step_s.value;
    if (!isnan(first->step_s.low)) {
        low = first->step_s.low;
        high = first->step_s.high;
    }
    low /= seen->mode == SCALING_WEAK ? n : 1.0;
    high *= seen->mode == SCALING_WEAK ? 1.0 : n;
    return (scaling_value){fmin(fmax(t1.value, low), high), fmin(fmax(t1.low, low), high),
                           fmax(fmin(t1.high, high), low)};
}

static void compare(scaling_observations *seen, scaling_analysis *analysis)
{
    const scaling_law *law = seen->mode == SCALING_WEAK ? &analysis->gustafson.law : &analysis->amdahl.law;
    scaling_value t1 = {(double)NAN, (double)NAN, (double)NAN};
    analysis->speedup_law = (scaling_law){.ok = 1};
    if (analysis->points[0].workers == 1)
        t1 = analysis->points[0].step_s;
    else if (law->ok)
        t1 = start_of_law(seen, analysis);
    else
        scaling_refuse(&analysis->speedup_law, seen, "one worker was not measured, and no law tells its step");
    if (seen->obstacle[0])
        scaling_refuse(&analysis->speedup_law, seen, "%s", seen->obstacle);
    scaling_points_compare(seen->mode, analysis->points, analysis->point_count, t1);
}

/* Is every larger number of workers slower than one, as far as points count? */
static int only_slows_down(const scaling_analysis *analysis)
{
    int slower = 0;
    for (int i = 0; i < analysis->point_count; i++) {
        const scaling_point *point = &analysis->points[i];
        if (!point->fitted || point->workers == 1)
            continue;
        if (!(point->speedup.high < 1.0))
            return 0;
        slower++;
    }
    return slower > 0;
}

/* Some workers are more than so many times as fast: more of the work fits into caches, or another algorithm is chosen.
 * A law in which each worker only adds a loss still fits when it calls that a gain per worker, and then names a peak.
 */
static void refuse_superlinear(const scaling_observations *seen, scaling_analysis *analysis)
{
    for (int i = 0; i < analysis->point_count; i++) {
        const scaling_point *point = &analysis->points[i];
        if (!analysis->usl.law.ok || !point->fitted || !scaling_point_is_superlinear(point))
            continue;
        scaling_refuse(&analysis->usl.law, seen,
                       "the scaling is better than linear on %d workers, which the law does not describe",
                       point->workers);
    }
}

/* A limit that is not in sight lies beyond what was seen. */
static void raise_limit(scaling_analysis *analysis)
{
    scaling_value *limit = &analysis->amdahl.max_speedup;
    for (int i = 0; i < analysis->point_count && isinf(limit->value); i++)
        if (analysis->points[i].fitted)
            limit->low = fmax(limit->low, analysis->points[i].speedup.low);
}

/* ---- the whole ---- */

static base_status fit_laws(base_arena *arena, const scaling_trials *trials, scaling_observations *seen,
                            scaling_outcome *outcome, scaling_analysis *analysis)
{
    scaling_reduction *reductions;
    int count;
    BASE_TRY(scaling_reductions_find(arena, trials, analysis->points, analysis->point_count, &reductions, &count));
    BASE_TRY(scaling_alpha_beta_fit(arena, seen, reductions, count, &analysis->alpha_beta));
    scaling_outcome strong = scaling_amdahl_fit(seen, &analysis->amdahl);
    scaling_outcome weak = scaling_gustafson_fit(seen, &analysis->gustafson);
    scaling_usl_fit(seen, &analysis->usl);
    *outcome = seen->mode == SCALING_WEAK ? weak : strong;
    return BASE_OK;
}

static base_status analyse(base_arena *arena, const scaling_sweep *sweep, const scaling_options *options,
                           scaling_analysis *analysis)
{
    scaling_trials trials;
    scaling_observations seen;
    scaling_outcome outcome = SCALING_UNKNOWN;
    int workers[SCALING_PREDICTION_MAX];
    BASE_TRY(scaling_trials_sort(arena, sweep, options->seed, &trials));
    analysis->points = calloc((size_t)trials.count, sizeof *analysis->points);
    if (!analysis->points)
        return BASE_FAIL(BASE_ERROR, "no memory for %d points", trials.count);
    BASE_TRY(scaling_points_make(arena, sweep, &trials, options->seed, analysis->points, &analysis->point_count));
    BASE_TRY(scaling_observe(arena, sweep->mode, &trials, analysis->points, analysis->point_count, &seen));
    BASE_TRY(fit_laws(arena, &trials, &seen, &outcome, analysis));
    compare(&seen, analysis);
    refuse_superlinear(&seen, analysis);
    raise_limit(analysis);
    if (analysis->points[0].workers == 1 && only_slows_down(analysis))
        analysis->usl.peak_workers = (scaling_value){1.0, 1.0, 1.0};
    scaling_cause_find(&seen, &trials, outcome, analysis);
    analysis->target_efficiency = options->target_efficiency > 0.0 ? options->target_efficiency : TARGET;
    int count = choose_targets(options, analysis, seen.largest, workers);
    return scaling_predict(arena, &seen, sweep, outcome, workers, count, options->seed, analysis);
}

base_status scaling_analyse(const scaling_sweep *sweep, const scaling_options *options, scaling_analysis *analysis)
{
    base_arena *arena;
    *analysis = (scaling_analysis){0};
    BASE_TRY(base_arena_create(&arena, "scaling"));
    base_status status = analyse(arena, sweep, options, analysis);
    base_arena_destroy(&arena);
    if (status != BASE_OK)
        scaling_analysis_clear(analysis);
    BASE_TRY(status);
    return BASE_OK;
}

void scaling_analysis_clear(scaling_analysis *self)
{
    free(self->points);
    *self = (scaling_analysis){0};
}

base_status scaling_step_interval(const scaling_trial *trials, int count, uint64_t seed, scaling_value *step_s)
{
    scaling_sweep sweep = {.count = count, .trials = (scaling_trial *)trials};
    scaling_trials sorted;
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "interval of a step"));
    base_status status = scaling_trials_sort(arena, &sweep, seed, &sorted);
    if (status == BASE_OK)
        status = scaling_bootstrap_trials(arena, sorted.trials, sorted.spreads, sorted.count, seed, trials[0].workers,
                                          step_s);
    base_arena_destroy(&arena);
    BASE_TRY(status);
    return BASE_OK;
}
