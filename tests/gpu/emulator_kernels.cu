/* emulator_kernels.cu: kernels for test_gpu_emulator, good ones and bad ones. */
#include "emulator_kernels.h"

#include "gpu_tile.cuh"

/* Each thread's number in reverse, by shared memory, and what lane 5 has, by a shuffle. */
static __global__ void exchange_kernel(int *reversed, int *fifth)
{
    __shared__ int number[64];
    const int t = (int)threadIdx.x, at = (int)(blockIdx.x * blockDim.x) + t;
    number[t] = at;
    __syncthreads();
    reversed[at] = number[63 - t];
    fifth[at] = gpu_shuffle_xor(at, 5);
}

/* The last block and thread to run leaves its number. */
static __global__ void race_kernel(int *last)
{
    *last = (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

static __global__ void copies_kernel(const float *x, float *got)
{
    __shared__ float place[64];
    const int t = (int)threadIdx.x;
    for (int i = t; i < 64; i += 32) {
        gpu_copy_async<4>(place + i, x + i, i % 2 ? 4 : 0);
        gpu_copy_commit();
    }
    gpu_copy_wait<1>();
    __syncthreads();
    for (int i = t; i < 64; i += 32)
        got[i] = place[63 - i];
}

static __global__ void wide_copies_kernel(const float *x)
{
    alignas(16) __shared__ float place[4];
    gpu_copy_async<16>(place, x, 16);
}

static __global__ void uneven_kernel(unsigned threads)
{
    if (threadIdx.x < threads)
        __syncthreads();
}

static __global__ void elsewhere_kernel(unsigned threads)
{
    if (threadIdx.x < threads)
        __syncthreads();
    else
        __syncthreads();
}

static __global__ void lanes_kernel(int *x)
{
    if (threadIdx.x != 3)
        x[threadIdx.x] = gpu_shuffle_xor((int)threadIdx.x, 1);
}

static __global__ void beyond_kernel(char *x, size_t at)
{
    x[at] = 1;
}

gpuError_t emulator_exchange(gpuStream_t stream, int blocks, int *reversed, int *fifth)
{
    return GPU_LAUNCH(exchange_kernel, (unsigned)blocks, 64, stream, reversed, fifth);
}

gpuError_t emulator_race(gpuStream_t stream, unsigned blocks, unsigned threads, int *last)
{
    return GPU_LAUNCH(race_kernel, blocks, threads, stream, last);
}

gpuError_t emulator_copies(gpuStream_t stream, const float *x, float *got)
{
    return GPU_LAUNCH(copies_kernel, 1, 32, stream, x, got);
}

gpuError_t emulator_wide_copies(gpuStream_t stream, const float *x, int off)
{
    return GPU_LAUNCH(wide_copies_kernel, 1, 1, stream, x + off);
}

gpuError_t emulator_uneven(gpuStream_t stream)
{
    return GPU_LAUNCH(uneven_kernel, 1, 32, stream, 16);
}

gpuError_t emulator_elsewhere(gpuStream_t stream)
{
    return GPU_LAUNCH(elsewhere_kernel, 1, 32, stream, 16);
}

gpuError_t emulator_lanes(gpuStream_t stream, int *x)
{
    return GPU_LAUNCH(lanes_kernel, 1, 32, stream, x);
}

gpuError_t emulator_beyond(gpuStream_t stream, void *x, size_t at)
{
    return GPU_LAUNCH(beyond_kernel, 1, 1, stream, (char *)x, at);
}
