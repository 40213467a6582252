/* run_sampler.h: which sample comes where. Pure functions of (seed, epoch, position): no state, O(1) memory.
 *
 * Epoch e is a permutation of 0 .. samples - 1: a Feistel network over the next power of four whose round function is
 * Philox keyed by the seed (stream BASE_STREAM_SHUFFLE, step e), walked along its cycle until it falls below `samples`
 * (Black, Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Step s of an epoch covers the positions
 * s batch .. min((s + 1) batch, samples) - 1, and rank r its share of them, so that an epoch visits each sample exactly
 * once whatever the number of ranks; shares differ by at most one sample and may be empty in a short last batch.
 */
#ifndef RUN_SAMPLER_H
#define RUN_SAMPLER_H

#include <stdint.h>

typedef struct run_sampler {
    int64_t samples; /* 1 .. 2^48 */
    int64_t batch;   /* global, at least 1 */
    uint64_t seed;
    int shuffle; /* 0: position = sample */
    int rank, size;
} run_sampler;

/* The samples of one step: `count` positions of the whole step, of which this rank has share_count from share_begin on.
 */
typedef struct run_share {
    int64_t position;    /* first position of the step within the epoch */
    int64_t count;       /* global batch of this step */
    int64_t share_begin; /* this rank's first sample, counted within the step */
    int64_t share_count;
} run_share;

/* First sample of `rank`'s share of `count`; that of rank `size` is count. */
int64_t run_share_begin(int64_t count, int rank, int size);

int64_t run_sampler_steps(const run_sampler *self); /* an epoch */
run_share run_sampler_share(const run_sampler *self, int64_t step_in_epoch);
int64_t run_sampler_share_max(const run_sampler *self); /* largest share_count of any rank and step */

/* Sample at `position` of `epoch`. */
int64_t run_sampler_index(const run_sampler *self, int64_t epoch, int64_t position);

/* The same for positions begin .. begin + count - 1. */
void run_sampler_indices(const run_sampler *self, int64_t epoch, int64_t begin, int64_t count, int64_t *indices);

#endif
