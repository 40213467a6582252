/* ops_host_conv_onednn_run.c: running the convolutions that ops_host_conv_onednn.c has made. */
#include "ops_host_conv_onednn.h"

base_status ops_onednn_reorder(const conv_state *s, kind k, dnnl_memory_t from, dnnl_memory_t to, dnnl_stream_t stream)
{
    ops_onednn_thread_setup();
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, s->reorder_scratchpad[k]}};
    TRY_DNNL(dnnl_primitive_execute(s->reorder[k], stream, 3, args), "reorder weights");
    return BASE_OK;
}

/* Only reads from w, which the type of a data handle cannot say. */
static void *unconst(const void *p)
{
    return (void *)(uintptr_t)p;
}

base_status ops_onednn_prepare(ops_conv *conv, const float *w, int backward)
{
    conv_state *s = conv->engine_state;
    kind k = backward ? DATA : FORWARD;
    if (s->w_rounded)
        bf16_of(conv)->round(conv->w_floats, w, s->w_rounded);
    TRY_DNNL(dnnl_memory_set_data_handle(s->w_plain[FACTORS], s->w_rounded ? s->w_rounded : unconst(w)),
             "hold weights");
    return ops_onednn_reorder(s, k, s->w_plain[FACTORS], s->w_ordered[k], s->thread[0].stream);
}

/* The factors of a product of one sample, rounded; in fp32 they are factors as they lie. */
static const void *factors(const ops_conv *conv, int64_t count, const float *from, float *scratch)
{
    if (!bf16_of(conv))
        return from;
    bf16_of(conv)->round(count, from, scratch);
    return scratch;
}

/* Runs the primitive of size i: x and y are the images or their gradients, share the gradient of the weights. */
static base_status run(const ops_conv *conv, kind k, int i, const float *x, const float *y, float *share, int thread,
                       float *scratch)
{
    ops_onednn_thread_setup();
    const conv_state *s = conv->engine_state;
    const step_memory *m = &s->thread[thread].memory[i];
    dnnl_memory_t x_memory = m->x[x_form[k]], y_memory = m->y[y_form[k]];
    float *rounded = scratch + s->scratch_floats + s->result_floats;
    const void *x_data = x_form[k] == FACTORS ? factors(conv, conv->x_floats, x, rounded) : x;
    rounded += to_lines(conv->x_floats);
    const void *y_data = y_form[k] == FACTORS ? factors(conv, conv->y_floats, y, rounded) : y;
    TRY_DNNL(dnnl_memory_set_data_handle(x_memory, unconst(x_data)), "hold images");
    TRY_DNNL(dnnl_memory_set_data_handle(y_memory, unconst(y_data)), "hold images");
    TRY_DNNL(dnnl_memory_set_data_handle(m->scratchpad[k], scratch), "hold scratch");
    if (share)
        TRY_DNNL(dnnl_memory_set_data_handle(m->share, share), "hold gradients");
    static const int arguments[KINDS][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                            {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                            {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    dnnl_exec_arg_t args[] = {{arguments[k][0], x_memory},
                              {arguments[k][1], k == WEIGHTS ? m->share : s->w_ordered[k]},
                              {arguments[k][2], y_memory},
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

base_status ops_onednn_forward(const ops_conv *conv, int64_t samples, const float *x, const float *w, float *y,
                               int thread, float *scratch)
{
    (void)w;
    const conv_state *s = conv->engine_state;
    for (int64_t at = 0; at < samples;) {
        int i = size_for(s, samples - at);
        BASE_TRY(run(conv, FORWARD, i, x + at * conv->x_floats, y + at * conv->y_floats, NULL, thread, scratch));
        at += 1 << i;
    }
    return BASE_OK;
}

static void add(float *to, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

base_status ops_onednn_backward_data(const ops_conv *conv, int64_t samples, const float *dy, const float *w,
                                     int accumulate, float *dx, int thread, float *scratch)
{
    (void)w;
    const conv_state *s = conv->engine_state;
    for (int64_t at = 0; at < samples;) {
        int i = size_for(s, samples - at);
        float *to = dx + at * conv->x_floats, *result = accumulate ? scratch + s->scratch_floats : to;
        BASE_TRY(run(conv, DATA, i, result, dy + at * conv->y_floats, NULL, thread, scratch));
        if (accumulate)
            add(to, result, conv->x_floats << i);
        at += 1 << i;
    }
    return BASE_OK;
}

base_status ops_onednn_backward_weights(const ops_conv *conv, const float *x, const float *dy, float *dw, int thread,
                                        float *scratch)
{
    return run(conv, WEIGHTS, 0, x, dy, dw, thread, scratch);
}
