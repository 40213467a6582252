/* gpu_elementwise.cu: activations, copies, sums of tensors, columns side by side, changes of type. */
#include "gpu_activation.cuh"

template <typename T, ops_activation A> struct activation_forward_op {
    const T *x;
    T *y;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> p = gpu_load<N>(x + i);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] = gpu_activate<A>(p.x[k]);
        gpu_store<N>(y + i, p);
    }
};

template <typename T>
static gpuError_t activation_forward(gpuStream_t stream, ops_activation activation, int64_t count, const T *x, T *y)
{
    constexpr int WIDE = gpu_wide<T>();
    switch (activation) {
    case OPS_RELU: return gpu_map<WIDE>(stream, activation_forward_op<T, OPS_RELU>{x, y}, count);
    case OPS_GELU: return gpu_map<WIDE>(stream, activation_forward_op<T, OPS_GELU>{x, y}, count);
    case OPS_TANH: return gpu_map<WIDE>(stream, activation_forward_op<T, OPS_TANH>{x, y}, count);
    case OPS_SIGMOID: return gpu_map<WIDE>(stream, activation_forward_op<T, OPS_SIGMOID>{x, y}, count);
    default: return x == y ? gpuSuccess : gpu_map<WIDE>(stream, activation_forward_op<T, OPS_IDENTITY>{x, y}, count);
    }
}

gpuError_t gpu_activation_forward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t count,
                                  const void *x, void *y)
{
    return type == GPU_BF16 ? activation_forward(stream, activation, count, (const gpu_bf16 *)x, (gpu_bf16 *)y)
                            : activation_forward(stream, activation, count, (const float *)x, (float *)y);
}

template <typename T, ops_activation A> struct activation_backward_op {
    const T *kept, *dy;
    T *dx;
    int accumulate;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> p = gpu_load<N>(dy + i);
        if constexpr (A != OPS_IDENTITY) {
            const gpu_pack<N> f = gpu_load<N>(kept + i);
#pragma unroll
            for (int k = 0; k < N; k++)
                p.x[k] = gpu_gradient<A>(f.x[k], p.x[k]);
        }
        gpu_store_or_add<N>(dx + i, p, accumulate);
    }
};

template <typename T, ops_activation A>
static gpuError_t activation_backward_as(gpuStream_t stream, int64_t count, const void *x, const void *y,
                                         const void *dy, void *dx, int accumulate)
{
    const activation_backward_op<T, A> op = {(const T *)(gpu_keeps_input(A) ? x : y), (const T *)dy, (T *)dx,
                                             accumulate};
    return gpu_map<gpu_wide<T>()>(stream, op, count);
}

template <typename T>
static gpuError_t activation_backward(gpuStream_t stream, ops_activation activation, int64_t count, const void *x,
                                      const void *y, const void *dy, void *dx, int accumulate)
{
    switch (activation) {
    case OPS_RELU: return activation_backward_as<T, OPS_RELU>(stream, count, x, y, dy, dx, accumulate);
    case OPS_GELU: return activation_backward_as<T, OPS_GELU>(stream, count, x, y, dy, dx, accumulate);
    case OPS_TANH: return activation_backward_as<T, OPS_TANH>(stream, count, x, y, dy, dx, accumulate);
    case OPS_SIGMOID: return activation_backward_as<T, OPS_SIGMOID>(stream, count, x, y, dy, dx, accumulate);
    default:
        return dx == dy && !accumulate
                   ? gpuSuccess
                   : activation_backward_as<T, OPS_IDENTITY>(stream, count, x, y, dy, dx, accumulate);
    }
}

gpuError_t gpu_activation_backward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t count,
                                   const void *x, const void *y, const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return gpuSuccess;
    return type == GPU_BF16 ? activation_backward<gpu_bf16>(stream, activation, count, x, y, dy, dx, accumulate)
                            : activation_backward<float>(stream, activation, count, x, y, dy, dx, accumulate);
}

/* From one type to another, the same or not. */
template <typename From, typename To> struct copy_op {
    const From *from;
    To *to;
    int accumulate;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_store_or_add<N>(to + i, gpu_load<N>(from + i), accumulate);
    }
};

/* In packs of 16 bytes of the narrower type. */
template <typename From, typename To>
static gpuError_t copy_as(gpuStream_t stream, int64_t count, const void *from, void *to, int accumulate)
{
    constexpr int WIDE = gpu_wide<From>() > gpu_wide<To>() ? gpu_wide<From>() : gpu_wide<To>();
    return gpu_map<WIDE>(stream, copy_op<From, To>{(const From *)from, (To *)to, accumulate}, count);
}

gpuError_t gpu_copy(gpuStream_t stream, gpu_type type, int64_t count, const void *from, void *to, int accumulate)
{
    return type == GPU_BF16 ? copy_as<gpu_bf16, gpu_bf16>(stream, count, from, to, accumulate)
                            : copy_as<float, float>(stream, count, from, to, accumulate);
}

gpuError_t gpu_narrow(gpuStream_t stream, gpu_type type, int64_t count, const float *from, void *to)
{
    return type == GPU_BF16 ? copy_as<float, gpu_bf16>(stream, count, from, to, 0)
                            : copy_as<float, float>(stream, count, from, to, 0);
}

gpuError_t gpu_widen(gpuStream_t stream, gpu_type type, int64_t count, const void *from, float *to)
{
    return type == GPU_BF16 ? copy_as<gpu_bf16, float>(stream, count, from, to, 0)
                            : copy_as<float, float>(stream, count, from, to, 0);
}

/* All inputs are read before y is written: y may be any of them. */
template <typename T> struct add_op {
    const T *x[GPU_JOIN_MAX];
    int inputs;
    T *y;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> sum = gpu_load<N>(x[0] + i);
#pragma unroll
        for (int j = 1; j < GPU_JOIN_MAX; j++)
            if (j < inputs) {
                const gpu_pack<N> p = gpu_load<N>(x[j] + i);
#pragma unroll
                for (int k = 0; k < N; k++)
                    sum.x[k] += p.x[k];
            }
        gpu_store<N>(y + i, sum);
    }
};

template <typename T>
static gpuError_t add(gpuStream_t stream, int inputs, int64_t count, const void *const *x, void *y)
{
    add_op<T> op = {};
    for (int j = 0; j < inputs; j++)
        op.x[j] = (const T *)x[j];
    op.inputs = inputs;
    op.y = (T *)y;
    return gpu_map<gpu_wide<T>()>(stream, op, count);
}

gpuError_t gpu_add(gpuStream_t stream, gpu_type type, int inputs, int64_t count, const void *const *x, void *y)
{
    return type == GPU_BF16 ? add<gpu_bf16>(stream, inputs, count, x, y) : add<float>(stream, inputs, count, x, y);
}

/* Rows of one matrix to those of another, a row of which begins every from_stride and to_stride elements. */
template <typename T> struct columns_op {
    const T *from;
    int64_t from_stride;
    T *to;
    int64_t to_stride;
    int accumulate;

    template <int N> __device__ void at(int64_t row, int64_t column) const
    {
        gpu_store_or_add<N>(to + row * to_stride + column, gpu_load<N>(from + row * from_stride + column), accumulate);
    }
};

template <typename T>
static gpuError_t columns(gpuStream_t stream, int64_t rows, int64_t c, const void *from, int64_t from_first,
                          int64_t from_stride, void *to, int64_t to_first, int64_t to_stride, int accumulate)
{
    constexpr int WIDE = gpu_wide<T>();
    const columns_op<T> op = {(const T *)from + from_first, from_stride, (T *)to + to_first, to_stride, accumulate};
    const bool wide = (c | from_first | from_stride | to_first | to_stride) % WIDE == 0;
    return gpu_map_rows<WIDE>(stream, op, rows, c, wide);
}

gpuError_t gpu_concat(gpuStream_t stream, gpu_type type, int64_t rows, int64_t total, int64_t from, int64_t c,
                      const void *x, void *y)
{
    return type == GPU_BF16 ? columns<gpu_bf16>(stream, rows, c, x, 0, c, y, from, total, 0)
                            : columns<float>(stream, rows, c, x, 0, c, y, from, total, 0);
}

gpuError_t gpu_concat_backward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t total, int64_t from, int64_t c,
                               const void *dy, void *dx, int accumulate)
{
    if (!dx)
        return gpuSuccess;
    return type == GPU_BF16 ? columns<gpu_bf16>(stream, rows, c, dy, from, total, dx, 0, c, accumulate)
                            : columns<float>(stream, rows, c, dy, from, total, dx, 0, c, accumulate);
}
