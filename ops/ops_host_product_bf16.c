/* ops_host_product_bf16.c: matrix products of factors rounded to bfloat16, summed in float.
 *
 * As those of ops_host_product.c, whose loops these are: each element of c is one chain over its pairs of products,
 * from the first to the last, whatever the shape. Compiled for AVX512_BF16 (OPS_ISA avx512bf16) a pair is one
 * instruction; for the other instruction sets the same numbers are multiplied as floats, slower than floats are.
 *
 * Factors are rounded where they are used, a piece at a time into the cache. A rounded copy of the weights, made once a
 * step, would have to be written and read again: more bytes than the weights alone, which are as large as the memory
 * traffic of a step is. Rounding costs a few operations an element, a product two for each row of the other factor.
 */
#include "ops_host_kernels.h"
#include "ops_host_math.h"
#include "ops_host_transpose.h"

#define TILE_PAIRS 1
#include "ops_host_tile.h"

/* Numbers of a sum at a time; rows of the factor whose pairs are broadcast at a time: (ROWS, NUMBERS) stays in the
 * second-level cache. The panel (DEPTH, PANEL) of the other factor stays in the first. */
enum { NUMBERS = 2 * DEPTH, ROWS = 64, COLUMNS = 64 };

/* To the nearest, ties to even, in the upper half; NaN stays NaN. */
static inline uint32_t rounded(float x)
{
    uint32_t u = ops_math_bits(x), nearest = u + 0x7fffu + ((u >> 16) & 1u);
    return (u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : nearest;
}

/* to (rows, DEPTH) = pairs of neighbours in each row of from (rows, numbers). */
static void pairs_along_rows(int64_t rows, int64_t numbers, const float *from, int64_t ldf, float *to)
{
    for (int64_t i = 0; i < rows; i++) {
        uint16_t row[NUMBERS + 1];
        for (int64_t p = 0; p < numbers; p++)
            row[p] = (uint16_t)(rounded(from[i * ldf + p]) >> 16);
        row[numbers] = 0; /* of an odd number the last has a zero beside it */
        memcpy(to + i * DEPTH, row, (size_t)((numbers + 1) / 2) * sizeof *to);
    }
}

/* to ((numbers + 1) / 2, columns) = pairs of neighbours in each column of from (numbers, columns). */
static void pairs_along_columns(int64_t numbers, int64_t columns, const float *from, int64_t ldf, float *to,
                                int64_t ldt)
{
    int64_t p = 0;
    for (; p + 2 <= numbers; p += 2, to += ldt) {
        const float *first = from + p * ldf, *second = first + ldf;
        for (int64_t j = 0; j < columns; j++)
            to[j] = ops_math_float(rounded(first[j]) >> 16 | (rounded(second[j]) & 0xffff0000u));
    }
    for (int64_t j = 0; j < columns && p < numbers; j++)
        to[j] = ops_math_float(rounded(from[p * ldf + j]) >> 16);
}

static void product(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                    int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    _Alignas(64) float left[ROWS * DEPTH], right[DEPTH * PANEL];
    for (int64_t i = 0; i < m; i += ROWS) {
        int64_t rows = least(ROWS, m - i);
        for (int64_t p = 0; p < k; p += NUMBERS) {
            int64_t numbers = least(NUMBERS, k - p), pairs = (numbers + 1) / 2;
            factor f = {left, trans_a ? 1 : DEPTH, trans_a ? ROWS : 1};
            if (trans_a)
                pairs_along_columns(numbers, rows, a + p * lda + i, lda, left, ROWS);
            else
                pairs_along_rows(rows, numbers, a + i * lda + p, lda, left);
            for (int64_t j = 0; j < n; j += PANEL) {
                int64_t columns = least(PANEL, n - j);
                pairs_along_columns(numbers, columns, b + p * ldb + j, ldb, right, PANEL);
                strip(rows, columns, pairs, f, right, PANEL, accumulate || p > 0, c + i * ldc + j, ldc);
            }
        }
    }
}

/* c = op(a) b^T as c^T = b op(a)^T, as in ops_host_transposed.c. `wide`: rows of op(a) and zeros that fill tiles. */
static void turn(int trans_a, int64_t rows, int64_t wide, int64_t numbers, const float *a, int64_t lda, float *left,
                 float *turned)
{
    int64_t pairs = (numbers + 1) / 2;
    if (rows < wide)
        memset(turned, 0, (size_t)(pairs * wide) * sizeof *turned);
    if (trans_a) {
        pairs_along_columns(numbers, rows, a, lda, turned, wide);
        return;
    }
    pairs_along_rows(rows, numbers, a, lda, left);
    transpose(rows, pairs, left, DEPTH, turned, wide);
}

static void product_transposed(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                               const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    _Alignas(64) float left[ROWS * DEPTH], turned[DEPTH * ROWS], result[COLUMNS * ROWS];
    const factor f = {left, DEPTH, 1};
    for (int64_t i = 0; i < m; i += ROWS) {
        int64_t rows = least(ROWS, m - i), wide = (rows + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE * TRANSPOSE_TILE;
        for (int64_t p = 0; p < k; p += NUMBERS) {
            int64_t numbers = least(NUMBERS, k - p);
            turn(trans_a, rows, wide, numbers, trans_a ? a + p * lda + i : a + i * lda + p, lda, left, turned);
            for (int64_t j = 0; j < n; j += COLUMNS) {
                int64_t columns = least(COLUMNS, n - j);
                float *to = c + i * ldc + j;
                int adds = accumulate || p > 0;
                pairs_along_rows(columns, numbers, b + j * ldb + p, ldb, left);
                if (adds && rows < wide)
                    memset(result, 0, sizeof result);
                if (adds)
                    transpose(rows, columns, to, ldc, result, wide);
                strip(columns, wide, (numbers + 1) / 2, f, turned, wide, adds, result, wide);
                transpose(columns, rows, result, wide, to, ldc);
            }
        }
    }
}

static void gemm(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                 int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (k == 0 && !accumulate) {
        for (int64_t i = 0; i < m; i++)
            memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    }
    if (trans_b)
        product_transposed(trans_a, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    else
        product(trans_a, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}

/* Emulated, a factor of a library that convolves is a float as well, which every processor can multiply. */
#ifdef OPS_AVX512BF16

static void narrow(int64_t count, const float *from, void *to)
{
    uint16_t *narrowed = to;
    for (int64_t i = 0; i < count; i++)
        narrowed[i] = (uint16_t)(rounded(from[i]) >> 16);
}

const ops_bf16 OPS_HOST(bf16) = {
    .gemm = {.name = "AVX512_BF16", .gemm = gemm}, .factor_bytes = sizeof(uint16_t), .round = narrow};

#else

static void round_floats(int64_t count, const float *from, void *to)
{
    float *wide = to;
    for (int64_t i = 0; i < count; i++)
        wide[i] = ops_math_float(rounded(from[i]) & 0xffff0000u);
}

const ops_bf16 OPS_HOST(bf16) = {
    .gemm = {.name = "bf16 emulated", .gemm = gemm}, .factor_bytes = sizeof(float), .round = round_floats};

#endif
