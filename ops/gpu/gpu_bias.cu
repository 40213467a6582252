/* gpu_bias.cu: bias, activation and dropout after a product, their gradients before the next. */
#include "gpu_activation.cuh"
#include "gpu_random.cuh"

template <typename T, ops_activation A> struct bias_activation_op {
    const T *b;
    T *y, *z;
    int64_t n;
    gpu_dropout drop;

    template <int N> __device__ void at(int64_t row, int64_t column) const
    {
        const int64_t i = row * n + column;
        gpu_pack<N> p = gpu_load<N>(y + i);
        if (b) {
            const gpu_pack<N> bias = gpu_load<N>(b + column);
#pragma unroll
            for (int k = 0; k < N; k++)
                p.x[k] += bias.x[k];
        }
        if (z)
            gpu_store<N>(z + i, p);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] = gpu_activate<A>(p.x[k]);
        gpu_drop_pack<N>(drop, row, column, &p);
        gpu_store<N>(y + i, p);
    }
};

template <typename T, ops_activation A>
static gpuError_t bias_activation_as(gpuStream_t stream, int64_t rows, int64_t n, const void *b, const gpu_drop *drop,
                                     void *y, void *z)
{
    constexpr int WIDE = gpu_wide<T>();
    const bias_activation_op<T, A> op = {(const T *)b, (T *)y, (T *)z, n, gpu_dropout_of(drop)};
    if (A == OPS_IDENTITY && !b && !z && !drop)
        return gpuSuccess;
    return gpu_map_rows<WIDE>(stream, op, rows, n, n % WIDE == 0);
}

template <typename T>
static gpuError_t bias_activation(gpuStream_t stream, ops_activation activation, int64_t rows, int64_t n, const void *b,
                                  const gpu_drop *drop, void *y, void *z)
{
    switch (activation) {
    case OPS_RELU: return bias_activation_as<T, OPS_RELU>(stream, rows, n, b, drop, y, z);
    case OPS_GELU: return bias_activation_as<T, OPS_GELU>(stream, rows, n, b, drop, y, z);
    case OPS_TANH: return bias_activation_as<T, OPS_TANH>(stream, rows, n, b, drop, y, z);
    case OPS_SIGMOID: return bias_activation_as<T, OPS_SIGMOID>(stream, rows, n, b, drop, y, z);
    default: return bias_activation_as<T, OPS_IDENTITY>(stream, rows, n, b, drop, y, z);
    }
}

gpuError_t gpu_bias_activation(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t rows, int64_t n,
                               const void *b, const gpu_drop *drop, void *y, void *z)
{
    return type == GPU_BF16 ? bias_activation<gpu_bf16>(stream, activation, rows, n, b, drop, y, z)
                            : bias_activation<float>(stream, activation, rows, n, b, drop, y, z);
}

/* ---- gradients ---- */

template <typename T> struct gate_op {
    const T *x;
    T *dx;
    float gate;

    template <int N> __device__ void at(int64_t i) const
    {
        const gpu_pack<N> kept = gpu_load<N>(x + i);
        gpu_pack<N> p = gpu_load<N>(dx + i);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] = kept.x[k] <= 0.0f ? 0.0f : gate * p.x[k];
        gpu_store<N>(dx + i, p);
    }
};

gpuError_t gpu_gate(gpuStream_t stream, gpu_type type, int64_t count, float gate, const void *x, void *dx)
{
    if (type == GPU_BF16)
        return gpu_map<gpu_wide<gpu_bf16>()>(stream, gate_op<gpu_bf16>{(const gpu_bf16 *)x, (gpu_bf16 *)dx, gate},
                                             count);
    return gpu_map<gpu_wide<float>()>(stream, gate_op<float>{(const float *)x, (float *)dx, gate}, count);
}

/* A block has a tile of columns, one pack for each of LANES threads, and takes a part of the rows, one for each of
 * HEIGHT threads at a time. With enough rows the parts' sums go through scratch. A lane reads 16 bytes, or one element;
 * either way neighbours read 64 bytes or more on end. */
template <int N> struct bias_tile {
    static constexpr int LANES = N == 1 ? 32 : 8, HEIGHT = GPU_THREADS / LANES, COLUMNS = LANES * N;
};

/* Rows that each thread of a lone part may take. */
constexpr int64_t BIAS_ROWS = 16;
/* Rows whose loads are under way at a time. */
constexpr int BIAS_AHEAD = 4;

template <typename T> struct bias_backward_op {
    const T *kept;
    T *dy;
    float *db;    /* of a lone part */
    double *sums; /* (parts, n) of several */
    int64_t rows, rows_a_part, n;
};

/* R rows of a thread: dy becomes dy f', which is added to total as it is stored. */
template <ops_activation A, int N, int R, typename T>
static __device__ __forceinline__ void bias_rows(const bias_backward_op<T> &op, int64_t i, int64_t stride,
                                                 double *total)
{
    gpu_pack<N> p[R], f[R];
    float sum[N] = {};
#pragma unroll
    for (int r = 0; r < R; r++) {
        p[r] = gpu_load<N>(op.dy + i + r * stride);
        if constexpr (A != OPS_IDENTITY)
            f[r] = gpu_load<N>(op.kept + i + r * stride);
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
#pragma unroll
        for (int k = 0; k < N; k++) {
            if constexpr (A != OPS_IDENTITY)
                p[r].x[k] = gpu_to_float(gpu_from_float<T>(gpu_gradient<A>(f[r].x[k], p[r].x[k])));
            sum[k] += p[r].x[k];
        }
        if constexpr (A != OPS_IDENTITY)
            gpu_store<N>(op.dy + i + r * stride, p[r]);
    }
#pragma unroll
    for (int k = 0; k < N; k++)
        total[k] += (double)sum[k];
}

template <typename T, ops_activation A, int N>
static __global__ void __launch_bounds__(GPU_THREADS) bias_backward_kernel(const bias_backward_op<T> op)
{
    using tile = bias_tile<N>;
    __shared__ double room[tile::HEIGHT][tile::COLUMNS];
    const int lane = (int)threadIdx.x % tile::LANES, height = (int)threadIdx.x / tile::LANES;
    const int64_t first = (int64_t)blockIdx.x * tile::COLUMNS, column = first + lane * N;
    const int64_t begin = blockIdx.y * op.rows_a_part, stride = tile::HEIGHT * op.n;
    const int64_t end = begin + op.rows_a_part < op.rows ? begin + op.rows_a_part : op.rows;
    double sum[N] = {};
    if (column < op.n) {
        int64_t row = begin + height;
        for (; row + (BIAS_AHEAD - 1) * tile::HEIGHT < end; row += BIAS_AHEAD * tile::HEIGHT)
            bias_rows<A, N, BIAS_AHEAD>(op, row * op.n + column, stride, sum);
        for (; row < end; row += tile::HEIGHT)
            bias_rows<A, N, 1>(op, row * op.n + column, stride, sum);
    }
#pragma unroll
    for (int k = 0; k < N; k++)
        room[height][lane * N + k] = sum[k];
    __syncthreads();
    for (int j = (int)threadIdx.x; j < tile::COLUMNS; j += GPU_THREADS) {
        double all = 0.0;
#pragma unroll 8
        for (int h = 0; h < tile::HEIGHT; h++)
            all += room[h][j];
        if (first + j >= op.n)
            break;
        if (gridDim.y > 1)
            op.sums[blockIdx.y * op.n + first + j] = all;
        else
            op.db[first + j] = (float)all;
    }
}

/* db[column] = the sum of the parts. */
static __global__ void __launch_bounds__(GPU_THREADS)
    bias_parts_kernel(const double *sums, const int64_t parts, const int64_t n, float *db)
{
    constexpr int LANES = 32, HEIGHT = GPU_THREADS / LANES;
    __shared__ double room[HEIGHT][LANES];
    const int lane = (int)threadIdx.x % LANES, height = (int)threadIdx.x / LANES;
    const int64_t column = (int64_t)blockIdx.x * LANES + lane;
    double sum = 0.0;
    if (column < n)
#pragma unroll 8
        for (int64_t part = height; part < parts; part += HEIGHT)
            sum += sums[part * n + column];
    room[height][lane] = sum;
    __syncthreads();
    if (height == 0 && column < n) {
        for (int h = 1; h < HEIGHT; h++)
            sum += room[h][lane];
        db[column] = (float)sum;
    }
}

template <typename T, ops_activation A, int N>
static gpuError_t bias_backward_in(gpuStream_t stream, bias_backward_op<T> op, float *db, float *scratch)
{
    using tile = bias_tile<N>;
    const int64_t tiles = gpu_ceil_div(op.n, tile::COLUMNS), most = gpu_ceil_div(op.rows, tile::HEIGHT * BIAS_ROWS / 2);
    int64_t parts = gpu_ceil_div(GPU_BLOCKS_SUMS, tiles);
    parts = op.rows <= tile::HEIGHT * BIAS_ROWS ? 1 : parts < most ? parts : most;
    op.rows_a_part = gpu_ceil_div(op.rows, parts);
    op.db = db;
    op.sums = (double *)scratch;
    const gpuError_t error =
        GPU_LAUNCH((bias_backward_kernel<T, A, N>), dim3((unsigned)tiles, (unsigned)parts), GPU_THREADS, stream, op);
    if (error != gpuSuccess || parts == 1)
        return error;
    return GPU_LAUNCH(bias_parts_kernel, (unsigned)gpu_ceil_div(op.n, 32), GPU_THREADS, stream, op.sums, parts, op.n,
                      db);
}

template <typename T, ops_activation A> struct bias_gradient_op {
    const T *kept;
    T *dy;

    template <int N> __device__ void at(int64_t i) const
    {
        gpu_pack<N> p = gpu_load<N>(dy + i);
        const gpu_pack<N> f = gpu_load<N>(kept + i);
#pragma unroll
        for (int k = 0; k < N; k++)
            p.x[k] = gpu_gradient<A>(f.x[k], p.x[k]);
        gpu_store<N>(dy + i, p);
    }
};

template <typename T, ops_activation A>
static gpuError_t bias_backward_as(gpuStream_t stream, int64_t rows, int64_t n, const void *y, const void *z, void *dy,
                                   float *db, float *scratch)
{
    constexpr int WIDE = gpu_wide<T>();
    const bias_backward_op<T> op = {(const T *)(gpu_keeps_input(A) ? z : y), (T *)dy, nullptr, nullptr, rows, 0, n};
    if (db && n > 0)
        return n % WIDE == 0 ? bias_backward_in<T, A, WIDE>(stream, op, db, scratch)
                             : bias_backward_in<T, A, 1>(stream, op, db, scratch);
    if constexpr (A != OPS_IDENTITY)
        return gpu_map<WIDE>(stream, bias_gradient_op<T, A>{op.kept, op.dy}, rows * n);
    return gpuSuccess;
}

template <typename T>
static gpuError_t bias_backward(gpuStream_t stream, ops_activation activation, int64_t rows, int64_t n, const void *y,
                                const void *z, void *dy, float *db, float *scratch)
{
    switch (activation) {
    case OPS_RELU: return bias_backward_as<T, OPS_RELU>(stream, rows, n, y, z, dy, db, scratch);
    case OPS_GELU: return bias_backward_as<T, OPS_GELU>(stream, rows, n, y, z, dy, db, scratch);
    case OPS_TANH: return bias_backward_as<T, OPS_TANH>(stream, rows, n, y, z, dy, db, scratch);
    case OPS_SIGMOID: return bias_backward_as<T, OPS_SIGMOID>(stream, rows, n, y, z, dy, db, scratch);
    default: return bias_backward_as<T, OPS_IDENTITY>(stream, rows, n, y, z, dy, db, scratch);
    }
}

gpuError_t gpu_bias_activation_backward(gpuStream_t stream, gpu_type type, ops_activation activation, int64_t rows,
                                        int64_t n, const void *y, const void *z, void *dy, float *db, float *scratch)
{
    return type == GPU_BF16 ? bias_backward<gpu_bf16>(stream, activation, rows, n, y, z, dy, db, scratch)
                            : bias_backward<float>(stream, activation, rows, n, y, z, dy, db, scratch);
}
