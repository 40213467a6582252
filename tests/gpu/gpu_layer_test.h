/* gpu_layer_test.h: a dense layer or a convolution of the GPU's table, forward and backward, against sums in double. */
#ifndef GPU_LAYER_TEST_H
#define GPU_LAYER_TEST_H

#include "gpu_ops_test.h"

/* A dense layer is a convolution of one pixel. */
typedef struct gpu_layer {
    ops_conv2d op;
    int64_t batch;
    int dense, bias, accumulate;
} gpu_layer;

typedef struct gpu_layer_numbers {
    const gpu_layer *l;
    int64_t oh, ow, x_count, w_count, y_count;
    float *x, *w, *b;                 /* as products see them */
    void *device_x, *y, *z, *dy, *dx; /* device */
    float *params, *dw, *db;          /* device */
} gpu_layer_numbers;

/* Random inputs and parameters, which become the bound ones. */
gpu_layer_numbers gpu_layer_test_make(const gpu_ops_test *t, const gpu_layer *l, uint64_t *state);
/* conv NULL: a dense layer. Backward makes dy and dx. */
void gpu_layer_test_forward(const gpu_ops_test *t, const gpu_layer_numbers *n, ops_conv *conv);
void gpu_layer_test_backward(const gpu_ops_test *t, gpu_layer_numbers *n, ops_conv *conv, uint64_t *state);

/* Factors are smaller the more products go into a sum, so that sums are of the order of 1: an error is then one
 * relative to the numbers that go into it, also where they cancel. */
double gpu_layer_test_spread(double most, int64_t products);
/* What a slot is to write, and not to read, is NaN before: n elements of rows that begin ld elements apart. */
void gpu_layer_test_poison(const gpu_ops_test *t, void *c, int64_t rows, int64_t n, int64_t ld);

/* All of it. */
void gpu_layer_test_case(gpu_ops_test *t, const gpu_layer *l);

#endif
