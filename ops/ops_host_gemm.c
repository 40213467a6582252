/* ops_host_gemm.c: slot gemm over a library, and OpenBLAS as that library. */
#include "ops_host.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int narrow(int64_t n)
{
    assert(n >= 0 && n <= INT_MAX); /* callers cut their work into blocks far below this */
    return (int)n;
}

/* The program's threads are those of the pool; a library that added its own would fight with them. */
void ops_gemm_openblas_setup(void)
{
    openblas_set_num_threads(1);
}

static void version_openblas(char *text, size_t nbytes)
{
    /* The configuration starts "OpenBLAS 0.3.21 NO_LAPACKE ..."; the core is the kernel chosen for this machine. */
    const char *config = openblas_get_config();
    const char *space = strchr(config, ' ');
    size_t length = space ? strcspn(space + 1, " ") + (size_t)(space + 1 - config) : strlen(config);
    snprintf(text, nbytes, "%.*s %s", (int)length, config, openblas_get_corename());
}

static void gemm_openblas(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, narrow(m),
                narrow(n), narrow(k), 1.0F, a, narrow(lda), b, narrow(ldb), accumulate ? 1.0F : 0.0F, c, narrow(ldc));
}

const ops_gemm_library ops_gemm_openblas = {.name = "openblas", .version = version_openblas, .gemm = gemm_openblas};

void ops_gemm_block(const ops_gemm_library *library, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k,
                    const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k > 0) {
        library->gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
        return;
    }
    for (int64_t i = 0; i < m && !accumulate; i++) /* an empty sum; libraries disagree on what they do with it */
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

ops_blocks ops_blocks_cut(int64_t m, int64_t n, int64_t block_rows, int64_t block_columns)
{
    ops_blocks cut = {.rows = m, .columns = n, .block_rows = block_rows, .block_columns = block_columns};
    if (m == 0 || n == 0)
        return cut;
    cut.block_rows = least(cut.block_rows, m);
    cut.block_columns = least(cut.block_columns, n);
    cut.across = (n + cut.block_columns - 1) / cut.block_columns;
    cut.count = (m + cut.block_rows - 1) / cut.block_rows * cut.across;
    return cut;
}

ops_block ops_blocks_at(const ops_blocks *self, int64_t index)
{
    int64_t row = index / self->across * self->block_rows, column = index % self->across * self->block_columns;
    return (ops_block){row, column, least(self->block_rows, self->rows - row),
                       least(self->block_columns, self->columns - column)};
}

typedef struct gemm_job {
    const ops_gemm_library *library;
    int trans_a, trans_b, accumulate;
    int64_t m, n, k, lda, ldb, ldc;
    const float *a, *b;
    float *c;
    ops_blocks blocks;
} gemm_job;

static void gemm_task(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    const gemm_job *job = context;
    ops_block at = ops_blocks_at(&job->blocks, task);
    const float *a = job->a + (job->trans_a ? at.row : at.row * job->lda);
    const float *b = job->b + (job->trans_b ? at.column * job->ldb : at.column);
    ops_gemm_block(job->library, job->trans_a, job->trans_b, at.rows, at.columns, job->k, a, job->lda, b, job->ldb,
                   job->accumulate, job->c + at.row * job->ldc + at.column, job->ldc);
}

base_status ops_gemm_host(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *a,
                          int64_t lda, const void *b, int64_t ldb, int accumulate, void *c, int64_t ldc)
{
    /* Large enough for a GEMM to run at its rate, small enough to stay in the cache. */
    ops_blocks blocks = ops_blocks_cut(m, n, 256, 512);
    gemm_job job = {ops_host_gemm(self), trans_a, trans_b, accumulate, m, n, k, lda, ldb, ldc, a, b, c, blocks};
    ops_host_run(self, job.blocks.count, gemm_task, &job);
    return BASE_OK;
}
