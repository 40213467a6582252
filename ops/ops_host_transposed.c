/* ops_host_transposed.c: products with a transposed matrix, c = a b^T, as c^T = b a^T.
 *
 * In a dense layer b is the weights, large, and a and c have a row a sample. Transposing a and c instead of b costs a
 * few per cent of the product where transposing b costs half of it, and lets b be read as it lies in memory.
 */
#include "ops_host_kernels.h"

#include <string.h>

/* Rows of a at a time; columns of a at a time, whose transpose stays in the second-level cache; columns of c at a time.
 */
enum { TILE = 16, ROWS = 64, DEPTH = 512, COLUMNS = 64 };

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t places __attribute__((vector_size(64)));

/* to (16, 16) = from (16, 16) transposed: four rounds that exchange off-diagonal blocks of 8, 4, 2 and 1 elements. */
static inline __attribute__((always_inline)) void transpose_tile(const float *from, int64_t ldf, float *to, int64_t ldt)
{
    static const places low[4] = {{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
                                  {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
                                  {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
                                  {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}};
    static const places high[4] = {{8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31},
                                   {4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31},
                                   {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31},
                                   {1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31}};
    lanes row[TILE];
#pragma GCC unroll 16
    for (int i = 0; i < TILE; i++)
        memcpy(&row[i], from + i * ldf, sizeof row[i]);
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
        int h = 8 >> round;
#pragma GCC unroll 16
        for (int i = 0; i < TILE; i++) {
            if (i & h)
                continue;
            lanes a = row[i], b = row[i + h];
            row[i] = __builtin_shuffle(a, b, low[round]);
            row[i + h] = __builtin_shuffle(a, b, high[round]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < TILE; i++)
        memcpy(to + i * ldt, &row[i], sizeof row[i]);
}

#else

static void transpose_tile(const float *from, int64_t ldf, float *to, int64_t ldt)
{
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++)
            to[j * ldt + i] = from[i * ldf + j];
}

#endif

/* to (columns, rows) = from (rows, columns) transposed. */
static void transpose(int64_t rows, int64_t columns, const float *from, int64_t ldf, float *to, int64_t ldt)
{
    int64_t whole_rows = rows / TILE * TILE, whole_columns = columns / TILE * TILE;
    for (int64_t i = 0; i < whole_rows; i += TILE) {
        for (int64_t j = 0; j < whole_columns; j += TILE)
            transpose_tile(from + i * ldf + j, ldf, to + j * ldt + i, ldt);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * ldt + i] = from[i * ldf + j];
    }
}

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
        int64_t rows = least(ROWS, m - i), wide = (rows + TILE - 1) / TILE * TILE;
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
