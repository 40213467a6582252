/* gpu_random.cuh: which elements dropout keeps, from the host's random words (base_random.h). */
#ifndef GPU_RANDOM_CUH
#define GPU_RANDOM_CUH

#include "gpu_kernel.cuh"

#include <math.h>

/* base_random_philox. */
static __device__ __forceinline__ void gpu_philox(uint4 counter, uint2 key, uint32_t *word)
{
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint32_t high0 = __umulhi(0xD2511F53u, counter.x), high1 = __umulhi(0xCD9E8D57u, counter.z);
        counter = make_uint4(high1 ^ counter.y ^ key.x, 0xCD9E8D57u * counter.z, high0 ^ counter.w ^ key.y,
                             0xD2511F53u * counter.x);
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    word[0] = counter.x;
    word[1] = counter.y;
    word[2] = counter.z;
    word[3] = counter.w;
}

/* A gpu_drop as kernels take it; threshold 0: there is none. */
struct gpu_dropout {
    const ops_step *step;
    uint2 key;
    uint32_t random_stream, threshold;
    float scale;
};

static inline gpu_dropout gpu_dropout_of(const gpu_drop *drop)
{
    gpu_dropout d = {};
    d.scale = 1.0f;
    if (!drop)
        return d;
    d.step = drop->step;
    d.key = make_uint2((uint32_t)drop->seed, (uint32_t)(drop->seed >> 32));
    d.random_stream = drop->random_stream;
    d.threshold = (uint32_t)ceil((double)drop->rate * 0x1p32);
    d.scale = 1.0f / (1.0f - drop->rate);
    return d;
}

/* keep[k]: 1 where element + k of sample `row` of this rank is kept; element a multiple of N or, for N > 4, of 4. */
template <int N>
static __device__ __forceinline__ void gpu_keep(const gpu_dropout &d, int64_t row, int64_t element, uint32_t *keep)
{
    constexpr int BLOCKS = N < 4 ? 1 : N / 4;
    const uint64_t step = d.step->step;
    const uint32_t high = d.random_stream << 16 | (uint32_t)(step >> 32 & 0xffff);
    const uint32_t sample = (uint32_t)(d.step->first_sample + row);
    uint32_t word[4 * BLOCKS];
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
        gpu_philox(make_uint4((uint32_t)(element / 4) + b, sample, (uint32_t)step, high), d.key, word + 4 * b);
    if constexpr (N == 1) {
        const uint32_t at = (uint32_t)element % 4;
        keep[0] = (at == 0 ? word[0] : at == 1 ? word[1] : at == 2 ? word[2] : word[3]) >= d.threshold;
    } else if constexpr (N == 2) {
        keep[0] = (element % 4 ? word[2] : word[0]) >= d.threshold;
        keep[1] = (element % 4 ? word[3] : word[1]) >= d.threshold;
    } else {
#pragma unroll
        for (int k = 0; k < N; k++)
            keep[k] = word[k] >= d.threshold;
    }
}

/* A pack of sample `row` from `element` on goes through dropout, where there is one. */
template <int N>
static __device__ __forceinline__ void gpu_drop_pack(const gpu_dropout &d, int64_t row, int64_t element, gpu_pack<N> *p)
{
    if (d.threshold == 0)
        return;
    uint32_t keep[N];
    gpu_keep<N>(d, row, element, keep);
#pragma unroll
    for (int k = 0; k < N; k++)
        p->x[k] = keep[k] ? p->x[k] * d.scale : 0.0f;
}

#endif
