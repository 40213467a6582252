/* scaling_random.h: a sequence of random numbers from Philox (base_random.h), for resampling. The same seed and stream
 * bring the same sequence everywhere.
 */
#ifndef SCALING_RANDOM_H
#define SCALING_RANDOM_H

#include "base_random.h"

/* Streams, apart from those of base_random.h. */
enum { SCALING_STREAM_STEPS = 64, SCALING_STREAM_TRIALS, SCALING_STREAM_PREDICT };

typedef struct scaling_random {
    base_random source;
    uint32_t sample, block;
    uint32_t words[4];
    int left; /* of the words */
} scaling_random;

scaling_random scaling_random_start(uint64_t seed, uint32_t stream, uint32_t sample);

/* Of 0 .. count-1, count > 0. */
int scaling_random_below(scaling_random *self, int count);

/* Uniform in (0, 1), 53 bits. */
double scaling_random_uniform(scaling_random *self);

double scaling_random_normal(scaling_random *self);

/* Chi-squared with `df` > 0 degrees of freedom. Marsaglia and Tsang, ACM Trans. Math. Softw. 26 (2000) 363. */
double scaling_random_chi_squared(scaling_random *self, double df);

#endif
