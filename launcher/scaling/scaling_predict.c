#include "scaling_predict.h"

#include "scaling_worth.h"

/* Of the largest number of workers. How far a gain of that kind goes on, no trend of what was measured tells. */
static int ends_superlinear(const scaling_observations *seen, const scaling_analysis *analysis)
{
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].workers == seen->largest && analysis->points[i].fitted)
            return scaling_point_is_superlinear(&analysis->points[i]);
    return 0;
}

base_status scaling_predict(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                            scaling_outcome outcome, const int *workers, int count, uint64_t seed,
                            scaling_analysis *analysis)
{
    scaling_expectation *expectation = NULL;
    const scaling_law *law = seen->mode == SCALING_WEAK ? &analysis->gustafson.law : &analysis->amdahl.law;
    analysis->prediction_law = analysis->speedup_law.ok ? *law : analysis->speedup_law;
    if (analysis->speedup_law.ok && ends_superlinear(seen, analysis)) {
        scaling_refuse(&analysis->prediction_law, seen,
                       "the scaling is better than linear on %d workers, and how far that goes on cannot be told",
                       seen->largest);
    } else if (outcome != SCALING_UNKNOWN && analysis->speedup_law.ok) {
        analysis->prediction_law = (scaling_law){.ok = 1};
        BASE_TRY(scaling_expectation_create(arena, seen, sweep, analysis, seed, &expectation));
        for (int i = 0; i < count && i < SCALING_PREDICTION_MAX; i++)
            analysis->prediction[analysis->prediction_count++] = scaling_expectation_at(expectation, workers[i]);
        if (count == 0)
            scaling_refuse(&analysis->prediction_law, seen, "all that is asked for was measured");
    }
    scaling_worth_find(seen, expectation, analysis);
    return BASE_OK;
}
