/* ops_host_dense.c: dense layers. Bias and activation follow each block of the GEMM while it is in the cache. */
#include "ops_host_activation.h"
#include "ops_host_kernels.h"

#include <string.h>

/* Columns whose bias gradient one task sums up, over all rows and in their order; rows of a slope's task. */
enum { SUM_COLUMNS = 128, SLOPE_ROWS = 64 };

typedef struct dense_job {
    const ops_gemm_library *gemm;
    const ops_dense *op;
    int64_t m;               /* rows that count */
    const float *x, *w, *b;
    const float *kept;       /* what the activation's slope is computed from, y or z */
    const float *dz;
    float *y, *z, *dy, *dw, *db, *dx;
    float *padded;           /* results of a product with padded rows, or NULL */
    int64_t from;            /* first row of dw that is computed */
    int accumulate;
    ops_blocks blocks;
} dense_job;

/* Where fewer rows than OPS_ROWS_MIN come with enough scratch to add rows of zeros: `in` (rows, inner) is copied there, and
 * results (OPS_ROWS_MIN, outer) go behind it. Returns what to read; *out is NULL where nothing was padded. */
static const float *pad_rows(ops_context *self, int64_t rows, int64_t inner, int64_t outer, const float *in, float **out)
{
    size_t used = (size_t)(rows * inner) * sizeof *in, all = (size_t)(OPS_ROWS_MIN * inner) * sizeof *in;
    *out = NULL;
    if (rows == 0 || rows >= OPS_ROWS_MIN || all + (size_t)(OPS_ROWS_MIN * outer) * sizeof *in > self->scratch_bytes)
        return in;
    float *copy = self->scratch;
    memcpy(copy, in, used);
    memset((char *)copy + used, 0, all - used);
    *out = copy + OPS_ROWS_MIN * inner;
    return copy;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void copy_rows(int64_t rows, int64_t columns, int64_t stride, const float *from, float *to, int accumulate)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * stride + j] = accumulate ? to[i * stride + j] + from[i * stride + j] : from[i * stride + j];
}

static void forward_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const dense_job *job = context;
    int64_t k = job->op->k, n = job->op->n;
    ops_block at = ops_blocks_at(&job->blocks, task);
    float *y = job->y + at.row * n + at.column, *product = job->padded ? job->padded + at.column : y;
    ops_gemm_block(job->gemm, 0, 0, at.rows, at.columns, k, job->x + at.row * k, k, job->w + at.column, n, 0, product, n);
    int64_t rows = least(at.rows, job->m - at.row);
    if (product != y)
        copy_rows(rows, at.columns, n, product, y, 0);

    const float *bias = job->b ? job->b + at.column : NULL;
    float *z = job->z ? job->z + at.row * n + at.column : NULL;
    activate_rows(job->op->activation, rows, at.columns, n, bias, y, z);
}

base_status OPS_HOST(dense_forward)(ops_context *self, const ops_dense *op, int64_t m, const float *x, const float *w,
                                    const float *b, float *y, float *z)
{
    dense_job job = {.gemm = self->gemm, .op = op, .m = m, .w = w, .b = b, .y = y,
                     .z = ops_activation_keeps_input(op->activation) ? z : NULL};
    job.x = pad_rows(self, m, op->k, op->n, x, &job.padded);
    job.blocks = ops_blocks_cut_rows(job.padded ? OPS_ROWS_MIN : m, op->n);
    ops_host_run(self, job.blocks.count, forward_task, &job);
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
    float *dx = job->dx + at.row * k + at.column, *product = job->padded ? job->padded + at.column : dx;
    OPS_HOST(product_transposed)
    (job->gemm, at.rows, at.columns, n, job->dz + at.row * n, n, job->w + at.column * n, n,
     job->accumulate && product == dx, product, k);
    if (product != dx)
        copy_rows(least(at.rows, job->m - at.row), at.columns, k, product, dx, job->accumulate);
}

base_status OPS_HOST(dense_backward_data)(ops_context *self, const ops_dense *op, int64_t m, const float *w,
                                          const float *y, const float *z, float *dy, float *dx, int accumulate)
{
    dense_job job = {.gemm = self->gemm, .op = op, .m = m, .w = w, .dy = dy, .dx = dx, .accumulate = accumulate,
                     .kept = ops_activation_keeps_input(op->activation) ? z : y};
    if (op->activation != OPS_IDENTITY)
        ops_host_run(self, (m + SLOPE_ROWS - 1) / SLOPE_ROWS, slope_task, &job);
    if (!dx)
        return BASE_OK;
    job.dz = pad_rows(self, m, op->n, op->k, dy, &job.padded);
    job.blocks = ops_blocks_cut_rows(job.padded ? OPS_ROWS_MIN : m, op->k);
    ops_host_run(self, job.blocks.count, data_task, &job);
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
    float *product = job->padded ? job->padded + at.column : job->dw + row * n + at.column;
    ops_gemm_block(job->gemm, 1, 0, at.rows, at.columns, job->m, job->x + row, k, job->dz + at.column, n, 0, product, n);
}

/* Rows of dw are rows of a product too: fewer than OPS_ROWS_MIN are computed with their neighbours, unless dw has no more. */
base_status OPS_HOST(dense_backward_weights)(ops_context *self, const ops_dense *op, int64_t m, int64_t from, int64_t to,
                                             const float *x, const float *dz, float *dw, float *db)
{
    dense_job job = {.gemm = self->gemm, .op = op, .m = m, .x = x, .dz = dz, .dw = dw, .db = db, .from = from};
    int64_t rows = to - from, first = 0;
    if (rows > 0 && rows < OPS_ROWS_MIN && op->k >= OPS_ROWS_MIN &&
        (size_t)(OPS_ROWS_MIN * op->n) * sizeof *dw <= self->scratch_bytes) {
        job.padded = self->scratch;
        job.from = least(from, op->k - OPS_ROWS_MIN);
        first = from - job.from;
        rows = OPS_ROWS_MIN;
    }
    job.blocks = ops_blocks_cut_rows(rows, op->n);
    ops_host_run(self, job.blocks.count, weights_task, &job);
    if (job.padded)
        memcpy(dw + from * op->n, job.padded + first * op->n, (size_t)((to - from) * op->n) * sizeof *dw);
    if (db)
        ops_host_run(self, (op->n + SUM_COLUMNS - 1) / SUM_COLUMNS, bias_task, &job);
    return BASE_OK;
}
