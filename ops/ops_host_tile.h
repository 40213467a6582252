/* ops_host_tile.h: the innermost loops of matrix products whose elements do not depend on how many there are. Internal
 * to ops; included by kernel files alone.
 *
 * TILE_PAIRS, defined before, says what an element of a factor is: 0, a float; 1, two bfloat16 numbers that are
 * neighbours in the sum, in the bits of a float, the first one in the lower half. Each element of c is one chain of
 * multiplications and additions from the first p to the last, whatever the shape.
 */
#ifndef OPS_HOST_TILE_H
#define OPS_HOST_TILE_H

#include <stdint.h>
#include <string.h>

#ifdef OPS_AVX512BF16
#include <immintrin.h>
#endif

/* A tile of c, TILE_ROWS x TILE_VECTORS, stays in registers. */
#if defined(__AVX512F__)
enum { LANES = 16, TILE_ROWS = 8, TILE_VECTORS = 3 };
#elif defined(__AVX2__)
enum { LANES = 8, TILE_ROWS = 4, TILE_VECTORS = 3 };
#else
enum { LANES = 4, TILE_ROWS = 4, TILE_VECTORS = 2 };
#endif
enum { PANEL = LANES * TILE_VECTORS, DEPTH = 256 }; /* a panel of b, (DEPTH, PANEL), stays in the first-level cache */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_bits __attribute__((vector_size(LANES * sizeof(int32_t))));

/* a(i, p) = a[i * row + p * step] */
typedef struct factor {
    const float *a;
    int64_t row, step;
} factor;

#if !TILE_PAIRS

static inline __attribute__((always_inline)) lanes multiply_add(lanes sum, const float *a, lanes line)
{
    return sum + *a * line;
}

#else

/* sum + a1 b1 + a0 b0, in this order. Products of bfloat16 numbers are exact in float, so that it makes no difference
 * whether they are fused with the sum, nor (but for denormals, which the instruction takes for 0) who computes them. */
static inline __attribute__((always_inline)) lanes multiply_add(lanes sum, const float *a, lanes line)
{
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    lane_bits left = (lane_bits){0} + pair, right = (lane_bits)line;
#ifdef OPS_AVX512BF16
    return (lanes)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
#else
    const lane_bits high = (lane_bits){0} + (int32_t)0xffff0000;
    sum += (lanes)(left & high) * (lanes)(right & high);
    return sum + (lanes)(left << 16) * (lanes)(right << 16);
#endif
}

#endif

static inline __attribute__((always_inline)) void tile(int rows, int vectors, int64_t k, factor f, const float *b,
                                                       int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    lanes sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++) {
            if (accumulate)
                memcpy(&sum[i][j], c + i * ldc + j * LANES, sizeof sum[i][j]);
            else
                sum[i][j] = (lanes){0};
        }
    for (int64_t p = 0; p < k; p++) {
        lanes line[TILE_VECTORS];
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++)
            memcpy(&line[j], b + p * ldb + j * LANES, sizeof line[j]);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
            for (int j = 0; j < vectors; j++)
                sum[i][j] = multiply_add(sum[i][j], f.a + i * f.row + p * f.step, line[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < vectors; j++)
            memcpy(c + i * ldc + j * LANES, &sum[i][j], sizeof sum[i][j]);
}

static inline __attribute__((always_inline)) void tiles(int vectors, int64_t m, int64_t k, factor f, const float *b,
                                                        int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    int64_t i = 0;
    for (; i + TILE_ROWS <= m; i += TILE_ROWS, f.a += TILE_ROWS * f.row)
        tile(TILE_ROWS, vectors, k, f, b, ldb, accumulate, c + i * ldc, ldc);
    for (; i + TILE_ROWS / 2 <= m; i += TILE_ROWS / 2, f.a += TILE_ROWS / 2 * f.row)
        tile(TILE_ROWS / 2, vectors, k, f, b, ldb, accumulate, c + i * ldc, ldc);
    for (; i < m; i++, f.a += f.row)
        tile(1, vectors, k, f, b, ldb, accumulate, c + i * ldc, ldc);
}

static __attribute__((noinline)) void panel(int64_t vectors, int64_t m, int64_t k, factor f, const float *b,
                                            int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    switch (vectors) {
    case 1: tiles(1, m, k, f, b, ldb, accumulate, c, ldc); return;
    case 2: tiles(2, m, k, f, b, ldb, accumulate, c, ldc); return;
    default: tiles(TILE_VECTORS, m, k, f, b, ldb, accumulate, c, ldc);
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The columns that fill no vector: through copies that do. */
static void edge(int64_t columns, int64_t m, int64_t k, factor f, const float *b, int64_t ldb, int accumulate, float *c,
                 int64_t ldc)
{
    _Alignas(64) float line[DEPTH * LANES] = {0}, result[TILE_ROWS * LANES];
    for (int64_t p = 0; p < k; p++)
        memcpy(line + p * LANES, b + p * ldb, (size_t)columns * sizeof *b);
    memset(result, 0, sizeof result);
    for (int64_t i = 0; i < m; i += TILE_ROWS, f.a += TILE_ROWS * f.row) {
        int64_t rows = least(TILE_ROWS, m - i);
        for (int64_t r = 0; r < rows && accumulate; r++)
            memcpy(result + r * LANES, c + (i + r) * ldc, (size_t)columns * sizeof *c);
        panel(1, rows, k, f, line, LANES, accumulate, result, LANES);
        for (int64_t r = 0; r < rows; r++)
            memcpy(c + (i + r) * ldc, result + r * LANES, (size_t)columns * sizeof *c);
    }
}

/* Of so many vectors side by side; four are two and two, since a tile of one vector waits for memory. */
static int64_t panel_vectors(int64_t left)
{
    return left == TILE_VECTORS + 1 && TILE_VECTORS > 2 ? 2 : least(left, TILE_VECTORS);
}

/* c (m, n) = or += a b, b (k, n) with k <= DEPTH. */
static inline void strip(int64_t m, int64_t n, int64_t k, factor f, const float *b, int64_t ldb, int accumulate,
                         float *c, int64_t ldc)
{
    int64_t j = 0;
    for (int64_t vectors; j + LANES <= n; j += vectors * LANES) {
        vectors = panel_vectors((n - j) / LANES);
        panel(vectors, m, k, f, b + j, ldb, accumulate, c + j, ldc);
    }
    if (j < n)
        edge(n - j, m, k, f, b + j, ldb, accumulate, c + j, ldc);
}

#endif
