/* gpu_small.h: products too small to fill a GPU, with what comes before and after them (gpu_small.cu). Floats.
 *
 * c (M, N) = op(a) op(b) + (accumulate ? c : 0), row-major, as slot gemm of ops.h says, not both transposed. The sum
 * over K goes through, in this order where asked for: + bias, relu, dropout (rows being samples), the gate; then it is
 * added to c. The order of sums depends on the shape alone.
 */
#ifndef GPU_SMALL_H
#define GPU_SMALL_H

#include "gpu_kernels.h"

#if defined(__cplusplus)
extern "C" {
#endif

enum { GPU_SMALL_MAX = 2, GPU_SMALL_TILES = 256 }; /* products of one launch; their tiles that are cut along K */

typedef struct gpu_small {
    int trans_a, trans_b, accumulate;
    int64_t m, n, k, lda, ldb, ldc;
    const float *a, *b;
    float *c;
    const float *bias; /* (N) or NULL */
    int relu;
    const gpu_drop *drop; /* or NULL */
    float gate;           /* not 0: where gated_by, laid out as c, is positive times `gate`, else 0 */
    const float *gated_by;
    float *column_sums; /* (N) or NULL: of op(b) (K, N), where b is not transposed */
} gpu_small;

/* 1 where it pays and can be done. */
int gpu_small_can(const gpu_small *product);
/* exact: fp32, to 1e-6 of the sum of the terms' sizes; else TF32. `scratch` as for other kernels; arrivals:
 * GPU_SMALL_TILES words of 0, which are 0 again afterwards. */
gpuError_t gpu_small_multiply(gpuStream_t stream, int exact, int count, const gpu_small *products, float *scratch,
                              uint32_t *arrivals);

#if defined(__cplusplus)
}
#endif

#endif
