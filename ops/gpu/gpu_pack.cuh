/* gpu_pack.cuh: element types and packs of them.
 *
 * Arithmetic is in float whatever a tensor's elements are; they are converted as they are loaded and stored. A pack of
 * gpu_wide<T>() elements is 16 bytes of T; a pack of 1 is the way at ends, and in rows that 16 bytes do not divide.
 */
#ifndef GPU_PACK_CUH
#define GPU_PACK_CUH

#include <stdint.h>

#include "gpu_api.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#endif

struct gpu_bf16 {
    uint16_t bits;
};

template <typename T> __host__ __device__ constexpr int gpu_wide()
{
    return 16 / (int)sizeof(T);
}

static __device__ __forceinline__ float gpu_to_float(float x)
{
    return x;
}

static __device__ __forceinline__ float gpu_to_float(gpu_bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

/* To nearest, ties to even; NaN stays NaN. */
static __device__ __forceinline__ uint32_t gpu_round_bf16(float x)
{
#if defined(__CUDACC__)
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    uint32_t u = __float_as_uint(x);
    return x != x ? 0x7fffu : (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
#endif
}

template <typename T> __device__ T gpu_from_float(float x);

template <> __device__ __forceinline__ float gpu_from_float<float>(float x)
{
    return x;
}

template <> __device__ __forceinline__ gpu_bf16 gpu_from_float<gpu_bf16>(float x)
{
    return gpu_bf16{(uint16_t)gpu_round_bf16(x)};
}

template <int N> struct gpu_pack {
    float x[N];
};

/* The elements of a word of 32 bits: one float or two bfloat16, the first in the low half. */
static __device__ __forceinline__ void gpu_open_word(const float *, uint32_t word, float *x)
{
    x[0] = __uint_as_float(word);
}

static __device__ __forceinline__ void gpu_open_word(const gpu_bf16 *, uint32_t word, float *x)
{
    x[0] = __uint_as_float(word << 16);
    x[1] = __uint_as_float(word & 0xffff0000u);
}

static __device__ __forceinline__ uint32_t gpu_close_word(const float *, const float *x)
{
    return __float_as_uint(x[0]);
}

static __device__ __forceinline__ uint32_t gpu_close_word(const gpu_bf16 *, const float *x)
{
#if defined(__CUDACC__)
    __nv_bfloat162 two = __floats2bfloat162_rn(x[0], x[1]);
    return (uint32_t)__bfloat16_as_ushort(two.y) << 16 | __bfloat16_as_ushort(two.x);
#else
    return gpu_round_bf16(x[1]) << 16 | gpu_round_bf16(x[0]);
#endif
}

/* N elements, or N = 1. Of more than one, `from` is aligned to all their bytes or to 16, whichever is less. */
template <int N, typename T> static __device__ __forceinline__ gpu_pack<N> gpu_load(const T *from)
{
    constexpr int BYTES = N * (int)sizeof(T), EACH = 4 / (int)sizeof(T);
    gpu_pack<N> p;
    if constexpr (N == 1) {
        p.x[0] = gpu_to_float(*from);
    } else if constexpr (BYTES % 16 == 0) {
#pragma unroll
        for (int i = 0; i < BYTES / 16; i++) {
            const uint4 word = reinterpret_cast<const uint4 *>(from)[i];
            gpu_open_word(from, word.x, p.x + (4 * i) * EACH);
            gpu_open_word(from, word.y, p.x + (4 * i + 1) * EACH);
            gpu_open_word(from, word.z, p.x + (4 * i + 2) * EACH);
            gpu_open_word(from, word.w, p.x + (4 * i + 3) * EACH);
        }
    } else if constexpr (BYTES == 8) {
        const uint2 word = *reinterpret_cast<const uint2 *>(from);
        gpu_open_word(from, word.x, p.x);
        gpu_open_word(from, word.y, p.x + EACH);
    } else {
        static_assert(BYTES == 4, "a pack is 4, 8 or a multiple of 16 bytes");
        gpu_open_word(from, *reinterpret_cast<const uint32_t *>(from), p.x);
    }
    return p;
}

template <int N, typename T> static __device__ __forceinline__ void gpu_store(T *to, const gpu_pack<N> &p)
{
    constexpr int BYTES = N * (int)sizeof(T), EACH = 4 / (int)sizeof(T);
    const T *kind = nullptr;
    if constexpr (N == 1) {
        *to = gpu_from_float<T>(p.x[0]);
    } else if constexpr (BYTES % 16 == 0) {
#pragma unroll
        for (int i = 0; i < BYTES / 16; i++)
            reinterpret_cast<uint4 *>(to)[i] = make_uint4(
                gpu_close_word(kind, p.x + (4 * i) * EACH), gpu_close_word(kind, p.x + (4 * i + 1) * EACH),
                gpu_close_word(kind, p.x + (4 * i + 2) * EACH), gpu_close_word(kind, p.x + (4 * i + 3) * EACH));
    } else if constexpr (BYTES == 8) {
        *reinterpret_cast<uint2 *>(to) = make_uint2(gpu_close_word(kind, p.x), gpu_close_word(kind, p.x + EACH));
    } else {
        static_assert(BYTES == 4, "a pack is 4, 8 or a multiple of 16 bytes");
        *reinterpret_cast<uint32_t *>(to) = gpu_close_word(kind, p.x);
    }
}

/* Adds what is at `to` where `accumulate`. */
template <int N, typename T>
static __device__ __forceinline__ void gpu_store_or_add(T *to, gpu_pack<N> p, int accumulate)
{
    if (accumulate) {
        const gpu_pack<N> before = gpu_load<N>(to);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] += before.x[k];
    }
    gpu_store<N>(to, p);
}

#endif
