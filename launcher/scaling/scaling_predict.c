#include "scaling_predict.h"

#include "scaling_worth.h"

base_status scaling_predict(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                            scaling_outcome outcome, const int *workers, int count, uint64_t seed,
                            scaling_analysis *analysis)
{
    scaling_expectation *expectation = NULL;
    const scaling_law *law = seen->mode == SCALING_WEAK ? &analysis->gustafson.law : &analysis->amdahl.law;
    analysis->prediction_law = analysis->speedup_law.ok ? *law : analysis->speedup_law;
    if (outcome != SCALING_UNKNOWN && analysis->speedup_law.ok) {
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
