/* scaling_bootstrap.h: how sure the median of a step is, from trials and from the steps within them. Local.
 *
 * Neighbouring steps resemble each other, so that steps are drawn in blocks (circular block bootstrap, Politis and
 * Romano 1992), whose length follows from the correlation of neighbours (Andrews 1991's rule for a process of first
 * order). What differs from trial to trial (where memory lies, the clock of the processor) shows only between trials,
 * so that trials are drawn too.
 */
#ifndef SCALING_BOOTSTRAP_H
#define SCALING_BOOTSTRAP_H

#include "base_arena.h"
#include "scaling.h"

/* What the steps of one trial tell about its median. */
typedef struct scaling_spread {
    int count;      /* 0: too few steps to tell */
    double *ratios; /* (count) medians of resampled steps over the median of the steps */
    double error;   /* relative standard error of the median; NaN: not known */
    double df;      /* its degrees of freedom: blocks less one */
} scaling_spread;

/* `all_steps` is the number of steps of all trials of the sweep: the more, the fewer resamples of each. `number` tells
 * the trial's random numbers from others'. */
base_status scaling_bootstrap_steps(base_arena *arena, const scaling_trial *trial, int64_t all_steps, uint64_t seed,
                                    int number, scaling_spread *spread);

/* Median over `count` trials at one n of their medians, with its interval. The interval is that of the resampled
 * medians, stretched by what resampling a few trials misses: the variance between r trials comes out r / (r-1) too
 * small, and its quantiles are Student's. `number` as above, of the point. */
base_status scaling_bootstrap_trials(base_arena *arena, const scaling_trial *const *trials,
                                     const scaling_spread *spreads, int count, uint64_t seed, int number,
                                     scaling_value *step_s);

/* Of `count` values, at least one; sorts them. */
double scaling_median(double *values, int count);

#endif
