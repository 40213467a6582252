/* base_random.h: Philox4x32-10, random numbers as a function of (seed; stream, step, sample, element).
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11. The counter's words are
 * {element / 4, sample, step's low word, stream << 16 | step's next 16 bits}; element e takes word e % 4 of the block.
 * The same numbers come out whatever the number of ranks and on every back end.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* Streams; an op with random numbers takes BASE_STREAM_OP + its node number. */
enum {
    BASE_STREAM_SHUFFLE = 1,
    BASE_STREAM_DATA = 2, /* built-in data sets */
    BASE_STREAM_INIT = 3,
    BASE_STREAM_OP = 1024
};

typedef struct base_random {
    uint32_t key[2];
    uint32_t stream; /* < 65536 */
    uint64_t step;   /* < 2^48 */
} base_random;

base_random base_random_stream(uint64_t seed, uint32_t stream, uint64_t step);

/* One block: ten rounds over `counter` with `key`. */
void base_random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Block `block` of a sample: the words of elements 4 block .. 4 block + 3. */
void base_random_block(const base_random *self, uint32_t sample, uint32_t block, uint32_t out[4]);

/* Uniform in [0, 1), 24 bits. */
float base_random_uniform(uint32_t word);

/* Two standard normal numbers from two words (Box-Muller, in double). */
void base_random_normal(uint32_t word0, uint32_t word1, float out[2]);

#endif
