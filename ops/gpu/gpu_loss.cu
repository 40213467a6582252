/* gpu_loss.cu: losses over logits (B, N) and labels (B), with their gradients in the same launch. Short rows have a
 * warp each and stay in its registers, long ones a block. Losses are added up in double: each block's rows, then the
 * blocks, in their order. */
#include "gpu_sums.cuh"

#include <math.h>

enum { LOSS_SHORT = 1024, LOSS_ALONE = 128 }; /* columns; rows that one block takes faster than two launches do */
enum { LOSS_LONG_THREADS = 1024, LOSS_WARPS = LOSS_LONG_THREADS / GPU_WARP };

typedef struct loss_rows {
    int64_t batch, n;
    const int32_t *labels;
    float scale;
} loss_rows;

/* Where blocks leave their sums: at `at` or, where that is NULL, where the step wants its result. */
typedef struct loss_place {
    double *at;
    const ops_step *step;
} loss_place;

static __device__ __forceinline__ double *loss_at(const loss_place &to)
{
    return to.at ? to.at : to.step->result;
}

/* What the rows of a thread come to; the same in all threads that share a row. */
typedef struct loss_sum {
    double loss;
    int64_t correct;
} loss_sum;

/* 1 if element i keeps the label from being the first of the largest. A row with a NaN is never right. */
static __device__ __forceinline__ int beats_label(float x, float own, int64_t i, int64_t label)
{
    return i < label ? !(x < own) : !(x <= own);
}

/* What exponents are taken from: the largest of what was seen, where that is a number. */
static __device__ __forceinline__ float exponent_base(float most)
{
    return most == -INFINITY ? 0.0f : most;
}

/* ---- short rows: EACH elements a lane ---- */

template <int EACH, typename T>
static __device__ __forceinline__ void softmax_short(const loss_rows &rows, int64_t row, const T *x, T *dx,
                                                     loss_sum *sum)
{
    const int n = (int)rows.n, label = rows.labels[row];
    const float own = gpu_to_float(x[label]);
    float value[EACH], most = -INFINITY;
    int beaten = 0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = gpu_lane() + e * GPU_WARP;
        value[e] = i < n ? gpu_to_float(x[i]) : -INFINITY;
        beaten += i < n && beats_label(value[e], own, i, label);
        most = value[e] > most ? value[e] : most;
    }
    most = exponent_base(gpu_warp_max(most));
    double all = 0.0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        value[e] = expf(value[e] - most);
        all += (double)value[e];
    }
    all = gpu_warp_sum(all);
    sum->loss += log(all) - ((double)own - (double)most);
    sum->correct += gpu_warp_sum(beaten) == 0;
    if (!dx)
        return;
    const float factor = (float)((double)rows.scale / all);
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = gpu_lane() + e * GPU_WARP;
        if (i < n)
            dx[i] = gpu_from_float<T>(value[e] * factor - (i == label ? rows.scale : 0.0f));
    }
}

template <int EACH, typename T>
static __device__ __forceinline__ void squares_short(const loss_rows &rows, int64_t row, const T *x, T *dx,
                                                     loss_sum *sum)
{
    const int n = (int)rows.n, label = rows.labels[row];
    const float own = gpu_to_float(x[label]), factor = (float)(2.0 * (double)rows.scale / (double)n);
    double all = 0.0;
    int beaten = 0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = gpu_lane() + e * GPU_WARP;
        if (i >= n)
            break;
        const float value = gpu_to_float(x[i]), wanted = i == label ? 1.0f : 0.0f;
        const double difference = (double)value - (double)wanted;
        all += difference * difference;
        beaten += beats_label(value, own, i, label);
        if (dx)
            dx[i] = gpu_from_float<T>(factor * (value - wanted));
    }
    sum->loss += gpu_warp_sum(all) / (double)n;
    sum->correct += gpu_warp_sum(beaten) == 0;
}

/* Few elements a lane leave registers for blocks of 32 warps, so that small batches are one launch. */
template <int EACH> __host__ __device__ constexpr int short_threads()
{
    return EACH <= 4 ? 1024 : GPU_THREADS;
}

template <int EACH, bool SOFTMAX, typename T>
static __global__ void __launch_bounds__(short_threads<EACH>())
    loss_short(const loss_rows rows, const T *x, T *dx, const loss_place sums)
{
    __shared__ loss_sum warps[short_threads<EACH>() / GPU_WARP];
    const int64_t step = gpu_threads() / GPU_WARP;
    loss_sum sum = {0.0, 0};
    for (int64_t row = gpu_thread() / GPU_WARP; row < rows.batch; row += step) {
        T *to = dx ? dx + row * rows.n : NULL;
        if (SOFTMAX)
            softmax_short<EACH>(rows, row, x + row * rows.n, to, &sum);
        else
            squares_short<EACH>(rows, row, x + row * rows.n, to, &sum);
    }
    if (gpu_lane() == 0)
        warps[gpu_warp()] = sum;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    for (int w = 1; w < (int)blockDim.x / GPU_WARP; w++) {
        sum.loss += warps[w].loss;
        sum.correct += warps[w].correct;
    }
    double *part = loss_at(sums) + 2 * blockIdx.x;
    part[0] = sum.loss;
    part[1] = (double)sum.correct;
}

/* ---- long rows ---- */

/* A sum over the block, the same to the bit in all threads. */
template <typename T> static __device__ __forceinline__ T long_sum(T x)
{
    __shared__ T warps[LOSS_WARPS];
    x = gpu_warp_sum(x);
    if (gpu_lane() == 0)
        warps[gpu_warp()] = x;
    __syncthreads();
    T all = warps[0];
    for (int w = 1; w < LOSS_WARPS; w++)
        all += warps[w];
    __syncthreads();
    return all;
}

/* The row's largest element and the sum of e^(x - largest) from each thread's. */
static __device__ __forceinline__ double long_exponentials(float *most, double sum)
{
    __shared__ float warps[LOSS_WARPS];
    float all = gpu_warp_max(*most);
    if (gpu_lane() == 0)
        warps[gpu_warp()] = all;
    __syncthreads();
    all = warps[0];
    for (int w = 1; w < LOSS_WARPS; w++)
        all = warps[w] > all ? warps[w] : all;
    all = exponent_base(all);
    sum *= (double)expf(*most - all);
    *most = all;
    return long_sum(sum);
}

template <int N, typename T>
static __device__ __forceinline__ void softmax_long(const loss_rows &rows, int64_t row, const T *x, T *dx,
                                                    loss_sum *sum)
{
    const int64_t label = rows.labels[row], begin = (int64_t)threadIdx.x * N, step = LOSS_LONG_THREADS * N;
    const float own = gpu_to_float(x[label]);
    float most = -INFINITY;
    double all = 0.0;
    int beaten = 0;
    for (int64_t at = begin; at < rows.n; at += step) {
        const gpu_pack<N> pack = gpu_load<N>(x + at);
        float top = most;
#pragma unroll
        for (int i = 0; i < N; i++) {
            top = pack.x[i] > top ? pack.x[i] : top;
            beaten += beats_label(pack.x[i], own, at + i, label);
        }
        if (top > most) {
            all *= (double)expf(most - top);
            most = top;
        }
        const float base = exponent_base(most);
#pragma unroll
        for (int i = 0; i < N; i++)
            all += (double)expf(pack.x[i] - base);
    }
    all = long_exponentials(&most, all);
    sum->loss += log(all) - ((double)own - (double)most);
    sum->correct += long_sum(beaten) == 0;
    if (!dx)
        return;
    const float factor = (float)((double)rows.scale / all);
    for (int64_t at = begin; at < rows.n; at += step) {
        gpu_pack<N> pack = gpu_load<N>(x + at);
#pragma unroll
        for (int i = 0; i < N; i++)
            pack.x[i] = expf(pack.x[i] - most) * factor - (at + i == label ? rows.scale : 0.0f);
        gpu_store<N>(dx + at, pack);
    }
}

template <int N, typename T>
static __device__ __forceinline__ void squares_long(const loss_rows &rows, int64_t row, const T *x, T *dx,
                                                    loss_sum *sum)
{
    const int64_t label = rows.labels[row];
    const float own = gpu_to_float(x[label]), factor = (float)(2.0 * (double)rows.scale / (double)rows.n);
    double all = 0.0;
    int beaten = 0;
    for (int64_t at = (int64_t)threadIdx.x * N; at < rows.n; at += LOSS_LONG_THREADS * N) {
        gpu_pack<N> pack = gpu_load<N>(x + at);
#pragma unroll
        for (int i = 0; i < N; i++) {
            const float wanted = at + i == label ? 1.0f : 0.0f;
            const double difference = (double)pack.x[i] - (double)wanted;
            all += difference * difference;
            beaten += beats_label(pack.x[i], own, at + i, label);
            pack.x[i] = factor * (pack.x[i] - wanted);
        }
        if (dx)
            gpu_store<N>(dx + at, pack);
    }
    sum->loss += long_sum(all) / (double)rows.n;
    sum->correct += long_sum(beaten) == 0;
}

template <int N, bool SOFTMAX, typename T>
static __global__ void __launch_bounds__(LOSS_LONG_THREADS)
    loss_long(const loss_rows rows, const T *x, T *dx, const loss_place sums)
{
    loss_sum sum = {0.0, 0};
    for (int64_t row = blockIdx.x; row < rows.batch; row += gridDim.x) {
        T *to = dx ? dx + row * rows.n : NULL;
        if (SOFTMAX)
            softmax_long<N>(rows, row, x + row * rows.n, to, &sum);
        else
            squares_long<N>(rows, row, x + row * rows.n, to, &sum);
    }
    if (threadIdx.x == 0) {
        double *part = loss_at(sums) + 2 * blockIdx.x;
        part[0] = sum.loss;
        part[1] = (double)sum.correct;
    }
}

/* ---- launches ---- */

static __global__ void __launch_bounds__(GPU_PARTS_THREADS)
    loss_end(const gpu_parts k, const double *part, const loss_place to)
{
    double sum;
    const int64_t i = gpu_parts_sum(k, part, &sum);
    if (i >= 0)
        loss_at(to)[i] = sum;
}

template <typename T>
static gpuError_t loss_launch(gpuStream_t stream, void (*kernel)(loss_rows, const T *, T *, loss_place),
                              unsigned blocks, int threads, const loss_rows &rows, const void *x, void *dx,
                              const loss_place &to, float *scratch)
{
    double *part = (double *)scratch;
    const loss_place first = blocks > 1 ? loss_place{part, NULL} : to;
    const gpuError_t error = GPU_LAUNCH(kernel, blocks, threads, stream, rows, (const T *)x, (T *)dx, first);
    if (error != gpuSuccess || blocks == 1)
        return error;
    const gpu_parts end = gpu_parts_of(blocks, 2);
    return GPU_LAUNCH(loss_end, 1, gpu_parts_threads(&end), stream, end, part, to);
}

static unsigned loss_blocks(int64_t blocks)
{
    return (unsigned)(blocks < 1 ? 1 : blocks < GPU_BLOCKS_SUMS ? blocks : GPU_BLOCKS_SUMS);
}

template <int EACH, bool SOFTMAX, typename T>
static gpuError_t loss_short_run(gpuStream_t stream, const loss_rows &rows, const void *x, void *dx,
                                 const loss_place &to, float *scratch)
{
    const int threads = rows.batch <= LOSS_ALONE ? short_threads<EACH>() : GPU_THREADS;
    const int64_t at_once = threads == GPU_THREADS ? GPU_WARPS : LOSS_ALONE;
    return loss_launch<T>(stream, loss_short<EACH, SOFTMAX, T>, loss_blocks(gpu_ceil_div(rows.batch, at_once)), threads,
                          rows, x, dx, to, scratch);
}

template <bool SOFTMAX, typename T>
static gpuError_t loss_of(gpuStream_t stream, const loss_rows &rows, const void *x, void *dx, const loss_place &to,
                          float *scratch)
{
    constexpr int WIDE = gpu_wide<T>();
    if (rows.n > LOSS_SHORT)
        return loss_launch<T>(stream, rows.n % WIDE == 0 ? loss_long<WIDE, SOFTMAX, T> : loss_long<1, SOFTMAX, T>,
                              loss_blocks(rows.batch), LOSS_LONG_THREADS, rows, x, dx, to, scratch);
    const int64_t each = gpu_ceil_div(rows.n, GPU_WARP);
    return (each <= 1    ? loss_short_run<1, SOFTMAX, T>
            : each <= 4  ? loss_short_run<4, SOFTMAX, T>
            : each <= 16 ? loss_short_run<16, SOFTMAX, T>
                         : loss_short_run<32, SOFTMAX, T>)(stream, rows, x, dx, to, scratch);
}

gpuError_t gpu_softmax_cross_entropy(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const void *logits,
                                     const int32_t *labels, float scale, void *dlogits, double *result,
                                     const ops_step *step, float *scratch)
{
    const loss_rows rows = {batch, n, labels, scale};
    return (type == GPU_F32 ? loss_of<true, float> : loss_of<true, gpu_bf16>)(stream, rows, logits, dlogits,
                                                                              loss_place{result, step}, scratch);
}

gpuError_t gpu_mean_squared_error(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const void *outputs,
                                  const int32_t *labels, float scale, void *doutputs, double *result,
                                  const ops_step *step, float *scratch)
{
    const loss_rows rows = {batch, n, labels, scale};
    return (type == GPU_F32 ? loss_of<false, float> : loss_of<false, gpu_bf16>)(stream, rows, outputs, doutputs,
                                                                                loss_place{result, step}, scratch);
}
