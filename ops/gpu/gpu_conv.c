/* gpu_conv.c: convolutions: of floats by implicit products; else by cuDNN where it takes them; else as products with
 * the patches of the image (gpu_im2col), for as many samples at a time as their patches fit into a bounded memory. A
 * 1x1 kernel's patches are the image itself, and cuDNN is not asked.
 */
#include "gpu_conv.h"

#include "gpu_implicit.h"

#include <stdlib.h>

static int64_t pixels(const ops_conv *conv, int64_t samples)
{
    return samples * conv->oh * conv->ow;
}

static base_status reserve(ops_context *self, size_t nbytes)
{
    if (nbytes <= self->patch_bytes)
        return BASE_OK;
    if (self->patches) {
        BASE_TRY(gpu_check(gpuStreamSynchronize(self->stream), "finish its work"));
        gpuFree(self->patches);
    }
    self->patches = NULL;
    self->patch_bytes = 0;
    gpuError_t error = gpuMalloc(&self->patches, nbytes);
    if (error != gpuSuccess)
        return BASE_FAIL(BASE_DEVICE,
                         "out of memory on the GPU: %.1f MiB are wanted for the patches of a convolution: use a "
                         "smaller train.batch: %s",
                         (double)nbytes * 0x1p-20, gpuGetErrorString(error));
    self->patch_bytes = nbytes;
    return BASE_OK;
}

static base_status make_ready(ops_conv *self, int64_t max_batch)
{
    const ops_conv2d *op = &self->op;
    BASE_TRY(ops_conv2d_output(op, &self->oh, &self->ow));
    self->patch = op->kernel_h * op->kernel_w * op->c;
    self->direct = op->kernel_h == 1 && op->kernel_w == 1 && op->stride_h == 1 && op->stride_w == 1 && op->pad_h == 0 &&
                   op->pad_w == 0;
    int64_t most = max_batch > 0 ? max_batch : 1;
    self->samples = most;
    self->own = gpu_owns_products(self->context) && gpu_implicit_can(op, most);
    self->own_data = self->own && gpu_implicit_can_data(op);
    if (self->own)
        BASE_TRY(reserve(self->context, gpu_implicit_bytes(op)));
    if (self->direct || (self->own && (self->own_data || !op->wants_dx)))
        return BASE_OK;
    if (!self->own)
        BASE_TRY(gpu_conv_cudnn_create(self->context, op, &self->cudnn));
    int64_t sample_bytes = pixels(self, 1) * self->patch * (self->context->type == GPU_BF16 ? 2 : 4);
    int64_t room = (int64_t)self->context->patch_bytes_most / sample_bytes;
    self->samples = room < 1 ? 1 : room < most ? room : most;
    self->cudnn_bytes = (size_t)(self->samples * sample_bytes);
    if (self->cudnn && self->cudnn_bytes < gpu_conv_cudnn_bytes(self->context, self))
        self->cudnn_bytes = gpu_conv_cudnn_bytes(self->context, self);
    return reserve(self->context, self->cudnn_bytes);
}

base_status ops_conv2d_create_gpu(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv)
{
    *conv = calloc(1, sizeof **conv);
    if (!*conv)
        return BASE_FAIL(BASE_ERROR, "out of memory for a convolution");
    **conv = (ops_conv){.context = self, .op = *op};
    base_status status = make_ready(*conv, max_batch);
    if (status != BASE_OK)
        ops_conv2d_destroy_gpu(conv);
    return status;
}

void ops_conv2d_destroy_gpu(ops_conv **conv)
{
    if (!*conv)
        return;
    gpu_conv_cudnn_destroy((*conv)->context, &(*conv)->cudnn);
    free(*conv);
    *conv = NULL;
}

/* The patches of `samples` images from x on. */
static base_status make_patches(ops_context *self, const ops_conv *conv, int64_t samples, const void *x,
                                const void **patches)
{
    *patches = conv->direct ? x : self->patches;
    if (conv->direct)
        return BASE_OK;
    return gpu_launched(gpu_im2col(self->stream, self->type, &conv->op, samples, x, self->patches));
}

static const void *image_at(const ops_conv *conv, const void *x, int64_t sample)
{
    return gpu_at(conv->context, x, sample * conv->op.h * conv->op.w * conv->op.c);
}

static void *output_at(const ops_conv *conv, const void *y, int64_t sample)
{
    return y ? gpu_at(conv->context, y, pixels(conv, sample) * conv->op.n) : NULL;
}

static int64_t part_of(const ops_conv *conv, int64_t batch, int64_t from)
{
    return conv->samples < batch - from ? conv->samples : batch - from;
}

/* Bias and relu ride on the product; other activations take a pass of their own. */
static base_status own_forward(ops_context *self, const ops_conv *conv, int64_t batch, const void *x, const float *w,
                               const float *b, void *y, void *z)
{
    const ops_activation activation = conv->op.activation;
    const int rides = activation == OPS_RELU || activation == OPS_IDENTITY;
    void *product = ops_activation_keeps_input(activation) ? z : y;
    BASE_TRY(gpu_launched(gpu_implicit_forward(self->stream, gpu_is_exact(self), &conv->op, batch, x, w, b,
                                               activation == OPS_RELU, product)));
    if (rides)
        return BASE_OK;
    return gpu_launched(
        gpu_activation_forward(self->stream, self->type, activation, pixels(conv, batch) * conv->op.n, product, y));
}

base_status ops_conv2d_forward_gpu(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                   const float *b, void *y, void *z)
{
    int done = 0;
    if (conv->own)
        return batch > 0 ? own_forward(self, conv, batch, x, w, b, y, z) : BASE_OK;
    if (batch > 0 && conv->cudnn)
        BASE_TRY(gpu_conv_cudnn_forward(self, conv, batch, x, w, b, y, z, &done));
    for (int64_t from = 0, samples; from < batch && !done; from += samples) {
        const void *patches;
        samples = part_of(conv, batch, from);
        BASE_TRY(make_patches(self, conv, samples, image_at(conv, x, from), &patches));
        BASE_TRY(gpu_layer_forward(self, conv->op.activation, NULL, pixels(conv, samples), conv->op.n, conv->patch,
                                   patches, w, b, output_at(conv, y, from), output_at(conv, z, from)));
    }
    return BASE_OK;
}

/* The gradients of patches are made in the place of patches. */
static base_status backward_data(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const void *dz,
                                 const float *w, void *dx, int accumulate)
{
    const float gate = conv->op.fusion.gate;
    int done = 0;
    if (conv->own_data)
        return gpu_launched(
            gpu_implicit_data(self->stream, gpu_is_exact(self), &conv->op, batch, dz, w, gate, x, dx, accumulate));
    if (conv->cudnn)
        BASE_TRY(gpu_conv_cudnn_data(self, conv, batch, dz, dx, accumulate, &done));
    for (int64_t from = 0, samples; from < batch && !done; from += samples) {
        void *to = (void *)image_at(conv, dx, from);
        samples = part_of(conv, batch, from);
        gpu_product product =
            gpu_product_data(self, pixels(conv, samples), conv->op.n, conv->patch, output_at(conv, dz, from), w,
                             conv->direct ? to : self->patches, conv->direct && accumulate);
        BASE_TRY(gpu_blas_multiply(self->blas, self->stream, &product));
        if (!conv->direct)
            BASE_TRY(
                gpu_launched(gpu_col2im(self->stream, self->type, &conv->op, samples, self->patches, to, accumulate)));
    }
    if (gate == 0.0f)
        return BASE_OK;
    return gpu_launched(gpu_gate(self->stream, self->type, batch * conv->op.h * conv->op.w * conv->op.c, gate, x, dx));
}

/* db: of implicit products alone, which have it by the way. */
static base_status backward_weights(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const void *dz,
                                    float *dw, float *db)
{
    int done = 0;
    if (conv->own)
        return gpu_launched(
            gpu_implicit_weights(self->stream, gpu_is_exact(self), &conv->op, batch, x, dz, dw, db, self->patches));
    if (conv->cudnn)
        BASE_TRY(gpu_conv_cudnn_weights(self, conv, batch, x, dz, dw, &done));
    for (int64_t from = 0, samples; from < batch && !done; from += samples) {
        const void *patches;
        samples = part_of(conv, batch, from);
        BASE_TRY(make_patches(self, conv, samples, image_at(conv, x, from), &patches));
        gpu_product product = gpu_product_weights(self, pixels(conv, samples), conv->op.n, conv->patch, patches,
                                                  output_at(conv, dz, from), dw, from > 0);
        BASE_TRY(gpu_blas_multiply(self->blas, self->stream, &product));
    }
    return BASE_OK;
}

base_status ops_conv2d_backward_gpu(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                    const void *y, const void *z, void *dy, void *dw, void *db, void *dx,
                                    int accumulate)
{
    const int64_t n = conv->op.n;
    if (batch == 0) {
        BASE_TRY(gpu_launched(gpuMemsetAsync(dw, 0, (size_t)(conv->patch * n) * sizeof(float), self->stream)));
        return db ? gpu_launched(gpuMemsetAsync(db, 0, (size_t)n * sizeof(float), self->stream)) : BASE_OK;
    }
    const ops_activation activation = conv->op.fusion.dz_given ? OPS_IDENTITY : conv->op.activation;
    BASE_TRY(gpu_launched(gpu_bias_activation_backward(self->stream, self->type, activation, pixels(conv, batch), n, y,
                                                       z, dy, conv->own ? NULL : db, self->scratch)));
    if (dx)
        BASE_TRY(backward_data(self, conv, batch, x, dy, w, dx, accumulate));
    return backward_weights(self, conv, batch, x, dy, dw, db);
}
