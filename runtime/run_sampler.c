#include "run_sampler.h"

#include "base_random.h"

/* Four rounds make a pseudo-random permutation (Luby, Rackoff 1988) of a large domain; small ones need more. */
enum { ROUNDS = 6 };

/* Bits of half a position: 4^bits is the smallest power of four that holds all samples. */
static int half_bits(int64_t samples)
{
    int bits = 0;
    while ((INT64_C(1) << 2 * bits) < samples)
        bits++;
    return bits;
}

static uint64_t feistel(const base_random *stream, int bits, uint64_t x)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << bits) - 1);
    uint32_t left = (uint32_t)(x >> bits), right = (uint32_t)x & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t words[4];
        base_random_block(stream, right, round, words);
        uint32_t next = left ^ (words[0] & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << bits | right;
}

/* The walk ends: the positions below `samples` lie on cycles of the permutation, each of which comes back to them. */
static int64_t permute(const base_random *stream, int bits, int64_t samples, int64_t position)
{
    uint64_t x = (uint64_t)position;
    do {
        x = feistel(stream, bits, x);
    } while (x >= (uint64_t)samples);
    return (int64_t)x;
}

int64_t run_sampler_steps(const run_sampler *self)
{
    return self->samples / self->batch + (self->samples % self->batch != 0);
}

/* count * rank / size without overflow for any count. */
int64_t run_share_begin(int64_t count, int rank, int size)
{
    return count / size * rank + count % size * rank / size;
}

run_share run_sampler_share(const run_sampler *self, int64_t step_in_epoch)
{
    run_share share = {.position = step_in_epoch * self->batch};
    int64_t left = self->samples - share.position;
    share.count = left < self->batch ? left : self->batch;
    share.share_begin = run_share_begin(share.count, self->rank, self->size);
    share.share_count = run_share_begin(share.count, self->rank + 1, self->size) - share.share_begin;
    return share;
}

int64_t run_sampler_share_max(const run_sampler *self)
{
    int64_t batch = self->samples < self->batch ? self->samples : self->batch;
    return batch / self->size + (batch % self->size != 0);
}

int64_t run_sampler_index(const run_sampler *self, int64_t epoch, int64_t position)
{
    int64_t index;
    run_sampler_indices(self, epoch, position, 1, &index);
    return index;
}

void run_sampler_indices(const run_sampler *self, int64_t epoch, int64_t begin, int64_t count, int64_t *indices)
{
    if (!self->shuffle) {
        for (int64_t i = 0; i < count; i++)
            indices[i] = begin + i;
        return;
    }
    const base_random stream = base_random_stream(self->seed, BASE_STREAM_SHUFFLE, (uint64_t)epoch);
    const int bits = half_bits(self->samples);
    for (int64_t i = 0; i < count; i++)
        indices[i] = permute(&stream, bits, self->samples, begin + i);
}
