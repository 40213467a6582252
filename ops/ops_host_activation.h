/* ops_host_activation.h: what follows or precedes a layer's product: bias, activation, their gradients. Internal to
 * ops.
 *
 * They work in place on a block of a matrix, `stride` elements from row to row, that the caller keeps small enough to
 * be still in the cache from the product, so that they cost no pass over memory.
 */
#ifndef OPS_HOST_ACTIVATION_H
#define OPS_HOST_ACTIVATION_H

#include "ops_host_math.h"

static inline __attribute__((always_inline)) void
activate_rows_as(ops_activation f, int64_t rows, int64_t columns, int64_t stride, const float *bias, float *y, float *z)
{
    for (int64_t i = 0; i < rows; i++) {
        float *row = y + i * stride;
        if (bias) {
#pragma omp simd
            for (int64_t j = 0; j < columns; j++)
                row[j] += bias[j];
        }
        if (z)
            memcpy(z + i * stride, row, (size_t)columns * sizeof *row);
        if (f == OPS_IDENTITY)
            continue;
#pragma omp simd
        for (int64_t j = 0; j < columns; j++)
            row[j] = ops_math_activate(f, row[j]);
    }
}

/* y = f(y + bias); bias NULL: none. What f is taken of goes to z as well, unless it is NULL. */
static inline void activate_rows(ops_activation f, int64_t rows, int64_t columns, int64_t stride, const float *bias,
                                 float *y, float *z)
{
    switch (f) { /* the function is a constant in each loop, so that it vectorises */
    case OPS_RELU: activate_rows_as(OPS_RELU, rows, columns, stride, bias, y, z); break;
    case OPS_GELU: activate_rows_as(OPS_GELU, rows, columns, stride, bias, y, z); break;
    case OPS_TANH: activate_rows_as(OPS_TANH, rows, columns, stride, bias, y, z); break;
    case OPS_SIGMOID: activate_rows_as(OPS_SIGMOID, rows, columns, stride, bias, y, z); break;
    default:
        if (bias || z)
            activate_rows_as(OPS_IDENTITY, rows, columns, stride, bias, y, z);
    }
}

static inline __attribute__((always_inline)) void
slope_rows_as(ops_activation f, int64_t rows, int64_t columns, int64_t stride, const float *kept, float *dy, float *sum)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *k = kept + i * stride;
        float *row = dy + i * stride;
#pragma omp simd
        for (int64_t j = 0; j < columns; j++) {
            float g = f == OPS_IDENTITY ? row[j] : ops_math_gradient(f, k[j], k[j], row[j]);
            row[j] = g;
            sum[j] += g;
        }
    }
}

/* dy = dy f'; sum (columns) += dy's sum over rows. kept: the activation's input z for GELU, its output y otherwise. */
static inline void slope_rows(ops_activation f, int64_t rows, int64_t columns, int64_t stride, const float *kept,
                              float *dy, float *sum)
{
    switch (f) {
    case OPS_RELU: slope_rows_as(OPS_RELU, rows, columns, stride, kept, dy, sum); break;
    case OPS_GELU: slope_rows_as(OPS_GELU, rows, columns, stride, kept, dy, sum); break;
    case OPS_TANH: slope_rows_as(OPS_TANH, rows, columns, stride, kept, dy, sum); break;
    case OPS_SIGMOID: slope_rows_as(OPS_SIGMOID, rows, columns, stride, kept, dy, sum); break;
    default: slope_rows_as(OPS_IDENTITY, rows, columns, stride, kept, dy, sum);
    }
}

#endif
