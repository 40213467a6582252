#include "base_random.h"

#include <math.h>

base_random base_random_stream(uint64_t seed, uint32_t stream, uint64_t step)
{
    return (base_random){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .stream = stream, .step = step};
}

void base_random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void base_random_block(const base_random *self, uint32_t sample, uint32_t block, uint32_t out[4])
{
    const uint32_t counter[4] = {block, sample, (uint32_t)self->step,
                                 self->stream << 16 | (uint32_t)(self->step >> 32 & 0xffff)};
    base_random_philox(counter, self->key, out);
}

float base_random_uniform(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

void base_random_normal(uint32_t word0, uint32_t word1, float out[2])
{
    double radius = sqrt(-2.0 * log(((double)word0 + 1.0) * 0x1p-32));
    double angle = 6.283185307179586476925 * ((double)word1 * 0x1p-32);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}
