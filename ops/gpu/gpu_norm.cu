/* gpu_norm.cu: batch normalisation over rows x (R, C). Sums are in double: each block adds up the rows that it has,
 * then the blocks' parts (in scratch, (parts, 2 C)) are added up in their order. */
#include "gpu_activation.cuh"
#include "gpu_sums.cuh"

enum { ELEMENT_GROUPS = 4, ELEMENT_BLOCKS = 2 * GPU_BLOCKS_SUMS }; /* of the loops that sum nothing */

/* Launches over (R, C) as gpu_sums.cuh says, `parts` blocks along the rows. */
static dim3 norm_blocks(const gpu_columns *k, int64_t parts)
{
    return dim3((unsigned)k->slices, (unsigned)parts);
}

/* Parts of sums, and where they go: scratch, or for one part the sums themselves. */
static int64_t norm_parts(const gpu_columns *k, double *sums, float *scratch, double **part)
{
    const int64_t room = GPU_SCRATCH_FLOATS / 2 / (2 * k->c);
    const int64_t parts = gpu_columns_parts(k, 4, GPU_BLOCKS_SUMS);
    const int64_t taken = parts < room ? parts : room;
    *part = taken > 1 ? (double *)scratch : sums;
    return taken > 1 ? taken : 1;
}

/* ---- sums ---- */

template <int N, int PACKS, bool WHOLE, typename T>
static __device__ __forceinline__ void sum_packs(const gpu_columns &k, const T *x, int64_t at, int64_t step,
                                                 double *sum, double *square)
{
    gpu_pack<N> pack[PACKS];
#pragma unroll
    for (int p = 0; p < PACKS; p++)
        pack[p] = gpu_columns_load<N, WHOLE>(k, x, at + p * step);
#pragma unroll
    for (int p = 0; p < PACKS; p++)
#pragma unroll
        for (int i = 0; i < N; i++) {
            const double value = (double)pack[p].x[i];
            sum[i] += value;
            square[i] += value * value;
        }
}

template <int N, typename T>
static __global__ void __launch_bounds__(GPU_COLUMNS_THREADS) norm_sums(const gpu_columns k, const T *x, double *part)
{
    constexpr int PACKS = 4;
    __shared__ double room[N * GPU_COLUMNS_THREADS];
    const gpu_column_walk walk = gpu_columns_begin<N>(k);
    double sum[N] = {}, square[N] = {};
    int64_t at = walk.at;
    for (; at + (PACKS - 1) * walk.step + N <= k.elements; at += PACKS * walk.step)
        sum_packs<N, PACKS, true>(k, x, at, walk.step, sum, square);
    for (; at < k.elements; at += walk.step)
        sum_packs<N, 1, false>(k, x, at, walk.step, sum, square);
    double *to = part + blockIdx.y * 2 * k.c;
    gpu_columns_sum<N>(k, sum, room, to);
    gpu_columns_sum<N>(k, square, room, to + k.c);
}

/* invstd NULL: of the forward pass. */
static __global__ void __launch_bounds__(GPU_PARTS_THREADS)
    norm_sums_end(const gpu_parts k, const int64_t c, const double *part, const float *invstd, double *sums,
                  float *dgamma, float *dbeta)
{
    double sum;
    const int64_t i = gpu_parts_sum(k, part, &sum);
    if (i < 0)
        return;
    if (invstd && i >= c)
        sum *= (double)invstd[i - c];
    sums[i] = sum;
    if (invstd)
        (i < c ? dbeta : dgamma)[i < c ? i : i - c] = (float)sum;
}

template <int N, typename T>
static gpuError_t norm_sums_run(gpuStream_t stream, int64_t rows, int64_t c, const void *x, double *sums,
                                float *scratch)
{
    const gpu_columns k = gpu_columns_of(rows, c, N);
    double *part;
    const int64_t parts = norm_parts(&k, sums, scratch, &part);
    const gpuError_t error =
        GPU_LAUNCH((norm_sums<N, T>), norm_blocks(&k, parts), gpu_columns_threads(&k), stream, k, (const T *)x, part);
    if (error != gpuSuccess || part == sums)
        return error;
    const gpu_parts end = gpu_parts_of(parts, 2 * c);
    return GPU_LAUNCH(norm_sums_end, gpu_parts_blocks(&end), gpu_parts_threads(&end), stream, end, c, part,
                      (const float *)NULL, sums, (float *)NULL, (float *)NULL);
}

template <typename T>
static gpuError_t norm_sums_of(gpuStream_t stream, int64_t rows, int64_t c, const void *x, double *sums, float *scratch)
{
    constexpr int WIDE = gpu_wide<T>();
    return (gpu_columns_wide(c, WIDE) ? norm_sums_run<WIDE, T> : norm_sums_run<1, T>)(stream, rows, c, x, sums,
                                                                                      scratch);
}

gpuError_t gpu_batch_norm_sums(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, const void *x, double *sums,
                               float *scratch)
{
    return (type == GPU_F32 ? norm_sums_of<float> : norm_sums_of<gpu_bf16>)(stream, rows, c, x, sums, scratch);
}

/* ---- mean and deviation ---- */

static __global__ void __launch_bounds__(GPU_THREADS)
    norm_statistics(const int64_t c, const double *sums, const int64_t count, const float momentum, const float eps,
                    float *mean, float *invstd, float *running_mean, float *running_var)
{
    const double n = (double)count, keep = 1.0 - (double)momentum, take = (double)momentum;
    const double unbias = count > 1 ? n / (n - 1.0) : 1.0;
    for (int64_t i = gpu_thread(); i < c; i += gpu_threads()) {
        const double average = sums[i] / n;
        double variance = sums[c + i] / n - average * average;
        variance = variance < 0.0 ? 0.0 : variance; /* rounding; a NaN stays */
        mean[i] = (float)average;
        invstd[i] = (float)(1.0 / sqrt(variance + (double)eps));
        running_mean[i] = (float)(keep * (double)running_mean[i] + take * average);
        running_var[i] = (float)(keep * (double)running_var[i] + take * variance * unbias);
    }
}

gpuError_t gpu_batch_norm_statistics(gpuStream_t stream, int64_t c, const double *sums, int64_t count, float momentum,
                                     float eps, float *mean, float *invstd, float *running_mean, float *running_var)
{
    return GPU_LAUNCH(norm_statistics, gpu_blocks(c), GPU_THREADS, stream, c, sums, count, momentum, eps, mean, invstd,
                      running_mean, running_var);
}

static __global__ void __launch_bounds__(GPU_THREADS)
    norm_running(const int64_t c, const float *running_mean, const float *running_var, const float eps, float *mean,
                 float *invstd)
{
    for (int64_t i = gpu_thread(); i < c; i += gpu_threads()) {
        mean[i] = running_mean[i];
        invstd[i] = (float)(1.0 / sqrt((double)running_var[i] + (double)eps));
    }
}

gpuError_t gpu_batch_norm_running(gpuStream_t stream, int64_t c, const float *running_mean, const float *running_var,
                                  float eps, float *mean, float *invstd)
{
    return GPU_LAUNCH(norm_running, gpu_blocks(c), GPU_THREADS, stream, c, running_mean, running_var, eps, mean,
                      invstd);
}

/* ---- forward ---- */

template <int N, int PACKS, bool WHOLE, ops_activation ACTIVATION, typename T>
static __device__ __forceinline__ void forward_packs(const gpu_columns &k, const T *x, int64_t at, int64_t step,
                                                     const float *mean, const float *scale, const float *beta, T *y,
                                                     T *z)
{
    gpu_pack<N> pack[PACKS];
#pragma unroll
    for (int p = 0; p < PACKS; p++)
        pack[p] = gpu_columns_load<N, WHOLE>(k, x, at + p * step);
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            pack[p].x[i] = (pack[p].x[i] - mean[i]) * scale[i] + beta[i];
        if (z)
            gpu_columns_store<N, WHOLE>(k, z, at + p * step, pack[p]);
#pragma unroll
        for (int i = 0; i < N; i++)
            pack[p].x[i] = gpu_activate<ACTIVATION>(pack[p].x[i]);
        gpu_columns_store<N, WHOLE>(k, y, at + p * step, pack[p]);
    }
}

template <int N, ops_activation ACTIVATION, typename T>
static __global__ void __launch_bounds__(GPU_COLUMNS_THREADS)
    norm_forward(const gpu_columns k, const T *x, const float *means, const float *invstd, const float *gamma,
                 const float *betas, T *y, T *z)
{
    constexpr int PACKS = 2;
    const gpu_column_walk walk = gpu_columns_begin<N>(k);
    int64_t column[N];
    gpu_columns_here<N>(k, walk, column);
    float mean[N], scale[N], beta[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        mean[i] = means[column[i]];
        scale[i] = gamma[column[i]] * invstd[column[i]];
        beta[i] = betas[column[i]];
    }
    int64_t at = walk.at;
    for (; at + (PACKS - 1) * walk.step + N <= k.elements; at += PACKS * walk.step)
        forward_packs<N, PACKS, true, ACTIVATION>(k, x, at, walk.step, mean, scale, beta, y, z);
    for (; at < k.elements; at += walk.step)
        forward_packs<N, 1, false, ACTIVATION>(k, x, at, walk.step, mean, scale, beta, y, z);
}

template <int N, typename T>
static gpuError_t norm_forward_run(gpuStream_t stream, int64_t rows, int64_t c, ops_activation activation, const T *x,
                                   const float *mean, const float *invstd, const float *gamma, const float *beta, T *y,
                                   T *z)
{
    void (*kernel)(gpu_columns, const T *, const float *, const float *, const float *, const float *, T *, T *) = NULL;
    switch (activation) {
    case OPS_RELU: kernel = norm_forward<N, OPS_RELU, T>; break;
    case OPS_GELU: kernel = norm_forward<N, OPS_GELU, T>; break;
    case OPS_TANH: kernel = norm_forward<N, OPS_TANH, T>; break;
    case OPS_SIGMOID: kernel = norm_forward<N, OPS_SIGMOID, T>; break;
    default: kernel = norm_forward<N, OPS_IDENTITY, T>; break;
    }
    const gpu_columns k = gpu_columns_of(rows, c, N);
    return GPU_LAUNCH(kernel, norm_blocks(&k, gpu_columns_parts(&k, ELEMENT_GROUPS, ELEMENT_BLOCKS)),
                      gpu_columns_threads(&k), stream, k, x, mean, invstd, gamma, beta, y, z);
}

template <typename T>
static gpuError_t norm_forward_of(gpuStream_t stream, int64_t rows, int64_t c, ops_activation activation, const void *x,
                                  const float *mean, const float *invstd, const float *gamma, const float *beta,
                                  void *y, void *z)
{
    constexpr int WIDE = gpu_wide<T>();
    return (gpu_columns_wide(c, WIDE) ? norm_forward_run<WIDE, T>
                                      : norm_forward_run<1, T>)(stream, rows, c, activation, (const T *)x, mean, invstd,
                                                                gamma, beta, (T *)y,
                                                                gpu_keeps_input(activation) ? (T *)z : NULL);
}

gpuError_t gpu_batch_norm_forward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, ops_activation activation,
                                  const void *x, const float *mean, const float *invstd, const float *gamma,
                                  const float *beta, void *y, void *z)
{
    if (rows <= 0)
        return gpuSuccess;
    return (type == GPU_F32 ? norm_forward_of<float> : norm_forward_of<gpu_bf16>)(stream, rows, c, activation, x, mean,
                                                                                  invstd, gamma, beta, y, z);
}

/* ---- backward ---- */

/* dy becomes the gradient before the activation, as it is stored; the sums are of that. `kept` is y, or z. */
template <int N, int PACKS, bool WHOLE, ops_activation ACTIVATION, typename T>
static __device__ __forceinline__ void backward_sum_packs(const gpu_columns &k, const T *x, const T *kept, T *dy,
                                                          int64_t at, int64_t step, const float *mean, double *sum,
                                                          double *product)
{
    gpu_pack<N> value[PACKS], slope[PACKS], by[PACKS];
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        value[p] = gpu_columns_load<N, WHOLE>(k, x, at + p * step);
        slope[p] = gpu_columns_load<N, WHOLE>(k, dy, at + p * step);
        if (ACTIVATION != OPS_IDENTITY)
            by[p] = gpu_columns_load<N, WHOLE>(k, kept, at + p * step);
    }
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        if (ACTIVATION != OPS_IDENTITY) {
#pragma unroll
            for (int i = 0; i < N; i++)
                slope[p].x[i] = gpu_to_float(gpu_from_float<T>(gpu_gradient<ACTIVATION>(by[p].x[i], slope[p].x[i])));
            gpu_columns_store<N, WHOLE>(k, dy, at + p * step, slope[p]);
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            const double d = (double)slope[p].x[i];
            sum[i] += d;
            product[i] += d * ((double)value[p].x[i] - (double)mean[i]);
        }
    }
}

template <int N, ops_activation ACTIVATION, typename T>
static __global__ void __launch_bounds__(GPU_COLUMNS_THREADS)
    norm_backward_sums(const gpu_columns k, const T *x, const float *means, const T *kept, T *dy, double *part)
{
    constexpr int PACKS = 2;
    __shared__ double room[N * GPU_COLUMNS_THREADS];
    const gpu_column_walk walk = gpu_columns_begin<N>(k);
    int64_t column[N];
    gpu_columns_here<N>(k, walk, column);
    float mean[N];
    double sum[N] = {}, product[N] = {};
#pragma unroll
    for (int i = 0; i < N; i++)
        mean[i] = means[column[i]];
    int64_t at = walk.at;
    for (; at + (PACKS - 1) * walk.step + N <= k.elements; at += PACKS * walk.step)
        backward_sum_packs<N, PACKS, true, ACTIVATION>(k, x, kept, dy, at, walk.step, mean, sum, product);
    for (; at < k.elements; at += walk.step)
        backward_sum_packs<N, 1, false, ACTIVATION>(k, x, kept, dy, at, walk.step, mean, sum, product);
    double *to = part + blockIdx.y * 2 * k.c;
    gpu_columns_sum<N>(k, sum, room, to);
    gpu_columns_sum<N>(k, product, room, to + k.c);
}

template <int N, typename T>
static gpuError_t norm_backward_sums_run(gpuStream_t stream, int64_t rows, int64_t c, ops_activation activation,
                                         const T *x, const float *mean, const float *invstd, const T *kept, T *dy,
                                         double *sums, float *dgamma, float *dbeta, float *scratch)
{
    void (*kernel)(gpu_columns, const T *, const float *, const T *, T *, double *) = NULL;
    switch (activation) {
    case OPS_RELU: kernel = norm_backward_sums<N, OPS_RELU, T>; break;
    case OPS_GELU: kernel = norm_backward_sums<N, OPS_GELU, T>; break;
    case OPS_TANH: kernel = norm_backward_sums<N, OPS_TANH, T>; break;
    case OPS_SIGMOID: kernel = norm_backward_sums<N, OPS_SIGMOID, T>; break;
    default: kernel = norm_backward_sums<N, OPS_IDENTITY, T>; break;
    }
    const gpu_columns k = gpu_columns_of(rows, c, N);
    double *part;
    const int64_t parts = norm_parts(&k, sums, scratch, &part);
    const gpuError_t error =
        GPU_LAUNCH(kernel, norm_blocks(&k, parts), gpu_columns_threads(&k), stream, k, x, mean, kept, dy, part);
    if (error != gpuSuccess)
        return error;
    const gpu_parts end = gpu_parts_of(parts, 2 * c);
    return GPU_LAUNCH(norm_sums_end, gpu_parts_blocks(&end), gpu_parts_threads(&end), stream, end, c, part, invstd,
                      sums, dgamma, dbeta);
}

template <typename T>
static gpuError_t norm_backward_sums_of(gpuStream_t stream, int64_t rows, int64_t c, ops_activation activation,
                                        const void *x, const float *mean, const float *invstd, const void *y,
                                        const void *z, void *dy, double *sums, float *dgamma, float *dbeta,
                                        float *scratch)
{
    constexpr int WIDE = gpu_wide<T>();
    return (gpu_columns_wide(c, WIDE) ? norm_backward_sums_run<WIDE, T>
                                      : norm_backward_sums_run<1, T>)(stream, rows, c, activation, (const T *)x, mean,
                                                                      invstd,
                                                                      (const T *)(gpu_keeps_input(activation) ? z : y),
                                                                      (T *)dy, sums, dgamma, dbeta, scratch);
}

gpuError_t gpu_batch_norm_backward_sums(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c,
                                        ops_activation activation, const void *x, const float *mean,
                                        const float *invstd, const void *y, const void *z, void *dy, double *sums,
                                        float *dgamma, float *dbeta, float *scratch)
{
    return (type == GPU_F32 ? norm_backward_sums_of<float>
                            : norm_backward_sums_of<gpu_bf16>)(stream, rows, c, activation, x, mean, invstd, y, z, dy,
                                                               sums, dgamma, dbeta, scratch);
}

template <int N, int PACKS, bool WHOLE, typename T>
static __device__ __forceinline__ void backward_packs(const gpu_columns &k, const T *x, const T *dy, int64_t at,
                                                      int64_t step, const float (*constant)[N], T *dx, int accumulate)
{
    gpu_pack<N> value[PACKS], slope[PACKS], before[PACKS];
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        value[p] = gpu_columns_load<N, WHOLE>(k, x, at + p * step);
        slope[p] = gpu_columns_load<N, WHOLE>(k, dy, at + p * step);
        before[p] = accumulate ? gpu_columns_load<N, WHOLE>(k, dx, at + p * step) : gpu_pack<N>{};
    }
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            before[p].x[i] +=
                constant[1][i] * (slope[p].x[i] - constant[2][i] - (value[p].x[i] - constant[0][i]) * constant[3][i]);
        gpu_columns_store<N, WHOLE>(k, dx, at + p * step, before[p]);
    }
}

template <int N, typename T>
static __global__ void __launch_bounds__(GPU_COLUMNS_THREADS)
    norm_backward(const gpu_columns k, const T *x, const float *mean, const float *invstd, const float *gamma,
                  const double *sums, const double share, const T *dy, T *dx, const int accumulate)
{
    constexpr int PACKS = 2;
    const gpu_column_walk walk = gpu_columns_begin<N>(k);
    int64_t column[N];
    gpu_columns_here<N>(k, walk, column);
    float constant[4][N]; /* mean, scale, mean of dy, and of dy xhat, times invstd */
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float deviation = invstd[column[i]];
        constant[0][i] = mean[column[i]];
        constant[1][i] = gamma[column[i]] * deviation;
        constant[2][i] = (float)(sums[column[i]] * share);
        constant[3][i] = (float)(sums[k.c + column[i]] * share * (double)deviation);
    }
    int64_t at = walk.at;
    for (; at + (PACKS - 1) * walk.step + N <= k.elements; at += PACKS * walk.step)
        backward_packs<N, PACKS, true>(k, x, dy, at, walk.step, constant, dx, accumulate);
    for (; at < k.elements; at += walk.step)
        backward_packs<N, 1, false>(k, x, dy, at, walk.step, constant, dx, accumulate);
}

template <typename T>
static gpuError_t norm_backward_of(gpuStream_t stream, int64_t rows, int64_t c, const void *x, const float *mean,
                                   const float *invstd, const float *gamma, const double *sums, int64_t count,
                                   const void *dy, void *dx, int accumulate)
{
    constexpr int WIDE = gpu_wide<T>();
    const int wide = gpu_columns_wide(c, WIDE);
    const gpu_columns k = gpu_columns_of(rows, c, wide ? WIDE : 1);
    return GPU_LAUNCH((wide ? norm_backward<WIDE, T> : norm_backward<1, T>),
                      norm_blocks(&k, gpu_columns_parts(&k, ELEMENT_GROUPS, ELEMENT_BLOCKS)), gpu_columns_threads(&k),
                      stream, k, (const T *)x, mean, invstd, gamma, sums, 1.0 / (double)count, (const T *)dy, (T *)dx,
                      accumulate);
}

gpuError_t gpu_batch_norm_backward(gpuStream_t stream, gpu_type type, int64_t rows, int64_t c, const void *x,
                                   const float *mean, const float *invstd, const float *gamma, const double *sums,
                                   int64_t count, const void *dy, void *dx, int accumulate)
{
    if (!dx || rows <= 0)
        return gpuSuccess;
    return (type == GPU_F32 ? norm_backward_of<float> : norm_backward_of<gpu_bf16>)(stream, rows, c, x, mean, invstd,
                                                                                    gamma, sums, count, dy, dx,
                                                                                    accumulate);
}
