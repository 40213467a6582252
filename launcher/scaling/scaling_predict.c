#include "scaling_predict.h"

#include "scaling_expect.h"

#include <math.h>

/* The largest measured n that counts with at least the target, or 0. */
static int worth_measured(const scaling_analysis *analysis)
{
    int worth = 0;
    for (int i = 0; i < analysis->point_count; i++)
        if (analysis->points[i].fitted && analysis->points[i].efficiency.value >= analysis->target_efficiency)
            worth = analysis->points[i].workers;
    return worth;
}

/* The largest n beyond `from` and up to `to` that is expected to be worth it, or 0: powers of two, then halving.
 * Between `from` and its double only where `from` is worth it itself. */
static int worth_expected(scaling_expectation *expectation, int from, int from_is, int to, double target)
{
    int good = 0, bad = 0;
    for (int64_t n = 2 * (int64_t)from; n < 2 * (int64_t)to; n *= 2) {
        int at = n < to ? (int)n : to;
        int is = scaling_expectation_at(expectation, at).efficiency.value >= target;
        if (is)
            good = at;
        bad = is ? 0 : bad == 0 ? at : bad;
    }
    if (good == 0 && !from_is)
        return 0;
    good = good ? good : from;
    while (bad - good > 1) {
        int middle = good + (bad - good) / 2;
        if (scaling_expectation_at(expectation, middle).efficiency.value >= target)
            good = middle;
        else
            bad = middle;
    }
    return good > from ? good : 0;
}

static void find_worth(const scaling_observations *seen, scaling_expectation *expectation, scaling_analysis *analysis)
{
    int largest = seen->largest, worth = worth_measured(analysis), further = 0;
    double target = analysis->target_efficiency;
    if (seen->distinct < 2 || isnan(analysis->points[0].efficiency.value)) {
        scaling_refuse(&analysis->worth_law, seen, "the efficiency is not known");
        return;
    }
    for (int i = 0; i < analysis->prediction_count; i++)
        if (analysis->prediction[i].workers > largest)
            largest = analysis->prediction[i].workers;
    if (expectation)
        further = worth_expected(expectation, seen->largest, worth == seen->largest, largest, target);
    analysis->worth_workers = further > 0 ? further : worth;
    analysis->worth_beyond = analysis->worth_workers == largest;
    analysis->worth_law.ok = analysis->worth_workers > 0;
    if (!analysis->worth_law.ok)
        scaling_refuse(&analysis->worth_law, seen, "no number of workers has an efficiency of %.3g %%", 100.0 * target);
}

base_status scaling_predict(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                            scaling_outcome outcome, const int *workers, int count, uint64_t seed,
                            scaling_analysis *analysis)
{
    scaling_expectation *expectation = NULL;
    const scaling_law *law = seen->mode == SCALING_WEAK ? &analysis->gustafson.law : &analysis->amdahl.law;
    analysis->prediction_law = *law;
    if (outcome != SCALING_UNKNOWN) {
        analysis->prediction_law = (scaling_law){.ok = 1};
        BASE_TRY(scaling_expectation_create(arena, seen, sweep, analysis, seed, &expectation));
        for (int i = 0; i < count && i < SCALING_PREDICTION_MAX; i++)
            analysis->prediction[analysis->prediction_count++] = scaling_expectation_at(expectation, workers[i]);
    }
    find_worth(seen, expectation, analysis);
    return BASE_OK;
}
