/* ops_host_transposed.c: products with a transposed matrix of long rows.
 *
 * Libraries pack a transposed matrix column by column; rows of many KiB then meet in the same cache sets, and the
 * packing takes half as long as the product. Here pieces are transposed in registers, and the library multiplies them
 * as they are: (64, 4096) by (4096, 4096) transposed at 90 GF/s instead of 66, one core. That needs the 16 x 16 shuffles
 * of AVX-512: built for less, the pieces cost more than they save, and the library is called as it is.
 */
#include "ops_host_kernels.h"

#include <string.h>

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)

/* A piece of b: its transpose stays in the second-level cache, and on the stack. */
enum { TILE = 16, PIECE_ROWS = 128, PIECE_COLUMNS = 512 };

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

/* to (columns, PIECE_ROWS as stored) = from (rows, columns) transposed. */
static void transpose(int64_t rows, int64_t columns, const float *from, int64_t ldf, float *to)
{
    int64_t whole_rows = rows / TILE * TILE, whole_columns = columns / TILE * TILE;
    for (int64_t i = 0; i < whole_rows; i += TILE) {
        for (int64_t j = 0; j < whole_columns; j += TILE)
            transpose_tile(from + i * ldf + j, ldf, to + j * PIECE_ROWS + i, PIECE_ROWS);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * PIECE_ROWS + i] = from[i * ldf + j];
    }
}

/* Whatever the number of rows m, since a row's result must not depend on it. */
static int transposing_pays(int64_t k)
{
    return k > 1024;
}

void OPS_HOST(product_transposed)(const ops_gemm_library *library, int64_t m, int64_t n, int64_t k, const float *a,
                                  int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (!transposing_pays(k)) {
        ops_gemm_block(library, 0, 1, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
        return;
    }
    _Alignas(64) float piece[PIECE_COLUMNS * PIECE_ROWS];
    for (int64_t j = 0; j < n; j += PIECE_ROWS) {
        int64_t rows = n - j < PIECE_ROWS ? n - j : PIECE_ROWS;
        for (int64_t p = 0; p < k; p += PIECE_COLUMNS) {
            int64_t columns = k - p < PIECE_COLUMNS ? k - p : PIECE_COLUMNS;
            transpose(rows, columns, b + j * ldb + p, ldb, piece);
            ops_gemm_block(library, 0, 0, m, rows, columns, a + p, lda, piece, PIECE_ROWS, accumulate || p > 0, c + j,
                           ldc);
        }
    }
}

#else

void OPS_HOST(product_transposed)(const ops_gemm_library *library, int64_t m, int64_t n, int64_t k, const float *a,
                                  int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    ops_gemm_block(library, 0, 1, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}

#endif
