/* scaling.h: a scaling experiment as data: trials that were measured, and what follows from them.
 *
 * Workers are ranks. Times are seconds. T(n): median step at n workers. Strong scaling keeps the global batch, weak
 * scaling the batch of a worker.
 */
#ifndef SCALING_H
#define SCALING_H

#include "base_status.h"

#include <jansson.h>
#include <stdint.h>

typedef enum scaling_mode { SCALING_STRONG, SCALING_WEAK } scaling_mode;

/* Where the time of a step goes, seen from the rank that the others wait for (run_balance.h); the parts of a step add
 * up to its length. */
typedef enum scaling_part {
    SCALING_DATA,
    SCALING_FORWARD,
    SCALING_BACKWARD,
    SCALING_UPDATE,
    SCALING_OTHER,
    SCALING_IMBALANCE, /* not always the same rank is late */
    SCALING_REDUCE,    /* exposed communication */
    SCALING_PART_COUNT
} scaling_part;
const char *scaling_part_name(scaling_part part); /* "data", ..., "imbalance", "reduce" */

/* An all-reduce of `nbytes` took `seconds` (median, slowest rank). */
typedef struct scaling_allreduce {
    int64_t nbytes;
    double seconds;
} scaling_allreduce;
enum { SCALING_ALLREDUCE_MAX = 16 };

/* One run of the step loop at one worker count. */
typedef struct scaling_trial {
    int workers, repeat; /* repeat from 0 */
    int64_t batch;       /* global */
    int nodes, threads;  /* threads of each worker */
    int cores;           /* that the workers may use together; workers * threads > cores: they share */
    int64_t steps;       /* after the warm-up */
    double
        *steps_s; /* (steps_count) lengths of steps in the order in which they ran; a sample if there were very many */
    int steps_count;
    double step_s;                      /* median */
    double parts_s[SCALING_PART_COUNT]; /* means a step */
    int slowest;                        /* rank */
    double slower[SCALING_PART_COUNT];  /* 0.31: in this part the slowest rank takes 31 % longer than the median rank */
    int allreduce_count;
    scaling_allreduce allreduce[SCALING_ALLREDUCE_MAX];
} scaling_trial;

typedef struct scaling_sweep {
    scaling_mode mode;
    char name[64];          /* of the configuration */
    char digest[17];        /* of the configuration, or "" */
    json_t *config;         /* full echo, or NULL */
    json_t *environment;    /* versions, CPU, hosts, launch command, date; or NULL */
    int64_t gradient_bytes; /* that a step reduces; 0: not known */
    int oversubscribe;      /* the user wants points at which workers share cores to count */
    int count;
    scaling_trial *trials;
} scaling_sweep;

/* A sweep that is all zeros is an empty one. */
void scaling_sweep_clear(scaling_sweep *self);
/* Takes over steps_s, also when it fails (no memory). */
base_status scaling_sweep_add(scaling_sweep *self, const scaling_trial *trial);

/* ---- what follows ---- */

/* A figure with its 95 % interval; low = high = NaN where that is not known.
 *
 * T(n): median over the trials at n of their median steps; interval by a bootstrap of trials and of blocks of steps.
 * S(n) = T(1) / T(n), for weak scaling n T(1) / T(n), the ratio of rates; E(n) = S(n) / n. Their intervals join those
 * of T(1) and T(n). Where n = 1 was not measured, T(1) is that of the fitted law, with its interval. The laws are
 * fitted to all trials at points that count, by least squares with relative errors, and have intervals by Student's t
 * and by Fieller's theorem (scaling_laws.h). */
typedef struct scaling_value {
    double value, low, high;
} scaling_value;

/* T(n) of `count` trials at one n. BASE_DATA as scaling_analyse, BASE_ERROR: no memory. */
base_status scaling_step_interval(const scaling_trial *trials, int count, uint64_t seed, scaling_value *step_s);

typedef struct scaling_point {
    int workers, trials;
    int disturbed; /* further trials, at least a quarter longer or shorter while most agree to 5 %: they do not count */
    int64_t batch;
    scaling_value step_s, speedup, efficiency; /* low = high = NaN with one trial of too few steps */
    double samples_per_second;
    double karp_flatt;                  /* (1/S - 1/n) / (1 - 1/n); NaN at n = 1 and for weak scaling */
    double parts_s[SCALING_PART_COUNT]; /* means over trials, scaled to add up to step_s */
    int slowest;                        /* rank, in most trials */
    double slower[SCALING_PART_COUNT];  /* median over trials */
    int shares_cores;                   /* more workers times threads than cores */
    int fitted;                         /* counts in the fits */
} scaling_point;

/* Where the data cannot support a figure, `ok` is 0 and `reason` says why; what stands beside means nothing then. */
typedef struct scaling_law {
    int ok;
    char reason[256];
} scaling_law;

/* Strong scaling. T(n) = T1 ((1-p) + p/n), so S(n) = 1 / ((1-p) + p/n), S_max = 1 / (1-p). Amdahl 1967. */
typedef struct scaling_amdahl {
    scaling_law law;
    scaling_value parallel_fraction, max_speedup; /* max_speedup: INFINITY where the interval of p reaches 1 */
    double t1_s;
} scaling_amdahl;

/* Weak scaling. S(n) = n - s (n-1), s the serial fraction of a step at one worker's load. Gustafson 1988. */
typedef struct scaling_gustafson {
    scaling_law law;
    scaling_value serial_fraction;
} scaling_gustafson;

/* S(n) = n / (1 + contention (n-1) + coherency n (n-1)). Gunther 2007. */
typedef struct scaling_usl {
    scaling_law law;
    scaling_value contention, coherency, peak_workers; /* peak: 1 where more workers only make it slower; INFINITY where
                                                          the interval of coherency holds 0 */
    double t1_s;
} scaling_usl;

/* An all-reduce of m bytes at n workers takes alpha log2(n) + beta m 2 (n-1)/n. A term that comes out negative is 0. */
typedef struct scaling_alpha_beta {
    scaling_law law;
    scaling_value alpha_s, beta_s_per_byte;
} scaling_alpha_beta;

typedef struct scaling_cause {
    scaling_part part;
    double fraction; /* of the serial fraction 1-p: all causes add up to it; negative: got better than 1/n */
    int rank;        /* that is slower than the others in this part at the largest n; -1: nobody in particular */
    double slower;
} scaling_cause;

typedef struct scaling_prediction {
    int workers;
    scaling_value step_s, efficiency;
} scaling_prediction;
enum { SCALING_PREDICTION_MAX = 16 };

typedef struct scaling_analysis {
    int point_count;
    scaling_point *points;   /* ascending by workers */
    scaling_law speedup_law; /* of the points' speedups and efficiencies: refused where workers are of different kinds,
                                so that those say nothing, or where T(1) is not known, so that there are none (NaN) */
    scaling_amdahl amdahl;
    scaling_gustafson gustafson;
    scaling_usl usl;
    scaling_alpha_beta alpha_beta;
    scaling_law causes_law;
    double causes_total; /* what the causes add up to: 1-p, or Gustafson's serial fraction. Where the law is refused
                            because more workers make steps longer it is 1: there is no serial fraction, and the causes
                            are shares of what does not get shorter. Where it is refused for another reason, so are the
                            causes */
    int cause_count;
    scaling_cause causes[SCALING_PART_COUNT]; /* largest first */
    scaling_law prediction_law;
    int prediction_count;
    scaling_prediction prediction[SCALING_PREDICTION_MAX]; /* 2x, 4x, 16x ... the largest n, or those asked for that
                                                              were not measured; ascending */
    double target_efficiency;
    scaling_law worth_law;
    int worth_workers; /* the largest n with an efficiency of at least the target: measured, or expected where it was
                          not measured (scaling_worth.h) */
    scaling_value worth_interval; /* of that; high = INFINITY: beyond the largest n looked at */
    int worth_most;               /* the largest n looked at: measured or predicted */
    int worth_beyond;             /* 1: worth_workers is worth_most; more may be worth it too */
} scaling_analysis;

typedef struct scaling_options {
    double target_efficiency;            /* 0.7 */
    int predict_count;                   /* 0: 2x, 4x, 16x the largest n */
    int predict[SCALING_PREDICTION_MAX]; /* each at least 1; 1 and what was measured are left out, and doubles */
    uint64_t seed;                       /* of the bootstrap */
} scaling_options;

/* `options` may be all zeros. Fails only for lack of memory, and with BASE_DATA where there is no trial, a time is no
 * positive number, or trials do not belong together (strong scaling with different batches, weak scaling with different
 * batches a worker). The same sweep and options bring the same figures. */
base_status scaling_analyse(const scaling_sweep *sweep, const scaling_options *options, scaling_analysis *analysis);
void scaling_analysis_clear(scaling_analysis *self);

#endif
