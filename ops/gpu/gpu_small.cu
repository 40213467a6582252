/* gpu_small.cu: products too small to fill a GPU: those of dense layers at small batches, where the time of a library's
 * product is that of its start, of its few blocks' walk along K, and of the launches that come before and after.
 *
 * So K is cut among blocks too, what comes before and after a product is done where its numbers are in registers, and
 * a layer's two gradients are one launch. Where K is cut, each block leaves its sums in scratch, and the last to come
 * adds them up in the order of K: the sum does not depend on who that is.
 */
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

#include "gpu_product.cuh"

namespace
{

using shape = gpu_product_shape<32, 64, 32, 2, 2>;
using sums = gpu_product_sums<shape>;
constexpr int TM = shape::TM, TN = shape::TN, BK = shape::BK, THREADS = shape::THREADS, FRAGMENTS = shape::NF;
constexpr int STAGES = 3;
static_assert(shape::MF == 1, "join_parts knows of one row of fragments");

/* A block's sums in scratch: its threads' and, of the first row of tiles, those of the columns of b. */
constexpr int PART_FLOATS = THREADS * shape::SUMS + TN;

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

/* One product as a launch takes it. */
struct problem {
    int trans_a, trans_b;
    gpu_matrix a, b;
    gpu_product_end end;
    int64_t m, n;
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

/* TA, TB: the operand is stored transposed: a as (K, M), b as (N, K). */
template <bool TA, bool TB>
__device__ __forceinline__ void load_chunk(const problem &p, int64_t m0, int64_t n0, int chunk, float *stage)
{
    const int64_t k0 = (int64_t)chunk * BK;
    if constexpr (TA)
        gpu_load_tile<THREADS, BK, TM, shape::AT_ROW>(p.a, k0, m0, stage);
    else
        gpu_load_tile<THREADS, TM, BK, shape::A_ROW>(p.a, m0, k0, stage);
    if constexpr (TB)
        gpu_load_tile<THREADS, TN, BK, shape::BT_ROW>(p.b, n0, k0, stage + shape::A_FLOATS);
    else
        gpu_load_tile<THREADS, BK, TN, shape::B_ROW>(p.b, k0, n0, stage + shape::A_FLOATS);
}

/* ---- ends ---- */

/* Leaves this block's sums; 1 in the last block of a tile, which then has those of all. */
__device__ __forceinline__ bool join_parts(const problem &p, int tile, int part, sums &sum, float *columns)
{
    __shared__ uint32_t earlier;
    const int thread = (int)threadIdx.x;
    float *own = p.scratch + ((int64_t)tile * p.parts + part) * PART_FLOATS;
#pragma unroll
    for (int f = 0; f < FRAGMENTS; f++)
        gpu_store<4>(own + (f * THREADS + thread) * 4,
                     gpu_pack<4>{{sum.at[0][f][0], sum.at[0][f][1], sum.at[0][f][2], sum.at[0][f][3]}});
    if (thread < TN)
        own[THREADS * shape::SUMS + thread] = *columns;
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
    sum = {};
    const float *parts = p.scratch + (int64_t)tile * p.parts * PART_FLOATS;
#pragma unroll 4
    for (int q = 0; q < p.parts; q++, parts += PART_FLOATS) {
#pragma unroll
        for (int f = 0; f < FRAGMENTS; f++) {
            const gpu_pack<4> more = gpu_load_fresh<4>(parts + (f * THREADS + thread) * 4);
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum.at[0][f][i] += more.x[i];
        }
        if (thread < TN)
            *columns += gpu_load_fresh<1>(parts + THREADS * shape::SUMS + thread).x[0];
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
    sums sum = {};
    float columns = 0.0f;
    gpu_walk_chunks<shape, STAGES>(
        first, end, shared, [&](int chunk, float *stage) { load_chunk<TA, TB>(p, m0, n0, chunk, stage); },
        [&](const float *stage) {
            gpu_multiply_chunk<shape, TA, TB, EXACT>(stage, sum);
            if constexpr (!TB)
                if (sums_columns)
                    columns += gpu_column_sum<shape>(stage, (int)threadIdx.x);
        });
    if (p.parts > 1 && !join_parts(p, tile, part, sum, &columns))
        return;
    gpu_put_tile<shape>(p.end, p.m, m0, n0, sum);
    if (p.column_sums && m0 == 0 && threadIdx.x < TN && n0 + threadIdx.x < p.n)
        p.column_sums[n0 + threadIdx.x] = columns;
}

template <bool EXACT> __global__ void __launch_bounds__(THREADS) small_kernel(const problems all)
{
    alignas(16) __shared__ float shared[STAGES * shape::STAGE_FLOATS];
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

problem problem_of(const gpu_small *p)
{
    problem q = {};
    q.trans_a = p->trans_a;
    q.trans_b = p->trans_b;
    q.a = gpu_matrix_of(p->a, p->lda, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k);
    q.b = gpu_matrix_of(p->b, p->ldb, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n);
    q.end = gpu_product_end{
        p->c,    p->ldc,       p->n, p->bias, p->relu, gpu_dropout_of(p->drop), p->gate != 0.0f ? p->gated_by : NULL,
        p->gate, p->accumulate};
    q.m = p->m;
    q.n = p->n;
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
