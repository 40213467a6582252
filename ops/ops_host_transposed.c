/* ops_host_transposed.c: products with a transposed matrix, c = a b^T, as c^T = b a^T.
 *
 * In a dense layer b is the weights, large, and a and c have a row a sample. Transposing a and c instead of b costs a
 * few per cent of the product where transposing b costs half of it, and lets b be read as it lies in memory.
 */
#include "ops_host_kernels.h"
#include "ops_host_transpose.h"

#include <string.h>

/* Rows of a at a time; columns of a at a time, whose transpose stays in the second-level cache; columns of c at a time.
 */
enum { ROWS = 64, DEPTH = 512, COLUMNS = 64 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void OPS_HOST(product_transposed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                                  int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    /* Columns that fill tiles but no row of a are zeros, and dropped at the end. */
    _Alignas(64) float turned[DEPTH * ROWS], result[COLUMNS * ROWS];
    for (int64_t i = 0; i < m; i += ROWS) {
        int64_t rows = least(ROWS, m - i), wide = (rows + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE * TRANSPOSE_TILE;
        for (int64_t p = 0; p < k; p += DEPTH) {
            int64_t depth = least(DEPTH, k - p);
            if (rows < wide)
                memset(turned, 0, (size_t)(depth * wide) * sizeof *turned);
            transpose(rows, depth, a + i * lda + p, lda, turned, wide);
            for (int64_t j = 0; j < n; j += COLUMNS) {
                int64_t columns = least(COLUMNS, n - j);
                float *to = c + i * ldc + j;
                int adds = accumulate || p > 0;
                if (adds && rows < wide)
                    memset(result, 0, sizeof result);
                if (adds)
                    transpose(rows, columns, to, ldc, result, wide);
                OPS_HOST(product)(0, columns, wide, depth, b + j * ldb + p, ldb, turned, wide, adds, result, wide);
                transpose(columns, rows, result, wide, to, ldc);
            }
        }
    }
}
