/* gpu_conv_cudnn.c: convolution by cuDNN. Its filters are (N, KH, KW, C), so that weights are transposed before the
 * forward pass, which the backward pass shares, and their gradient after it.
 *
 * A plan is made when a pass meets a batch of its size for the first time. What a plan needs to work in lies in the
 * context's patches, which have their size already: graphs that were captured hold their address.
 */
#include "gpu_conv.h"

#include "base_log.h"
#include "gpu_cudnn.h"
#include "gpu_ops.h"

#include <stdlib.h>

/* What cuDNN may use at least, where patches would be smaller; the emulator's needs little. */
#if defined(DDPT_GPU_EMULATED)
enum { WORKSPACE_BYTES = 1 << 12 };
#else
enum { WORKSPACE_BYTES = 64 << 20 };
#endif
enum { WORKSPACE_ALIGNMENT = 256 };

typedef struct entry {
    gpu_cudnn_pass pass;
    int64_t batch;
    gpu_cudnn_plan *plan; /* NULL: there is none */
    int has_run;
} entry;

struct gpu_conv_cudnn {
    void *filters; /* w, transposed */
    entry *entries;
    int count, room;
};

/* ---- life ---- */

static void open_library(ops_context *self)
{
    if (self->cudnn_sought)
        return;
    self->cudnn_sought = 1;
    self->cudnn = gpu_cudnn_open(self->precision, self->stream, NULL);
    if (self->cudnn)
        gpu_describe_libraries(self->libraries, sizeof self->libraries);
}

base_status gpu_conv_cudnn_create(ops_context *self, const ops_conv2d *op, gpu_conv_cudnn **cudnn)
{
    open_library(self);
    if (!self->cudnn)
        return BASE_OK;
    *cudnn = calloc(1, sizeof **cudnn);
    if (!*cudnn)
        return BASE_FAIL(BASE_ERROR, "out of memory for a convolution");
    const size_t weights = (size_t)(op->kernel_h * op->kernel_w * op->c * op->n);
    return gpu_check(gpuMalloc(&(*cudnn)->filters, weights * (self->type == GPU_BF16 ? 2 : sizeof(float))),
                     "give memory for the filters of a convolution");
}

void gpu_conv_cudnn_destroy(ops_context *self, gpu_conv_cudnn **cudnn)
{
    if (!*cudnn)
        return;
    gpuStreamSynchronize(self->stream);
    for (int i = 0; i < (*cudnn)->count; i++)
        gpu_cudnn_plan_destroy(&(*cudnn)->entries[i].plan);
    if ((*cudnn)->filters)
        gpuFree((*cudnn)->filters);
    free((*cudnn)->entries);
    free(*cudnn);
    *cudnn = NULL;
}

/* ---- memory to work in: the gradient of the filters, then cuDNN's ---- */

static size_t gradient_bytes(const ops_conv *conv)
{
    const size_t nbytes = (size_t)(conv->patch * conv->op.n) * sizeof(float);
    return (nbytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

size_t gpu_conv_cudnn_bytes(const ops_context *self, const ops_conv *conv)
{
    const size_t workspace = WORKSPACE_BYTES;
    return gradient_bytes(conv) + (workspace < self->patch_bytes_most ? workspace : self->patch_bytes_most);
}

/* ---- plans ---- */

static entry *find(gpu_conv_cudnn *self, gpu_cudnn_pass pass, int64_t batch)
{
    for (int i = 0; i < self->count; i++)
        if (self->entries[i].pass == pass && self->entries[i].batch == batch)
            return &self->entries[i];
    return NULL;
}

static base_status add(gpu_conv_cudnn *self, const entry *added, entry **out)
{
    if (self->count == self->room) {
        const int room = self->room ? 2 * self->room : 8;
        entry *more = realloc(self->entries, (size_t)room * sizeof *more);
        if (!more)
            return BASE_FAIL(BASE_ERROR, "out of memory for the plans of a convolution");
        self->entries = more;
        self->room = room;
    }
    *out = &self->entries[self->count++];
    **out = *added;
    return BASE_OK;
}

/* A pass over a batch, if cuDNN has it. A plan that does not start the first time is given up. */
static base_status run(ops_context *self, ops_conv *conv, gpu_cudnn_pass pass, int64_t batch,
                       const gpu_cudnn_tensors *tensors, int *done)
{
    const size_t offset = gradient_bytes(conv);
    entry *e = find(conv->cudnn, pass, batch);
    if (!e) {
        entry made = {.pass = pass, .batch = batch};
        BASE_TRY(add(conv->cudnn, &made, &e));
        e->plan = gpu_cudnn_plan_create(self->cudnn, &conv->op, pass, batch, conv->cudnn_bytes - offset);
        BASE_DEBUG("cuDNN %s pass %d of a convolution of %lld samples%s", e->plan ? "takes" : "has no engine for",
                   (int)pass, (long long)batch, e->plan ? "" : ": another way is taken");
    }
    if (!e->plan)
        return BASE_OK;
    *done = gpu_cudnn_run(self->cudnn, e->plan, tensors, (char *)self->patches + offset);
    if (!*done && e->has_run)
        return BASE_FAIL(BASE_DEVICE,
                         "cuDNN cannot convolve any more: DDPT_GPU_CUDNN=0 in the environment does without it");
    if (!*done)
        gpu_cudnn_plan_destroy(&e->plan);
    e->has_run = 1;
    return BASE_OK;
}

/* ---- passes ---- */

/* With what cuDNN can fuse onto it: y, or z where the activation keeps it. */
static base_status fused_forward(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *b,
                                 void *y, void *z, int *done)
{
    const ops_activation activation = conv->op.activation;
    const int relu = activation == OPS_RELU;
    void *to = ops_activation_keeps_input(activation) ? z : y;
    const gpu_cudnn_tensors tensors = {.x = x, .w = conv->cudnn->filters, .y = to, .b = gpu_operand(self, b)};
    BASE_TRY(run(self, conv, relu ? GPU_CUDNN_FORWARD_BIAS_RELU : GPU_CUDNN_FORWARD_BIAS, batch, &tensors, done));
    if (!*done || relu || activation == OPS_IDENTITY)
        return BASE_OK;
    const int64_t count = batch * conv->oh * conv->ow * conv->op.n;
    return gpu_launched(gpu_activation_forward(self->stream, self->type, activation, count, to, y));
}

base_status gpu_conv_cudnn_forward(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                   const float *b, void *y, void *z, int *done)
{
    const ops_activation activation = conv->op.activation;
    const gpu_cudnn_tensors tensors = {.x = x, .w = conv->cudnn->filters, .y = y};
    BASE_TRY(gpu_launched(
        gpu_transpose(self->stream, self->type, conv->patch, conv->op.n, gpu_operand(self, w), conv->cudnn->filters)));
    if (b)
        BASE_TRY(fused_forward(self, conv, batch, x, b, y, z, done));
    if (*done)
        return BASE_OK;
    BASE_TRY(run(self, conv, GPU_CUDNN_FORWARD, batch, &tensors, done));
    if (!*done)
        return BASE_OK;
    return gpu_launched(gpu_bias_activation(self->stream, self->type, activation, batch * conv->oh * conv->ow,
                                            conv->op.n, gpu_operand(self, b), NULL, y,
                                            ops_activation_keeps_input(activation) ? z : NULL));
}

base_status gpu_conv_cudnn_data(ops_context *self, ops_conv *conv, int64_t batch, const void *dz, void *dx,
                                int accumulate, int *done)
{
    const gpu_cudnn_tensors tensors = {.x = dx, .w = conv->cudnn->filters, .y = dz};
    return run(self, conv, accumulate ? GPU_CUDNN_BACKWARD_DATA_ADD : GPU_CUDNN_BACKWARD_DATA, batch, &tensors, done);
}

/* Of bfloat16 in float where cuDNN can; else its sums, taken in float, are rounded to bfloat16 once. */
base_status gpu_conv_cudnn_weights(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const void *dz,
                                   float *dw, int *done)
{
    const gpu_cudnn_tensors tensors = {.x = x, .w = self->patches, .y = dz};
    gpu_type type = GPU_F32;
    BASE_TRY(run(self, conv, GPU_CUDNN_BACKWARD_WEIGHTS, batch, &tensors, done));
    if (!*done && self->type == GPU_BF16) {
        type = GPU_BF16;
        BASE_TRY(run(self, conv, GPU_CUDNN_BACKWARD_WEIGHTS_NARROW, batch, &tensors, done));
    }
    if (!*done)
        return BASE_OK;
    return gpu_launched(gpu_transpose_to_float(self->stream, type, conv->op.n, conv->patch, self->patches, dw));
}
