/* gpu_sums.cuh: sums over the rows of a matrix (R, C), in double and in an order that depends on R and C alone, and
 * loops over such a matrix in which every thread keeps its columns.
 *
 * The matrix is flat memory in packs of N elements. Its columns repeat after a period of lcm(C, N) / N packs, so that a
 * thread that goes on by whole periods meets the same columns in every pack, whatever C is, and a warp reads memory
 * without gaps. A block has `width` packs of a period (all of it where 512 threads can) and `folds` periods at a time.
 */
#ifndef GPU_SUMS_CUH
#define GPU_SUMS_CUH

#include "gpu_kernel.cuh"

enum { GPU_COLUMNS_THREADS = 512 };

typedef struct gpu_columns {
    int64_t elements, c;
    int64_t period; /* packs */
    int64_t groups; /* of folds periods; the last ones may be partly or wholly beyond the end */
    int width, folds, slices;
} gpu_columns;

/* Packs of n; folds are a power of two, to be added up by halves. */
static inline gpu_columns gpu_columns_of(int64_t rows, int64_t c, int n)
{
    gpu_columns k = {rows * c, c, c, 0, 0, 1, 1};
    for (int common = n; common > 1; common /= 2)
        if (c % common == 0) {
            k.period = c / common;
            break;
        }
    k.slices = (int)gpu_ceil_div(k.period, GPU_COLUMNS_THREADS);
    k.width = (int)gpu_ceil_div(k.period, k.slices);
    while (k.slices == 1 && 2 * k.folds * k.width <= GPU_COLUMNS_THREADS)
        k.folds *= 2;
    k.groups = gpu_ceil_div(k.elements, k.period * k.folds * n);
    return k;
}

/* 1 where packs of n elements serve: rows that they divide, or a period that one block holds. */
static inline int gpu_columns_wide(int64_t c, int n)
{
    return c % n == 0 || gpu_columns_of(1, c, n).slices == 1;
}

static inline unsigned gpu_columns_threads(const gpu_columns *k)
{
    return (unsigned)gpu_ceil_div(k->width * k->folds, GPU_WARP) * GPU_WARP;
}

/* Blocks along the rows, each with at least `least` groups. */
static inline int64_t gpu_columns_parts(const gpu_columns *k, int64_t least, int64_t most)
{
    const int64_t worth = gpu_ceil_div(k->groups, least), room = gpu_ceil_div(most, k->slices);
    const int64_t parts = worth < room ? worth : room;
    return parts < 1 ? 1 : parts;
}

/* A thread's part in a launch of (slices, parts) blocks: elements from `at` on in steps of `step`, its columns. */
typedef struct gpu_column_walk {
    int64_t at, step;
    int lane; /* of its block's width * folds */
} gpu_column_walk;

template <int N> static __device__ __forceinline__ gpu_column_walk gpu_columns_begin(const gpu_columns &k)
{
    const int t = (int)threadIdx.x, width = k.width;
    const int64_t pack = (int64_t)blockIdx.x * width + t % width;
    gpu_column_walk walk;
    walk.lane = t;
    walk.step = gridDim.y * k.folds * k.period * N;
    walk.at = (((int64_t)blockIdx.y * k.folds + t / width) * k.period + pack) * N;
    if (t >= width * k.folds || pack >= k.period)
        walk.at = k.elements; /* nothing to do */
    return walk;
}

/* The columns of a walk's packs. */
template <int N>
static __device__ __forceinline__ void gpu_columns_here(const gpu_columns &k, const gpu_column_walk &walk,
                                                        int64_t *column)
{
    column[0] = walk.at % k.c;
#pragma unroll
    for (int i = 1; i < N; i++)
        column[i] = column[i - 1] + 1 < k.c ? column[i - 1] + 1 : 0;
}

/* The pack at `at`, which, unless WHOLE, may reach beyond the end: zeros there. */
template <int N, bool WHOLE, typename T>
static __device__ __forceinline__ gpu_pack<N> gpu_columns_load(const gpu_columns &k, const T *x, int64_t at)
{
    gpu_pack<N> p = {};
    if (WHOLE || at + N <= k.elements)
        p = gpu_load<N>(x + at);
    else
#pragma unroll
        for (int i = 0; i < N; i++)
            p.x[i] = at + i < k.elements ? gpu_to_float(x[at + i]) : 0.0f;
    return p;
}

template <int N, bool WHOLE, typename T>
static __device__ __forceinline__ void gpu_columns_store(const gpu_columns &k, T *y, int64_t at, const gpu_pack<N> &p)
{
    if (WHOLE || at + N <= k.elements)
        gpu_store<N>(y + at, p);
    else
#pragma unroll
        for (int i = 0; i < N; i++)
            if (at + i < k.elements)
                y[at + i] = gpu_from_float<T>(p.x[i]);
}

/* to[column] = the block's sum for each column of its slice; `room` has N * GPU_COLUMNS_THREADS doubles. */
template <int N>
static __device__ void gpu_columns_sum(const gpu_columns &k, const double *sum, double *room, double *to)
{
    const int t = (int)threadIdx.x, threads = k.width * k.folds;
    __syncthreads();
    if (t < threads)
#pragma unroll
        for (int i = 0; i < N; i++)
            room[i * GPU_COLUMNS_THREADS + t] = sum[i];
    __syncthreads();
    for (int rest = threads / 2; rest >= k.width; rest /= 2) {
        if (t < rest)
#pragma unroll
            for (int i = 0; i < N; i++)
                room[i * GPU_COLUMNS_THREADS + t] += room[i * GPU_COLUMNS_THREADS + t + rest];
        __syncthreads();
    }
    const int64_t first = (int64_t)blockIdx.x * k.width * N, left = k.period * N - first;
    const int here = (int)(left < k.width * N ? left : k.width * N);
    for (int column = t; column < here && column < k.c; column += (int)blockDim.x) {
        double all = 0.0;
        for (int64_t e = column; e < here; e += k.c) /* a column more than once in a period */
            all += room[e % N * GPU_COLUMNS_THREADS + e / N];
        to[first + column] = all;
    }
}

/* sums[i] = part[0][i] + part[1][i] + ... of parts (parts, n): a block has `width` columns and adds up `folds` parts at
 * a time. sums may be `part` where there is one part. */
enum { GPU_PARTS_THREADS = 1024 };

typedef struct gpu_parts {
    int64_t parts, n;
    int width, folds; /* folds: a power of two */
} gpu_parts;

static inline gpu_parts gpu_parts_of(int64_t parts, int64_t n)
{
    gpu_parts k = {parts, n, n < 32 ? (int)n : 32, 1};
    while (k.folds < parts && 2 * k.folds * k.width <= GPU_PARTS_THREADS)
        k.folds *= 2;
    while (k.width < n && 2 * k.folds * k.width <= GPU_THREADS)
        k.width *= 2;
    return k;
}

static inline unsigned gpu_parts_blocks(const gpu_parts *k)
{
    return (unsigned)gpu_ceil_div(k->n, k->width);
}

static inline unsigned gpu_parts_threads(const gpu_parts *k)
{
    return (unsigned)gpu_ceil_div(k->width * k->folds, GPU_WARP) * GPU_WARP;
}

/* Column i of this thread, and its sum; -1 for threads that have none. */
static __device__ __forceinline__ int64_t gpu_parts_sum(const gpu_parts &k, const double *part, double *sum)
{
    __shared__ double room[GPU_PARTS_THREADS];
    const int t = (int)threadIdx.x;
    const int64_t column = (int64_t)blockIdx.x * k.width + t % k.width;
    double all = 0.0;
    if (t < k.folds * k.width && column < k.n)
#pragma unroll 8
        for (int64_t p = t / k.width; p < k.parts; p += k.folds)
            all += part[p * k.n + column];
    room[t] = all;
    __syncthreads();
    for (int rest = k.folds * k.width / 2; rest >= k.width; rest /= 2) {
        if (t < rest)
            room[t] += room[t + rest];
        __syncthreads();
    }
    *sum = room[t];
    return t < k.width && column < k.n ? column : -1;
}

#endif
