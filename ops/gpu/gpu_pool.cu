/* gpu_pool.cu: maximum and average over windows of images (B, H, W, C). A thread has N channels of an output, backward
 * of an input: it gathers the outputs whose windows cover its pixel, in their order. */
#include "gpu_random.cuh"
#include "gpu_window.cuh"

#include <math.h>

/* One byte for each of N channels. */
template <int N> static __device__ __forceinline__ void load_places(const uint8_t *from, int *place)
{
    uint32_t word[2] = {0, 0};
    if constexpr (N == 1) {
        word[0] = *from;
    } else if constexpr (N == 4) {
        word[0] = *reinterpret_cast<const uint32_t *>(from);
    } else {
        static_assert(N == 8, "packs of float or of bfloat16");
        const uint2 both = *reinterpret_cast<const uint2 *>(from);
        word[0] = both.x;
        word[1] = both.y;
    }
#pragma unroll
    for (int k = 0; k < N; k++)
        place[k] = (int)(word[k / 4] >> (8 * (k % 4)) & 0xffu);
}

template <int N> static __device__ __forceinline__ void store_places(uint8_t *to, const int *place)
{
    uint32_t word[2] = {0, 0};
#pragma unroll
    for (int k = 0; k < N; k++)
        word[k / 4] |= (uint32_t)place[k] << (8 * (k % 4));
    if constexpr (N == 1)
        *to = (uint8_t)word[0];
    else if constexpr (N == 4)
        *reinterpret_cast<uint32_t *>(to) = word[0];
    else
        *reinterpret_cast<uint2 *>(to) = make_uint2(word[0], word[1]);
}

/* No place of a window: ops.h has 255 at most. */
constexpr int POOL_NOBODY = 255;

/* A NaN wins, so that it is not hidden from the loss; among equals the first stays. Gated: of what is not positive
 * nobody is the winner. KERNEL: both sides of the window, where it is 2 or 3; 1: any. */
template <int N, int KERNEL, typename T>
static __global__ void __launch_bounds__(GPU_THREADS)
    max_forward(const gpu_items items, const gpu_window w, const int64_t c, const bool gated, const gpu_dropout drop,
                const T *x, T *y, uint8_t *winner)
{
    const int kernel_h = KERNEL > 1 ? KERNEL : w.kernel_h, kernel_w = KERNEL > 1 ? KERNEL : w.kernel_w;
    for (uint32_t item = (uint32_t)gpu_thread(); item < items.count; item += (uint32_t)gpu_threads()) {
        const gpu_place at = gpu_items_at(items, item);
        const int top = at.line * w.stride_h - w.pad_h, left = at.column * w.stride_w - w.pad_w;
        const T *image = x + at.sample * w.h * w.w * c + (int64_t)at.pack * N;
        gpu_pack<N> best;
        int place[N];
#pragma unroll
        for (int k = 0; k < N; k++) {
            best.x[k] = -INFINITY;
            place[k] = gpu_most(-top, 0) * kernel_w + gpu_most(-left, 0);
        }
#pragma unroll KERNEL
        for (int i = 0; i < kernel_h; i++)
#pragma unroll KERNEL
            for (int j = 0; j < kernel_w; j++) {
                const int row = top + i, column = left + j;
                if (row < 0 || row >= w.h || column < 0 || column >= w.w)
                    continue;
                const gpu_pack<N> tap = gpu_load<N>(image + ((int64_t)row * w.w + column) * c);
#pragma unroll
                for (int k = 0; k < N; k++) {
                    const bool wins = tap.x[k] > best.x[k] || tap.x[k] != tap.x[k];
                    best.x[k] = wins ? tap.x[k] : best.x[k];
                    place[k] = wins ? i * kernel_w + j : place[k];
                }
            }
        const int64_t to = at.pixel * c + (int64_t)at.pack * N, sample = (int64_t)w.oh * w.ow * c;
        if (winner) {
#pragma unroll
            for (int k = 0; k < N; k++)
                place[k] = gated && best.x[k] <= 0.0f ? POOL_NOBODY : place[k];
            store_places<N>(winner + to, place);
        }
        gpu_drop_pack<N>(drop, at.sample, to - at.sample * sample, &best);
        gpu_store<N>(y + to, best);
    }
}

template <int N, typename T>
static gpuError_t max_forward_run(gpuStream_t stream, const ops_pool2d *op, int64_t batch, const T *x,
                                  const gpu_drop *drop, T *y, uint8_t *winner)
{
    const gpu_window w = gpu_window_of(op);
    const int kernel = w.kernel_h == w.kernel_w ? w.kernel_h : 1;
    return gpu_items_run<1>(stream, batch, w.oh, w.ow, op->c / N,
                            kernel == 2   ? max_forward<N, 2, T>
                            : kernel == 3 ? max_forward<N, 3, T>
                                          : max_forward<N, 1, T>,
                            w, op->c, op->fusion.gate != 0.0f, gpu_dropout_of(drop), x, y, winner);
}

template <typename T>
static gpuError_t max_forward_of(gpuStream_t stream, const ops_pool2d *op, int64_t batch, const void *x,
                                 const gpu_drop *drop, void *y, uint8_t *winner)
{
    constexpr int WIDE = gpu_wide<T>();
    return (op->c % WIDE == 0 ? max_forward_run<WIDE, T> : max_forward_run<1, T>)(stream, op, batch, (const T *)x, drop,
                                                                                  (T *)y, winner);
}

gpuError_t gpu_max_pool_forward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *x,
                                const gpu_drop *drop, void *y, uint8_t *winner)
{
    return (type == GPU_F32 ? max_forward_of<float> : max_forward_of<gpu_bf16>)(stream, op, batch, x, drop, y, winner);
}

template <int N, typename T>
static __global__ void __launch_bounds__(GPU_THREADS)
    avg_forward(const gpu_items items, const gpu_window w, const int64_t c, const T *x, T *y)
{
    for (uint32_t item = (uint32_t)gpu_thread(); item < items.count; item += (uint32_t)gpu_threads()) {
        const gpu_place at = gpu_items_at(items, item);
        const int top = at.line * w.stride_h - w.pad_h, left = at.column * w.stride_w - w.pad_w;
        const int row0 = gpu_most(top, 0), row1 = gpu_least(top + w.kernel_h, w.h);
        const int column0 = gpu_most(left, 0), column1 = gpu_least(left + w.kernel_w, w.w);
        const T *image = x + at.sample * w.h * w.w * c + (int64_t)at.pack * N;
        gpu_pack<N> sum = {};
        for (int row = row0; row < row1; row++)
            for (int column = column0; column < column1; column++) {
                const gpu_pack<N> tap = gpu_load<N>(image + ((int64_t)row * w.w + column) * c);
#pragma unroll
                for (int k = 0; k < N; k++)
                    sum.x[k] += tap.x[k];
            }
        const float pixels = (float)((int64_t)(row1 - row0) * (column1 - column0));
#pragma unroll
        for (int k = 0; k < N; k++)
            sum.x[k] /= pixels;
        gpu_store<N>(y + at.pixel * c + (int64_t)at.pack * N, sum);
    }
}

template <typename T>
static gpuError_t avg_forward_of(gpuStream_t stream, const ops_pool2d *op, int64_t batch, const void *x, void *y)
{
    constexpr int WIDE = gpu_wide<T>();
    const gpu_window w = gpu_window_of(op);
    const bool wide = op->c % WIDE == 0;
    return gpu_items_run<1>(stream, batch, w.oh, w.ow, wide ? op->c / WIDE : op->c,
                            wide ? avg_forward<WIDE, T> : avg_forward<1, T>, w, op->c, (const T *)x, (T *)y);
}

gpuError_t gpu_avg_pool_forward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *x,
                                void *y)
{
    return (type == GPU_F32 ? avg_forward_of<float> : avg_forward_of<gpu_bf16>)(stream, op, batch, x, y);
}

/* Pixels inside the image of the window of output `at` along one side. */
static __device__ __forceinline__ int window_inside(int at, int kernel, int stride, int pad, int size)
{
    const int begin = at * stride - pad;
    return gpu_least(begin + kernel, size) - gpu_most(begin, 0);
}

/* MAX: of maxima, to their winners; otherwise of averages. */
template <int N, bool MAX, typename T>
static __global__ void __launch_bounds__(GPU_THREADS)
    pool_backward(const gpu_items items, const gpu_window w, const int64_t c, const T *dy, const uint8_t *winner, T *dx,
                  const int accumulate)
{
    for (uint32_t item = (uint32_t)gpu_thread(); item < items.count; item += (uint32_t)gpu_threads()) {
        const gpu_place at = gpu_items_at(items, item);
        const gpu_cover rows = gpu_cover_of(at.line, w.kernel_h, w.by_stride_h, w.pad_h, w.oh);
        const gpu_cover columns = gpu_cover_of(at.column, w.kernel_w, w.by_stride_w, w.pad_w, w.ow);
        const int64_t image = at.sample * w.oh * w.ow * c + (int64_t)at.pack * N;
        gpu_pack<N> sum = {};
        for (int i = rows.first; i < rows.end; i++)
            for (int j = columns.first; j < columns.end; j++) {
                const int64_t from = image + ((int64_t)i * w.ow + j) * c;
                const gpu_pack<N> slope = gpu_load<N>(dy + from);
                if constexpr (MAX) {
                    const int tap =
                        (at.line + w.pad_h - i * w.stride_h) * w.kernel_w + at.column + w.pad_w - j * w.stride_w;
                    int place[N];
                    load_places<N>(winner + from, place);
#pragma unroll
                    for (int k = 0; k < N; k++)
                        sum.x[k] += place[k] == tap ? slope.x[k] : 0.0f;
                } else {
                    const float share = 1.0f / (float)((int64_t)window_inside(i, w.kernel_h, w.stride_h, w.pad_h, w.h) *
                                                       window_inside(j, w.kernel_w, w.stride_w, w.pad_w, w.w));
#pragma unroll
                    for (int k = 0; k < N; k++)
                        sum.x[k] += share * slope.x[k];
                }
            }
        gpu_store_or_add<N>(dx + at.pixel * c + (int64_t)at.pack * N, sum, accumulate);
    }
}

template <bool MAX, typename T>
static gpuError_t pool_backward_of(gpuStream_t stream, const ops_pool2d *op, int64_t batch, const void *dy,
                                   const uint8_t *winner, void *dx, int accumulate)
{
    constexpr int WIDE = gpu_wide<T>();
    const gpu_window w = gpu_window_of(op);
    const bool wide = op->c % WIDE == 0;
    return gpu_items_run<1>(stream, batch, w.h, w.w, wide ? op->c / WIDE : op->c,
                            wide ? pool_backward<WIDE, MAX, T> : pool_backward<1, MAX, T>, w, op->c, (const T *)dy,
                            winner, (T *)dx, accumulate);
}

gpuError_t gpu_max_pool_backward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *dy,
                                 const uint8_t *winner, void *dx, int accumulate)
{
    if (!dx)
        return gpuSuccess;
    return (type == GPU_F32 ? pool_backward_of<true, float> : pool_backward_of<true, gpu_bf16>)(stream, op, batch, dy,
                                                                                                winner, dx, accumulate);
}

gpuError_t gpu_avg_pool_backward(gpuStream_t stream, gpu_type type, const ops_pool2d *op, int64_t batch, const void *dy,
                                 void *dx, int accumulate)
{
    if (!dx)
        return gpuSuccess;
    return (type == GPU_F32 ? pool_backward_of<false, float> : pool_backward_of<false, gpu_bf16>)(stream, op, batch, dy,
                                                                                                  NULL, dx, accumulate);
}
