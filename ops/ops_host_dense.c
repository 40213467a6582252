/* ops_host_dense.c: dense layers. Bias and activation follow each block of the product while it is in the cache. */
#include "ops_host_activation.h"
#include "ops_host_kernels.h"

#include <string.h>

/* A task's block of each product: 30 us of work or more, and rows that find the other factor in the cache. */
enum { BLOCK_ROWS = 64, FORWARD_COLUMNS = 192, DATA_COLUMNS = 256, WEIGHTS_COLUMNS = 512 };

/* Columns whose bias gradient one task sums up, over all rows and in their order; rows of a slope's task. */
enum { SUM_COLUMNS = 128, SLOPE_ROWS = 64 };

typedef struct dense_job {
    const ops_dense *op;
    const ops_bf16 *bf16; /* NULL: fp32 */
    int64_t m;
    const float *x, *w, *b;
    const float *kept; /* what the activation's slope is computed from, y or z */
    const float *dz;
    float *y, *z, *dy, *dw, *db, *dx;
    int64_t from; /* first row of dw that is computed */
    int accumulate;
    ops_blocks blocks;
} dense_job;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of a product on one thread at 100 GFLOP/s. */
static int64_t product_ns(int64_t m, int64_t n, int64_t k)
{
    return m * n * k / 50;
}

/* c = or += op(a) op(b) on the calling thread, a and b not both transposed. */
static void multiply(const dense_job *job, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                     int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (job->bf16)
        job->bf16->gemm.gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    else if (trans_b)
        OPS_HOST(product_transposed)(m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    else
        OPS_HOST(product)(trans_a, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}

static void forward_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t k = job->op->k, n = job->op->n;
    ops_block at = ops_blocks_at(&job->blocks, task);
    float *y = job->y + at.row * n + at.column;
    multiply(job, 0, 0, at.rows, at.columns, k, job->x + at.row * k, k, job->w + at.column, n, 0, y, n);

    const float *bias = job->b ? job->b + at.column : NULL;
    float *z = job->z ? job->z + at.row * n + at.column : NULL;
    activate_rows(job->op->activation, at.rows, at.columns, n, bias, y, z);
}

base_status OPS_HOST(dense_forward)(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                    const float *b, void *y, void *z)
{
    dense_job job = {.op = op,
                     .bf16 = self->bf16,
                     .m = m,
                     .x = x,
                     .w = w,
                     .b = b,
                     .y = y,
                     .z = ops_activation_keeps_input(op->activation) ? z : NULL};
    job.blocks = ops_blocks_cut(m, op->n, BLOCK_ROWS, FORWARD_COLUMNS);
    ops_host_run_for(self, product_ns(m, op->n, op->k), job.blocks.count, forward_task, &job);
    return BASE_OK;
}

/* dy = dy f'(kept) for some rows. */
static void slope_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t n = job->op->n, row = (int64_t)task * SLOPE_ROWS, count = least(SLOPE_ROWS, job->m - row) * n;
    const float *kept = job->kept + row * n;
    float *dy = job->dy + row * n;
    OPS_HOST(activate_gradient)(job->op->activation, count, kept, kept, dy, dy, 0);
}

static void data_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t k = job->op->k, n = job->op->n;
    ops_block at = ops_blocks_at(&job->blocks, task);
    multiply(job, 0, 1, at.rows, at.columns, n, job->dy + at.row * n, n, job->w + at.column * n, n, job->accumulate,
             job->dx + at.row * k + at.column, k);
}

base_status OPS_HOST(dense_backward_data)(ops_context *self, const ops_dense *op, int64_t m, const float *w,
                                          const void *y, const void *z, void *dy, void *dx, int accumulate)
{
    dense_job job = {.op = op,
                     .bf16 = self->bf16,
                     .m = m,
                     .w = w,
                     .dy = dy,
                     .dx = dx,
                     .accumulate = accumulate,
                     .kept = ops_activation_keeps_input(op->activation) ? z : y};
    if (op->activation != OPS_IDENTITY)
        ops_host_run_for(self, m * op->n / 10, (m + SLOPE_ROWS - 1) / SLOPE_ROWS, slope_task, &job);
    if (!dx)
        return BASE_OK;
    job.blocks = ops_blocks_cut(m, op->k, BLOCK_ROWS, DATA_COLUMNS);
    ops_host_run_for(self, product_ns(m, op->n, op->k), job.blocks.count, data_task, &job);
    return BASE_OK;
}

static void bias_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t n = job->op->n, from = (int64_t)task * SUM_COLUMNS, columns = least(SUM_COLUMNS, n - from);
    float sum[SUM_COLUMNS] = {0};
    for (int64_t i = 0; i < job->m; i++)
        for (int64_t j = 0; j < columns; j++)
            sum[j] += job->dz[i * n + from + j];
    memcpy(job->db + from, sum, (size_t)columns * sizeof *sum);
}

static void weights_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t k = job->op->k, n = job->op->n;
    ops_block at = ops_blocks_at(&job->blocks, task);
    int64_t row = job->from + at.row;
    multiply(job, 1, 0, at.rows, at.columns, job->m, job->x + row, k, job->dz + at.column, n, 0,
             job->dw + row * n + at.column, n);
}

base_status OPS_HOST(dense_backward_weights)(ops_context *self, const ops_dense *op, int64_t m, int64_t from,
                                             int64_t to, const void *x, const void *dz, float *dw, float *db)
{
    dense_job job = {.op = op, .bf16 = self->bf16, .m = m, .x = x, .dz = dz, .dw = dw, .db = db, .from = from};
    job.blocks = ops_blocks_cut(to - from, op->n, BLOCK_ROWS, WEIGHTS_COLUMNS);
    ops_host_run_for(self, product_ns(m, op->n, to - from), job.blocks.count, weights_task, &job);
    if (db)
        ops_host_run_for(self, m * op->n / 10, (op->n + SUM_COLUMNS - 1) / SUM_COLUMNS, bias_task, &job);
    return BASE_OK;
}
