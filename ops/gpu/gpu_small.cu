/* gpu_small.cu: products too small to fill a GPU: those of dense layers at small batches, where the time of a library's
 * product is that of its start, of its few blocks' walk along K, and of the launches that come before and after.
 *
 * So K is cut among blocks too, what comes before and after a product is done where its numbers are in registers, and
 * a layer's two gradients are one launch. The multiplication is the tensor cores'. In fp32 a factor is the sum of two
 * TF32 numbers, high + low, and a product high high + high low + low high: 21 bits of the factors, where fp32 has 24
 * (Markidis et al. 2018, "NVIDIA Tensor Core Programmability, Performance & Precision", with the order of sums of
 * Ootomo and Yokota 2022, "Recovering single precision accuracy from Tensor Cores"): tensor cores cut off when they
 * add, so that no more than BK terms are added there.
 *
 * A block computes a tile of TM x TN over some of K, in chunks of BK that lie in shared memory as they lie in memory,
 * rows padded so that a warp's reads hit all banks. Where K is cut, each block leaves its sums in scratch, and the last
 * to come adds them up in the order of K: the sum does not depend on who that is.
 */
#include "gpu_random.cuh"
#include "gpu_small.h"

#if defined(DDPT_GPU_HIP)

int gpu_small_can(const gpu_small *)
{
    return 0;
}

gpuError_t gpu_small_multiply(gpuStream_t, int, int, const gpu_small *, float *, uint32_t *)
{
    return hipErrorNotSupported;
}

#else

#include "gpu_tile.cuh"

namespace
{

constexpr int TM = 32, TN = 64, BK = 32, STAGES = 3;
constexpr int THREADS = 128;        /* four warps, two by two */
constexpr int WM = 16, WN = 32;     /* a warp's part of the tile */
constexpr int FRAGMENTS = WN / 8;   /* tile products of a warp side by side */
constexpr int SUMS = 4 * FRAGMENTS; /* of a thread */

/* Rows of a tile in shared memory: where a warp reads along the row's direction by t and across by g, 4 words of
 * padding keep its 32 addresses in 32 banks; the other way round 8 do. */
__host__ __device__ constexpr int stride_of(int columns, bool across)
{
    return columns + (across ? 4 : 8);
}

constexpr int A_FLOATS = TM * stride_of(BK, true) > BK *stride_of(TM, false) ? TM *stride_of(BK, true)
                                                                             : BK *stride_of(TM, false);
constexpr int B_FLOATS = TN * stride_of(BK, true) > BK *stride_of(TN, false) ? TN *stride_of(BK, true)
                                                                             : BK *stride_of(TN, false);
constexpr int STAGE_FLOATS = A_FLOATS + B_FLOATS;

/* A block's sums in scratch: its threads' and, of the first row of tiles, those of the columns of b. */
constexpr int PART_FLOATS = THREADS * SUMS + TN;

/* K is cut until there are so many blocks: one for each multiprocessor of a large GPU; the emulator's are few. */
#if defined(DDPT_GPU_EMULATED)
constexpr int64_t BLOCKS_WANTED = 12, PARTS_MAX = 6;
#else
constexpr int64_t BLOCKS_WANTED = 128, PARTS_MAX = 16;
#endif
static_assert(GPU_SMALL_MAX * BLOCKS_WANTED * PART_FLOATS <= GPU_SCRATCH_FLOATS, "all parts' sums lie in scratch");
static_assert(GPU_SMALL_MAX * BLOCKS_WANTED <= GPU_SMALL_TILES, "no more tiles than blocks are cut");

/* Of more outputs a library's larger tiles fill the GPU too. */
constexpr int64_t OUTPUT_MAX = 1 << 19, SIDE_MAX = 1 << 16;

struct operand {
    const float *at;
    int64_t ld;
    int64_t rows, columns; /* as stored */
    bool wide;             /* rows begin at 16 bytes */
};

/* One product as a launch takes it. */
struct problem {
    int trans_a, trans_b;
    operand a, b;
    float *c;
    int64_t m, n, ldc;
    int accumulate, relu;
    const float *bias, *gated_by;
    float gate;
    gpu_dropout drop;
    float *column_sums;
    int tiles_n, chunks, chunks_a_part, parts;
    int blocks;
    float *scratch;     /* (blocks, PART_FLOATS), where parts > 1 */
    uint32_t *arrivals; /* a tile; 0 before and after */
};

struct problems {
    problem of[GPU_SMALL_MAX];
};

/* ---- chunks ---- */

/* ROWS x COLUMNS of an operand into shared memory, zeros beyond its ends. */
template <int ROWS, int COLUMNS, int STRIDE>
__device__ __forceinline__ void load_tile(const operand &from, int64_t row0, int64_t column0, float *to)
{
    if (from.wide) {
#pragma unroll
        for (int i = (int)threadIdx.x; i < ROWS * COLUMNS / 4; i += THREADS) {
            const int row = i / (COLUMNS / 4), column = i % (COLUMNS / 4) * 4;
            const int64_t left = row0 + row < from.rows ? from.columns - column0 - column : 0;
            const int nbytes = left <= 0 ? 0 : left < 4 ? (int)left * 4 : 16;
            const float *source = nbytes ? from.at + (row0 + row) * from.ld + column0 + column : from.at;
            gpu_copy_async<16>(to + row * STRIDE + column, source, nbytes);
        }
        return;
    }
#pragma unroll 4
    for (int i = (int)threadIdx.x; i < ROWS * COLUMNS; i += THREADS) {
        const int row = i / COLUMNS, column = i % COLUMNS;
        const bool there = row0 + row < from.rows && column0 + column < from.columns;
        gpu_copy_async<4>(to + row * STRIDE + column,
                          there ? from.at + (row0 + row) * from.ld + column0 + column : from.at, there ? 4 : 0);
    }
}

/* TA, TB: the operand is stored transposed: a as (K, M), b as (N, K). */
template <bool TA, bool TB>
__device__ __forceinline__ void load_chunk(const problem &p, int64_t m0, int64_t n0, int chunk, float *stage)
{
    const int64_t k0 = (int64_t)chunk * BK;
    if constexpr (TA)
        load_tile<BK, TM, stride_of(TM, false)>(p.a, k0, m0, stage);
    else
        load_tile<TM, BK, stride_of(BK, true)>(p.a, m0, k0, stage);
    if constexpr (TB)
        load_tile<TN, BK, stride_of(BK, true)>(p.b, n0, k0, stage + A_FLOATS);
    else
        load_tile<BK, TN, stride_of(TN, false)>(p.b, k0, n0, stage + A_FLOATS);
}

template <bool TA> __device__ __forceinline__ float a_at(const float *stage, int m, int k)
{
    return TA ? stage[k * stride_of(TM, false) + m] : stage[m * stride_of(BK, true) + k];
}

template <bool TB> __device__ __forceinline__ float b_at(const float *stage, int k, int n)
{
    return TB ? stage[A_FLOATS + n * stride_of(BK, true) + k] : stage[A_FLOATS + k * stride_of(TN, false) + n];
}

/* ---- products ---- */

template <int N> struct factor {
    float high[N], low[N];
};

template <bool EXACT, int N> __device__ __forceinline__ factor<N> factor_of(const float (&x)[N])
{
    factor<N> f = {};
#pragma unroll
    for (int i = 0; i < N; i++) {
        f.high[i] = gpu_tf32(x[i]);
        if constexpr (EXACT)
            f.low[i] = gpu_tf32(x[i] - f.high[i]);
    }
    return f;
}

/* The chunk's part of a thread's sums. */
template <bool TA, bool TB, bool EXACT>
__device__ __forceinline__ void multiply_chunk(const float *stage, float (&sum)[FRAGMENTS][4])
{
    const int g = gpu_lane() / 4, t = gpu_lane() % 4;
    const int m = gpu_warp() / 2 * WM + g, n = gpu_warp() % 2 * WN + g;
    float part[FRAGMENTS][4] = {};
#pragma unroll
    for (int k = 0; k < BK; k += 8) {
        const float a[4] = {a_at<TA>(stage, m, k + t), a_at<TA>(stage, m + 8, k + t), a_at<TA>(stage, m, k + t + 4),
                            a_at<TA>(stage, m + 8, k + t + 4)};
        const factor<4> left = factor_of<EXACT>(a);
#pragma unroll
        for (int f = 0; f < FRAGMENTS; f++) {
            const float b[2] = {b_at<TB>(stage, k + t, n + 8 * f), b_at<TB>(stage, k + t + 4, n + 8 * f)};
            const factor<2> right = factor_of<EXACT>(b);
            if constexpr (EXACT) {
                gpu_tile_multiply(part[f], left.low, right.high);
                gpu_tile_multiply(part[f], left.high, right.low);
            }
            gpu_tile_multiply(part[f], left.high, right.high);
        }
    }
#pragma unroll
    for (int f = 0; f < FRAGMENTS; f++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum[f][i] += part[f][i];
}

/* Of column `threadIdx.x` of b, which is not transposed. */
__device__ __forceinline__ float column_sum(const float *stage)
{
    float sum = 0.0f;
#pragma unroll 8
    for (int k = 0; k < BK; k++)
        sum += b_at<false>(stage, k, (int)threadIdx.x);
    return sum;
}

/* ---- ends ---- */

/* One row's pair of neighbouring elements on its way out. */
__device__ __forceinline__ void put_pair(const problem &p, int64_t row, int64_t column, float first, float second)
{
    gpu_pack<2> v = {{first, second}};
    const int64_t at = row * p.ldc + column;
    const bool both = column + 1 < p.n;
    if (p.bias) {
        v.x[0] += p.bias[column];
        v.x[1] += both ? p.bias[column + 1] : 0.0f;
    }
    if (p.relu) {
        v.x[0] = v.x[0] < 0.0f ? 0.0f : v.x[0];
        v.x[1] = v.x[1] < 0.0f ? 0.0f : v.x[1];
    }
    gpu_drop_pack<2>(p.drop, row, column, &v);
    if (p.gated_by) {
        v.x[0] = p.gated_by[at] <= 0.0f ? 0.0f : p.gate * v.x[0];
        v.x[1] = !both || p.gated_by[at + 1] <= 0.0f ? 0.0f : p.gate * v.x[1];
    }
    if (p.accumulate) {
        v.x[0] += p.c[at];
        v.x[1] += both ? p.c[at + 1] : 0.0f;
    }
    if (both && (uintptr_t)(p.c + at) % 8 == 0) {
        gpu_store<2>(p.c + at, v);
    } else {
        p.c[at] = v.x[0];
        if (both)
            p.c[at + 1] = v.x[1];
    }
}

__device__ __forceinline__ void put_tile(const problem &p, int64_t m0, int64_t n0, const float (&sum)[FRAGMENTS][4],
                                         float columns)
{
    const int g = gpu_lane() / 4, t = gpu_lane() % 4;
    const int64_t row = m0 + gpu_warp() / 2 * WM + g, column = n0 + gpu_warp() % 2 * WN + 2 * t;
#pragma unroll
    for (int f = 0; f < FRAGMENTS; f++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            if (row + 8 * half < p.m && column + 8 * f < p.n)
                put_pair(p, row + 8 * half, column + 8 * f, sum[f][2 * half], sum[f][2 * half + 1]);
    if (p.column_sums && m0 == 0 && threadIdx.x < TN && n0 + threadIdx.x < p.n)
        p.column_sums[n0 + threadIdx.x] = columns;
}

/* Leaves this block's sums; 1 in the last block of a tile, which then has those of all. */
__device__ __forceinline__ bool join_parts(const problem &p, int tile, int part, float (&sum)[FRAGMENTS][4],
                                           float *columns)
{
    __shared__ uint32_t earlier;
    const int thread = (int)threadIdx.x;
    float *own = p.scratch + ((int64_t)tile * p.parts + part) * PART_FLOATS;
#pragma unroll
    for (int f = 0; f < FRAGMENTS; f++)
        gpu_store<4>(own + (f * THREADS + thread) * 4, gpu_pack<4>{{sum[f][0], sum[f][1], sum[f][2], sum[f][3]}});
    if (thread < TN)
        own[THREADS * SUMS + thread] = *columns;
    gpu_fence();
    __syncthreads();
    if (thread == 0)
        earlier = gpu_atomic_add(p.arrivals + tile, 1u);
    __syncthreads();
    if (earlier + 1 < (uint32_t)p.parts)
        return false;
    gpu_fence();
    if (thread == 0)
        p.arrivals[tile] = 0;
    *columns = 0.0f;
#pragma unroll
    for (int f = 0; f < FRAGMENTS; f++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum[f][i] = 0.0f;
    const float *parts = p.scratch + (int64_t)tile * p.parts * PART_FLOATS;
#pragma unroll 4
    for (int q = 0; q < p.parts; q++, parts += PART_FLOATS) {
#pragma unroll
        for (int f = 0; f < FRAGMENTS; f++) {
            const gpu_pack<4> more = gpu_load_fresh<4>(parts + (f * THREADS + thread) * 4);
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum[f][i] += more.x[i];
        }
        if (thread < TN)
            *columns += gpu_load_fresh<1>(parts + THREADS * SUMS + thread).x[0];
    }
    return true;
}

/* ---- kernels ---- */

template <bool TA, bool TB, bool EXACT>
__device__ __forceinline__ void run_block(const problem &p, int block, float *shared)
{
    const int tile = block / p.parts, part = block % p.parts;
    const int64_t m0 = (int64_t)(tile / p.tiles_n) * TM, n0 = (int64_t)(tile % p.tiles_n) * TN;
    const int first = part * p.chunks_a_part;
    const int end = first + p.chunks_a_part < p.chunks ? first + p.chunks_a_part : p.chunks;
    const bool sums_columns = !TB && p.column_sums && m0 == 0 && threadIdx.x < TN;
    float sum[FRAGMENTS][4] = {}, columns = 0.0f;
    for (int chunk = first; chunk < first + STAGES - 1; chunk++) {
        if (chunk < end)
            load_chunk<TA, TB>(p, m0, n0, chunk, shared + (chunk - first) * STAGE_FLOATS);
        gpu_copy_commit();
    }
    for (int chunk = first; chunk < end; chunk++) {
        const int next = chunk + STAGES - 1;
        gpu_copy_wait<STAGES - 2>();
        __syncthreads(); /* the chunk is there for all, and all are done with the one before, whose place is free */
        if (next < end)
            load_chunk<TA, TB>(p, m0, n0, next, shared + (next - first) % STAGES * STAGE_FLOATS);
        gpu_copy_commit();
        const float *stage = shared + (chunk - first) % STAGES * STAGE_FLOATS;
        multiply_chunk<TA, TB, EXACT>(stage, sum);
        if constexpr (!TB)
            if (sums_columns)
                columns += column_sum(stage);
    }
    if (p.parts == 1 || join_parts(p, tile, part, sum, &columns))
        put_tile(p, m0, n0, sum, columns);
}

template <bool EXACT> __global__ void __launch_bounds__(THREADS) small_kernel(const problems all)
{
    alignas(16) __shared__ float shared[STAGES * STAGE_FLOATS];
    int block = (int)blockIdx.x, which = 0;
    while (block >= all.of[which].blocks)
        block -= all.of[which++].blocks;
    const problem &p = all.of[which];
    if (p.trans_a)
        run_block<true, false, EXACT>(p, block, shared);
    else if (p.trans_b)
        run_block<false, true, EXACT>(p, block, shared);
    else
        run_block<false, false, EXACT>(p, block, shared);
}

/* ---- launches ---- */

int64_t tiles_of(const gpu_small *p)
{
    return gpu_ceil_div(p->m, TM) * gpu_ceil_div(p->n, TN);
}

int64_t chunks_of(const gpu_small *p)
{
    return gpu_ceil_div(p->k, BK);
}

int64_t chunks_a_part(const gpu_small *p)
{
    const int64_t most = chunks_of(p) / 2 < PARTS_MAX ? chunks_of(p) / 2 : PARTS_MAX; /* a part is two chunks or more */
    int64_t parts = BLOCKS_WANTED / tiles_of(p);
    parts = parts > most ? most : parts;
    return gpu_ceil_div(chunks_of(p), parts < 1 ? 1 : parts);
}

int64_t blocks_of(const gpu_small *p)
{
    return tiles_of(p) * gpu_ceil_div(chunks_of(p), chunks_a_part(p));
}

operand operand_of(const float *at, int64_t ld, int64_t rows, int64_t columns)
{
    return operand{at, ld, rows, columns, ld % 4 == 0 && (uintptr_t)at % 16 == 0};
}

problem problem_of(const gpu_small *p)
{
    problem q = {};
    q.trans_a = p->trans_a;
    q.trans_b = p->trans_b;
    q.a = operand_of(p->a, p->lda, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k);
    q.b = operand_of(p->b, p->ldb, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n);
    q.c = p->c;
    q.m = p->m;
    q.n = p->n;
    q.ldc = p->ldc;
    q.accumulate = p->accumulate;
    q.relu = p->relu;
    q.bias = p->bias;
    q.gate = p->gate;
    q.gated_by = p->gate != 0.0f ? p->gated_by : NULL;
    q.drop = gpu_dropout_of(p->drop);
    q.column_sums = p->column_sums;
    q.tiles_n = (int)gpu_ceil_div(p->n, TN);
    q.chunks = (int)chunks_of(p);
    q.chunks_a_part = (int)chunks_a_part(p);
    q.blocks = (int)blocks_of(p);
    q.parts = q.blocks / (int)tiles_of(p);
    return q;
}

} // namespace

int gpu_small_can(const gpu_small *p)
{
    return p->m > 0 && p->n > 0 && p->k > 0 && !(p->trans_a && p->trans_b) && !(p->trans_b && p->column_sums) &&
           p->m <= SIDE_MAX && p->n <= SIDE_MAX && p->k <= SIDE_MAX && p->m * p->n <= OUTPUT_MAX;
}

gpuError_t gpu_small_multiply(gpuStream_t stream, int exact, int count, const gpu_small *p, float *scratch,
                              uint32_t *arrivals)
{
    problems all = {};
    unsigned blocks = 0;
    for (int i = 0; i < count; i++) {
        all.of[i] = problem_of(&p[i]);
        all.of[i].scratch = scratch + i * BLOCKS_WANTED * PART_FLOATS;
        all.of[i].arrivals = arrivals + i * BLOCKS_WANTED;
        blocks += (unsigned)all.of[i].blocks;
    }
    return exact ? GPU_LAUNCH((small_kernel<true>), blocks, THREADS, stream, all)
                 : GPU_LAUNCH((small_kernel<false>), blocks, THREADS, stream, all);
}

#endif
