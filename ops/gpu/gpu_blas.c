/* gpu_blas.c: the library counts columns first. A row-major matrix is to it the transposed one with the same leading
 * dimension, so that c^T = op(b)^T op(a)^T is what it is asked for: its A is b, its B is a, its D (N, M) is c.
 */
#include "gpu_blas.h"

#include "base_log.h"
#include "gpu_blas_api.h"
#include "gpu_device.h"

#include <stdlib.h>
#include <string.h>

/* What NVIDIA recommends for Hopper; more than any other needs. */
enum { WORKSPACE_BYTES = 32 << 20 };
enum { CHOICES = 8 }; /* algorithms that are kept for a product */
/* Multiplications from which on a product takes longer than what could ride on it takes alone. */
static const double LARGE = 0x1p32;

/* What a choice depends on: not the addresses, but how they are aligned. */
typedef struct plan_key {
    gpu_type type, c_type;
    int trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    gpu_epilogue epilogue;
    uint32_t alignment[4]; /* of b, a and c, in the library's order, and of the bias */
} plan_key;

typedef struct plan {
    plan_key key;
    gpublasLtMatmulDesc_t desc;
    gpublasLtMatrixLayout_t layout[3]; /* of b, a and c */
    gpublasLtMatmulAlgo_t algos[CHOICES];
    int count, chosen; /* of them, best first; chosen == count: none is left */
    size_t wished;     /* so many of the wishes were asked for */
    int32_t kind;      /* the first one's number in the library's list of algorithms */
} plan;

struct gpu_blas {
    gpublasLtHandle_t handle;
    ops_precision precision;
    void *workspace;
    plan *plans;
    int count, room;
};

static base_status check(gpublasStatus_t status, const char *what)
{
    if (status == GPUBLAS_SUCCESS)
        return BASE_OK;
    return BASE_FAIL(BASE_DEVICE, GPU_BLAS_NAME " cannot %s: status %d", what, (int)status);
}

base_status gpu_blas_open(ops_precision precision, gpu_blas **out)
{
    gpu_blas *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for " GPU_BLAS_NAME);
    *out = self;
    self->precision = precision;
    BASE_TRY(gpublas_find());
    BASE_TRY(check(GPUBLAS(Create)(&self->handle), "start"));
    return gpu_check(gpuMalloc(&self->workspace, WORKSPACE_BYTES), "give " GPU_BLAS_NAME " memory to work in");
}

void gpu_blas_close(gpu_blas **out)
{
    gpu_blas *self = *out;
    if (!self)
        return;
    for (int i = 0; i < self->count; i++) {
        for (int j = 0; j < 3; j++)
            if (self->plans[i].layout[j])
                GPUBLAS(MatrixLayoutDestroy)(self->plans[i].layout[j]);
        if (self->plans[i].desc)
            GPUBLAS(MatmulDescDestroy)(self->plans[i].desc);
    }
    free(self->plans);
    if (self->handle)
        GPUBLAS(Destroy)(self->handle);
    if (self->workspace)
        gpuFree(self->workspace);
    free(self);
    *out = NULL;
}

/* ---- plans ---- */

/* The largest power of two that divides the address, 256 at most. */
static uint32_t alignment_of(const void *address)
{
    uintptr_t bits = (uintptr_t)address | 256;
    return (uint32_t)(bits & -bits);
}

static plan_key key_of(const gpu_product *p)
{
    plan_key key;
    memset(&key, 0, sizeof key); /* keys are compared as bytes */
    key.type = p->type;
    key.c_type = p->c_type;
    key.trans_a = p->trans_a != 0;
    key.trans_b = p->trans_b != 0;
    key.m = p->m;
    key.n = p->n;
    key.k = p->k;
    key.lda = p->lda;
    key.ldb = p->ldb;
    key.ldc = p->ldc;
    key.epilogue = p->epilogue;
    key.alignment[0] = alignment_of(p->b);
    key.alignment[1] = alignment_of(p->a);
    key.alignment[2] = alignment_of(p->c);
    key.alignment[3] = alignment_of(p->bias);
    return key;
}

static base_status set_desc(plan *p, int attribute, const void *value, size_t nbytes)
{
    return check(GPUBLAS(MatmulDescSetAttribute)(p->desc, attribute, value, nbytes), "take an attribute of a product");
}

static base_status set_bias(plan *p, const gpu_product *product)
{
    return product->bias ? set_desc(p, GPUBLAS_DESC_BIAS, &product->bias, sizeof product->bias) : BASE_OK;
}

static base_status describe_product(const gpu_blas *self, plan *p)
{
    static const uint32_t epilogues[] = {GPUBLAS_EPILOGUE_DEFAULT, GPUBLAS_EPILOGUE_BIAS, GPUBLAS_EPILOGUE_RELU,
                                         GPUBLAS_EPILOGUE_RELU_BIAS, GPUBLAS_EPILOGUE_BIAS_GRADIENT_A};
    const plan_key *key = &p->key;
    int tf32 = self->precision == OPS_TF32 && key->type == GPU_F32;
    int32_t trans_b = key->trans_b ? GPUBLAS_T : GPUBLAS_N, trans_a = key->trans_a ? GPUBLAS_T : GPUBLAS_N;
    BASE_TRY(check(GPUBLAS(MatmulDescCreate)(&p->desc, tf32 ? GPUBLAS_COMPUTE_TF32 : GPUBLAS_COMPUTE_F32, GPUBLAS_F32),
                   "describe a product"));
    BASE_TRY(set_desc(p, GPUBLAS_DESC_TRANS_A, &trans_b, sizeof trans_b));
    BASE_TRY(set_desc(p, GPUBLAS_DESC_TRANS_B, &trans_a, sizeof trans_a));
    return set_desc(p, GPUBLAS_DESC_EPILOGUE, &epilogues[key->epilogue], sizeof *epilogues);
}

/* A matrix (rows, columns) of ours, as stored. */
static base_status describe_matrix(plan *p, int which, gpu_type type, int64_t rows, int64_t columns, int64_t ld)
{
    return check(GPUBLAS(MatrixLayoutCreate)(&p->layout[which], type == GPU_BF16 ? GPUBLAS_BF16 : GPUBLAS_F32,
                                             (uint64_t)columns, (uint64_t)rows, ld),
                 "describe a matrix");
}

static base_status describe_matrices(plan *p)
{
    const plan_key *k = &p->key;
    BASE_TRY(describe_matrix(p, 0, k->type, k->trans_b ? k->n : k->k, k->trans_b ? k->k : k->n, k->ldb));
    BASE_TRY(describe_matrix(p, 1, k->type, k->trans_a ? k->k : k->m, k->trans_a ? k->m : k->k, k->lda));
    return describe_matrix(p, 2, k->c_type, k->m, k->n, k->ldc);
}

/* ---- choice of an algorithm ---- */

/* What is asked for. */
typedef struct wish {
    size_t workspace;
    uint32_t reductions; /* ways to add up the parts of a sum over k that are computed side by side */
} wish;

/* Parts may be added up in a step of their own, in the type of the computation. In place they would be added one after
 * the other, in an order that nobody promises, and in the type of c, to which each part would be rounded. Where no
 * answer can be used, sums in one part are asked for, then such as need no memory. */
#if defined(DDPT_GPU_HIP)
static const wish wishes[] = {{WORKSPACE_BYTES, 0}, {0, 0}};
#else
static const wish wishes[] = {
    {WORKSPACE_BYTES, CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
    {WORKSPACE_BYTES, CUBLASLT_REDUCTION_SCHEME_NONE},
    {0, CUBLASLT_REDUCTION_SCHEME_NONE}};
#endif

static base_status set_preferences(const plan *p, const wish *w, gpublasLtMatmulPreference_t preference)
{
    BASE_TRY(check(
        GPUBLAS(MatmulPreferenceSetAttribute)(preference, GPUBLAS_PREFER_WORKSPACE, &w->workspace, sizeof w->workspace),
        "take a limit of its memory"));
#if !defined(DDPT_GPU_HIP)
    BASE_TRY(check(GPUBLAS(MatmulPreferenceSetAttribute)(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                         &w->reductions, sizeof w->reductions),
                   "keep to sums in a fixed order"));
    static const cublasLtMatmulPreferenceAttributes_t attributes[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (int i = 0; i < 4; i++)
        BASE_TRY(check(GPUBLAS(MatmulPreferenceSetAttribute)(preference, attributes[i],
                                                             &p->key.alignment[i < 2 ? i : 2], sizeof(uint32_t)),
                       "take an alignment"));
#else
    (void)p;
#endif
    return BASE_OK;
}

#if defined(DDPT_GPU_HIP)

static int is_sound(const gpublasLtMatmulAlgo_t *algo, int64_t k)
{
    (void)algo;
    (void)k;
    return 1;
}

static int32_t kind_of(const gpublasLtMatmulAlgo_t *algo)
{
    (void)algo; /* does not say */
    return 0;
}

static void tell(const plan_key *k, const gpublasLtMatmulHeuristicResult_t *best)
{
    BASE_DEBUG(GPU_BLAS_NAME " takes %lld x %lld x %lld, epilogue %d: %zu bytes, %.2f waves", (long long)k->m,
               (long long)k->n, (long long)k->k, (int)k->epilogue, best->workspaceSize, (double)best->wavesCount);
}

#else

static int32_t config_of(const gpublasLtMatmulAlgo_t *algo, cublasLtMatmulAlgoConfigAttributes_t what)
{
    int32_t value = 0;
    size_t nbytes = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoConfigGetAttribute(algo, what, &value, sizeof value, &nbytes);
    return status == CUBLAS_STATUS_SUCCESS ? value : 0;
}

/* Known issue 6580689 (release notes) of cuBLAS 12.6.3 and later, mended in CUDA 13.4 Update 1: from compute
 * capability 9.0 on, a sum over k in unequal parts can come out wrong, where k / parts is a multiple of what a stage
 * takes: 8, 16, 32 or more of k. */
static int is_sound(const gpublasLtMatmulAlgo_t *algo, int64_t k)
{
    const int64_t parts = config_of(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
    return parts <= 1 || k % parts == 0 || k / parts % 8 != 0;
}

static int32_t kind_of(const gpublasLtMatmulAlgo_t *algo)
{
    return config_of(algo, CUBLASLT_ALGO_CONFIG_ID);
}

/* The numbers are those of cublasLt.h. */
static void tell(const plan_key *k, const gpublasLtMatmulHeuristicResult_t *best)
{
    BASE_DEBUG(GPU_BLAS_NAME " takes %lld x %lld x %lld (%c%c), epilogue %d, by algorithm %d, tile %d, stages %d, k in "
                             "%d: %zu bytes, %.2f waves",
               (long long)k->m, (long long)k->n, (long long)k->k, k->trans_a ? 't' : 'n', k->trans_b ? 't' : 'n',
               (int)k->epilogue, kind_of(&best->algo), config_of(&best->algo, CUBLASLT_ALGO_CONFIG_TILE_ID),
               config_of(&best->algo, CUBLASLT_ALGO_CONFIG_STAGES_ID),
               config_of(&best->algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM), best->workspaceSize, (double)best->wavesCount);
}

#endif

static gpublasStatus_t ask(const gpu_blas *self, gpublasLtMatmulPreference_t preference, plan *p)
{
    gpublasLtMatmulHeuristicResult_t results[CHOICES];
    int found = 0;
    memset(results, 0, sizeof results);
    gpublasStatus_t status =
        GPUBLAS(MatmulAlgoGetHeuristic)(self->handle, p->desc, p->layout[0], p->layout[1], p->layout[2], p->layout[2],
                                        preference, CHOICES, results, &found);
    for (int i = 0; i < found && i < CHOICES && status == GPUBLAS_SUCCESS; i++)
        if (results[i].state == GPUBLAS_SUCCESS && is_sound(&results[i].algo, p->key.k)) {
            if (p->count == 0) {
                tell(&p->key, &results[i]);
                p->kind = kind_of(&results[i].algo);
            }
            p->algos[p->count++] = results[i].algo;
        }
    return status;
}

/* The answer to the next wish that has one, in place of the last one. No algorithm is an answer too: count is 0. */
static base_status choose(const gpu_blas *self, plan *p)
{
    gpublasLtMatmulPreference_t preference = NULL;
    gpublasStatus_t answer = GPUBLAS_SUCCESS;
    base_status status = check(GPUBLAS(MatmulPreferenceCreate)(&preference), "make a preference");
    p->count = p->chosen = 0;
    for (; p->wished < sizeof wishes / sizeof *wishes && status == BASE_OK && p->count == 0; p->wished++) {
        status = set_preferences(p, &wishes[p->wished], preference);
        if (status == BASE_OK)
            answer = ask(self, preference, p);
    }
    if (p->count == 0)
        BASE_DEBUG(GPU_BLAS_NAME " has nothing for %lld x %lld x %lld, epilogue %d: status %d", (long long)p->key.m,
                   (long long)p->key.n, (long long)p->key.k, (int)p->key.epilogue, (int)answer);
    if (preference)
        GPUBLAS(MatmulPreferenceDestroy)(preference);
    return status;
}

/* ---- products ---- */

/* The bias belongs to the description already when the library looks for an algorithm. */
static base_status new_plan(gpu_blas *self, const plan_key *key, const gpu_product *product, plan **out)
{
    if (self->count == self->room) {
        int room = self->room ? 2 * self->room : 64;
        plan *more = realloc(self->plans, (size_t)room * sizeof *more);
        if (!more)
            return BASE_FAIL(BASE_ERROR, "out of memory for products of matrices");
        self->plans = more;
        self->room = room;
    }
    plan *p = &self->plans[self->count++];
    memset(p, 0, sizeof *p);
    p->key = *key;
    *out = p;
    BASE_TRY(describe_product(self, p));
    BASE_TRY(set_bias(p, product));
    BASE_TRY(describe_matrices(p));
    return choose(self, p);
}

/* A step has some dozens of them, so that looking through all is cheap beside a launch. */
static base_status find_plan(gpu_blas *self, const gpu_product *product, plan **out)
{
    const plan_key key = key_of(product);
    for (int i = 0; i < self->count; i++)
        if (memcmp(&self->plans[i].key, &key, sizeof key) == 0) {
            *out = &self->plans[i];
            return BASE_OK;
        }
    return new_plan(self, &key, product, out);
}

/* -1: there is none. */
static int32_t kind_for(gpu_blas *self, const gpu_product *product)
{
    plan *p = NULL;
    return find_plan(self, product, &p) == BASE_OK && p->chosen < p->count ? p->kind : -1;
}

/* The gradient of a bias takes its own look at a factor, which the library's fastest kernels may not have. A large
 * product is not given to another kind of kernel for it. */
int gpu_blas_can(gpu_blas *self, const gpu_product *product)
{
    const int32_t kind = kind_for(self, product);
    if (kind < 0 || product->epilogue != GPU_EPILOGUE_BIAS_GRADIENT ||
        (double)product->m * (double)product->n * (double)product->k < LARGE)
        return kind >= 0;
    gpu_product plain = *product;
    plain.epilogue = GPU_EPILOGUE_NONE;
    plain.bias = NULL;
    const int32_t alone = kind_for(self, &plain);
    return alone < 0 || alone == kind;
}

/* An algorithm that is refused after all gives way to the next for good. */
static gpublasStatus_t run(const gpu_blas *self, gpuStream_t stream, const gpu_product *product, plan *p)
{
    const float one = 1.0f, keep = product->accumulate ? 1.0f : 0.0f;
    while (p->count > 0) {
        for (; p->chosen < p->count; p->chosen++) {
            const gpublasStatus_t status = GPUBLAS(Matmul)(
                self->handle, p->desc, &one, product->b, p->layout[0], product->a, p->layout[1], &keep, product->c,
                p->layout[2], product->c, p->layout[2], &p->algos[p->chosen], self->workspace, WORKSPACE_BYTES, stream);
            if (status != GPUBLAS_NOT_SUPPORTED)
                return status;
        }
        if (choose(self, p) != BASE_OK)
            break;
    }
    return GPUBLAS_NOT_SUPPORTED;
}

base_status gpu_blas_multiply(gpu_blas *self, gpuStream_t stream, const gpu_product *product)
{
    plan *p = NULL;
    BASE_TRY(find_plan(self, product, &p));
    BASE_TRY(set_bias(p, product));
    const gpublasStatus_t status = run(self, stream, product, p);
    if (status == GPUBLAS_NOT_SUPPORTED)
        return BASE_FAIL(BASE_DEVICE, GPU_BLAS_NAME " has no way to a product of %lld x %lld x %lld",
                         (long long)product->m, (long long)product->n, (long long)product->k);
    return check(status, "multiply");
}
