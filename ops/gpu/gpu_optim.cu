/* gpu_optim.cu: optimizers over flat ranges of floats, and clipping. Each number is read once and written once. */
#include "gpu_sums.cuh"

#include <math.h>

/* Ranges begin anywhere. Where all of them lie alike within 16 bytes, `head` elements come before the first pack of 4;
 * otherwise all elements are taken one by one. */
typedef struct optim_range {
    int64_t count, head, packs;
} optim_range;

/* Elements from `x` to the next 16 bytes of floats; of bfloat16 to the next 8. */
static int64_t elements_before_pack(const void *x, size_t size)
{
    return (int64_t)((4 - (uintptr_t)x / size % 4) % 4);
}

static optim_range optim_range_of(int64_t count, const float *g, const float *p, const float *first,
                                  const float *second, const void *narrow)
{
    const int64_t head = elements_before_pack(p, sizeof *p);
    const float *others[] = {g, first ? first : p, second ? second : p};
    bool alike = !narrow || elements_before_pack(narrow, sizeof(gpu_bf16)) == head;
    for (int i = 0; i < 3; i++)
        alike = alike && elements_before_pack(others[i], sizeof *p) == head;
    optim_range range = {count, count, 0};
    if (alike && head < count) {
        range.head = head;
        range.packs = (count - head) / 4;
    }
    return range;
}

/* op.at<N>(i) works on elements i .. i + N - 1: packs of 4, and the others one by one. */
template <typename Op> static __device__ __forceinline__ void optim_walk(const optim_range &range, const Op &op)
{
    for (int64_t i = gpu_thread(); i < range.packs; i += gpu_threads())
        op.template at<4>(range.head + 4 * i);
    const int64_t rest = range.count - 4 * range.packs;
    for (int64_t i = gpu_thread(); i < rest; i += gpu_threads())
        op.template at<1>(i < range.head ? i : i + 4 * range.packs);
}

static unsigned optim_blocks(const optim_range *range)
{
    const int64_t rest = range->count - 4 * range->packs;
    return gpu_blocks(range->packs > rest ? range->packs : rest);
}

static __global__ void begin_step(const ops_step step, ops_step *to)
{
    *to = step;
}

gpuError_t gpu_begin_step(gpuStream_t stream, const ops_step *step, ops_step *to)
{
    return GPU_LAUNCH(begin_step, 1, 1, stream, *step, to);
}

/* ---- sgd ---- */

struct sgd_op {
    float lr, scale, decay, momentum;
    int nesterov;
    const float *g;
    float *p, *v;
    gpu_bf16 *narrow;

    template <int N> __device__ __forceinline__ void at(int64_t i) const
    {
        const gpu_pack<N> gradient = gpu_load<N>(g + i);
        gpu_pack<N> value = gpu_load<N>(p + i), speed = {};
        if (v)
            speed = gpu_load<N>(v + i);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float slope = scale * gradient.x[k] + decay * value.x[k];
            speed.x[k] = momentum * speed.x[k] + slope;
            value.x[k] -= lr * (!v ? slope : nesterov ? slope + momentum * speed.x[k] : speed.x[k]);
        }
        if (v)
            gpu_store<N>(v + i, speed);
        gpu_store<N>(p + i, value);
        if (narrow)
            gpu_store<N>(narrow + i, value);
    }
};

static __global__ void __launch_bounds__(GPU_THREADS)
    sgd_update(const optim_range range, sgd_op op, const ops_step *step)
{
    op.lr = step->lr;
    op.scale = step->grad_scale;
    optim_walk(range, op);
}

gpuError_t gpu_sgd_update(gpuStream_t stream, const ops_sgd *op, const ops_step *step, int64_t count, const float *g,
                          float *p, float *v, void *narrow)
{
    if (count <= 0)
        return gpuSuccess;
    const optim_range range = optim_range_of(count, g, p, v, NULL, narrow);
    const sgd_op update = {0.0f, 0.0f, op->weight_decay, op->momentum, op->nesterov, g, p, v, (gpu_bf16 *)narrow};
    return GPU_LAUNCH(sgd_update, optim_blocks(&range), GPU_THREADS, stream, range, update, step);
}

/* ---- adam ---- */

/* What changes from step to step, made by one thread of a block. */
typedef struct adam_factors {
    float grad_scale, decay_parameter;
    float step_size;  /* lr / (1 - beta1^update) */
    float root_scale; /* 1 / sqrt(1 - beta2^update) */
} adam_factors;

struct adam_op {
    float beta1, rest1, beta2, rest2, decay_gradient, eps;
    adam_factors by;
    const float *g;
    float *p, *m, *v;
    gpu_bf16 *narrow;

    template <int N> __device__ __forceinline__ void at(int64_t i) const
    {
        const gpu_pack<N> gradient = gpu_load<N>(g + i);
        gpu_pack<N> value = gpu_load<N>(p + i), first = gpu_load<N>(m + i), second = gpu_load<N>(v + i);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float slope = by.grad_scale * gradient.x[k] + decay_gradient * value.x[k];
            first.x[k] = beta1 * first.x[k] + rest1 * slope;
            second.x[k] = beta2 * second.x[k] + rest2 * slope * slope;
            value.x[k] = by.decay_parameter * value.x[k] -
                         by.step_size * first.x[k] / (sqrtf(second.x[k]) * by.root_scale + eps);
        }
        gpu_store<N>(m + i, first);
        gpu_store<N>(v + i, second);
        gpu_store<N>(p + i, value);
        if (narrow)
            gpu_store<N>(narrow + i, value);
    }
};

/* x^n by squaring: its error is below n units of double, which is nothing against what it is taken from, 1. */
static __device__ __forceinline__ double power(double x, int64_t n)
{
    double product = 1.0;
    for (; n > 0; n >>= 1, x *= x)
        product = n & 1 ? product * x : product;
    return product;
}

/* decay: of parameters (decoupled), else 0. */
static __global__ void __launch_bounds__(GPU_THREADS)
    adam_update(const optim_range range, adam_op op, const float decay, const ops_step *step)
{
    __shared__ adam_factors shared;
    if (threadIdx.x == 0) {
        const double lr = (double)step->lr;
        shared.grad_scale = step->grad_scale;
        shared.decay_parameter = (float)(1.0 - lr * (double)decay);
        shared.step_size = (float)(lr / (1.0 - power((double)op.beta1, step->update)));
        shared.root_scale = (float)(1.0 / sqrt(1.0 - power((double)op.beta2, step->update)));
    }
    __syncthreads();
    op.by = shared;
    optim_walk(range, op);
}

gpuError_t gpu_adam_update(gpuStream_t stream, const ops_adam *op, const ops_step *step, int64_t count, const float *g,
                           float *p, float *m, float *v, void *narrow)
{
    if (count <= 0)
        return gpuSuccess;
    const optim_range range = optim_range_of(count, g, p, m, v, narrow);
    const adam_op update = {op->beta1,
                            (float)(1.0 - (double)op->beta1),
                            op->beta2,
                            (float)(1.0 - (double)op->beta2),
                            op->decoupled ? 0.0f : op->weight_decay,
                            op->eps,
                            {},
                            g,
                            p,
                            m,
                            v,
                            (gpu_bf16 *)narrow};
    return GPU_LAUNCH(adam_update, optim_blocks(&range), GPU_THREADS, stream, range, update,
                      op->decoupled ? op->weight_decay : 0.0f, step);
}

/* ---- clipping ---- */

/* The same elements meet in the same order whether x is aligned or not. */
template <bool ALIGNED>
static __global__ void __launch_bounds__(GPU_THREADS) square_sums(const int64_t count, const float *x, double *part)
{
    double sum[1] = {0.0};
#pragma unroll 4
    for (int64_t i = gpu_thread(); i < count / 4; i += gpu_threads()) {
        gpu_pack<4> pack;
        if (ALIGNED) {
            pack = gpu_load<4>(x + 4 * i);
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++)
                pack.x[k] = x[4 * i + k];
        }
#pragma unroll
        for (int k = 0; k < 4; k++)
            sum[0] += (double)pack.x[k] * (double)pack.x[k];
    }
    const int64_t left = count / 4 * 4 + gpu_thread();
    if (left < count)
        sum[0] += (double)x[left] * (double)x[left];
    gpu_block_sum(sum);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum[0];
}

static __global__ void __launch_bounds__(GPU_PARTS_THREADS)
    square_sums_end(const gpu_parts k, const double *part, const int accumulate, double *result)
{
    double sum;
    if (gpu_parts_sum(k, part, &sum) == 0)
        *result = accumulate ? *result + sum : sum;
}

gpuError_t gpu_sum_of_squares(gpuStream_t stream, int64_t count, const float *x, int accumulate, double *result,
                              float *scratch)
{
    const int64_t worth = gpu_ceil_div(count, 16 * GPU_THREADS);
    const unsigned blocks = (unsigned)(worth < 1 ? 1 : worth < GPU_BLOCKS_SUMS ? worth : GPU_BLOCKS_SUMS);
    double *part = blocks > 1 || accumulate ? (double *)scratch : result;
    const gpuError_t error = GPU_LAUNCH(((uintptr_t)x % 16 == 0 ? square_sums<true> : square_sums<false>), blocks,
                                        GPU_THREADS, stream, count, x, part);
    if (error != gpuSuccess || part == result)
        return error;
    const gpu_parts end = gpu_parts_of(blocks, 1);
    return GPU_LAUNCH(square_sums_end, 1, gpu_parts_threads(&end), stream, end, part, accumulate, result);
}

static __global__ void clip(const double clip_norm, const double *sum_of_squares, ops_step *step)
{
    const double norm = sqrt(*sum_of_squares);
    step->grad_scale = norm > clip_norm ? (float)(clip_norm / norm) : 1.0f;
}

gpuError_t gpu_clip(gpuStream_t stream, double clip_norm, const double *sum_of_squares, ops_step *step)
{
    return GPU_LAUNCH(clip, 1, 1, stream, clip_norm, sum_of_squares, step);
}
