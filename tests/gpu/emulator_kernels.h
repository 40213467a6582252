/* emulator_kernels.h: kernels for test_gpu_emulator, good ones and bad ones. */
#ifndef EMULATOR_KERNELS_H
#define EMULATOR_KERNELS_H

#include "gpu_api.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* Blocks of 64 threads, thread i of all: reversed[i] = the number of its opposite in the block, fifth[i] = the number
 * of lane xor 5. */
gpuError_t emulator_exchange(gpuStream_t stream, int blocks, int *reversed, int *fifth);
/* *last = the number of the thread that ran last. */
gpuError_t emulator_race(gpuStream_t stream, unsigned blocks, unsigned threads, int *last);

/* What two copies of x (64 floats) into shared memory have brought when only the first has been waited for, 32 floats
 * each. Then copies of 16 bytes from `off` floats behind x. */
gpuError_t emulator_copies(gpuStream_t stream, const float *x, float *got);
gpuError_t emulator_wide_copies(gpuStream_t stream, const float *x, int off);

/* Some threads do not meet the others; they meet in two places; a lane does not take part in a shuffle. */
gpuError_t emulator_uneven(gpuStream_t stream);
gpuError_t emulator_elsewhere(gpuStream_t stream);
gpuError_t emulator_lanes(gpuStream_t stream, int *x);
/* Writes byte `at` of x. */
gpuError_t emulator_beyond(gpuStream_t stream, void *x, size_t at);

#if defined(__cplusplus)
}
#endif

#endif
