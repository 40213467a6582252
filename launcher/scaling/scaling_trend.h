/* scaling_trend.h: how a part of a step goes on beyond the largest n, where several trends fit. Local.
 *
 * A trend is offset(n) + sum over k of c_k f_k(n). For each, the coefficients have the posterior distribution of
 * weighted least squares with noise of unknown size (normal and inverse chi-squared), and the trend has a weight:
 * Bayesian model averaging (Raftery, Madigan, Hoeting 1997, J. Am. Stat. Assoc. 92, 179). Draws from the mixture spread
 * the wider the further the trends part. The weight is the prior times exp(-0.3 BIC) instead of exp(-0.5 BIC): with a
 * handful of observations the full exponent drops trends too soon, and intervals miss. Where an estimate is not
 * allowed, it is also times the share of the posterior that is.
 */
#ifndef SCALING_TREND_H
#define SCALING_TREND_H

#include "base_arena.h"
#include "scaling_fit.h"
#include "scaling_random.h"

typedef enum scaling_shape {
    SCALING_SHAPE_NONE,
    SCALING_SHAPE_ONE,     /* 1 */
    SCALING_SHAPE_INVERSE, /* 1/n */
    SCALING_SHAPE_LOG,     /* log2 n */
    SCALING_SHAPE_JITTER,  /* log2(n) / n: what waits for the latest of n, where work is divided among n */
    SCALING_SHAPE_RING,    /* (n-1) / n */
    SCALING_SHAPE_LINEAR,  /* n - 1 */
    SCALING_SHAPE_REDUCE   /* what is left of an all-reduce behind a backward pass, below */
} scaling_shape;

/* max(0, alpha log2 n + beta m 2 (n-1)/n - overlap (hidden_s + hidden_divided_s / n)) */
typedef struct scaling_exposed {
    double alpha_s, transfer_s; /* transfer: beta m */
    double overlap, hidden_s, hidden_divided_s;
} scaling_exposed;
double scaling_exposed_at(const scaling_exposed *self, double n);

typedef struct scaling_trend {
    scaling_shape shapes[SCALING_TERMS_MAX]; /* up to the first NONE; coefficients below 0 are not allowed ... */
    int any_sign;                            /* ... but with this they are */
    int offset;                              /* 1: exposed is added with the coefficient 1 */
    int near_one;                            /* the first coefficient is a factor that is expected to be 1 */
    scaling_exposed exposed;                 /* of the offset or of SHAPE_REDUCE */
    double prior;                            /* up to a factor */
} scaling_trend;

/* A series of the trials: `y` at `workers`, with a standard deviation of `scale` times one unknown number. */
typedef struct scaling_series {
    int count;
    const int *workers;  /* (count) */
    const double *y;     /* (count) */
    const double *scale; /* (count) */
    double noise;        /* what that number is expected to be */
} scaling_series;

typedef struct scaling_draw {
    const scaling_trend *trend;
    double c[SCALING_TERMS_MAX];
} scaling_draw;

/* Draws from the posterior mixture of `trends`, of which the first must have one term of positive shape, so that it can
 * be fitted to anything. `draws` (draw_count). */
base_status scaling_trend_draw(base_arena *arena, const scaling_series *series, const scaling_trend *trends,
                               int trend_count, scaling_random *random, scaling_draw *draws, int draw_count);

/* The part at n that a draw tells, at least 0. */
double scaling_draw_at(const scaling_draw *draw, double n);

#endif
