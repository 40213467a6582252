/* ops_host_product.c: matrix products whose elements do not depend on how many there are.
 *
 * GEMM libraries choose kernels by the number of rows, and kernels differ in the order of their sums; on some
 * processors even rows of one product do. Here each element of c is one chain of multiplications and additions from the
 * first p to the last, whatever the shape, so any cut into blocks, rows, ranks or threads gives the same bits.
 */
#include "ops_host_kernels.h"

#define TILE_PAIRS 0
#include "ops_host_tile.h"

void OPS_HOST(product)(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                       int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (k == 0 && !accumulate) {
        for (int64_t i = 0; i < m; i++)
            memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    }
    for (int64_t p = 0; p < k; p += DEPTH) {
        factor f = {a + p * (trans_a ? lda : 1), trans_a ? 1 : lda, trans_a ? lda : 1};
        strip(m, n, least(DEPTH, k - p), f, b + p * ldb, ldb, accumulate || p > 0, c, ldc);
    }
}
