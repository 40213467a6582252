/* gpu_transpose.cu: a matrix transposed, through tiles, so that rows are read and written along their memory. */
#include "gpu_kernel.cuh"

constexpr int TILE = 32, TILE_LINES = GPU_THREADS / TILE; /* lines of a tile at a time */

template <typename FROM, typename TO>
static __global__ void __launch_bounds__(GPU_THREADS)
    transpose(const int64_t rows, const int64_t columns, const FROM *from, TO *to)
{
    __shared__ float tile[TILE][TILE + 1]; /* one more: neighbours in a column lie in different banks */
    const int across = (int)threadIdx.x % TILE, down = (int)threadIdx.x / TILE;
    const int64_t wide = (columns + TILE - 1) / TILE, tiles = wide * ((rows + TILE - 1) / TILE);
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t row = t / wide * TILE, column = t % wide * TILE;
        for (int line = down; line < TILE; line += TILE_LINES)
            if (row + line < rows && column + across < columns)
                tile[line][across] = gpu_to_float(from[(row + line) * columns + column + across]);
        __syncthreads();
        for (int line = down; line < TILE; line += TILE_LINES)
            if (column + line < columns && row + across < rows)
                to[(column + line) * rows + row + across] = gpu_from_float<TO>(tile[across][line]);
        __syncthreads(); /* `tile` is written again */
    }
}

template <typename FROM, typename TO>
static gpuError_t transpose_of(gpuStream_t stream, int64_t rows, int64_t columns, const void *from, void *to)
{
    const int64_t tiles = gpu_ceil_div(rows, TILE) * gpu_ceil_div(columns, TILE);
    if (tiles == 0)
        return gpuSuccess;
    return GPU_LAUNCH((transpose<FROM, TO>), (unsigned)(tiles < GPU_BLOCKS_MAX ? tiles : GPU_BLOCKS_MAX), GPU_THREADS,
                      stream, rows, columns, (const FROM *)from, (TO *)to);
}

gpuError_t gpu_transpose(gpuStream_t stream, gpu_type type, int64_t rows, int64_t columns, const void *from, void *to)
{
    return (type == GPU_F32 ? transpose_of<float, float> : transpose_of<gpu_bf16, gpu_bf16>)(stream, rows, columns,
                                                                                             from, to);
}

gpuError_t gpu_transpose_to_float(gpuStream_t stream, gpu_type type, int64_t rows, int64_t columns, const void *from,
                                  float *to)
{
    return (type == GPU_F32 ? transpose_of<float, float> : transpose_of<gpu_bf16, float>)(stream, rows, columns, from,
                                                                                          to);
}
