/* gpu_implicit.cu: implicit products (Chetlur et al. 2014, "cuDNN: Efficient Primitives for Deep Learning"). With taps
 * the places of a kernel's window:
 *
 *   forward   y (pixels of y, N)       = x gathered (pixels of y, taps C) * w (taps C, N)
 *   data      dx (pixels of x, C)      = dz gathered (pixels of x, taps N) * w (taps, C, N), each tap transposed
 *   weights   dw (taps C, N)           = x gathered (pixels of y, taps C)^T * dz (pixels of y, N)
 *
 * Pixels are counted through all samples. A chunk of the gathered factor goes from the image into shared memory, 4
 * channels of a tap at a time where C (N for data) is a multiple of 4. The sum over pixels is cut into parts, whose
 * sums a second kernel adds up in their order.
 */
#include "gpu_implicit.h"

#if defined(DDPT_GPU_HIP)

int gpu_implicit_can(const ops_conv2d *, int64_t)
{
    return 0;
}

int gpu_implicit_can_data(const ops_conv2d *)
{
    return 0;
}

size_t gpu_implicit_bytes(const ops_conv2d *)
{
    return 0;
}

gpuError_t gpu_implicit_forward(gpuStream_t, int, const ops_conv2d *, int64_t, const float *, const float *,
                                const float *, int, float *)
{
    return hipErrorNotSupported;
}

gpuError_t gpu_implicit_data(gpuStream_t, int, const ops_conv2d *, int64_t, const float *, const float *, float,
                             const float *, float *, int)
{
    return hipErrorNotSupported;
}

gpuError_t gpu_implicit_weights(gpuStream_t, int, const ops_conv2d *, int64_t, const float *, const float *, float *,
                                float *, void *)
{
    return hipErrorNotSupported;
}

#else

#include "gpu_gather.cuh"
#include "gpu_product.cuh"

namespace
{

constexpr int TM = 128, BK = 16, STAGES = 3;
/* For many channels out, and for few. */
using wide_shape = gpu_product_shape<TM, 64, BK, 4, 2>;
using narrow_shape = gpu_product_shape<TM, 32, BK, 4, 2>;
constexpr int THREADS = wide_shape::THREADS;
static_assert(narrow_shape::THREADS == THREADS, "loads count on it");

/* Parts of the sum over pixels: until there is a block for each multiprocessor of a large GPU, of some chunks each. */
#if defined(DDPT_GPU_EMULATED)
constexpr int64_t BLOCKS_WANTED = 6, CHUNKS_LEAST = 2;
#else
constexpr int64_t BLOCKS_WANTED = 132, CHUNKS_LEAST = 16;
#endif

/* ---- forward and data ---- */

struct image_work {
    gpu_gathered a;
    gpu_pixels rows;
    const float *w;
    int64_t n, channels; /* N and C of w */
    bool wide;           /* w's rows are loaded by 16 bytes */
    int tiles_n;
    gpu_product_end end;
};

/* w (taps, C, N) as b, transposed: rows of C, along them taps and N. */
template <typename S, int V>
__device__ __forceinline__ void load_weights(const image_work &work, int64_t n0, int64_t k0, float *to)
{
    constexpr int PACKS = BK / V;
#pragma unroll
    for (int i = (int)threadIdx.x; i < S::TN * PACKS; i += THREADS) {
        const int row = i / PACKS, column = i % PACKS * V;
        const uint32_t k = (uint32_t)k0 + (uint32_t)column, place = gpu_divide(k, work.a.by_channels);
        const bool there = n0 + row < work.channels && (int)k < work.a.depth;
        const int64_t at = ((int64_t)place * work.channels + n0 + row) * work.n + (k - place * work.a.by_channels.d);
        gpu_copy_async<4 * V>(to + row * S::BT_ROW + column, work.w + (there ? at : 0), there ? 4 * V : 0);
    }
}

/* A thread loads the same channels of the same rows in every chunk. */
template <typename S, int V, bool DATA> struct image_loader {
    static constexpr int PACKS = BK / V, STEP = THREADS / PACKS, ROWS = TM / STEP;
    gpu_spot spots[ROWS];

    __device__ __forceinline__ void begin(const image_work &work, int64_t m0)
    {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            spots[r] = gpu_spot_of(work.a, work.rows, m0 + (int)threadIdx.x / PACKS + r * STEP);
    }

    __device__ __forceinline__ void load(const image_work &work, int64_t n0, int chunk, float *stage) const
    {
        const int64_t k0 = (int64_t)chunk * BK;
        const int column = (int)threadIdx.x % PACKS * V;
        const gpu_tap t = gpu_tap_of(work.a, k0 + column);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            gpu_load_tap<V>(work.a, spots[r], t, stage + ((int)threadIdx.x / PACKS + r * STEP) * S::A_ROW + column);
        if constexpr (DATA)
            load_weights<S, V>(work, n0, k0, stage + S::A_FLOATS);
        else
            gpu_load_tile<THREADS, BK, S::TN, S::B_ROW>(gpu_matrix{work.w, work.n, work.a.depth, work.n, work.wide}, k0,
                                                        n0, stage + S::A_FLOATS);
    }
};

template <typename S, int V, bool DATA, bool EXACT>
__global__ void __launch_bounds__(THREADS) image_kernel(const image_work work)
{
    alignas(16) __shared__ float shared[STAGES * S::STAGE_FLOATS];
    const int64_t m0 = (int64_t)(blockIdx.x / (unsigned)work.tiles_n) * TM;
    const int64_t n0 = (int64_t)(blockIdx.x % (unsigned)work.tiles_n) * S::TN;
    const int chunks = (work.a.depth + BK - 1) / BK;
    gpu_product_sums<S> sums = {};
    image_loader<S, V, DATA> loader;
    loader.begin(work, m0);
    gpu_walk_chunks<S, STAGES>(
        0, chunks, shared, [&](int chunk, float *stage) { loader.load(work, n0, chunk, stage); },
        [&](const float *stage) { gpu_multiply_chunk<S, false, DATA, EXACT>(stage, sums); });
    gpu_put_tile<S>(work.end, work.rows.count, m0, n0, sums);
}

/* ---- weights ---- */

struct weights_work {
    gpu_gathered a;
    gpu_pixels rows;
    gpu_matrix dz;
    int64_t n;
    int tiles_n, chunks, chunks_a_part;
    float *dw, *db;    /* (depth, N) and (N) of part 0 */
    int64_t part_size; /* from part to part */
};

/* A thread loads the same channels of a tap in every chunk. */
template <typename S, int V>
__device__ __forceinline__ void load_pixels(const weights_work &work, const gpu_tap &t, int64_t n0, int chunk,
                                            float *stage)
{
    constexpr int PACKS = TM / V, STEP = THREADS / PACKS, ROWS = BK / STEP;
    const int64_t k0 = (int64_t)chunk * BK;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int row = (int)threadIdx.x / PACKS + r * STEP;
        gpu_load_tap<V>(work.a, gpu_spot_of(work.a, work.rows, k0 + row), t,
                        stage + row * S::AT_ROW + (int)threadIdx.x % PACKS * V);
    }
    gpu_load_tile<THREADS, BK, S::TN, S::B_ROW>(work.dz, k0, n0, stage + S::A_FLOATS);
}

template <typename S, int V, bool EXACT>
__global__ void __launch_bounds__(THREADS) weights_kernel(const weights_work work)
{
    alignas(16) __shared__ float shared[STAGES * S::STAGE_FLOATS];
    const int64_t m0 = (int64_t)(blockIdx.x / (unsigned)work.tiles_n) * TM;
    const int64_t n0 = (int64_t)(blockIdx.x % (unsigned)work.tiles_n) * S::TN;
    const int first = (int)blockIdx.y * work.chunks_a_part;
    const int end = first + work.chunks_a_part < work.chunks ? first + work.chunks_a_part : work.chunks;
    const bool sums_columns = work.db && m0 == 0 && threadIdx.x < S::TN;
    const gpu_tap t = gpu_tap_of(work.a, m0 + (int)threadIdx.x % (TM / V) * V);
    gpu_product_sums<S> sums = {};
    float columns = 0.0f;
    gpu_walk_chunks<S, STAGES>(
        first, end, shared, [&](int chunk, float *stage) { load_pixels<S, V>(work, t, n0, chunk, stage); },
        [&](const float *stage) {
            gpu_multiply_chunk<S, true, false, EXACT>(stage, sums);
            if (sums_columns)
                columns += gpu_column_sum<S>(stage, (int)threadIdx.x);
        });
    const int64_t part = blockIdx.y * work.part_size;
    gpu_product_end to = {};
    to.c = work.dw + part;
    to.ldc = to.n = work.n;
    gpu_put_tile<S>(to, work.a.depth, m0, n0, sums);
    if (sums_columns && n0 + threadIdx.x < work.n)
        work.db[part + n0 + threadIdx.x] = columns;
}

/* Elements of dw, and behind them of db, summed over parts. */
struct join_op {
    const float *parts;
    int64_t count, part_size, weights;
    float *dw, *db;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> sum = gpu_load<N>(parts + i);
#pragma unroll 4
        for (int64_t p = 1; p < count; p++) {
            const gpu_pack<N> more = gpu_load<N>(parts + p * part_size + i);
#pragma unroll
            for (int k = 0; k < N; k++)
                sum.x[k] += more.x[k];
        }
        gpu_store<N>(i < weights ? dw + i : db + (i - weights), sum);
    }
};

/* ---- launches ---- */

bool is_wide(int64_t channels, const void *at)
{
    return channels % 4 == 0 && (uintptr_t)at % 16 == 0;
}

template <typename S, bool DATA> gpuError_t image_launch(gpuStream_t stream, int exact, image_work work)
{
    const bool wide = is_wide(work.a.channels, work.a.at) && (!DATA || (uintptr_t)work.w % 16 == 0);
    work.wide = is_wide(work.n, work.w);
    work.tiles_n = (int)gpu_ceil_div(work.end.n, S::TN);
    const unsigned blocks = (unsigned)(gpu_ceil_div(work.rows.count, TM) * work.tiles_n);
    if (wide)
        return exact ? GPU_LAUNCH((image_kernel<S, 4, DATA, true>), blocks, THREADS, stream, work)
                     : GPU_LAUNCH((image_kernel<S, 4, DATA, false>), blocks, THREADS, stream, work);
    return exact ? GPU_LAUNCH((image_kernel<S, 1, DATA, true>), blocks, THREADS, stream, work)
                 : GPU_LAUNCH((image_kernel<S, 1, DATA, false>), blocks, THREADS, stream, work);
}

template <bool DATA> gpuError_t image_run(gpuStream_t stream, int exact, const image_work &work)
{
    return work.end.n <= narrow_shape::TN ? image_launch<narrow_shape, DATA>(stream, exact, work)
                                          : image_launch<wide_shape, DATA>(stream, exact, work);
}

/* How the sum over pixels is cut. */
struct cut {
    int64_t tiles_n, parts_most, chunks, chunks_a_part, parts;
};

cut cut_of(const ops_conv2d *op, int64_t batch)
{
    cut c;
    c.tiles_n = gpu_ceil_div(op->n, op->n <= narrow_shape::TN ? narrow_shape::TN : wide_shape::TN);
    c.parts_most = gpu_ceil_div(BLOCKS_WANTED, gpu_ceil_div(op->kernel_h * op->kernel_w * op->c, TM) * c.tiles_n);
    c.chunks = gpu_ceil_div(gpu_outputs_of(op, batch).count, BK);
    const int64_t worthwhile = gpu_ceil_div(c.chunks, CHUNKS_LEAST);
    c.chunks_a_part = gpu_ceil_div(c.chunks, c.parts_most < worthwhile ? c.parts_most : worthwhile);
    c.parts = gpu_ceil_div(c.chunks, c.chunks_a_part);
    return c;
}

/* Of a part: dw and db, to whole packs. */
int64_t part_size(const ops_conv2d *op)
{
    return gpu_ceil_div((op->kernel_h * op->kernel_w * op->c + 1) * op->n, 4) * 4;
}

template <typename S> gpuError_t weights_launch(gpuStream_t stream, int exact, const weights_work &work, int64_t parts)
{
    const dim3 blocks((unsigned)(gpu_ceil_div(work.a.depth, TM) * work.tiles_n), (unsigned)parts);
    if (is_wide(work.a.channels, work.a.at))
        return exact ? GPU_LAUNCH((weights_kernel<S, 4, true>), blocks, THREADS, stream, work)
                     : GPU_LAUNCH((weights_kernel<S, 4, false>), blocks, THREADS, stream, work);
    return exact ? GPU_LAUNCH((weights_kernel<S, 1, true>), blocks, THREADS, stream, work)
                 : GPU_LAUNCH((weights_kernel<S, 1, false>), blocks, THREADS, stream, work);
}

} // namespace

int gpu_implicit_can(const ops_conv2d *op, int64_t max_batch)
{
    int64_t oh, ow;
    gpu_output_sides(op, &oh, &ow);
    const int64_t batch = max_batch > 0 ? max_batch : 1;
    return batch <= GPU_GATHER_MAX / (op->h * op->w * op->c) && batch <= GPU_GATHER_MAX / (oh * ow * op->n) &&
           op->kernel_h * op->kernel_w <= GPU_GATHER_MAX / (op->c * op->n);
}

int gpu_implicit_can_data(const ops_conv2d *op)
{
    return op->stride_h == 1 && op->stride_w == 1;
}

size_t gpu_implicit_bytes(const ops_conv2d *op)
{
    return (size_t)cut_of(op, 1).parts_most * (size_t)part_size(op) * sizeof(float);
}

gpuError_t gpu_implicit_forward(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *x,
                                const float *w, const float *b, int relu, float *y)
{
    image_work work = {};
    work.a = gpu_gathered_of(op, x, op->h, op->w, op->c, 1);
    work.rows = gpu_outputs_of(op, batch);
    work.w = w;
    work.n = op->n;
    work.channels = op->c;
    work.end.c = y;
    work.end.ldc = work.end.n = op->n;
    work.end.bias = b;
    work.end.relu = relu;
    return image_run<false>(stream, exact, work);
}

gpuError_t gpu_implicit_data(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *dz,
                             const float *w, float gate, const float *x, float *dx, int accumulate)
{
    int64_t oh, ow;
    image_work work = {};
    gpu_output_sides(op, &oh, &ow);
    work.a = gpu_gathered_of(op, dz, oh, ow, op->n, -1);
    work.rows = gpu_pixels_of(batch, op->h, op->w);
    work.rows.shift_h = (int)op->pad_h;
    work.rows.shift_w = (int)op->pad_w;
    work.w = w;
    work.n = op->n;
    work.channels = op->c;
    work.end.c = dx;
    work.end.ldc = work.end.n = op->c;
    work.end.gate = gate;
    work.end.gated_by = gate != 0.0f ? x : NULL;
    work.end.accumulate = accumulate;
    return image_run<true>(stream, exact, work);
}

gpuError_t gpu_implicit_weights(gpuStream_t stream, int exact, const ops_conv2d *op, int64_t batch, const float *x,
                                const float *dz, float *dw, float *db, void *workspace)
{
    const cut c = cut_of(op, batch);
    weights_work work = {};
    work.a = gpu_gathered_of(op, x, op->h, op->w, op->c, 1);
    work.rows = gpu_outputs_of(op, batch);
    work.dz = gpu_matrix_of(dz, op->n, work.rows.count, op->n);
    work.n = op->n;
    work.tiles_n = (int)c.tiles_n;
    work.chunks = (int)c.chunks;
    work.chunks_a_part = (int)c.chunks_a_part;
    work.part_size = part_size(op);
    const int64_t weights = work.a.depth * op->n;
    work.dw = c.parts > 1 ? (float *)workspace : dw;
    work.db = c.parts > 1 ? work.dw + weights : db;
    if (!db)
        work.db = NULL;
    const gpuError_t error = op->n <= narrow_shape::TN ? weights_launch<narrow_shape>(stream, exact, work, c.parts)
                                                       : weights_launch<wide_shape>(stream, exact, work, c.parts);
    if (error != gpuSuccess || c.parts == 1)
        return error;
    const join_op join = {work.dw, c.parts, work.part_size, weights, dw, db};
    const int64_t count = weights + (db ? op->n : 0);
    const bool packs = op->n % 4 == 0 && (uintptr_t)dw % 16 == 0 && (uintptr_t)db % 16 == 0;
    return packs ? gpu_map<4>(stream, join, count) : gpu_map<1>(stream, join, count);
}

#endif
