/* ops_host_conv.h: what the convolution slots and the two ways to convolve share. Internal to ops.
 *
 * The slots (ops_host_conv.c) cut a batch into groups of samples, one task each, and do bias, activation and the sums
 * over groups. An engine does the products for the samples of a group: ops_host_conv_im2col.c by GEMM, everywhere;
 * ops_host_conv_onednn.c by oneDNN's kernels.
 */
#ifndef OPS_HOST_CONV_H
#define OPS_HOST_CONV_H

#include "ops_host.h"

/* A gradient of the weights is made for one sample at a time in float and summed in double, in which the sum is exact
 * but for its last bits, so that it does not show how samples are shared among groups or ranks. Each group of samples
 * has a sum of its own: more groups are more parallel work and more memory. */
enum { OPS_CONV_MAX_GROUPS = 16, OPS_CONV_MIN_GROUPS = 4, OPS_CONV_GROUP_BYTES = 32 << 20 };

typedef struct ops_conv_engine {
    const char *name;
    /* Fills the fields of conv marked below. `*fits` = 0: a shape that this engine is slow for or cannot do; then
     * destroy is called and another engine taken. */
    base_status (*create)(ops_conv *conv, int *fits);
    void (*destroy)(ops_conv *conv);
    /* Once a call of a slot, before its tasks: makes the weights ready. May be NULL. */
    base_status (*prepare)(ops_conv *conv, const float *w, int backward);
    /* The next three run inside tasks, for at most step_samples samples, with thread_floats of scratch.
     * y = x * w, without bias and activation. */
    base_status (*forward)(const ops_conv *conv, int64_t samples, const float *x, const float *w, float *y, int thread,
                           float *scratch);
    /* dx = or += the gradient of the input. */
    base_status (*backward_data)(const ops_conv *conv, int64_t samples, const float *dy, const float *w, int accumulate,
                                 float *dx, int thread, float *scratch);
    /* dw (share_floats) = one sample's gradient of the weights, in the engine's own order of elements. */
    base_status (*backward_weights)(const ops_conv *conv, const float *x, const float *dy, float *dw, int thread,
                                    float *scratch);
} ops_conv_engine;

struct ops_conv {
    ops_context *context;
    ops_conv2d op;
    int64_t oh, ow;
    int64_t x_floats, y_floats; /* of one sample */
    int64_t w_floats;
    int groups; /* of a batch, at most */
    const ops_conv_engine *engine;
    void *engine_state;    /* the engine's own */
    int64_t step_samples;  /* set by the engine: samples that it takes at a time, so that they stay in the cache */
    int64_t share_floats;  /* set by the engine: a gradient of the weights in its order of elements */
    const int32_t *places; /* set by the engine: where element i of w is in that order; NULL: they are the same */
    int64_t thread_floats; /* set by the engine: scratch of each thread, a multiple of 16 */
    base_arena *arena;
};

extern const ops_conv_engine ops_conv_onednn; /* only where DDPT_HAVE_ONEDNN_CONV */

#endif
