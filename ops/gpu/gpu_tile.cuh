/* gpu_tile.cuh: what products on tensor cores are made of: copies into shared memory that run beside the arithmetic,
 * and the product of small tiles by a warp (PTX ISA: cp.async, mma.m16n8k8). NVIDIA's alone, from compute
 * capability 8.0.
 *
 * A tile product is D (16, 8) += A (16, 8) B (8, 8). With g = lane / 4 and t = lane % 4 a lane holds of
 *   A  (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
 *   B  (t, g), (t + 4, g)
 *   D  (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
 */
#ifndef GPU_TILE_CUH
#define GPU_TILE_CUH

#include "gpu_kernel.cuh"

#if defined(DDPT_GPU_EMULATED)

/* Blocks run one after the other. */
static inline void gpu_fence()
{
}

static inline uint32_t gpu_atomic_add(uint32_t *to, uint32_t by)
{
    const uint32_t before = *to;
    *to += by;
    return before;
}

template <int N> static inline gpu_pack<N> gpu_load_fresh(const float *from)
{
    return gpu_load<N>(from);
}

/* `nbytes` of 16 or 4, zeros behind them. */
template <int WIDTH> static inline void gpu_copy_async(float *to, const float *from, int nbytes)
{
    gpu_emulator_copy(to, from, nbytes, WIDTH, __FILE__, __LINE__);
}

static inline void gpu_copy_commit()
{
    gpu_emulator_copy_commit();
}

template <int LEFT> static inline void gpu_copy_wait()
{
    gpu_emulator_copy_wait(LEFT);
}

/* To 10 bits of mantissa, to nearest, ties away from zero. */
static inline float gpu_tf32(float x)
{
    return __uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu);
}

static inline void gpu_tile_multiply(float *d, const float *a, const float *b)
{
    gpu_emulator_words own;
    memcpy(own.word, a, 4 * sizeof *a);
    memcpy(own.word + 2, b, 2 * sizeof *b);
    const gpu_emulator_words *lanes = gpu_emulator_share(own, __FILE__, __LINE__);
    const int g = gpu_lane() / 4, t = gpu_lane() % 4;
    for (int k = 0; k < 8; k++) {
        float of_a[4], left[2], right[2];
        memcpy(of_a, lanes[g * 4 + k % 4].word, sizeof of_a);
        memcpy(left, lanes[8 * t + k % 4].word + 2, sizeof left);
        memcpy(right, lanes[8 * t + 4 + k % 4].word + 2, sizeof right);
        d[0] += of_a[k / 4 * 2] * left[k / 4];
        d[1] += of_a[k / 4 * 2] * right[k / 4];
        d[2] += of_a[k / 4 * 2 + 1] * left[k / 4];
        d[3] += of_a[k / 4 * 2 + 1] * right[k / 4];
    }
}

#else

/* What this thread wrote before is seen before what it writes after. */
static __device__ __forceinline__ void gpu_fence()
{
    __threadfence();
}

static __device__ __forceinline__ uint32_t gpu_atomic_add(uint32_t *to, uint32_t by)
{
    return atomicAdd(to, by);
}

/* Past the first-level cache, which does not see what other multiprocessors write. */
template <int N> static __device__ __forceinline__ gpu_pack<N> gpu_load_fresh(const float *from)
{
    static_assert(N == 1 || N == 4, "4 bytes or 16");
    if constexpr (N == 1) {
        return gpu_pack<N>{{__ldcg(from)}};
    } else {
        const float4 v = __ldcg(reinterpret_cast<const float4 *>(from));
        return gpu_pack<N>{{v.x, v.y, v.z, v.w}};
    }
}

template <int WIDTH> static __device__ __forceinline__ void gpu_copy_async(float *to, const float *from, int nbytes)
{
    const uint32_t shared = (uint32_t)__cvta_generic_to_shared(to);
    if constexpr (WIDTH == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(nbytes) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared), "l"(from), "r"(nbytes) : "memory");
}

/* The copies since the last commit are a group; all but the last LEFT groups are there after a wait. */
static __device__ __forceinline__ void gpu_copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int LEFT> static __device__ __forceinline__ void gpu_copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

static __device__ __forceinline__ float gpu_tf32(float x)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

static __device__ __forceinline__ void gpu_tile_multiply(float *d, const float *a, const float *b)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
                   "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

#endif

#endif
