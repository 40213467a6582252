#include "run_stats.h"

#include <math.h>
#include <stdlib.h>

enum { TIMES_MAX = 1 << 20, WARMUP_MAX = 10 };

struct run_stats {
    int64_t warmup, seen, skipped;
    int64_t stride; /* every stride-th step is kept for the percentiles */
    int64_t capacity, kept;
    double *seconds;
    int64_t samples;
    int64_t timings; /* of a step, or of several together ... */
    int together;    /* ... as some were */
    double total_seconds, least_seconds, phases[BASE_PHASE_COUNT];
};

int64_t run_stats_warmup(int64_t steps)
{
    int64_t warmup = steps / 10 < WARMUP_MAX ? steps / 10 : WARMUP_MAX;
    return warmup == 0 && steps > 1 ? 1 : warmup;
}

base_status run_stats_create(base_arena *arena, int64_t steps, run_stats **out)
{
    run_stats *self = BASE_NEW(arena, run_stats);
    if (!self)
        return BASE_ERROR;
    self->warmup = run_stats_warmup(steps);
    self->stride = steps / TIMES_MAX + 1;
    self->capacity = steps / self->stride + 1;
    self->seconds = BASE_NEW_ARRAY(arena, double, self->capacity);
    if (!self->seconds)
        return BASE_ERROR;
    *out = self;
    return BASE_OK;
}

double run_stats_step_seconds(const base_phases *phases)
{
    double seconds = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        seconds += phases->seconds[i];
    return seconds;
}

static void keep(run_stats *self, int64_t number, double seconds)
{
    if (number % self->stride == 0 && self->kept < self->capacity)
        self->seconds[self->kept++] = seconds;
}

void run_stats_add(run_stats *self, int64_t steps, int64_t samples, const base_phases *phases)
{
    int64_t number = self->seen - self->warmup;
    self->seen += steps;
    /* Steps that are known together count when all of them come after the warm-up. */
    if (number < 0) {
        self->skipped += steps;
        return;
    }
    double seconds = run_stats_step_seconds(phases), each = seconds / (double)steps;
    if (self->samples == 0 || each < self->least_seconds)
        self->least_seconds = each;
    self->timings++;
    self->together |= steps > 1;
    self->samples += samples;
    self->total_seconds += seconds;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        self->phases[base_phase_recorded((base_phase)i)] += phases->seconds[i];
    for (int64_t s = 0; s < steps; s++)
        keep(self, number + s, each);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

run_performance run_stats_performance(run_stats *self)
{
    run_performance p = {.steps = self->seen - self->skipped};
    if (p.steps == 0 || self->total_seconds <= 0.0)
        return p;
    double steps = (double)p.steps;
    p.samples_per_second = (double)self->samples / self->total_seconds;
    p.step_ms_mean = 1e3 * self->total_seconds / steps;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        p.phases_ms[i] = 1e3 * self->phases[i] / steps;
    p.blocks = self->together ? self->timings : 0;
    /* Of all, not of those that are kept; where all are equal the mean may come out a rounding below. */
    p.step_ms_min = fmin(1e3 * self->least_seconds, p.step_ms_mean);
    p.step_ms_p50 = p.step_ms_p90 = NAN;
    if (p.blocks && p.blocks < RUN_STATS_BLOCKS)
        return p;
    /* Order does not matter to later additions: each is a sample of the same steps. */
    qsort(self->seconds, (size_t)self->kept, sizeof *self->seconds, ascending);
    p.step_ms_p50 = 1e3 * self->seconds[(self->kept - 1) / 2];
    p.step_ms_p90 = 1e3 * self->seconds[(self->kept - 1) * 9 / 10];
    return p;
}
