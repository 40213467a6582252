/* gpu_kernel.cuh: what the kernels share: packs of elements (gpu_pack.cuh), sums over warps and blocks, how a launch is
 * sized, and loops over elements and rows.
 *
 * Block and grid sizes depend on shapes alone, so that sums have the same order on every device.
 */
#ifndef GPU_KERNEL_CUH
#define GPU_KERNEL_CUH

#include <stddef.h>
#include <stdint.h>

#include "gpu_api.h"
extern "C" {
#include "ops.h"
}
#include "gpu_kernels.h"
#include "gpu_pack.cuh"

constexpr int GPU_THREADS = 256; /* a block */
constexpr int GPU_WARPS = GPU_THREADS / GPU_WARP;

/* Blocks of a loop over a grid at most, 16 a multiprocessor of a H100, and of one whose blocks' sums are added up, 4.
 * The emulator's are few, so that small tensors show what comes after a first round. */
#if defined(DDPT_GPU_EMULATED)
constexpr int GPU_BLOCKS_MAX = 20, GPU_BLOCKS_SUMS = 12;
#else
constexpr int GPU_BLOCKS_MAX = 2112, GPU_BLOCKS_SUMS = 528;
#endif

/* ---- sums over a warp and a block ---- */

static __device__ __forceinline__ int gpu_lane()
{
    return (int)threadIdx.x % GPU_WARP;
}

static __device__ __forceinline__ int gpu_warp()
{
    return (int)threadIdx.x / GPU_WARP;
}

/* All lanes get the sum, the same to the bit. */
template <typename T> static __device__ __forceinline__ T gpu_warp_sum(T x)
{
#pragma unroll
    for (int by = GPU_WARP / 2; by > 0; by /= 2)
        x += gpu_shuffle_xor(x, by);
    return x;
}

/* NaN where any lane has one. */
static __device__ __forceinline__ float gpu_warp_max(float x)
{
#pragma unroll
    for (int by = GPU_WARP / 2; by > 0; by /= 2) {
        const float other = gpu_shuffle_xor(x, by);
        x = x != x || x > other ? x : other;
    }
    return x;
}

/* sum[k] of all threads of a block of GPU_THREADS, in all of them. */
template <int K, typename T> static __device__ __forceinline__ void gpu_block_sum(T (&sum)[K])
{
    __shared__ T part[K][GPU_WARPS];
#pragma unroll
    for (int k = 0; k < K; k++) {
        const T all = gpu_warp_sum(sum[k]);
        if (gpu_lane() == 0)
            part[k][gpu_warp()] = all;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < K; k++) {
        T all = part[k][0];
        for (int w = 1; w < GPU_WARPS; w++)
            all += part[k][w];
        sum[k] = all;
    }
    __syncthreads(); /* `part` may be written again */
}

/* ---- launches ---- */

static inline int64_t gpu_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Blocks for `items` that one thread each takes at a time. */
static inline unsigned gpu_blocks(int64_t items)
{
    const int64_t blocks = gpu_ceil_div(items, GPU_THREADS);
    return (unsigned)(blocks < 1 ? 1 : blocks < GPU_BLOCKS_MAX ? blocks : GPU_BLOCKS_MAX);
}

/* This thread's number in a grid of one dimension, and the grid's threads: the start and step of its loop. */
static __device__ __forceinline__ int64_t gpu_thread()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ int64_t gpu_threads()
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* ---- one operation for every element ---- */

/* op.at<N>(i) works on elements i .. i + N - 1; N is WIDE or, for the last few, 1. */
template <int WIDE, typename Op>
static __global__ void __launch_bounds__(GPU_THREADS) gpu_map_kernel(const Op op, const int64_t count)
{
    const int64_t packs = count / WIDE;
    for (int64_t p = gpu_thread(); p < packs; p += gpu_threads())
        op.template at<WIDE>(p * WIDE);
    if (WIDE > 1 && packs * WIDE + gpu_thread() < count) /* at most one each */
        op.template at<1>(packs * WIDE + gpu_thread());
}

template <int WIDE, typename Op> static gpuError_t gpu_map(gpuStream_t stream, const Op &op, int64_t count)
{
    if (count <= 0)
        return gpuSuccess;
    return GPU_LAUNCH((gpu_map_kernel<WIDE, Op>), gpu_blocks(gpu_ceil_div(count, WIDE)), GPU_THREADS, stream, op,
                      count);
}

/* ---- one operation for every element of rows ---- */

/* A loop over the packs of rows, `packs` a row, without a division for each: the thread's place, and its step. */
struct gpu_walk {
    int64_t row, pack, row_step, pack_step;
};

static __device__ __forceinline__ gpu_walk gpu_walk_begin(int64_t packs)
{
    gpu_walk w;
    if (gpu_threads() <= 0x7fffffff && packs <= 0x7fffffff) {
        const uint32_t thread = (uint32_t)gpu_thread(), threads = (uint32_t)gpu_threads(), wide = (uint32_t)packs;
        w.row = thread / wide;
        w.pack = thread % wide;
        w.row_step = threads / wide;
        w.pack_step = threads % wide;
    } else {
        w.row = gpu_thread() / packs;
        w.pack = gpu_thread() % packs;
        w.row_step = gpu_threads() / packs;
        w.pack_step = gpu_threads() % packs;
    }
    return w;
}

static __device__ __forceinline__ void gpu_walk_next(gpu_walk *w, int64_t packs)
{
    w->row += w->row_step;
    w->pack += w->pack_step;
    if (w->pack >= packs) {
        w->pack -= packs;
        w->row++;
    }
}

/* op.at<N>(row, column) works on N elements of a row. */
template <int N, typename Op>
static __global__ void __launch_bounds__(GPU_THREADS)
    gpu_map_rows_kernel(const Op op, const int64_t rows, const int64_t packs)
{
    for (gpu_walk w = gpu_walk_begin(packs); w.row < rows; gpu_walk_next(&w, packs))
        op.template at<N>(w.row, w.pack * N);
}

/* wide: 0 where some row does not begin at 16 bytes or `columns` is no multiple of WIDE. */
template <int WIDE, typename Op>
static gpuError_t gpu_map_rows(gpuStream_t stream, const Op &op, int64_t rows, int64_t columns, bool wide)
{
    if (rows <= 0 || columns <= 0)
        return gpuSuccess;
    if (!wide)
        return GPU_LAUNCH((gpu_map_rows_kernel<1, Op>), gpu_blocks(rows * columns), GPU_THREADS, stream, op, rows,
                          columns);
    return GPU_LAUNCH((gpu_map_rows_kernel<WIDE, Op>), gpu_blocks(rows * (columns / WIDE)), GPU_THREADS, stream, op,
                      rows, columns / WIDE);
}

#endif
