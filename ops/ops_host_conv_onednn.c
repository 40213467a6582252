/* ops_host_conv_onednn.c: convolution by oneDNN 2 (its operation descriptors went away in version 3).
 *
 * A primitive is made for one number of samples. Those for 1, 2, 4 .. step_samples are made at create; any other number
 * is taken as a sum of them. Images stay channels last; weights are brought into the order that the kernels want, which
 * costs little beside a convolution. Every thread has its own memory objects, stream and scratch, so that primitives,
 * which keep no state, can run on all threads at once.
 */
#include "ops_host_conv.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

enum { MAX_SIZES = 5, CACHE_BYTES = 512 << 10 }; /* 1 .. 16 samples; what of a second-level cache images may fill */

typedef enum kind { FORWARD, DATA, WEIGHTS, KINDS } kind;

/* What a thread needs to run the primitives for one number of samples. */
typedef struct step_memory {
    dnnl_memory_t x, y, share; /* also dx and dy; the address is set for each run */
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
    dnnl_memory_desc_t x[MAX_SIZES], y[MAX_SIZES];
    dnnl_memory_desc_t plain;          /* of w: (KH, KW, C, N) */
    dnnl_memory_desc_t weights[KINDS]; /* in the order of the kernels: of w, of w, of dw */
    dnnl_primitive_t primitive[MAX_SIZES][KINDS];
    dnnl_memory_desc_t scratchpad[MAX_SIZES][KINDS];
    dnnl_memory_t w_plain, w_ordered[KINDS]; /* [WEIGHTS]: dw */
    dnnl_primitive_t reorder[KINDS];         /* [WEIGHTS]: back to plain */
    float *w_floats[2];                      /* w in the order for FORWARD and DATA */
    int64_t scratch_floats;                  /* the largest scratchpad */
    thread_state *thread;
} conv_state;

static base_status failed(dnnl_status_t status, const char *what)
{
    return BASE_FAIL(status == dnnl_out_of_memory ? BASE_ERROR : BASE_DEVICE, "oneDNN cannot %s (status %d)", what,
                     (int)status);
}

#define TRY_DNNL(call, what)                                                                                           \
    do {                                                                                                               \
        dnnl_status_t try_status_ = (call);                                                                            \
        if (try_status_ != dnnl_success)                                                                               \
            return failed(try_status_, what);                                                                          \
    } while (0)

/* Logical dimensions are oneDNN's: images (B, C, H, W), weights (N, C, KH, KW). */
static base_status describe(const ops_conv *conv, conv_state *s)
{
    const ops_conv2d *op = &conv->op;
    dnnl_dims_t w = {op->n, op->c, op->kernel_h, op->kernel_w};
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->plain, 4, w, dnnl_f32, dnnl_hwio), "describe weights");
    for (int k = 0; k < KINDS; k++)
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->weights[k], 4, w, dnnl_f32, dnnl_format_tag_any), "describe weights");
    for (int i = 0; i < s->sizes; i++) {
        dnnl_dims_t x = {1 << i, op->c, op->h, op->w}, y = {1 << i, op->n, conv->oh, conv->ow};
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->x[i], 4, x, dnnl_f32, dnnl_nhwc), "describe images");
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->y[i], 4, y, dnnl_f32, dnnl_nhwc), "describe images");
    }
    return BASE_OK;
}

static dnnl_status_t describe_kind(const ops_conv *conv, const conv_state *s, int i, kind k, dnnl_convolution_desc_t *d)
{
    const ops_conv2d *op = &conv->op;
    dnnl_dims_t stride = {op->stride_h, op->stride_w}, pad = {op->pad_h, op->pad_w};
    switch (k) {
    case FORWARD:
        return dnnl_convolution_forward_desc_init(d, dnnl_forward_training, dnnl_convolution_direct, &s->x[i],
                                                  &s->weights[k], NULL, &s->y[i], stride, pad, pad);
    case DATA:
        return dnnl_convolution_backward_data_desc_init(d, dnnl_convolution_direct, &s->x[i], &s->weights[k], &s->y[i],
                                                        stride, pad, pad);
    default:
        return dnnl_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, &s->x[i], &s->weights[k], NULL,
                                                           &s->y[i], stride, pad, pad);
    }
}

/* Takes what is wanted from a primitive's description. */
static base_status adopt(conv_state *s, int i, kind k, const_dnnl_primitive_desc_t pd, int *fits)
{
    const char *name = "";
    TRY_DNNL(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name), "name a kernel");
    if (strncmp(name, "ref", 3) == 0) { /* plain loops, far slower than GEMM */
        *fits = 0;
        return BASE_OK;
    }
    /* The first size chooses the order of the weights, the others take it. */
    s->weights[k] =
        *dnnl_primitive_desc_query_md(pd, k == WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    s->scratchpad[i][k] = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    int64_t floats =
        (int64_t)(dnnl_memory_desc_get_size(&s->scratchpad[i][k]) + sizeof(float) - 1) / (int64_t)sizeof(float);
    s->scratch_floats = floats > s->scratch_floats ? floats : s->scratch_floats;
    TRY_DNNL(dnnl_primitive_create(&s->primitive[i][k], pd), "create a convolution");
    return BASE_OK;
}

static base_status create_size(const ops_conv *conv, conv_state *s, int i, int *fits)
{
    dnnl_primitive_desc_t hint = NULL;
    base_status status = BASE_OK;
    for (kind k = FORWARD; k < KINDS && *fits && status == BASE_OK; k++) {
        dnnl_convolution_desc_t d;
        dnnl_primitive_desc_t pd = NULL;
        if ((k == DATA && !conv->op.wants_dx) || (k == WEIGHTS && i > 0))
            continue;
        *fits = describe_kind(conv, s, i, k, &d) == dnnl_success &&
                dnnl_primitive_desc_create(&pd, &d, s->attr, s->engine, hint) == dnnl_success;
        if (*fits)
            status = adopt(s, i, k, pd, fits);
        if (k == FORWARD)
            hint = pd;
        else
            dnnl_primitive_desc_destroy(pd);
    }
    dnnl_primitive_desc_destroy(hint);
    return status;
}

static base_status create_reorder(conv_state *s, kind k)
{
    const dnnl_memory_desc_t *from = k == WEIGHTS ? &s->weights[k] : &s->plain;
    const dnnl_memory_desc_t *to = k == WEIGHTS ? &s->plain : &s->weights[k];
    dnnl_primitive_desc_t pd = NULL;
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&pd, from, s->engine, to, s->engine, s->attr), "reorder weights");
    dnnl_status_t status = dnnl_primitive_create(&s->reorder[k], pd);
    size_t scratch = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    dnnl_primitive_desc_destroy(pd);
    TRY_DNNL(status, "reorder weights");
    if (scratch > 0)
        return BASE_FAIL(BASE_DEVICE, "oneDNN wants scratch to reorder weights, which plain orders never need");
    return BASE_OK;
}

static base_status create_weights(ops_conv *conv, conv_state *s)
{
    TRY_DNNL(dnnl_memory_create(&s->w_plain, &s->plain, s->engine, DNNL_MEMORY_NONE), "hold weights");
    for (kind k = FORWARD; k < KINDS; k++) {
        if (!s->primitive[0][k])
            continue;
        BASE_TRY(create_reorder(s, k));
        TRY_DNNL(dnnl_memory_create(&s->w_ordered[k], &s->weights[k], s->engine, DNNL_MEMORY_NONE), "hold weights");
        if (k == WEIGHTS)
            continue;
        s->w_floats[k] = base_arena_alloc(conv->arena, dnnl_memory_desc_get_size(&s->weights[k]));
        if (!s->w_floats[k])
            return BASE_ERROR;
        TRY_DNNL(dnnl_memory_set_data_handle(s->w_ordered[k], s->w_floats[k]), "hold weights");
    }
    return BASE_OK;
}

static base_status create_thread(conv_state *s, thread_state *t)
{
    TRY_DNNL(dnnl_stream_create(&t->stream, s->engine, dnnl_stream_default_flags), "create a stream");
    for (int i = 0; i < s->sizes; i++) {
        step_memory *m = &t->memory[i];
        TRY_DNNL(dnnl_memory_create(&m->x, &s->x[i], s->engine, DNNL_MEMORY_NONE), "hold images");
        TRY_DNNL(dnnl_memory_create(&m->y, &s->y[i], s->engine, DNNL_MEMORY_NONE), "hold images");
        TRY_DNNL(dnnl_memory_create(&m->share, &s->weights[WEIGHTS], s->engine, DNNL_MEMORY_NONE), "hold gradients");
        for (kind k = FORWARD; k < KINDS; k++) {
            if (s->primitive[i][k])
                TRY_DNNL(dnnl_memory_create(&m->scratchpad[k], &s->scratchpad[i][k], s->engine, DNNL_MEMORY_NONE),
                         "hold scratch");
        }
    }
    return BASE_OK;
}

static base_status reorder(const conv_state *s, kind k, dnnl_memory_t from, dnnl_memory_t to, dnnl_stream_t stream)
{
    ops_onednn_thread_setup();
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    TRY_DNNL(dnnl_primitive_execute(s->reorder[k], stream, 2, args), "reorder weights");
    return BASE_OK;
}

/* Where each element of w is in the order of a gradient: the numbers 0, 1, 2, ... brought from that order into w's. */
static base_status find_places(ops_conv *conv, conv_state *s, int *fits)
{
    conv->share_floats = (int64_t)(dnnl_memory_desc_get_size(&s->weights[WEIGHTS]) / sizeof(float));
    *fits = conv->share_floats <= 1 << 24; /* floats count no further without gaps */
    if (!*fits)
        return BASE_OK;
    int32_t *places = BASE_NEW_ARRAY(conv->arena, int32_t, conv->w_floats);
    float *counted = BASE_NEW_ARRAY(conv->arena, float, conv->share_floats);
    float *found = BASE_NEW_ARRAY(conv->arena, float, conv->w_floats);
    if (!places || !counted || !found)
        return BASE_ERROR;
    for (int64_t i = 0; i < conv->share_floats; i++)
        counted[i] = (float)i;
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_plain, found), "hold gradients");
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_ordered[WEIGHTS], counted), "hold gradients");
    dnnl_stream_t stream;
    TRY_DNNL(dnnl_stream_create(&stream, s->engine, dnnl_stream_default_flags), "create a stream");
    base_status status = reorder(s, WEIGHTS, s->w_ordered[WEIGHTS], s->w_plain, stream);
    dnnl_stream_destroy(stream);
    BASE_TRY(status);
    for (int64_t i = 0; i < conv->w_floats; i++)
        places[i] = (int32_t)found[i];
    conv->places = places;
    return BASE_OK;
}

/* As many samples at a time as fit the cache beside each other: more of them amortise reading and writing weights. */
static void choose_sizes(ops_conv *conv, conv_state *s)
{
    int64_t sample_bytes = (conv->x_floats + conv->y_floats) * (int64_t)sizeof(float);
    s->sizes = 1;
    while (s->sizes < MAX_SIZES && (sample_bytes << s->sizes) <= CACHE_BYTES)
        s->sizes++;
    conv->step_samples = (int64_t)1 << (s->sizes - 1);
}

static base_status create_onednn(ops_conv *conv, int *fits)
{
    ops_onednn_thread_setup(); /* primitives are made for as many threads as their maker has */
    *fits = 1;
    conv_state *s = conv->engine_state = BASE_NEW(conv->arena, conv_state);
    if (!s)
        return BASE_ERROR;
    choose_sizes(conv, s);
    TRY_DNNL(dnnl_engine_create(&s->engine, dnnl_cpu, 0), "find this processor");
    TRY_DNNL(dnnl_primitive_attr_create(&s->attr), "create attributes");
    TRY_DNNL(dnnl_primitive_attr_set_scratchpad_mode(s->attr, dnnl_scratchpad_mode_user), "create attributes");
    BASE_TRY(describe(conv, s));
    for (int i = s->sizes - 1; i >= 0 && *fits; i--)
        BASE_TRY(create_size(conv, s, i, fits));
    if (!*fits)
        return BASE_OK;
    BASE_TRY(create_weights(conv, s));
    BASE_TRY(find_places(conv, s, fits));
    if (!*fits)
        return BASE_OK;
    int threads = base_pool_size(conv->context->options.pool);
    s->thread = BASE_NEW_ARRAY(conv->arena, thread_state, threads);
    if (!s->thread)
        return BASE_ERROR;
    for (; s->threads < threads; s->threads++)
        BASE_TRY(create_thread(s, &s->thread[s->threads]));
    int64_t result =
        conv->op.wants_dx ? conv->x_floats * conv->step_samples : 0; /* of a step that is added to something */
    s->scratch_floats = (s->scratch_floats + 15) / 16 * 16;
    conv->thread_floats = s->scratch_floats + result;
    return BASE_OK;
}

static void destroy_thread(const conv_state *s, thread_state *t)
{
    for (int i = 0; i < s->sizes; i++) {
        dnnl_memory_destroy(t->memory[i].x);
        dnnl_memory_destroy(t->memory[i].y);
        dnnl_memory_destroy(t->memory[i].share);
        for (kind k = FORWARD; k < KINDS; k++)
            dnnl_memory_destroy(t->memory[i].scratchpad[k]);
    }
    dnnl_stream_destroy(t->stream);
}

static void destroy_onednn(ops_conv *conv)
{
    conv_state *s = conv->engine_state;
    if (!s)
        return;
    for (int t = 0; t < base_pool_size(conv->context->options.pool) && s->thread; t++)
        destroy_thread(s, &s->thread[t]);
    for (kind k = FORWARD; k < KINDS; k++) {
        for (int i = 0; i < s->sizes; i++)
            dnnl_primitive_destroy(s->primitive[i][k]);
        dnnl_primitive_destroy(s->reorder[k]);
        dnnl_memory_destroy(s->w_ordered[k]);
    }
    dnnl_memory_destroy(s->w_plain);
    dnnl_primitive_attr_destroy(s->attr);
    dnnl_engine_destroy(s->engine);
    conv->engine_state = NULL;
}

/* Only reads from w, which the type of a data handle cannot say. */
static void *unconst(const float *p)
{
    return (void *)(uintptr_t)p;
}

static base_status prepare_onednn(ops_conv *conv, const float *w, int backward)
{
    conv_state *s = conv->engine_state;
    kind k = backward ? DATA : FORWARD;
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_plain, unconst(w)), "hold weights");
    return reorder(s, k, s->w_plain, s->w_ordered[k], s->thread[0].stream);
}

/* Runs the primitive of size i: x and y are the images or their gradients, share the gradient of the weights. */
static base_status run(const conv_state *s, kind k, int i, const float *x, const float *y, float *share, int thread,
                       float *scratch)
{
    ops_onednn_thread_setup();
    const step_memory *m = &s->thread[thread].memory[i];
    TRY_DNNL(dnnl_memory_set_data_handle(m->x, unconst(x)), "hold images");
    TRY_DNNL(dnnl_memory_set_data_handle(m->y, unconst(y)), "hold images");
    TRY_DNNL(dnnl_memory_set_data_handle(m->scratchpad[k], scratch), "hold scratch");
    if (share)
        TRY_DNNL(dnnl_memory_set_data_handle(m->share, share), "hold gradients");
    static const int arguments[KINDS][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                            {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                            {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    dnnl_exec_arg_t args[] = {{arguments[k][0], m->x},
                              {arguments[k][1], k == WEIGHTS ? m->share : s->w_ordered[k]},
                              {arguments[k][2], m->y},
                              {DNNL_ARG_SCRATCHPAD, m->scratchpad[k]}};
    TRY_DNNL(dnnl_primitive_execute(s->primitive[i][k], s->thread[thread].stream, 4, args), "run a convolution");
    return BASE_OK;
}

/* The largest size that is not above `samples`. */
static int size_for(const conv_state *s, int64_t samples)
{
    int i = s->sizes - 1;
    while ((1 << i) > samples)
        i--;
    return i;
}

static base_status forward_onednn(const ops_conv *conv, int64_t samples, const float *x, const float *w, float *y,
                                  int thread, float *scratch)
{
    (void)w;
    const conv_state *s = conv->engine_state;
    for (int64_t at = 0; at < samples;) {
        int i = size_for(s, samples - at);
        BASE_TRY(run(s, FORWARD, i, x + at * conv->x_floats, y + at * conv->y_floats, NULL, thread, scratch));
        at += 1 << i;
    }
    return BASE_OK;
}

static void add(float *to, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

static base_status backward_data_onednn(const ops_conv *conv, int64_t samples, const float *dy, const float *w,
                                        int accumulate, float *dx, int thread, float *scratch)
{
    (void)w;
    const conv_state *s = conv->engine_state;
    for (int64_t at = 0; at < samples;) {
        int i = size_for(s, samples - at);
        float *to = dx + at * conv->x_floats, *result = accumulate ? scratch + s->scratch_floats : to;
        BASE_TRY(run(s, DATA, i, result, dy + at * conv->y_floats, NULL, thread, scratch));
        if (accumulate)
            add(to, result, conv->x_floats << i);
        at += 1 << i;
    }
    return BASE_OK;
}

static base_status backward_weights_onednn(const ops_conv *conv, const float *x, const float *dy, float *dw, int thread,
                                           float *scratch)
{
    return run(conv->engine_state, WEIGHTS, 0, x, dy, dw, thread, scratch);
}

const ops_conv_engine ops_conv_onednn = {
    .name = "oneDNN",
    .create = create_onednn,
    .destroy = destroy_onednn,
    .prepare = prepare_onednn,
    .forward = forward_onednn,
    .backward_data = backward_data_onednn,
    .backward_weights = backward_weights_onednn,
};
