/* ops_host_conv_onednn.h: what making and running oneDNN's convolutions share. Internal to ops. */
#ifndef OPS_HOST_CONV_ONEDNN_H
#define OPS_HOST_CONV_ONEDNN_H

#include "ops_host_conv.h"

#include <oneapi/dnnl/dnnl.h>

enum { MAX_SIZES = 5, CACHE_BYTES = 512 << 10 }; /* 1 .. 16 samples; what of a second-level cache images may fill */

typedef enum kind { FORWARD, DATA, WEIGHTS, KINDS } kind;

/* How a tensor's elements are held: as it lies in memory, or rounded to be a factor (in fp32 these are the same). */
typedef enum form { FLOATS, FACTORS, FORMS } form;

/* Of x or dx, and of y or dy, in the products of each kind. */
static const form x_form[KINDS] = {FACTORS, FLOATS, FACTORS}, y_form[KINDS] = {FLOATS, FACTORS, FACTORS};

/* What a thread needs to run the primitives for one number of samples. */
typedef struct step_memory {
    dnnl_memory_t x[FORMS], y[FORMS], share; /* also dx and dy; the address is set for each run */
    dnnl_memory_t scratchpad[KINDS];
} step_memory;

typedef struct thread_state {
    dnnl_stream_t stream;
    step_memory memory[MAX_SIZES];
} thread_state;

typedef struct conv_state {
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr;
    int sizes, threads; /* sizes: primitives for 1 << 0 .. 1 << (sizes - 1) samples */
    dnnl_memory_desc_t x[MAX_SIZES][FORMS], y[MAX_SIZES][FORMS];
    dnnl_memory_desc_t plain[FORMS];   /* of dw, of w: (KH, KW, C, N) */
    dnnl_memory_desc_t weights[KINDS]; /* in the order of the kernels: of w, of w, of dw */
    dnnl_primitive_t primitive[MAX_SIZES][KINDS];
    dnnl_memory_desc_t scratchpad[MAX_SIZES][KINDS];
    dnnl_memory_t w_plain[FORMS], w_ordered[KINDS]; /* [WEIGHTS]: dw */
    dnnl_primitive_t reorder[KINDS];                /* [WEIGHTS]: back to plain */
    dnnl_memory_t reorder_scratchpad[KINDS];
    float *w_floats[2];     /* w in the order for FORWARD and DATA */
    void *w_rounded;        /* w, plain; NULL in fp32 */
    int64_t scratch_floats; /* the largest scratchpad */
    int64_t result_floats;  /* of a step's dx that is added to something; behind the scratchpad, and rounded x and y
                               behind it */
    thread_state *thread;
} conv_state;

static inline base_status onednn_failed(dnnl_status_t status, const char *what)
{
    return BASE_FAIL(status == dnnl_out_of_memory ? BASE_ERROR : BASE_DEVICE, "oneDNN cannot %s (status %d)", what,
                     (int)status);
}

#define TRY_DNNL(call, what)                                                                                           \
    do {                                                                                                               \
        dnnl_status_t try_status_ = (call);                                                                            \
        if (try_status_ != dnnl_success)                                                                               \
            return onednn_failed(try_status_, what);                                                                   \
    } while (0)

static inline const ops_bf16 *bf16_of(const ops_conv *conv)
{
    return conv->context->bf16;
}

/* Of floats, to whole cache lines. */
static inline int64_t to_lines(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

/* Between the plain order of weights and that of kind k. */
base_status ops_onednn_reorder(const conv_state *s, kind k, dnnl_memory_t from, dnnl_memory_t to, dnnl_stream_t stream);

/* The engine's slots that run in a step: ops_host_conv_onednn_run.c */
base_status ops_onednn_prepare(ops_conv *conv, const float *w, int backward);
base_status ops_onednn_forward(const ops_conv *conv, int64_t samples, const float *x, const float *w, float *y,
                               int thread, float *scratch);
base_status ops_onednn_backward_data(const ops_conv *conv, int64_t samples, const float *dy, const float *w,
                                     int accumulate, float *dx, int thread, float *scratch);
base_status ops_onednn_backward_weights(const ops_conv *conv, const float *x, const float *dy, float *dw, int thread,
                                        float *scratch);

#endif
