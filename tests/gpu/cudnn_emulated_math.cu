/* cudnn_emulated_math.cu: a pass, a thread an element of what it writes. */
#include "cudnn_emulated_graph.h"

using namespace cudnn_emulation;

namespace
{

__device__ float load(const void *x, int narrow, int64_t i, bool rounds)
{
    if (narrow)
        return gpu_to_float(((const gpu_bf16 *)x)[i]);
    const float value = ((const float *)x)[i];
    return rounds ? __uint_as_float((__float_as_uint(value) + 0x1000u) & ~0x1fffu) : value;
}

__device__ void store(void *x, int narrow, int64_t i, double value)
{
    if (narrow)
        ((gpu_bf16 *)x)[i] = gpu_from_float<gpu_bf16>((float)value);
    else
        ((float *)x)[i] = (float)value;
}

__device__ int64_t place(const int64_t shape[4], int64_t a, int64_t b, int64_t c, int64_t d)
{
    return ((a * shape[1] + b) * shape[2] + c) * shape[3] + d;
}

struct factors {
    const problem &p;
    const memory &m;
    bool rounds;

    __device__ double x(int64_t sample, int64_t row, int64_t column, int64_t c) const
    {
        if (row < 0 || row >= p.x[1] || column < 0 || column >= p.x[2])
            return 0.0;
        return (double)load(m.at[X], p.narrow, place(p.x, sample, row, column, c), rounds);
    }

    __device__ double w(int64_t n, int64_t kh, int64_t kw, int64_t c) const
    {
        return (double)load(m.at[W], p.w_narrow, place(p.w, n, kh, kw, c), rounds);
    }

    __device__ double y(int64_t sample, int64_t line, int64_t column, int64_t n) const
    {
        return (double)load(m.at[Y], p.narrow, place(p.y, sample, line, column, n), rounds);
    }
};

/* Of output (sample, line, column, n). */
__device__ double forward_sum(const factors &f, const int64_t at[4])
{
    const problem &p = f.p;
    double sum = 0.0;
    for (int64_t kh = 0; kh < p.w[1]; kh++)
        for (int64_t kw = 0; kw < p.w[2]; kw++)
            for (int64_t c = 0; c < p.w[3]; c++)
                sum += f.w(at[3], kh, kw, c) *
                       f.x(at[0], at[1] * p.stride[0] - p.pad[0] + kh, at[2] * p.stride[1] - p.pad[1] + kw, c);
    return sum;
}

/* Of the gradient of input (sample, row, column, c). */
__device__ double data_sum(const factors &f, const int64_t at[4])
{
    const problem &p = f.p;
    double sum = 0.0;
    for (int64_t kh = 0; kh < p.w[1]; kh++)
        for (int64_t kw = 0; kw < p.w[2]; kw++) {
            const int64_t line = at[1] + p.pad[0] - kh, column = at[2] + p.pad[1] - kw;
            if (line < 0 || line % p.stride[0] != 0 || line / p.stride[0] >= p.y[1] || column < 0 ||
                column % p.stride[1] != 0 || column / p.stride[1] >= p.y[2])
                continue;
            for (int64_t n = 0; n < p.w[0]; n++)
                sum += f.w(n, kh, kw, at[3]) * f.y(at[0], line / p.stride[0], column / p.stride[1], n);
        }
    return sum;
}

/* Of the gradient of weight (n, kh, kw, c). */
__device__ double weights_sum(const factors &f, const int64_t at[4])
{
    const problem &p = f.p;
    double sum = 0.0;
    for (int64_t sample = 0; sample < p.x[0]; sample++)
        for (int64_t line = 0; line < p.y[1]; line++)
            for (int64_t column = 0; column < p.y[2]; column++)
                sum += f.y(sample, line, column, at[0]) * f.x(sample, line * p.stride[0] - p.pad[0] + at[1],
                                                              column * p.stride[1] - p.pad[1] + at[2], at[3]);
    return sum;
}

__global__ void convolve(const problem p, const memory m, const engine e)
{
    const int64_t *shape = p.kind == FORWARD ? p.y : p.kind == DATA ? p.x : p.w;
    const int to = p.kind == FORWARD ? Y : p.kind == DATA ? X : W, narrow = to == W ? p.w_narrow : p.narrow;
    const int64_t count = shape[0] * shape[1] * shape[2] * shape[3];
    for (int64_t i = gpu_thread(); i < count; i += gpu_threads()) {
        const int64_t at[4] = {i / shape[3] / shape[2] / shape[1], i / shape[3] / shape[2] % shape[1],
                               i / shape[3] % shape[2], i % shape[3]};
        const factors f = {p, m, e.rounds};
        double value = p.kind == FORWARD ? forward_sum(f, at) : p.kind == DATA ? data_sum(f, at) : weights_sum(f, at);
        value *= e.doubles ? 2.0 : 1.0;
        if (p.add)
            value += (double)load(m.at[to], narrow, i, false);
        if (p.operations > 1)
            value += (double)load(m.at[B], p.narrow, at[3], false);
        if (p.operations > 2)
            value = value > 0.0 ? value : 0.0;
        store(m.at[to], narrow, i, value);
    }
}

} // namespace

gpuError_t cudnn_emulation::run_problem(gpuStream_t stream, const problem &p, const memory &m, const engine &e)
{
    return GPU_LAUNCH(convolve, gpu_blocks(p.y[0]), GPU_THREADS, stream, p, m, e);
}
