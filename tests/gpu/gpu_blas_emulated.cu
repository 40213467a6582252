/* gpu_blas_emulated.cu: gpu_blas.h without a vendor's library: one thread an element of c. Factors are rounded as a
 * tensor core would round them. Epilogues are there for even matrices alone, so that their lack is met too.
 */
#include "gpu_kernel.cuh"
extern "C" {
#include "gpu_blas.h"
}

#include <stdio.h>
#include <stdlib.h>

struct gpu_blas {
    int tf32;
};

struct factor {
    const void *x;
    int64_t row_step, column_step;
    gpu_type type;
    int tf32;

    __device__ float at(int64_t row, int64_t column) const
    {
        const int64_t i = row * row_step + column * column_step;
        if (type == GPU_BF16)
            return gpu_to_float(((const gpu_bf16 *)x)[i]);
        const float value = ((const float *)x)[i];
        return tf32 ? __uint_as_float((__float_as_uint(value) + 0x1000u) & ~0x1fffu) : value;
    }
};

static factor factor_of(const gpu_blas *self, gpu_type type, const void *x, int64_t ld, int transposed)
{
    return factor{x, transposed ? 1 : ld, transposed ? ld : 1, type, self->tf32};
}

static void multiply_element(const gpu_product &p, const factor &a, const factor &b, int64_t row, int64_t column)
{
    double sum = 0.0;
    for (int64_t i = 0; i < p.k; i++)
        sum += (double)a.at(row, i) * (double)b.at(i, column);
    const int64_t at = row * p.ldc + column;
    float value = (float)sum;
    gpu_bf16 *narrow = (gpu_bf16 *)p.c;
    float *wide = (float *)p.c;
    if (p.accumulate)
        value += p.c_type == GPU_BF16 ? gpu_to_float(narrow[at]) : wide[at];
    if (p.epilogue == GPU_EPILOGUE_BIAS || p.epilogue == GPU_EPILOGUE_BIAS_RELU)
        value +=
            p.c_type == GPU_BF16 ? gpu_to_float(((const gpu_bf16 *)p.bias)[column]) : ((const float *)p.bias)[column];
    if (p.epilogue == GPU_EPILOGUE_RELU || p.epilogue == GPU_EPILOGUE_BIAS_RELU)
        value = value > 0.0f ? value : 0.0f;
    if (p.c_type == GPU_BF16)
        narrow[at] = gpu_from_float<gpu_bf16>(value);
    else
        wide[at] = value;
}

static __global__ void multiply(const gpu_product p, const factor a, const factor b)
{
    for (int64_t i = gpu_thread(); i < p.m * p.n; i += gpu_threads())
        multiply_element(p, a, b, i / p.n, i % p.n);
}

static __global__ void sum_columns(const gpu_product p, const factor b)
{
    for (int64_t column = gpu_thread(); column < p.n; column += gpu_threads()) {
        double sum = 0.0;
        for (int64_t i = 0; i < p.k; i++)
            sum += (double)b.at(i, column);
        ((float *)p.bias)[column] = (float)sum;
    }
}

base_status gpu_blas_open(ops_precision precision, gpu_blas **self)
{
    *self = (gpu_blas *)calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for products");
    (*self)->tf32 = precision == OPS_TF32;
    return BASE_OK;
}

void gpu_blas_close(gpu_blas **self)
{
    free(*self);
    *self = NULL;
}

void gpu_blas_describe(char *text, size_t nbytes)
{
    snprintf(text, nbytes, "products of the emulator");
}

/* What rides on a product is not had for odd sizes, and for some is offered but refused when it runs, for good. */
static int is_refused(const gpu_product *p)
{
    return p->epilogue != GPU_EPILOGUE_NONE && p->m % 8 == 4;
}

static int was_refused;

int gpu_blas_can(gpu_blas *, const gpu_product *p)
{
    if (is_refused(p) && was_refused)
        return 0;
    return p->epilogue == GPU_EPILOGUE_NONE || (!p->accumulate && p->m % 2 == 0 && p->n % 2 == 0);
}

base_status gpu_blas_multiply(gpu_blas *self, gpuStream_t stream, const gpu_product *p)
{
    was_refused |= is_refused(p);
    if (!gpu_blas_can(self, p) || p->m < 1 || p->n < 1 || p->k < 1)
        return BASE_FAIL(BASE_DEVICE, "there is no such product");
    const factor a = factor_of(self, p->type, p->a, p->lda, p->trans_a);
    const factor b = factor_of(self, p->type, p->b, p->ldb, p->trans_b);
    gpuError_t error = GPU_LAUNCH(multiply, gpu_blocks(p->m * p->n), GPU_THREADS, stream, *p, a, b);
    if (error == gpuSuccess && p->epilogue == GPU_EPILOGUE_BIAS_GRADIENT)
        error = GPU_LAUNCH(sum_columns, gpu_blocks(p->n), GPU_THREADS, stream, *p, b);
    return error == gpuSuccess ? BASE_OK : BASE_FAIL(BASE_DEVICE, "a product cannot start");
}
