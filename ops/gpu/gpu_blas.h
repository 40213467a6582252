/* gpu_blas.h: products of matrices by the vendor's library (cuBLASLt, hipBLASLt), with what it can fuse onto them.
 *
 * c (M, N) = op(a) op(b) + (accumulate ? c : 0), row-major, as slot gemm of ops.h says; sums in float. How a product is
 * computed is chosen at its first call, by the library's heuristics, and kept: the same call gives the same bits.
 */
#ifndef GPU_BLAS_H
#define GPU_BLAS_H

#include "gpu_kernels.h"

#include "base_status.h"

typedef struct gpu_blas gpu_blas;

typedef enum gpu_epilogue {
    GPU_EPILOGUE_NONE,
    GPU_EPILOGUE_BIAS,         /* c += bias (N), of c's type */
    GPU_EPILOGUE_RELU,         /* c = max(c, 0) */
    GPU_EPILOGUE_BIAS_RELU,    /* both */
    GPU_EPILOGUE_BIAS_GRADIENT /* bias (N) = the sum of op(b) (K, N) over K, of c's type */
} gpu_epilogue;

typedef struct gpu_product {
    gpu_type type, c_type; /* of a and b, of c */
    int trans_a, trans_b, accumulate;
    int64_t m, n, k, lda, ldb, ldc; /* of at least 1 each */
    gpu_epilogue epilogue;          /* other than NONE: without accumulate */
    const void *a, *b;
    void *c;
    void *bias; /* read or written, as the epilogue says */
} gpu_product;

/* TF32: of products of floats; BF16 and FP32 say nothing more than the types do. */
base_status gpu_blas_open(ops_precision precision, gpu_blas **self);
void gpu_blas_close(gpu_blas **self);
/* "cuBLASLt 13.1"; before open too. */
void gpu_blas_describe(char *text, size_t nbytes);

/* 1 where the library has the product with its epilogue at these addresses, and it does not cost more than it saves;
 * without one it has every product. */
int gpu_blas_can(gpu_blas *self, const gpu_product *product);
/* BASE_DEVICE where it has not, or cannot start; where the library refuses what it offered, gpu_blas_can is 0 from then
 * on. */
base_status gpu_blas_multiply(gpu_blas *self, gpuStream_t stream, const gpu_product *product);

#endif
