/* gpu_dense.c: products, and the layers made of them: bias and activation ride on the product where the library has
 * them. GELU does not: the library's is the approximation by tanh.
 */
#include "gpu_context.h"

gpu_product gpu_product_forward(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *x, const float *w,
                                void *y)
{
    return (gpu_product){.type = self->type,
                         .c_type = self->type,
                         .m = m,
                         .n = n,
                         .k = k,
                         .lda = k,
                         .ldb = n,
                         .ldc = n,
                         .a = x,
                         .b = gpu_operand(self, w),
                         .c = y};
}

gpu_product gpu_product_data(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *dy, const float *w,
                             void *dx, int accumulate)
{
    return (gpu_product){.type = self->type,
                         .c_type = self->type,
                         .trans_b = 1,
                         .accumulate = accumulate,
                         .m = m,
                         .n = k,
                         .k = n,
                         .lda = n,
                         .ldb = n,
                         .ldc = k,
                         .a = dy,
                         .b = gpu_operand(self, w),
                         .c = dx};
}

gpu_product gpu_product_weights(const ops_context *self, int64_t m, int64_t n, int64_t k, const void *x, const void *dy,
                                float *dw, int accumulate)
{
    return (gpu_product){.type = self->type,
                         .c_type = GPU_F32,
                         .trans_a = 1,
                         .accumulate = accumulate,
                         .m = k,
                         .n = n,
                         .k = m,
                         .lda = k,
                         .ldb = n,
                         .ldc = n,
                         .a = x,
                         .b = dy,
                         .c = dw};
}

base_status ops_gemm_gpu(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *a,
                         int64_t lda, const void *b, int64_t ldb, int accumulate, void *c, int64_t ldc)
{
    const gpu_product product = {.type = self->type,
                                 .c_type = self->type,
                                 .trans_a = trans_a,
                                 .trans_b = trans_b,
                                 .accumulate = accumulate,
                                 .m = m,
                                 .n = n,
                                 .k = k,
                                 .lda = lda,
                                 .ldb = ldb,
                                 .ldc = ldc,
                                 .a = a,
                                 .b = b,
                                 .c = c};
    if (m == 0 || n == 0)
        return BASE_OK;
    if (k > 0)
        return gpu_blas_multiply(self->blas, self->stream, &product);
    const size_t size = self->type == GPU_BF16 ? 2 : 4; /* an empty sum */
    for (int64_t row = 0; row < m && !accumulate; row++)
        BASE_TRY(
            gpu_launched(gpuMemsetAsync((char *)c + (size_t)(row * ldc) * size, 0, (size_t)n * size, self->stream)));
    return BASE_OK;
}

static int rides_on_product(ops_activation activation)
{
    return activation == OPS_RELU || activation == OPS_IDENTITY;
}

/* What the library should do after the product. */
static gpu_epilogue epilogue_of(ops_activation activation, const float *b)
{
    if (activation == OPS_RELU)
        return b ? GPU_EPILOGUE_BIAS_RELU : GPU_EPILOGUE_RELU;
    return b ? GPU_EPILOGUE_BIAS : GPU_EPILOGUE_NONE;
}

/* ---- small products ---- */

/* 1 where gpu_small takes the product; *small is it, without what comes before and after. */
static int is_small(const ops_context *self, const gpu_product *p, gpu_small *small)
{
    if (!gpu_owns_products(self))
        return 0;
    *small = (gpu_small){.trans_a = p->trans_a,
                         .trans_b = p->trans_b,
                         .accumulate = p->accumulate,
                         .m = p->m,
                         .n = p->n,
                         .k = p->k,
                         .lda = p->lda,
                         .ldb = p->ldb,
                         .ldc = p->ldc,
                         .a = p->a,
                         .b = p->b,
                         .c = p->c};
    return gpu_small_can(small);
}

static base_status multiply_small(const ops_context *self, int count, const gpu_small *products)
{
    return gpu_launched(
        gpu_small_multiply(self->stream, gpu_is_exact(self), count, products, self->scratch, self->arrivals));
}

/* ---- layers ---- */

/* The product with what rides on it. 0: the library does not have it, or refuses it as it runs, and nothing is done. */
static int multiply_fused(ops_context *self, const gpu_product *product, base_status *status)
{
    *status = BASE_OK;
    if (!gpu_blas_can(self->blas, product))
        return 0;
    *status = gpu_blas_multiply(self->blas, self->stream, product);
    if (*status == BASE_OK || gpu_blas_can(self->blas, product))
        return 1;
    base_status_clear();
    *status = BASE_OK;
    return 0;
}

base_status gpu_layer_forward(ops_context *self, ops_activation activation, const gpu_drop *drop, int64_t m, int64_t n,
                              int64_t k, const void *x, const float *w, const float *b, void *y, void *z)
{
    const int keeps = ops_activation_keeps_input(activation);
    gpu_product product = gpu_product_forward(self, m, n, k, x, w, keeps ? z : y);
    const void *bias = gpu_operand(self, b);
    gpu_small small;
    if (m == 0)
        return BASE_OK;
    if (rides_on_product(activation) && is_small(self, &product, &small)) {
        small.bias = b;
        small.relu = activation == OPS_RELU;
        small.drop = drop;
        return multiply_small(self, 1, &small);
    }
    product.epilogue = epilogue_of(activation, b);
    product.bias = (void *)bias;
    base_status status;
    if (!drop && multiply_fused(self, &product, &status)) {
        if (status != BASE_OK || rides_on_product(activation))
            return status;
        return gpu_launched(gpu_activation_forward(self->stream, self->type, activation, m * n, product.c, y));
    }
    product.epilogue = GPU_EPILOGUE_NONE;
    product.bias = NULL;
    product.c = y;
    BASE_TRY(gpu_blas_multiply(self->blas, self->stream, &product));
    return gpu_launched(
        gpu_bias_activation(self->stream, self->type, activation, m, n, bias, drop, y, keeps ? z : NULL));
}

base_status ops_dense_forward_gpu(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                  const float *b, void *y, void *z)
{
    gpu_drop drop;
    return gpu_layer_forward(self, op->activation, gpu_drop_of(self, &op->fusion, &drop), m, op->n, op->k, x, w, b, y,
                             z);
}

/* dy becomes dz. Where dropout went through y it is the relu's: what it dropped is 0 in y. */
static base_status before_activation(ops_context *self, const ops_dense *op, int64_t m, const void *y, const void *z,
                                     void *dy)
{
    const ops_fusion *fusion = &op->fusion;
    if (fusion->dz_given)
        return BASE_OK;
    if (fusion->dropout > 0.0f)
        return gpu_launched(gpu_gate(self->stream, self->type, m * op->n, 1.0f / (1.0f - fusion->dropout), y, dy));
    return gpu_launched(gpu_bias_activation_backward(self->stream, self->type, op->activation, m, op->n, y, z, dy, NULL,
                                                     self->scratch));
}

static base_status zero(ops_context *self, float *x, int64_t count)
{
    return gpu_launched(gpuMemsetAsync(x, 0, (size_t)count * sizeof *x, self->stream));
}

static base_status backward_weights(ops_context *self, const ops_dense *op, gpu_product product, float *db)
{
    if (db) {
        product.epilogue = GPU_EPILOGUE_BIAS_GRADIENT;
        product.bias = db;
        base_status status;
        if (multiply_fused(self, &product, &status))
            return status;
        product.epilogue = GPU_EPILOGUE_NONE;
        product.bias = NULL;
        BASE_TRY(gpu_launched(gpu_bias_activation_backward(self->stream, self->type, OPS_IDENTITY, product.k, op->n,
                                                           NULL, NULL, (void *)product.b, db, self->scratch)));
    }
    return gpu_blas_multiply(self->blas, self->stream, &product);
}

static base_status backward_data(ops_context *self, const ops_dense *op, const gpu_product *product, const void *x)
{
    BASE_TRY(gpu_blas_multiply(self->blas, self->stream, product));
    if (op->fusion.gate == 0.0f)
        return BASE_OK;
    return gpu_launched(gpu_gate(self->stream, self->type, product->m * op->k, op->fusion.gate, x, product->c));
}

base_status ops_dense_backward_gpu(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                   const void *y, const void *z, void *dy, float *dw, float *db, void *dx,
                                   int accumulate)
{
    if (m == 0) {
        BASE_TRY(zero(self, dw, op->k * op->n));
        return db ? zero(self, db, op->n) : BASE_OK;
    }
    const gpu_product weights = gpu_product_weights(self, m, op->n, op->k, x, dy, dw, 0);
    const gpu_product data = gpu_product_data(self, m, op->n, op->k, dy, w, dx, accumulate);
    gpu_small small[2];
    BASE_TRY(before_activation(self, op, m, y, z, dy));
    if (is_small(self, &weights, &small[0]) && (!dx || is_small(self, &data, &small[1]))) {
        small[0].column_sums = db;
        small[1].gate = op->fusion.gate;
        small[1].gated_by = x;
        return multiply_small(self, dx ? 2 : 1, small);
    }
    if (dx)
        BASE_TRY(backward_data(self, op, &data, x));
    return backward_weights(self, op, weights, db);
}
