#include "scaling_observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 1.05 /* times the median: trials that agree */
#define FAR 1.25  /* trials that do not, while most do */

static int by_workers(const void *a, const void *b)
{
    const scaling_trial *x = *(const scaling_trial *const *)a, *y = *(const scaling_trial *const *)b;
    if (x->workers != y->workers)
        return x->workers < y->workers ? -1 : 1;
    if (x->repeat != y->repeat)
        return x->repeat < y->repeat ? -1 : 1;
    return (x > y) - (x < y); /* in the order in which they were added */
}

static int is_time(double seconds)
{
    return isfinite(seconds) && seconds > 0.0;
}

static base_status check_times(const scaling_trial *trial)
{
    if (trial->workers < 1)
        return BASE_FAIL(BASE_DATA, "a trial has %d workers, not 1 or more", trial->workers);
    if (!is_time(trial->step_s))
        return BASE_FAIL(BASE_DATA, "trial %d at %d workers: a step took %g s, not a positive number", trial->repeat,
                         trial->workers, trial->step_s);
    for (int i = 0; i < trial->steps_count; i++)
        if (!is_time(trial->steps_s[i]))
            return BASE_FAIL(BASE_DATA, "trial %d at %d workers: step %d took %g s, not a positive number",
                             trial->repeat, trial->workers, i, trial->steps_s[i]);
    return BASE_OK;
}

/* Strong scaling keeps the global batch, weak scaling that of a worker. A batch of 0 is not known. */
static base_status check_batch(scaling_mode mode, const scaling_trial *first, const scaling_trial *trial)
{
    if (first->batch <= 0 || trial->batch <= 0)
        return BASE_OK;
    if (mode == SCALING_STRONG && trial->batch != first->batch)
        return BASE_FAIL(BASE_DATA,
                         "strong scaling keeps the global batch, but it is %lld at %d workers and %lld at %d",
                         (long long)first->batch, first->workers, (long long)trial->batch, trial->workers);
    if (mode == SCALING_WEAK && trial->batch * first->workers != first->batch * trial->workers)
        return BASE_FAIL(
            BASE_DATA,
            "weak scaling keeps the batch of a worker, but the global batch is %lld at %d workers and %lld "
            "at %d",
            (long long)first->batch, first->workers, (long long)trial->batch, trial->workers);
    return BASE_OK;
}

static double distance(const scaling_trial *trial, double median)
{
    return fabs(log(trial->step_s / median));
}

/* Of `count` trials at one n, moves those that are disturbed to `disturbed`; returns how many are left. `scratch`
 * (count). */
static int keep_undisturbed(const scaling_trial **trials, int count, double *scratch, scaling_trials *out)
{
    int near = 0, kept = 0;
    for (int i = 0; i < count; i++)
        scratch[i] = trials[i]->step_s;
    double median = scaling_median(scratch, count);
    for (int i = 0; i < count; i++)
        near += distance(trials[i], median) < log(NEAR);
    for (int i = 0; i < count; i++) {
        if (2 * near > count && near > 1 && distance(trials[i], median) > log(FAR))
            out->disturbed[out->disturbed_count++] = trials[i];
        else
            trials[kept++] = trials[i];
    }
    return kept;
}

static base_status set_aside(base_arena *arena, scaling_trials *out)
{
    double *scratch = BASE_NEW_ARRAY(arena, double, out->count);
    const scaling_trial **all = out->trials;
    int count = out->count, kept = 0;
    if (!scratch)
        return BASE_ERROR;
    for (int first = 0, end; first < count; first = end) {
        for (end = first; end < count && all[end]->workers == all[first]->workers;)
            end++;
        int left = keep_undisturbed(all + first, end - first, scratch, out);
        memmove(all + kept, all + first, (size_t)left * sizeof *all);
        kept += left;
    }
    out->count = kept;
    return BASE_OK;
}

base_status scaling_trials_sort(base_arena *arena, const scaling_sweep *sweep, uint64_t seed, scaling_trials *out)
{
    int64_t steps = 0;
    if (sweep->count < 1)
        return BASE_FAIL(BASE_DATA, "there is no trial to analyse");
    *out = (scaling_trials){.count = sweep->count,
                            .trials = BASE_NEW_ARRAY(arena, const scaling_trial *, sweep->count),
                            .disturbed = BASE_NEW_ARRAY(arena, const scaling_trial *, sweep->count),
                            .spreads = BASE_NEW_ARRAY(arena, scaling_spread, sweep->count)};
    if (!out->trials || !out->disturbed || !out->spreads)
        return BASE_ERROR;
    for (int i = 0; i < sweep->count; i++) {
        out->trials[i] = &sweep->trials[i];
        steps += sweep->trials[i].steps_count;
        BASE_TRY(check_times(&sweep->trials[i]));
        BASE_TRY(check_batch(sweep->mode, &sweep->trials[0], &sweep->trials[i]));
    }
    qsort(out->trials, (size_t)out->count, sizeof *out->trials, by_workers);
    BASE_TRY(set_aside(arena, out));
    for (int i = 0; i < out->count; i++)
        BASE_TRY(scaling_bootstrap_steps(arena, out->trials[i], steps, seed, i, &out->spreads[i]));
    return BASE_OK;
}
