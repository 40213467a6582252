/* ops_host_philox.h: Philox4x32-10 (base_random.h) for many blocks side by side, equal to base_random_block to the bit.
 *
 * A counter word lives in the low half of a 64-bit lane, since what a round needs is the whole product of two 32-bit
 * words: every x86 has that as one instruction, which the compiler does not find by itself before AVX-512. High halves
 * hold anything and are ignored.
 */
#ifndef OPS_HOST_PHILOX_H
#define OPS_HOST_PHILOX_H

#include "base_random.h"

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { PHILOX_LANES = 8 };
#elif defined(__AVX2__)
enum { PHILOX_LANES = 4 };
#else
enum { PHILOX_LANES = 2 };
#endif

typedef uint64_t philox_lanes __attribute__((vector_size(8 * PHILOX_LANES)));

/* The product of the low halves of each lane. */
static inline philox_lanes philox_product(philox_lanes a, philox_lanes b)
{
#if defined(__AVX512F__)
    return (philox_lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (philox_lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (philox_lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* Block by block, lane i of a (words 0 and 1) and lane i of b (words 2 and 3). */
static inline void philox_store(philox_lanes a, philox_lanes b, uint32_t *words)
{
#if defined(__AVX512F__)
    const philox_lanes low = {0, 8, 1, 9, 2, 10, 3, 11}, high = {4, 12, 5, 13, 6, 14, 7, 15};
#elif defined(__AVX2__)
    const philox_lanes low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
#else
    const philox_lanes low = {0, 2}, high = {1, 3};
#endif
    philox_lanes first = __builtin_shuffle(a, b, low), second = __builtin_shuffle(a, b, high);
    memcpy(words, &first, sizeof first);
    memcpy(words + 2 * PHILOX_LANES, &second, sizeof second);
}

/* The words of `blocks` blocks of a sample from block `first` on. Writes whole groups of PHILOX_LANES blocks, so that
 * `words` has room for up to PHILOX_LANES - 1 blocks more. */
static inline void philox_blocks(const base_random *random, uint32_t sample, uint32_t first, int64_t blocks,
                                 uint32_t *words)
{
    const philox_lanes zero = {0}, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;
    const uint32_t high_word = random->stream << 16 | (uint32_t)(random->step >> 32 & 0xffff);
    philox_lanes block = zero + first;
    for (int lane = 0; lane < PHILOX_LANES; lane++)
        block[lane] += (uint64_t)lane;
    for (int64_t i = 0; i < blocks; i += PHILOX_LANES, block += PHILOX_LANES) {
        philox_lanes c0 = block, c1 = zero + sample, c2 = zero + (uint32_t)random->step, c3 = zero + high_word;
        uint32_t k0 = random->key[0], k1 = random->key[1];
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            philox_lanes p0 = philox_product(c0, m0), p1 = philox_product(c2, m1);
            c0 = (p1 >> 32) ^ c1 ^ k0;
            c2 = (p0 >> 32) ^ c3 ^ k1;
            c1 = p1;
            c3 = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        philox_store((c0 & 0xffffffffu) | c1 << 32, (c2 & 0xffffffffu) | c3 << 32, words + 4 * i);
    }
}

#endif
