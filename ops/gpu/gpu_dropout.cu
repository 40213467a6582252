/* gpu_dropout.cu: dropout with the host's masks, and batches gathered from a data set. */
#include "gpu_random.cuh"

/* N bytes, aligned to N; N 1, 4 or 8. */
template <int N> static __device__ __forceinline__ void load_bytes(const uint8_t *from, uint32_t *byte)
{
    uint2 word = make_uint2(0, 0);
    if constexpr (N == 1)
        word.x = *from;
    else if constexpr (N == 4)
        word.x = *reinterpret_cast<const uint32_t *>(from);
    else
        word = *reinterpret_cast<const uint2 *>(from);
#pragma unroll
    for (int k = 0; k < N; k++)
        byte[k] = (k < 4 ? word.x : word.y) >> (8 * (k % 4)) & 0xffu;
}

template <int N> static __device__ __forceinline__ void store_bytes(uint8_t *to, const uint32_t *byte)
{
    uint2 word = make_uint2(0, 0);
#pragma unroll
    for (int k = 0; k < N; k++)
        (k < 4 ? word.x : word.y) |= byte[k] << (8 * (k % 4));
    if constexpr (N == 1)
        *to = (uint8_t)word.x;
    else if constexpr (N == 4)
        *reinterpret_cast<uint32_t *>(to) = word.x;
    else
        *reinterpret_cast<uint2 *>(to) = word;
}

template <typename T> struct dropout_op {
    const T *x;
    T *y;
    uint8_t *mask;
    int64_t n;
    gpu_dropout by;
};

/* Packs of the kernel's width, a multiple of the 4 elements of a block of random words. WIDE 0: rows do not begin at a
 * pack, or end within one, so that memory is taken element by element. */
template <typename T, bool WIDE>
static __global__ void __launch_bounds__(GPU_THREADS)
    dropout_kernel(const dropout_op<T> op, const int64_t batch, const int64_t packs)
{
    constexpr int N = gpu_wide<T>(), EACH = WIDE ? N : 1;
    for (gpu_walk w = gpu_walk_begin(packs); w.row < batch; gpu_walk_next(&w, packs)) {
        uint32_t keep[N];
        gpu_keep<N>(op.by, w.row, w.pack * N, keep);
        const int64_t column = w.pack * N, i = w.row * op.n + column;
#pragma unroll
        for (int part = 0; part < N; part += EACH) {
            if (!WIDE && column + part >= op.n)
                break;
            gpu_pack<EACH> p = gpu_load<EACH>(op.x + i + part);
#pragma unroll
            for (int k = 0; k < EACH; k++)
                p.x[k] = keep[part + k] ? p.x[k] * op.by.scale : 0.0f;
            gpu_store<EACH>(op.y + i + part, p);
            store_bytes<EACH>(op.mask + i + part, keep + part);
        }
    }
}

template <typename T> static gpuError_t dropout_forward(gpuStream_t stream, const dropout_op<T> &op, int64_t batch)
{
    constexpr int N = gpu_wide<T>();
    const int64_t packs = gpu_ceil_div(op.n, N);
    if (batch <= 0 || packs <= 0)
        return gpuSuccess;
    return op.n % N == 0
               ? GPU_LAUNCH((dropout_kernel<T, true>), gpu_blocks(batch * packs), GPU_THREADS, stream, op, batch, packs)
               : GPU_LAUNCH((dropout_kernel<T, false>), gpu_blocks(batch * packs), GPU_THREADS, stream, op, batch,
                            packs);
}

gpuError_t gpu_dropout_forward(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, const gpu_drop *drop,
                               const void *x, void *y, uint8_t *mask)
{
    const gpu_dropout by = gpu_dropout_of(drop);
    if (type == GPU_BF16)
        return dropout_forward(stream, dropout_op<gpu_bf16>{(const gpu_bf16 *)x, (gpu_bf16 *)y, mask, n, by}, batch);
    return dropout_forward(stream, dropout_op<float>{(const float *)x, (float *)y, mask, n, by}, batch);
}

template <typename T> struct dropout_backward_op {
    const T *dy;
    const uint8_t *mask;
    T *dx;
    float scale;
    int accumulate;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> p = gpu_load<N>(dy + i);
        uint32_t kept[N];
        load_bytes<N>(mask + i, kept);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] = kept[k] ? p.x[k] * scale : 0.0f;
        gpu_store_or_add<N>(dx + i, p, accumulate);
    }
};

gpuError_t gpu_dropout_backward(gpuStream_t stream, gpu_type type, int64_t batch, int64_t n, float rate,
                                const uint8_t *mask, const void *dy, void *dx, int accumulate)
{
    const float scale = 1.0f / (1.0f - rate);
    if (!dx)
        return gpuSuccess;
    if (type == GPU_BF16)
        return gpu_map<gpu_wide<gpu_bf16>()>(
            stream, dropout_backward_op<gpu_bf16>{(const gpu_bf16 *)dy, mask, (gpu_bf16 *)dx, scale, accumulate},
            batch * n);
    return gpu_map<gpu_wide<float>()>(
        stream, dropout_backward_op<float>{(const float *)dy, mask, (float *)dx, scale, accumulate}, batch * n);
}

/* ---- batches ---- */

template <typename T> struct gather_op {
    const uint8_t *pixels;
    const int32_t *all_labels;
    const ops_step *step; /* NULL: the samples in their order */
    const float *scale, *shift;
    int64_t size;
    uint32_t c;
    T *x;
    int32_t *labels;

    template <int N> __device__ void at(int64_t row, int64_t column) const
    {
        const int64_t from = step ? step->samples[row] : row;
        uint32_t pixel[N], channel = (uint32_t)column % c; /* size < 2^32 */
        load_bytes<N>(pixels + from * size + column, pixel);
        gpu_pack<N> p;
#pragma unroll
        for (int k = 0; k < N; k++) {
            p.x[k] = fmaf((float)pixel[k], scale[channel], shift[channel]);
            channel = channel + 1 < c ? channel + 1 : 0;
        }
        gpu_store<N>(x + row * size + column, p);
        if (column == 0)
            labels[row] = all_labels[from];
    }
};

template <typename T> static gpuError_t gather(gpuStream_t stream, const gather_op<T> &op, int64_t batch)
{
    constexpr int WIDE = gpu_wide<T>();
    const bool wide = op.size % WIDE == 0 && (uintptr_t)op.pixels % WIDE == 0;
    return gpu_map_rows<WIDE>(stream, op, batch, op.size, wide);
}

gpuError_t gpu_gather_samples(gpuStream_t stream, gpu_type type, int64_t batch, int64_t size, int64_t c,
                              const uint8_t *pixels, const int32_t *all_labels, const ops_step *step,
                              const float *scale, const float *shift, void *x, int32_t *labels)
{
    const uint32_t channels = (uint32_t)c;
    if (type == GPU_BF16)
        return gather(
            stream, gather_op<gpu_bf16>{pixels, all_labels, step, scale, shift, size, channels, (gpu_bf16 *)x, labels},
            batch);
    return gather(stream, gather_op<float>{pixels, all_labels, step, scale, shift, size, channels, (float *)x, labels},
                  batch);
}
