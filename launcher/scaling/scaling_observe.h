/* scaling_observe.h: the trials of a sweep, checked and in order, as points and as what the fits take. Local. */
#ifndef SCALING_OBSERVE_H
#define SCALING_OBSERVE_H

#include "scaling_bootstrap.h"
#include "scaling_fit.h"

/* Those trials that count in the fits, ascending by workers, one observation each, and room to fit them in. */
typedef struct scaling_observations {
    scaling_mode mode;
    int count;
    int *workers;                          /* (count) */
    double *step_s;                        /* (count) */
    double (*parts_s)[SCALING_PART_COUNT]; /* (count) scaled to add up to step_s */
    int parts_known;
    double *spread;   /* (count) relative standard error of step_s from its own steps, or NaN */
    double spread_df; /* 0 unless all are known */
    int distinct;     /* worker counts */
    int smallest, largest;
    char left_out[128];    /* "n = 4 and 8 share 2 cores", or "" */
    char obstacle[192];    /* why no law can be fitted to these points, or "" */
    double *x, *y, *scale; /* (count, SCALING_TERMS_MAX), (count), (count): scratch of the fits */
} scaling_observations;

/* The trials in order, with what their steps tell. A trial that is off by a quarter where most at its n agree to 5 %
 * was disturbed by something else on the machine: it says nothing about the scaling, and is set aside. */
typedef struct scaling_trials {
    int count;
    const scaling_trial **trials; /* (count) ascending by workers, then repeat */
    scaling_spread *spreads;      /* (count) */
    int disturbed_count;
    const scaling_trial **disturbed; /* (disturbed_count) */
} scaling_trials;

/* BASE_DATA: there is no trial, a time is no positive number, or trials do not belong together. */
base_status scaling_trials_sort(base_arena *arena, const scaling_sweep *sweep, uint64_t seed, scaling_trials *trials);

/* Fills all of `points` but speedup, efficiency and karp_flatt; `points` has room for trials->count. */
base_status scaling_points_make(base_arena *arena, const scaling_sweep *sweep, const scaling_trials *trials,
                                uint64_t seed, scaling_point *points, int *count);

/* speedup, efficiency and karp_flatt over `t1_s`, T(1); NaN: not known, and so are the speedups. */
void scaling_points_compare(scaling_mode mode, scaling_point *points, int count, scaling_value t1_s);

/* 1: it is sure that n workers are more than n times as fast as one, which no law here describes. Sure is as far again
 * from the value as an end of its interval, since among many points one lies outside of it by chance. */
int scaling_point_is_superlinear(const scaling_point *point);

/* 1: workers times threads of this trial are more than its cores. */
int scaling_shares_cores(const scaling_trial *trial);

/* Parts that add up to `whole`; returns 0, with zeros, where they are not known. */
int scaling_parts_scale(const double *parts_s, double whole, double *scaled);

base_status scaling_observe(base_arena *arena, scaling_mode mode, const scaling_trials *trials,
                            const scaling_point *points, int point_count, scaling_observations *seen);

/* "law->ok = 0, because ..."; what was left out is appended. */
void scaling_refuse(scaling_law *law, const scaling_observations *seen, const char *fmt, ...) BASE_PRINTF(3, 4);

#endif
