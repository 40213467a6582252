/* scaling_synthetic.h: sweeps with a truth that is known: steps whose parts follow closed forms, with noise from
 * Philox. */
#ifndef SCALING_SYNTHETIC_H
#define SCALING_SYNTHETIC_H

#include "scaling.h"
#include "scaling_random.h"

typedef struct synthetic_truth {
    scaling_mode mode;
    double fixed_s[SCALING_PART_COUNT];   /* at any n */
    double divided_s[SCALING_PART_COUNT]; /* at n = 1; strong scaling divides it by n */
    double imbalance_log_s;               /* imbalance: times log2 n */
    double jitter_s;                      /* imbalance: times log2(n) / n */
    double alpha_s, beta_s_per_byte;
    int64_t bytes;
    double overlap;               /* of the backward pass with the all-reduce */
    double contention, coherency; /* USL's, of the time at n = 1, in the exposed all-reduce */
    int allreduce;                /* is measured by itself */
} synthetic_truth;

typedef struct synthetic_noise {
    double relative; /* standard deviation of a trial, common to its parts */
    double parts;    /* of every part, on its own */
    int lognormal;
    int steps; /* a trial has, with noise of their own of 3 %, and one in 30 up to four times as long; 0: has none */
} synthetic_noise;

/* Length of a step at n, and its parts where `parts_s` is not NULL. */
double synthetic_step(const synthetic_truth *truth, int n, double *parts_s);

/* A factor with mean or median 1. */
double synthetic_factor(scaling_random *random, double sd, int lognormal);

/* `repeats` trials at each of `count` numbers of workers, added to `sweep`. */
void synthetic_sweep(const synthetic_truth *truth, const int *workers, int count, int repeats,
                     const synthetic_noise *noise, scaling_random *random, scaling_sweep *sweep);

#endif
