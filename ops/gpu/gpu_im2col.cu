/* gpu_im2col.cu: the patches that a convolution sees as a matrix, columns (B OH OW, KH KW C), and their sum back into
 * the image. */
#include "gpu_window.cuh"

/* Channels of a tap lie side by side in the image as in the patches: a thread copies one E, 16 bytes where channels
 * allow it. `c` counts E. */
template <typename E>
static __global__ void __launch_bounds__(GPU_THREADS)
    im2col_packs(const gpu_items items, const gpu_window w, const gpu_divisor c, const gpu_divisor kernel_w, const E *x,
                 E *columns)
{
    for (uint32_t item = (uint32_t)gpu_thread(); item < items.count; item += (uint32_t)gpu_threads()) {
        const gpu_place at = gpu_items_at(items, item);
        const uint32_t tap = gpu_divide(at.pack, c), kh = gpu_divide(tap, kernel_w);
        const int row = at.line * w.stride_h - w.pad_h + (int)kh;
        const int column = at.column * w.stride_w - w.pad_w + (int)(tap - kh * kernel_w.d);
        E pack = {};
        if (row >= 0 && row < w.h && column >= 0 && column < w.w)
            pack = x[((at.sample * w.h + row) * w.w + column) * c.d + (at.pack - tap * c.d)];
        columns[at.pixel * items.packs.d + at.pack] = pack;
    }
}

/* Where an element of the patches comes from, moved on from element to element. */
typedef struct source {
    int64_t sample;
    int line, column, kh, kw;
    uint32_t channel;
} source;

static __device__ __forceinline__ void source_next(const gpu_items &items, const gpu_window &w, uint32_t c, source *s)
{
    if (++s->channel < c)
        return;
    s->channel = 0;
    if (++s->kw < w.kernel_w)
        return;
    s->kw = 0;
    if (++s->kh < w.kernel_h)
        return;
    s->kh = 0;
    if (++s->column < w.ow)
        return;
    s->column = 0;
    if (++s->line < (int)items.lines.d)
        return;
    s->line = 0;
    s->sample++;
}

template <typename E>
static __device__ __forceinline__ uint32_t source_bits(const gpu_window &w, uint32_t c, const E *x, const source &s)
{
    const int row = s.line * w.stride_h - w.pad_h + s.kh, column = s.column * w.stride_w - w.pad_w + s.kw;
    if (row < 0 || row >= w.h || column < 0 || column >= w.w)
        return 0;
    return x[((s.sample * w.h + row) * w.w + column) * c + s.channel];
}

/* For channels that fill no pack: 16 bytes of patches a thread, from places all over the image. E is an unsigned
 * integer of an element's size; an item is one. */
template <typename E>
static __global__ void __launch_bounds__(GPU_THREADS)
    im2col_elements(const gpu_items items, const gpu_window w, const gpu_divisor c, const gpu_divisor kernel_w,
                    const E *x, E *columns)
{
    constexpr uint32_t WIDE = 16 / sizeof(E), EACH = 4 / sizeof(E);
    const uint32_t step = (uint32_t)gpu_threads() * WIDE;
    for (uint32_t item = (uint32_t)gpu_thread() * WIDE; item < items.count; item += step) {
        const gpu_place at = gpu_items_at(items, item);
        const uint32_t tap = gpu_divide(at.pack, c), kh = gpu_divide(tap, kernel_w);
        source s = {at.sample, at.line, at.column, (int)kh, (int)(tap - kh * kernel_w.d), at.pack - tap * c.d};
        E *to = columns + at.pixel * items.packs.d + at.pack;
        if (item + WIDE > items.count) {
            for (uint32_t k = 0; k < items.count - item; k++, source_next(items, w, c.d, &s))
                to[k] = (E)source_bits(w, c.d, x, s);
            continue;
        }
        uint32_t word[4] = {0, 0, 0, 0};
#pragma unroll
        for (uint32_t k = 0; k < WIDE; k++, source_next(items, w, c.d, &s))
            word[k / EACH] |= source_bits(w, c.d, x, s) << (8 * sizeof(E) * (k % EACH));
        *reinterpret_cast<uint4 *>(to) = make_uint4(word[0], word[1], word[2], word[3]);
    }
}

template <int N, typename E>
static gpuError_t im2col_run(gpuStream_t stream, const ops_conv2d *op, int64_t batch, int64_t c,
                             void (*kernel)(gpu_items, gpu_window, gpu_divisor, gpu_divisor, const E *, E *),
                             const void *x, void *columns)
{
    const gpu_window w = gpu_window_of(op);
    return gpu_items_run<N>(stream, batch, w.oh, w.ow, op->kernel_h * op->kernel_w * c, kernel, w, gpu_divisor_of(c),
                            gpu_divisor_of(op->kernel_w), (const E *)x, (E *)columns);
}

gpuError_t gpu_im2col(gpuStream_t stream, gpu_type type, const ops_conv2d *op, int64_t batch, const void *x,
                      void *columns)
{
    const int64_t nbytes = op->c * (type == GPU_F32 ? 4 : 2);
    if (nbytes % 16 == 0)
        return im2col_run<1>(stream, op, batch, nbytes / 16, im2col_packs<uint4>, x, columns);
    if (nbytes % 8 == 0)
        return im2col_run<1>(stream, op, batch, nbytes / 8, im2col_packs<uint2>, x, columns);
    if (type == GPU_F32)
        return im2col_run<4>(stream, op, batch, op->c, im2col_elements<uint32_t>, x, columns);
    return im2col_run<8>(stream, op, batch, op->c, im2col_elements<uint16_t>, x, columns);
}

/* A thread has N channels of a pixel and gathers the patches that hold it, in the order of the outputs. */
template <int N, typename T>
static __global__ void __launch_bounds__(GPU_THREADS)
    col2im(const gpu_items items, const gpu_window w, const int64_t c, const T *columns, T *dx, const int accumulate)
{
    const int64_t patch = (int64_t)w.kernel_h * w.kernel_w * c;
    for (uint32_t item = (uint32_t)gpu_thread(); item < items.count; item += (uint32_t)gpu_threads()) {
        const gpu_place at = gpu_items_at(items, item);
        const gpu_cover rows = gpu_cover_of(at.line, w.kernel_h, w.by_stride_h, w.pad_h, w.oh);
        const gpu_cover across = gpu_cover_of(at.column, w.kernel_w, w.by_stride_w, w.pad_w, w.ow);
        gpu_pack<N> sum = {};
        for (int i = rows.first; i < rows.end; i++)
            for (int j = across.first; j < across.end; j++) {
                const int kh = at.line + w.pad_h - i * w.stride_h, kw = at.column + w.pad_w - j * w.stride_w;
                const gpu_pack<N> tap = gpu_load<N>(columns + ((at.sample * w.oh + i) * w.ow + j) * patch +
                                                    ((int64_t)kh * w.kernel_w + kw) * c + (int64_t)at.pack * N);
#pragma unroll
                for (int k = 0; k < N; k++)
                    sum.x[k] += tap.x[k];
            }
        gpu_store_or_add<N>(dx + at.pixel * c + (int64_t)at.pack * N, sum, accumulate);
    }
}

template <typename T>
static gpuError_t col2im_of(gpuStream_t stream, const ops_conv2d *op, int64_t batch, const void *columns, void *dx,
                            int accumulate)
{
    constexpr int WIDE = gpu_wide<T>();
    const gpu_window w = gpu_window_of(op);
    const bool wide = op->c % WIDE == 0;
    return gpu_items_run<1>(stream, batch, w.h, w.w, wide ? op->c / WIDE : op->c, wide ? col2im<WIDE, T> : col2im<1, T>,
                            w, op->c, (const T *)columns, (T *)dx, accumulate);
}

gpuError_t gpu_col2im(gpuStream_t stream, gpu_type type, const ops_conv2d *op, int64_t batch, const void *columns,
                      void *dx, int accumulate)
{
    if (!dx)
        return gpuSuccess;
    return (type == GPU_F32 ? col2im_of<float> : col2im_of<gpu_bf16>)(stream, op, batch, columns, dx, accumulate);
}
