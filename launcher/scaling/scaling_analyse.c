#include "scaling_cause.h"
#include "scaling_predict.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#define TARGET 0.7

/* 2x, 4x and 16x the largest n unless others are asked for; returns how many. */
static int choose_targets(const scaling_options *options, int largest, int *workers)
{
    static const int factors[] = {2, 4, 16};
    int count = 0;
    for (; count < options->predict_count && count < SCALING_PREDICTION_MAX; count++)
        workers[count] = options->predict[count];
    if (count > 0)
        return count;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (largest <= INT_MAX / factors[i])
            workers[count++] = factors[i] * largest;
    return count;
}

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
    scaling_data data;
    scaling_fit fit;
    scaling_outcome outcome = SCALING_UNKNOWN;
    int workers[SCALING_PREDICTION_MAX];
    BASE_TRY(scaling_trials_sort(arena, sweep, options->seed, &trials));
    analysis->points = calloc((size_t)trials.count, sizeof *analysis->points);
    if (!analysis->points)
        return BASE_FAIL(BASE_ERROR, "no memory for %d points", trials.count);
    BASE_TRY(scaling_points_make(arena, sweep, &trials, options->seed, analysis->points, &analysis->point_count));
    BASE_TRY(scaling_observe(arena, sweep->mode, &trials, analysis->points, analysis->point_count, &seen));
    scaling_points_compare(sweep->mode, analysis->points, analysis->point_count, scaling_line_fit(&seen, &data, &fit));
    BASE_TRY(fit_laws(arena, &trials, &seen, &outcome, analysis));
    scaling_cause_find(&seen, &trials, outcome, analysis);
    analysis->target_efficiency = options->target_efficiency > 0.0 ? options->target_efficiency : TARGET;
    int count = choose_targets(options, seen.largest, workers);
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
