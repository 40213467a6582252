/* gpu_product.cuh: a block's product of two tiles in shared memory on tensor cores (gpu_tile.cuh), for kernels that
 * bring the tiles in their own ways.
 *
 * In fp32 (EXACT) a factor is the sum of two TF32 numbers, high + low, and a product high high + high low + low high:
 * 21 bits of the factors, where fp32 has 24 (Markidis et al. 2018, "NVIDIA Tensor Core Programmability, Performance &
 * Precision"). Tensor cores cut off when they add, so that no more than a chunk's terms are added there (Ootomo and
 * Yokota 2022, "Recovering single precision accuracy from Tensor Cores").
 *
 * Tiles lie in shared memory as they lie in memory, rows padded so that a warp's reads hit all banks.
 */
#ifndef GPU_PRODUCT_CUH
#define GPU_PRODUCT_CUH

#include "gpu_random.cuh"
#include "gpu_tile.cuh"

/* Words from row to row of a tile. Where a warp's lanes go along a row by t and from row to row by g, 4 words of
 * padding (of rows of a multiple of 16) keep its 32 addresses in 32 banks; the other way round 8 do. */
__host__ __device__ constexpr int gpu_tile_stride(int columns, bool across)
{
    return columns + (across ? 4 : 8);
}

__host__ __device__ constexpr int gpu_larger(int a, int b)
{
    return a > b ? a : b;
}

/* A block of WARPS_M x WARPS_N warps computes TM x TN from chunks of BK. */
template <int TM_, int TN_, int BK_, int WARPS_M, int WARPS_N> struct gpu_product_shape {
    static constexpr int TM = TM_, TN = TN_, BK = BK_, COLUMNS_OF_WARPS = WARPS_N, THREADS = WARPS_M * WARPS_N * 32;
    static constexpr int WM = TM / WARPS_M, WN = TN / WARPS_N; /* a warp's part */
    static constexpr int MF = WM / 16, NF = WN / 8;            /* its tile products */
    static constexpr int SUMS = MF * NF * 4;                   /* of a thread */
    static constexpr int A_ROW = gpu_tile_stride(BK, true), AT_ROW = gpu_tile_stride(TM, false);
    static constexpr int B_ROW = gpu_tile_stride(TN, false), BT_ROW = gpu_tile_stride(BK, true);
    static constexpr int A_FLOATS = gpu_larger(TM * A_ROW, BK *AT_ROW);
    static constexpr int STAGE_FLOATS = A_FLOATS + gpu_larger(BK * B_ROW, TN *BT_ROW);
};

/* The sums of a thread: fragment (m, n) of its warp's part, as gpu_tile.cuh lays D out. */
template <typename S> struct gpu_product_sums {
    float at[S::MF][S::NF][4];
};

/* A stage: a (TM, BK), or (BK, TM) where TA; A_FLOATS later b (BK, TN), or (TN, BK) where TB. */
template <typename S, bool TA> static __device__ __forceinline__ float gpu_a_at(const float *stage, int m, int k)
{
    return TA ? stage[k * S::AT_ROW + m] : stage[m * S::A_ROW + k];
}

template <typename S, bool TB> static __device__ __forceinline__ float gpu_b_at(const float *stage, int k, int n)
{
    return TB ? stage[S::A_FLOATS + n * S::BT_ROW + k] : stage[S::A_FLOATS + k * S::B_ROW + n];
}

template <int N> struct gpu_factor {
    float high[N], low[N];
};

template <bool EXACT, int N> static __device__ __forceinline__ gpu_factor<N> gpu_factor_of(const float (&x)[N])
{
    gpu_factor<N> f = {};
#pragma unroll
    for (int i = 0; i < N; i++) {
        f.high[i] = gpu_tf32(x[i]);
        if constexpr (EXACT)
            f.low[i] = gpu_tf32(x[i] - f.high[i]);
    }
    return f;
}

/* This thread's row and column in the block's tile, of fragment (0, 0). */
template <typename S> static __device__ __forceinline__ int gpu_product_row()
{
    return gpu_warp() / S::COLUMNS_OF_WARPS * S::WM + gpu_lane() / 4;
}

template <typename S> static __device__ __forceinline__ int gpu_product_column()
{
    return gpu_warp() % S::COLUMNS_OF_WARPS * S::WN + gpu_lane() % 4 * 2;
}

template <typename S, bool TA, bool TB, bool EXACT>
static __device__ __forceinline__ void gpu_multiply_tiles(const float *stage, gpu_product_sums<S> &sums)
{
    const int g = gpu_lane() / 4, t = gpu_lane() % 4;
    const int m0 = gpu_warp() / S::COLUMNS_OF_WARPS * S::WM + g, n0 = gpu_warp() % S::COLUMNS_OF_WARPS * S::WN + g;
#pragma unroll
    for (int k = 0; k < S::BK; k += 8) {
        gpu_factor<4> left[S::MF];
#pragma unroll
        for (int f = 0; f < S::MF; f++) {
            const int m = m0 + 16 * f;
            const float a[4] = {gpu_a_at<S, TA>(stage, m, k + t), gpu_a_at<S, TA>(stage, m + 8, k + t),
                                gpu_a_at<S, TA>(stage, m, k + t + 4), gpu_a_at<S, TA>(stage, m + 8, k + t + 4)};
            left[f] = gpu_factor_of<EXACT>(a);
        }
#pragma unroll
        for (int h = 0; h < S::NF; h++) {
            const float b[2] = {gpu_b_at<S, TB>(stage, k + t, n0 + 8 * h),
                                gpu_b_at<S, TB>(stage, k + t + 4, n0 + 8 * h)};
            const gpu_factor<2> right = gpu_factor_of<EXACT>(b);
#pragma unroll
            for (int f = 0; f < S::MF; f++) {
                if constexpr (EXACT) {
                    gpu_tile_multiply(sums.at[f][h], left[f].low, right.high);
                    gpu_tile_multiply(sums.at[f][h], left[f].high, right.low);
                }
                gpu_tile_multiply(sums.at[f][h], left[f].high, right.high);
            }
        }
    }
}

/* Adds the chunk in `stage` to a thread's sums. */
template <typename S, bool TA, bool TB, bool EXACT>
static __device__ __forceinline__ void gpu_multiply_chunk(const float *stage, gpu_product_sums<S> &sums)
{
    if constexpr (!EXACT) {
        gpu_multiply_tiles<S, TA, TB, EXACT>(stage, sums);
        return;
    }
    gpu_product_sums<S> part = {};
    gpu_multiply_tiles<S, TA, TB, EXACT>(stage, part);
#pragma unroll
    for (int f = 0; f < S::MF; f++)
#pragma unroll
        for (int h = 0; h < S::NF; h++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums.at[f][h][i] += part.at[f][h][i];
}

/* A block's way through chunks [first, end): load(chunk, stage) starts the copies of one, use(stage) is called for each
 * in turn once it is there, with STAGES - 1 of them under way. `shared` has room for STAGES. All threads take part. */
template <typename S, int STAGES, typename Load, typename Use>
static __device__ __forceinline__ void gpu_walk_chunks(int first, int end, float *shared, const Load &load,
                                                       const Use &use)
{
    for (int i = 0; i < STAGES - 1; i++) {
        if (first + i < end)
            load(first + i, shared + i * S::STAGE_FLOATS);
        gpu_copy_commit();
    }
    for (int i = 0; i < end - first; i++) {
        const int next = i + STAGES - 1;
        gpu_copy_wait<STAGES - 2>();
        __syncthreads(); /* the chunk is there for all, and all are done with the one before, whose place is free */
        if (first + next < end)
            load(first + next, shared + next % STAGES * S::STAGE_FLOATS);
        gpu_copy_commit();
        use(shared + i % STAGES * S::STAGE_FLOATS);
    }
}

/* Of column `n` of b, which is not transposed. */
template <typename S> static __device__ __forceinline__ float gpu_column_sum(const float *stage, int n)
{
    float sum = 0.0f;
#pragma unroll 8
    for (int k = 0; k < S::BK; k++)
        sum += gpu_b_at<S, false>(stage, k, n);
    return sum;
}

/* A matrix in memory, rows x columns as stored. */
typedef struct gpu_matrix {
    const float *at;
    int64_t ld, rows, columns;
    bool wide; /* rows begin at 16 bytes */
} gpu_matrix;

static inline gpu_matrix gpu_matrix_of(const float *at, int64_t ld, int64_t rows, int64_t columns)
{
    return gpu_matrix{at, ld, rows, columns, ld % 4 == 0 && (uintptr_t)at % 16 == 0};
}

/* ROWS x COLUMNS of it into shared memory, zeros beyond its ends. */
template <int THREADS, int ROWS, int COLUMNS, int STRIDE>
static __device__ __forceinline__ void gpu_load_tile(const gpu_matrix &from, int64_t row0, int64_t column0, float *to)
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

/* ---- ends ---- */

/* What happens to sums on their way to c (rows, n), in this order; what is NULL or 0 does not. */
struct gpu_product_end {
    float *c;
    int64_t ldc, n;
    const float *bias;
    int relu;
    gpu_dropout drop;
    const float *gated_by; /* laid out as c: where it is positive times `gate`, else 0 */
    float gate;
    int accumulate;
};

/* Neighbouring elements of a row; of the second one where it is beyond the row's end nothing is done. */
static __device__ __forceinline__ void gpu_put_pair(const gpu_product_end &to, int64_t row, int64_t column, float first,
                                                    float second)
{
    gpu_pack<2> v = {{first, second}};
    const int64_t at = row * to.ldc + column;
    const bool both = column + 1 < to.n;
    if (to.bias) {
        v.x[0] += to.bias[column];
        v.x[1] += both ? to.bias[column + 1] : 0.0f;
    }
    if (to.relu) {
        v.x[0] = v.x[0] < 0.0f ? 0.0f : v.x[0];
        v.x[1] = v.x[1] < 0.0f ? 0.0f : v.x[1];
    }
    gpu_drop_pack<2>(to.drop, row, column, &v);
    if (to.gated_by) {
        v.x[0] = to.gated_by[at] <= 0.0f ? 0.0f : to.gate * v.x[0];
        v.x[1] = !both || to.gated_by[at + 1] <= 0.0f ? 0.0f : to.gate * v.x[1];
    }
    if (to.accumulate) {
        v.x[0] += to.c[at];
        v.x[1] += both ? to.c[at + 1] : 0.0f;
    }
    if (both && (uintptr_t)(to.c + at) % 8 == 0) {
        gpu_store<2>(to.c + at, v);
    } else {
        to.c[at] = v.x[0];
        if (both)
            to.c[at + 1] = v.x[1];
    }
}

/* A block's tile from (m0, n0) on; c has m rows. */
template <typename S>
static __device__ __forceinline__ void gpu_put_tile(const gpu_product_end &to, int64_t m, int64_t m0, int64_t n0,
                                                    const gpu_product_sums<S> &sums)
{
    const int64_t row0 = m0 + gpu_product_row<S>(), column0 = n0 + gpu_product_column<S>();
#pragma unroll
    for (int f = 0; f < S::MF; f++)
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int h = 0; h < S::NF; h++) {
                const int64_t row = row0 + 16 * f + 8 * half, column = column0 + 8 * h;
                if (row < m && column < to.n)
                    gpu_put_pair(to, row, column, sums.at[f][h][2 * half], sums.at[f][h][2 * half + 1]);
            }
}

#endif
