/* run_stats.h: step times and what they say: rates, percentiles, where the time goes. */
#ifndef RUN_STATS_H
#define RUN_STATS_H

#include "base_arena.h"
#include "base_status.h"
#include "base_time.h"

#include <stdint.h>

typedef struct run_stats run_stats;

typedef struct run_performance {
    int64_t steps;             /* counted: after the warm-up */
    double samples_per_second; /* of all ranks */
    int64_t blocks;            /* 0: each step was timed; else so many blocks of steps, whose means these are: */
    double step_ms_min, step_ms_p50, step_ms_p90; /* percentiles are NaN with less than RUN_STATS_BLOCKS blocks */
    double step_ms_mean;
    double phases_ms[BASE_PHASE_COUNT]; /* mean a step; under the recorded phases (base_phase_recorded) */
} run_performance;

enum { RUN_STATS_BLOCKS = 10 };

/* Steps at the beginning of a run of `steps` that do not count: a tenth, at most 10. */
int64_t run_stats_warmup(int64_t steps);

/* For a run of `steps` steps. Memory is taken here, not in a step; beyond a million steps the percentiles are those of
 * a systematic sample. */
base_status run_stats_create(base_arena *arena, int64_t steps, run_stats **self);
/* `steps` steps that took `phases` and went through `samples` together. */
void run_stats_add(run_stats *self, int64_t steps, int64_t samples, const base_phases *phases);
run_performance run_stats_performance(run_stats *self);

/* Length of a step: all its phases. */
double run_stats_step_seconds(const base_phases *phases);

#endif
