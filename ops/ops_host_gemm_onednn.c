/* ops_host_gemm_onednn.c: oneDNN's GEMM. Versions 2 and 3. */
#include "ops_host.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>

/* oneDNN asks OpenMP how many threads to use, a setting that every thread has for itself. One thread means that OpenMP
 * never starts any, so that none of its threads spins. */
void ops_onednn_thread_setup(void)
{
    static _Thread_local int done;
    if (done)
        return;
    omp_set_num_threads(1);
    done = 1;
}

static void version_onednn(char *text, size_t nbytes)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, nbytes, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

static void product(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                    const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    dnnl_status_t status = dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, 1.0F, a, lda, b, ldb,
                                      accumulate ? 1.0F : 0.0F, c, ldc);
    if (status != dnnl_success) /* no memory for its packed copies */
        ops_gemm_openblas.gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}

/* Of a transposed b, dnnl_sgemm makes a packed copy unless c has at most 12 rows. For few rows the copy costs as much
 * as the product: with k = 512, 16 rows run at 54 GF/s, strips of them at 108, and 64 rows at 90 and 107. A piece of b
 * stays in the cache from strip to strip. */
enum { STRIP_ROWS = 12, STRIP_COLUMNS = 256 };

static int strips_pay(int64_t m, int64_t k)
{
    return m > STRIP_ROWS && k >= 64 && (m <= 64 || (k >= 256 && k <= 1024));
}

static void gemm_onednn(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                        const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    ops_onednn_thread_setup();
    if (trans_a || !trans_b || !strips_pay(m, k)) {
        product(trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
        return;
    }
    int64_t strips = (m + STRIP_ROWS - 1) / STRIP_ROWS, rows = (m + strips - 1) / strips;
    for (int64_t j = 0; j < n; j += STRIP_COLUMNS) {
        int64_t columns = n - j < STRIP_COLUMNS ? n - j : STRIP_COLUMNS;
        for (int64_t i = 0; i < m; i += rows)
            product(0, 1, m - i < rows ? m - i : rows, columns, k, a + i * lda, lda, b + j * ldb, ldb, accumulate,
                    c + i * ldc + j, ldc);
    }
}

const ops_gemm_library ops_gemm_onednn = {.name = "onednn", .version = version_onednn, .gemm = gemm_onednn};
