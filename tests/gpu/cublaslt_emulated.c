#include "cublaslt_emulated.h"

#include "gpu_device.h"

#include <stdlib.h>
#include <string.h>

#include <cublasLt.h>

cublaslt_emulated_state cublaslt_emulated;

typedef struct description {
    cublasComputeType_t compute;
    int32_t trans_a, trans_b;
    uint32_t epilogue;
    void *bias;
} description;

/* Columns come first: element (row, column) is at column * ld + row. */
typedef struct matrix {
    cudaDataType type;
    int64_t rows, columns, ld;
} matrix;

typedef struct preference {
    uint64_t workspace;
    uint32_t reductions, alignment[4];
} preference;

/* ---- memory ---- */

static cublasStatus_t make(void *object, size_t nbytes)
{
    void *made = calloc(1, nbytes);
    memcpy(object, &made, sizeof made);
    cublaslt_emulated.objects++;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t unmake(void *object)
{
    free(object);
    cublaslt_emulated.objects--;
    return CUBLAS_STATUS_SUCCESS;
}

cudaError_t cudaMalloc(void **memory, size_t nbytes)
{
    *memory = aligned_alloc(256, (nbytes + 255) / 256 * 256);
    cublaslt_emulated.objects++;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    unmake(memory);
    return cudaSuccess;
}

base_status gpu_check(gpuError_t error, const char *what)
{
    return error == gpuSuccess ? BASE_OK : BASE_FAIL(BASE_DEVICE, "the GPU cannot %s", what);
}

/* ---- objects ---- */

size_t cublasLtGetVersion(void)
{
    return 130100;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    return make(handle, 1);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return unmake(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale)
{
    if (scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    make(desc, sizeof(description));
    *(description *)*desc = (description){.compute = compute, .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return unmake(desc);
}

static cublasStatus_t set(void *to, size_t size, const void *from, size_t nbytes)
{
    if (!from || nbytes != size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, from, nbytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t nbytes)
{
    description *d = (description *)desc;
    switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&d->trans_a, sizeof d->trans_a, value, nbytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&d->trans_b, sizeof d->trans_b, value, nbytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&d->epilogue, sizeof d->epilogue, value, nbytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&d->bias, sizeof(void *), value, nbytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    make(layout, sizeof(matrix));
    *(matrix *)*layout = (matrix){.type = type, .rows = (int64_t)rows, .columns = (int64_t)columns, .ld = ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return unmake(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *made)
{
    make(made, sizeof(preference));
    *(preference *)*made =
        (preference){.reductions = CUBLASLT_REDUCTION_SCHEME_MASK, .alignment = {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preferred)
{
    return unmake(preferred);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preferred,
                                                    cublasLtMatmulPreferenceAttributes_t what, const void *value,
                                                    size_t nbytes)
{
    preference *p = (preference *)preferred;
    switch (what) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&p->workspace, sizeof p->workspace, value, nbytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&p->reductions, sizeof p->reductions, value, nbytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(&p->alignment[0], sizeof(uint32_t), value, nbytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(&p->alignment[1], sizeof(uint32_t), value, nbytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(&p->alignment[2], sizeof(uint32_t), value, nbytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(&p->alignment[3], sizeof(uint32_t), value, nbytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

/* ---- what there is ---- */

static size_t size_of(cudaDataType type)
{
    return type == CUDA_R_16BF ? 2 : 4;
}

static int is_matrix(const matrix *m)
{
    return m->rows > 0 && m->columns > 0 && m->ld >= m->rows;
}

/* Floats take either way to compute; bfloat16 goes to itself and to float. */
static int types_go_together(const description *d, const matrix *a, const matrix *b, const matrix *c)
{
    if (a->type != b->type)
        return 0;
    if (a->type == CUDA_R_32F)
        return c->type == CUDA_R_32F &&
               (d->compute == CUBLAS_COMPUTE_32F || d->compute == CUBLAS_COMPUTE_32F_FAST_TF32);
    return a->type == CUDA_R_16BF && d->compute == CUBLAS_COMPUTE_32F &&
           (c->type == CUDA_R_16BF || c->type == CUDA_R_32F);
}

static int epilogue_goes(const description *d, const matrix *c)
{
    const int biased = d->epilogue == CUBLASLT_EPILOGUE_BIAS || d->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS ||
                       d->epilogue == CUBLASLT_EPILOGUE_BGRADA;
    if (biased && (!d->bias || (uintptr_t)d->bias % size_of(c->type)))
        return 0;
    if (d->epilogue == CUBLASLT_EPILOGUE_BGRADA)
        return d->trans_a == CUBLAS_OP_N;
    return biased || d->epilogue == CUBLASLT_EPILOGUE_DEFAULT || d->epilogue == CUBLASLT_EPILOGUE_RELU;
}

static int64_t depth_of(const description *d, const matrix *a)
{
    return d->trans_a == CUBLAS_OP_N ? a->columns : a->rows;
}

static cublasStatus_t look(const description *d, const matrix *a, const matrix *b, const matrix *c)
{
    const int plain_a = d->trans_a == CUBLAS_OP_N, plain_b = d->trans_b == CUBLAS_OP_N;
    if (!is_matrix(a) || !is_matrix(b) || !is_matrix(c) || (plain_a ? a->rows : a->columns) != c->rows ||
        (plain_b ? b->columns : b->rows) != c->columns || depth_of(d, a) != (plain_b ? b->rows : b->columns))
        return CUBLAS_STATUS_INVALID_VALUE;
    return types_go_together(d, a, b, c) && epilogue_goes(d, c) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

static int is_wanted(const cublaslt_emulated_algorithm *algorithm, const description *d, const preference *p)
{
    if (algorithm->plain && d->epilogue == CUBLASLT_EPILOGUE_BGRADA)
        return 0;
    const uint32_t reduction = algorithm->parts > 1 ? algorithm->reduction : CUBLASLT_REDUCTION_SCHEME_NONE;
    return algorithm->workspace <= p->workspace && (reduction & ~p->reductions) == 0;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preferred, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    (void)handle;
    cublaslt_emulated.asked++;
    *found = 0;
    if (c != d)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = look((description *)desc, (const matrix *)a, (const matrix *)b, (const matrix *)c);
    for (int i = 0; i < cublaslt_emulated.count && *found < wanted && status == CUBLAS_STATUS_SUCCESS; i++)
        if (is_wanted(&cublaslt_emulated.algorithms[i], (description *)desc, (preference *)preferred)) {
            results[*found] = (cublasLtMatmulHeuristicResult_t){
                .state = CUBLAS_STATUS_SUCCESS, .workspaceSize = cublaslt_emulated.algorithms[i].workspace};
            results[(*found)++].algo.data[0] = (uint64_t)i;
        }
    return status == CUBLAS_STATUS_SUCCESS && *found == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t what, void *value,
                                                    size_t nbytes, size_t *written)
{
    const cublaslt_emulated_algorithm *algorithm = &cublaslt_emulated.algorithms[algo->data[0]];
    const int32_t parts = algorithm->parts;
    *written = sizeof parts;
    switch (what) {
    case CUBLASLT_ALGO_CONFIG_ID: return set(value, sizeof algorithm->kind, &algorithm->kind, nbytes);
    case CUBLASLT_ALGO_CONFIG_SPLITK_NUM: return set(value, sizeof parts, &parts, nbytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

/* ---- products ---- */

static float from_bf16(uint16_t value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float cublaslt_emulated_get(cudaDataType type, const void *x, int64_t i)
{
    return type == CUDA_R_16BF ? from_bf16(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

void cublaslt_emulated_put(cudaDataType type, void *x, int64_t i, float value)
{
    if (type == CUDA_R_16BF)
        ((uint16_t *)x)[i] = to_bf16(value);
    else
        ((float *)x)[i] = value;
}

static float element(const matrix *m, int32_t trans, const void *x, int64_t row, int64_t column)
{
    return cublaslt_emulated_get(m->type, x, trans == CUBLAS_OP_N ? column * m->ld + row : row * m->ld + column);
}

static void multiply(const description *d, const matrix *a, const void *x, const matrix *b, const void *y,
                     const matrix *c, float alpha, float beta, void *z)
{
    const int biased = d->epilogue == CUBLASLT_EPILOGUE_BIAS || d->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    for (int64_t column = 0; column < c->columns; column++)
        for (int64_t row = 0; row < c->rows; row++) {
            const int64_t at = column * c->ld + row;
            double sum = 0.0;
            for (int64_t i = 0; i < depth_of(d, a); i++)
                sum += (double)element(a, d->trans_a, x, row, i) * (double)element(b, d->trans_b, y, i, column);
            float value = alpha * (float)sum + (beta != 0.0f ? beta * cublaslt_emulated_get(c->type, z, at) : 0.0f);
            if (biased)
                value += cublaslt_emulated_get(c->type, d->bias, row);
            if (d->epilogue == CUBLASLT_EPILOGUE_RELU || d->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS)
                value = value > 0.0f ? value : 0.0f;
            cublaslt_emulated_put(c->type, z, at, value);
        }
    for (int64_t row = 0; row < c->rows && d->epilogue == CUBLASLT_EPILOGUE_BGRADA; row++) {
        double sum = 0.0;
        for (int64_t i = 0; i < depth_of(d, a); i++)
            sum += (double)element(a, d->trans_a, x, row, i);
        cublaslt_emulated_put(c->type, d->bias, row, (float)sum);
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    (void)handle;
    (void)stream;
    const description *product = (const description *)desc;
    const matrix *x = (const matrix *)a_layout, *y = (const matrix *)b_layout, *z = (const matrix *)c_layout;
    const cublaslt_emulated_algorithm *algorithm = &cublaslt_emulated.algorithms[algo->data[0]];
    const cublasStatus_t status = look(product, x, y, z);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (c != d || c_layout != d_layout || workspace_bytes < algorithm->workspace || (uintptr_t)workspace % 256)
        return CUBLAS_STATUS_INVALID_VALUE;
    cublaslt_emulated.ran[algo->data[0]]++;
    if (algorithm->refuses)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const int64_t k = depth_of(product, x), parts = algorithm->parts;
    const float scale = k % parts != 0 && k / parts % 8 == 0 ? 2.0f : 1.0f;
    multiply(product, x, a, y, b, z, scale * *(const float *)alpha, *(const float *)beta, d);
    return CUBLAS_STATUS_SUCCESS;
}
