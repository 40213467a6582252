/* ops_host_conv_onednn.c: convolution by oneDNN 2 (its operation descriptors went away in version 3).
 *
 * A primitive is made for one number of samples. Those for 1, 2, 4 .. step_samples are made at create; any other number
 * is taken as a sum of them. Images stay channels last; weights are brought into the order that the kernels want, which
 * costs little beside a convolution. Every thread has its own memory objects, stream and scratch, so that primitives,
 * which keep no state, can run on all threads at once.
 *
 * In precision "bf16" the factors of each product (x, w and dy; not what comes out) are rounded into scratch before it,
 * and a primitive takes one sample, so that no kernel's way with several can show in a sample's numbers.
 */
#include "ops_host_conv_onednn.h"

#include <string.h>

static dnnl_data_type_t type_of(const ops_conv *conv, form f)
{
    return f == FACTORS && bf16_of(conv) && bf16_of(conv)->factor_bytes == sizeof(uint16_t) ? dnnl_bf16 : dnnl_f32;
}

/* Logical dimensions are oneDNN's: images (B, C, H, W), weights (N, C, KH, KW). */
static base_status describe(const ops_conv *conv, conv_state *s)
{
    const ops_conv2d *op = &conv->op;
    dnnl_dims_t w = {op->n, op->c, op->kernel_h, op->kernel_w};
    for (int k = 0; k < KINDS; k++)
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->weights[k], 4, w, type_of(conv, k == WEIGHTS ? FLOATS : FACTORS),
                                              dnnl_format_tag_any),
                 "describe weights");
    for (form f = FLOATS; f < FORMS; f++) {
        dnnl_data_type_t type = type_of(conv, f);
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->plain[f], 4, w, type, dnnl_hwio), "describe weights");
        for (int i = 0; i < s->sizes; i++) {
            dnnl_dims_t x = {1 << i, op->c, op->h, op->w}, y = {1 << i, op->n, conv->oh, conv->ow};
            TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->x[i][f], 4, x, type, dnnl_nhwc), "describe images");
            TRY_DNNL(dnnl_memory_desc_init_by_tag(&s->y[i][f], 4, y, type, dnnl_nhwc), "describe images");
        }
    }
    return BASE_OK;
}

static dnnl_status_t describe_kind(const ops_conv *conv, const conv_state *s, int i, kind k, dnnl_convolution_desc_t *d)
{
    const ops_conv2d *op = &conv->op;
    dnnl_dims_t stride = {op->stride_h, op->stride_w}, pad = {op->pad_h, op->pad_w};
    const dnnl_memory_desc_t *x = &s->x[i][x_form[k]], *y = &s->y[i][y_form[k]];
    switch (k) {
    case FORWARD:
        return dnnl_convolution_forward_desc_init(d, dnnl_forward_training, dnnl_convolution_direct, x, &s->weights[k],
                                                  NULL, y, stride, pad, pad);
    case DATA:
        return dnnl_convolution_backward_data_desc_init(d, dnnl_convolution_direct, x, &s->weights[k], y, stride, pad,
                                                        pad);
    default:
        return dnnl_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, x, &s->weights[k], NULL, y,
                                                           stride, pad, pad);
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

static base_status create_reorder(ops_conv *conv, conv_state *s, kind k)
{
    const dnnl_memory_desc_t *from = k == WEIGHTS ? &s->weights[k] : &s->plain[FACTORS];
    const dnnl_memory_desc_t *to = k == WEIGHTS ? &s->plain[FLOATS] : &s->weights[k];
    dnnl_primitive_desc_t pd = NULL;
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&pd, from, s->engine, to, s->engine, s->attr), "reorder weights");
    dnnl_status_t status = dnnl_primitive_create(&s->reorder[k], pd);
    const dnnl_memory_desc_t scratchpad = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    dnnl_primitive_desc_destroy(pd);
    TRY_DNNL(status, "reorder weights");
    size_t nbytes = dnnl_memory_desc_get_size(&scratchpad);
    void *memory = base_arena_alloc(conv->arena, nbytes > 0 ? nbytes : 1);
    if (!memory)
        return BASE_ERROR;
    TRY_DNNL(dnnl_memory_create(&s->reorder_scratchpad[k], &scratchpad, s->engine, memory), "hold scratch");
    return BASE_OK;
}

static base_status create_weights(ops_conv *conv, conv_state *s)
{
    for (form f = FLOATS; f < FORMS; f++)
        TRY_DNNL(dnnl_memory_create(&s->w_plain[f], &s->plain[f], s->engine, DNNL_MEMORY_NONE), "hold weights");
    if (bf16_of(conv)) {
        s->w_rounded = base_arena_alloc(conv->arena, (size_t)conv->w_floats * bf16_of(conv)->factor_bytes);
        if (!s->w_rounded)
            return BASE_ERROR;
    }
    for (kind k = FORWARD; k < KINDS; k++) {
        if (!s->primitive[0][k])
            continue;
        BASE_TRY(create_reorder(conv, s, k));
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
        for (form f = FLOATS; f < FORMS; f++) {
            TRY_DNNL(dnnl_memory_create(&m->x[f], &s->x[i][f], s->engine, DNNL_MEMORY_NONE), "hold images");
            TRY_DNNL(dnnl_memory_create(&m->y[f], &s->y[i][f], s->engine, DNNL_MEMORY_NONE), "hold images");
        }
        TRY_DNNL(dnnl_memory_create(&m->share, &s->weights[WEIGHTS], s->engine, DNNL_MEMORY_NONE), "hold gradients");
        for (kind k = FORWARD; k < KINDS; k++) {
            if (s->primitive[i][k])
                TRY_DNNL(dnnl_memory_create(&m->scratchpad[k], &s->scratchpad[i][k], s->engine, DNNL_MEMORY_NONE),
                         "hold scratch");
        }
    }
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
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_plain[FLOATS], found), "hold gradients");
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_ordered[WEIGHTS], counted), "hold gradients");
    dnnl_stream_t stream;
    TRY_DNNL(dnnl_stream_create(&stream, s->engine, dnnl_stream_default_flags), "create a stream");
    base_status status = ops_onednn_reorder(s, WEIGHTS, s->w_ordered[WEIGHTS], s->w_plain[FLOATS], stream);
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
    while (!bf16_of(conv) && s->sizes < MAX_SIZES && (sample_bytes << s->sizes) <= CACHE_BYTES)
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
    s->scratch_floats = to_lines(s->scratch_floats);
    s->result_floats = conv->op.wants_dx ? to_lines(conv->x_floats * conv->step_samples) : 0;
    int64_t rounded = bf16_of(conv) ? to_lines(conv->x_floats) + to_lines(conv->y_floats) : 0; /* steps are of one */
    conv->thread_floats = s->scratch_floats + s->result_floats + rounded;
    return BASE_OK;
}

static void destroy_thread(const conv_state *s, thread_state *t)
{
    for (int i = 0; i < s->sizes; i++) {
        for (form f = FLOATS; f < FORMS; f++) {
            dnnl_memory_destroy(t->memory[i].x[f]);
            dnnl_memory_destroy(t->memory[i].y[f]);
        }
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
        dnnl_memory_destroy(s->reorder_scratchpad[k]);
        dnnl_memory_destroy(s->w_ordered[k]);
    }
    for (form f = FLOATS; f < FORMS; f++)
        dnnl_memory_destroy(s->w_plain[f]);
    dnnl_primitive_attr_destroy(s->attr);
    dnnl_engine_destroy(s->engine);
    conv->engine_state = NULL;
}

const ops_conv_engine ops_conv_onednn = {
    .name = "oneDNN",
    .create = create_onednn,
    .destroy = destroy_onednn,
    .prepare = ops_onednn_prepare,
    .forward = ops_onednn_forward,
    .backward_data = ops_onednn_backward_data,
    .backward_weights = ops_onednn_backward_weights,
};
