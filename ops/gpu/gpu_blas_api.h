/* gpu_blas_api.h: the one place that knows whose BLAS it is: gpublasLt names for those of cuBLASLt, which is linked,
 * and of hipBLASLt, which is declared here and found when it is asked for, since not every ROCm has it.
 */
#ifndef GPU_BLAS_API_H
#define GPU_BLAS_API_H

#include "gpu_api.h"

#include "base_status.h"

#if defined(DDPT_GPU_HIP)

#include <stddef.h>
#include <stdint.h>

#define GPU_BLAS_NAME "hipBLASLt"

typedef void *gpublasLtHandle_t;
typedef void *gpublasLtMatmulDesc_t;
typedef void *gpublasLtMatrixLayout_t;
typedef void *gpublasLtMatmulPreference_t;
typedef int gpublasStatus_t;

typedef struct gpublasLtMatmulAlgo_t {
    uint8_t data[16];
    size_t max_workspace_bytes;
} gpublasLtMatmulAlgo_t;

typedef struct gpublasLtMatmulHeuristicResult_t {
    gpublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    gpublasStatus_t state;
    float wavesCount;
    int reserved[4];
} gpublasLtMatmulHeuristicResult_t;

enum { GPUBLAS_SUCCESS = 0, GPUBLAS_NOT_SUPPORTED = 7 };
enum { GPUBLAS_F32 = 0, GPUBLAS_BF16 = 14 };
enum { GPUBLAS_COMPUTE_F32 = 2, GPUBLAS_COMPUTE_TF32 = 6 };
enum { GPUBLAS_N = 111, GPUBLAS_T = 112 };
enum { GPUBLAS_DESC_TRANS_A = 0, GPUBLAS_DESC_TRANS_B = 1, GPUBLAS_DESC_EPILOGUE = 2, GPUBLAS_DESC_BIAS = 3 };
enum { GPUBLAS_PREFER_WORKSPACE = 1 };
enum {
    GPUBLAS_EPILOGUE_DEFAULT = 1,
    GPUBLAS_EPILOGUE_RELU = 2,
    GPUBLAS_EPILOGUE_BIAS = 4,
    GPUBLAS_EPILOGUE_RELU_BIAS = 6,
    GPUBLAS_EPILOGUE_BIAS_GRADIENT_A = 256
};

gpublasStatus_t hipblasLtCreate(gpublasLtHandle_t *handle);
gpublasStatus_t hipblasLtDestroy(gpublasLtHandle_t handle);
gpublasStatus_t hipblasLtMatmulDescCreate(gpublasLtMatmulDesc_t *desc, int compute, int scale);
gpublasStatus_t hipblasLtMatmulDescDestroy(gpublasLtMatmulDesc_t desc);
gpublasStatus_t hipblasLtMatmulDescSetAttribute(gpublasLtMatmulDesc_t desc, int attribute, const void *value,
                                                size_t nbytes);
gpublasStatus_t hipblasLtMatrixLayoutCreate(gpublasLtMatrixLayout_t *layout, int type, uint64_t rows, uint64_t columns,
                                            int64_t ld);
gpublasStatus_t hipblasLtMatrixLayoutDestroy(gpublasLtMatrixLayout_t layout);
gpublasStatus_t hipblasLtMatmulPreferenceCreate(gpublasLtMatmulPreference_t *preference);
gpublasStatus_t hipblasLtMatmulPreferenceDestroy(gpublasLtMatmulPreference_t preference);
gpublasStatus_t hipblasLtMatmulPreferenceSetAttribute(gpublasLtMatmulPreference_t preference, int attribute,
                                                      const void *value, size_t nbytes);
gpublasStatus_t hipblasLtMatmulAlgoGetHeuristic(gpublasLtHandle_t handle, gpublasLtMatmulDesc_t desc,
                                                gpublasLtMatrixLayout_t a, gpublasLtMatrixLayout_t b,
                                                gpublasLtMatrixLayout_t c, gpublasLtMatrixLayout_t d,
                                                gpublasLtMatmulPreference_t preference, int wanted,
                                                gpublasLtMatmulHeuristicResult_t *results, int *found);
gpublasStatus_t hipblasLtMatmul(gpublasLtHandle_t handle, gpublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                                gpublasLtMatrixLayout_t a_layout, const void *b, gpublasLtMatrixLayout_t b_layout,
                                const void *beta, const void *c, gpublasLtMatrixLayout_t c_layout, void *d,
                                gpublasLtMatrixLayout_t d_layout, const gpublasLtMatmulAlgo_t *algo, void *workspace,
                                size_t workspace_bytes, gpuStream_t stream);

#define GPUBLAS_FUNCTIONS(X)                                                                                           \
    X(Create)                                                                                                          \
    X(Destroy)                                                                                                         \
    X(MatmulDescCreate)                                                                                                \
    X(MatmulDescDestroy)                                                                                               \
    X(MatmulDescSetAttribute)                                                                                          \
    X(MatrixLayoutCreate)                                                                                              \
    X(MatrixLayoutDestroy)                                                                                             \
    X(MatmulPreferenceCreate)                                                                                          \
    X(MatmulPreferenceDestroy)                                                                                         \
    X(MatmulPreferenceSetAttribute)                                                                                    \
    X(MatmulAlgoGetHeuristic)                                                                                          \
    X(Matmul)
#define GPUBLAS_DECLARE(name) __typeof__(hipblasLt##name) *name;
typedef struct gpublas_functions {
    GPUBLAS_FUNCTIONS(GPUBLAS_DECLARE)
} gpublas_functions;
extern gpublas_functions gpublas;
#define GPUBLAS(name) gpublas.name

#else

#include <cublasLt.h>

#define GPU_BLAS_NAME "cuBLASLt"

typedef cublasLtHandle_t gpublasLtHandle_t;
typedef cublasLtMatmulDesc_t gpublasLtMatmulDesc_t;
typedef cublasLtMatrixLayout_t gpublasLtMatrixLayout_t;
typedef cublasLtMatmulPreference_t gpublasLtMatmulPreference_t;
typedef cublasLtMatmulAlgo_t gpublasLtMatmulAlgo_t;
typedef cublasLtMatmulHeuristicResult_t gpublasLtMatmulHeuristicResult_t;
typedef cublasStatus_t gpublasStatus_t;

#define GPUBLAS_SUCCESS CUBLAS_STATUS_SUCCESS
#define GPUBLAS_NOT_SUPPORTED CUBLAS_STATUS_NOT_SUPPORTED
#define GPUBLAS_F32 CUDA_R_32F
#define GPUBLAS_BF16 CUDA_R_16BF
#define GPUBLAS_COMPUTE_F32 CUBLAS_COMPUTE_32F
#define GPUBLAS_COMPUTE_TF32 CUBLAS_COMPUTE_32F_FAST_TF32
#define GPUBLAS_N CUBLAS_OP_N
#define GPUBLAS_T CUBLAS_OP_T
#define GPUBLAS_DESC_TRANS_A CUBLASLT_MATMUL_DESC_TRANSA
#define GPUBLAS_DESC_TRANS_B CUBLASLT_MATMUL_DESC_TRANSB
#define GPUBLAS_DESC_EPILOGUE CUBLASLT_MATMUL_DESC_EPILOGUE
#define GPUBLAS_DESC_BIAS CUBLASLT_MATMUL_DESC_BIAS_POINTER
#define GPUBLAS_PREFER_WORKSPACE CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
#define GPUBLAS_EPILOGUE_DEFAULT CUBLASLT_EPILOGUE_DEFAULT
#define GPUBLAS_EPILOGUE_RELU CUBLASLT_EPILOGUE_RELU
#define GPUBLAS_EPILOGUE_BIAS CUBLASLT_EPILOGUE_BIAS
#define GPUBLAS_EPILOGUE_RELU_BIAS CUBLASLT_EPILOGUE_RELU_BIAS
#define GPUBLAS_EPILOGUE_BIAS_GRADIENT_A CUBLASLT_EPILOGUE_BGRADA
#define GPUBLAS(name) cublasLt##name

#endif

/* What is linked is there; otherwise it is looked for once, and `gpublas` holds its functions then. */
base_status gpublas_find(void);

#endif
