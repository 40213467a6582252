/* ops_layer.h: a dense or convolution layer against a float64 reference: its output, and its gradients by central
 * differences, under every back end. */
#ifndef OPS_LAYER_H
#define OPS_LAYER_H

#include "ops_reference.h"

typedef struct ops_layer {
    ops_conv2d op; /* a dense layer is one pixel: h = w = kernel_h = kernel_w = 1, strides 1, no padding */
    int dense;     /* 1: tested through the dense slots */
    int64_t batch;
    int64_t max_batch; /* of conv2d_create; 0: batch */
    int bias, accumulate;
    int bf16; /* 1: in precision "bf16" */
} ops_layer;

/* Runs forward and backward with the GEMM library `gemm` on every instruction set and with 1
 * and 3 threads, and compares. Skips the test if the build lacks the library. */
void ops_layer_check(const ops_layer *layer, const char *gemm);

#endif
