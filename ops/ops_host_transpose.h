/* ops_host_transpose.h: transposing a matrix of elements of four bytes. Internal to ops; included by kernel files
 * alone.
 */
#ifndef OPS_HOST_TRANSPOSE_H
#define OPS_HOST_TRANSPOSE_H

#include <stdint.h>
#include <string.h>

enum { TRANSPOSE_TILE = 16 };

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)

typedef float tile_row __attribute__((vector_size(64)));
typedef int32_t tile_places __attribute__((vector_size(64)));

/* to (16, 16) = from (16, 16) transposed: four rounds that exchange off-diagonal blocks of 8, 4, 2 and 1 elements. */
static inline __attribute__((always_inline)) void transpose_tile(const float *from, int64_t ldf, float *to, int64_t ldt)
{
    static const tile_places low[4] = {{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
                                       {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
                                       {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
                                       {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}};
    static const tile_places high[4] = {{8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31},
                                        {4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31},
                                        {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31},
                                        {1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31}};
    tile_row row[TRANSPOSE_TILE];
#pragma GCC unroll 16
    for (int i = 0; i < TRANSPOSE_TILE; i++)
        memcpy(&row[i], from + i * ldf, sizeof row[i]);
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
        int h = 8 >> round;
#pragma GCC unroll 16
        for (int i = 0; i < TRANSPOSE_TILE; i++) {
            if (i & h)
                continue;
            tile_row a = row[i], b = row[i + h];
            row[i] = __builtin_shuffle(a, b, low[round]);
            row[i + h] = __builtin_shuffle(a, b, high[round]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < TRANSPOSE_TILE; i++)
        memcpy(to + i * ldt, &row[i], sizeof row[i]);
}

#else

static inline void transpose_tile(const float *from, int64_t ldf, float *to, int64_t ldt)
{
    for (int i = 0; i < TRANSPOSE_TILE; i++)
        for (int j = 0; j < TRANSPOSE_TILE; j++)
            to[j * ldt + i] = from[i * ldf + j];
}

#endif

/* to (columns, rows) = from (rows, columns) transposed. */
static inline void transpose(int64_t rows, int64_t columns, const float *from, int64_t ldf, float *to, int64_t ldt)
{
    int64_t whole_rows = rows / TRANSPOSE_TILE * TRANSPOSE_TILE,
            whole_columns = columns / TRANSPOSE_TILE * TRANSPOSE_TILE;
    for (int64_t i = 0; i < whole_rows; i += TRANSPOSE_TILE) {
        for (int64_t j = 0; j < whole_columns; j += TRANSPOSE_TILE)
            transpose_tile(from + i * ldf + j, ldf, to + j * ldt + i, ldt);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * ldt + i] = from[i * ldf + j];
    }
}

#endif
