#include "gpu_cudnn_graph.h"

enum { ALIGNMENT = 16 }; /* of every tensor's address */

/* ---- descriptors ---- */

void gpu_cudnn_check(gpu_cudnn_parts *parts, gpudnnStatus_t status)
{
    parts->failed |= status != GPUDNN_STATUS_SUCCESS;
}

gpudnnDescriptor_t gpu_cudnn_make(gpu_cudnn_parts *parts, unsigned type)
{
    gpudnnDescriptor_t made = NULL;
    if (parts->count == GPU_CUDNN_PARTS_MAX)
        parts->failed = 1;
    if (!parts->failed)
        gpu_cudnn_check(parts, gpudnn.BackendCreateDescriptor(type, &made));
    if (made)
        parts->made[parts->count++] = made;
    return made;
}

void gpu_cudnn_unmake(gpu_cudnn_parts *parts, int count)
{
    while (parts->count > count)
        gpudnn.BackendDestroyDescriptor(parts->made[--parts->count]);
}

void gpu_cudnn_set(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, unsigned type, int64_t count,
                   const void *elements)
{
    if (!parts->failed)
        gpu_cudnn_check(parts, gpudnn.BackendSetAttribute(d, name, type, count, elements));
}

void gpu_cudnn_set_kind(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, unsigned type, unsigned value)
{
    gpu_cudnn_set(parts, d, name, type, 1, &value);
}

void gpu_cudnn_set_integers(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, int64_t count,
                            const int64_t *values)
{
    gpu_cudnn_set(parts, d, name, GPUDNN_TYPE_INT64, count, values);
}

static void set_float(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, float value)
{
    gpu_cudnn_set(parts, d, name, GPUDNN_TYPE_FLOAT, 1, &value);
}

void gpu_cudnn_set_part(gpu_cudnn_parts *parts, gpudnnDescriptor_t d, unsigned name, gpudnnDescriptor_t part)
{
    gpu_cudnn_set(parts, d, name, GPUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

void gpu_cudnn_finish(gpu_cudnn_parts *parts, gpudnnDescriptor_t d)
{
    if (!parts->failed)
        gpu_cudnn_check(parts, gpudnn.BackendFinalize(d));
}

/* ---- tensors and operations ---- */

/* (outer, h, w, c) in memory; cuDNN speaks of (outer, c, h, w) and strides. */
static gpudnnDescriptor_t make_tensor(gpu_cudnn_parts *parts, int64_t id, unsigned type, const int64_t shape[4])
{
    const int64_t h = shape[1], w = shape[2], c = shape[3], alignment = ALIGNMENT;
    const int64_t sizes[4] = {shape[0], c, h, w}, strides[4] = {h * w * c, 1, w * c, c};
    const unsigned char between = id >= GPU_CUDNN_PRODUCT;
    gpudnnDescriptor_t d = gpu_cudnn_make(parts, GPUDNN_BACKEND_TENSOR_DESCRIPTOR);
    gpu_cudnn_set_kind(parts, d, GPUDNN_ATTR_TENSOR_DATA_TYPE, GPUDNN_TYPE_DATA_TYPE, type);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_TENSOR_DIMENSIONS, 4, sizes);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_TENSOR_STRIDES, 4, strides);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_TENSOR_UNIQUE_ID, 1, &id);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1, &alignment);
    gpu_cudnn_set(parts, d, GPUDNN_ATTR_TENSOR_IS_VIRTUAL, GPUDNN_TYPE_BOOLEAN, 1, &between);
    gpu_cudnn_finish(parts, d);
    return d;
}

static gpudnnDescriptor_t make_window(gpu_cudnn_parts *parts, const ops_conv2d *op)
{
    const int64_t sides = 2, ones[2] = {1, 1}, strides[2] = {op->stride_h, op->stride_w},
                  pads[2] = {op->pad_h, op->pad_w};
    gpudnnDescriptor_t d = gpu_cudnn_make(parts, GPUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 1, &sides);
    gpu_cudnn_set_kind(parts, d, GPUDNN_ATTR_CONVOLUTION_COMP_TYPE, GPUDNN_TYPE_DATA_TYPE, GPUDNN_DATA_FLOAT);
    gpu_cudnn_set_kind(parts, d, GPUDNN_ATTR_CONVOLUTION_CONV_MODE, GPUDNN_TYPE_CONVOLUTION_MODE,
                       GPUDNN_CROSS_CORRELATION);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 2, pads);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 2, pads);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_CONVOLUTION_DILATIONS, 2, ones);
    gpu_cudnn_set_integers(parts, d, GPUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 2, strides);
    gpu_cudnn_finish(parts, d);
    return d;
}

/* y = x + b, b NULL: y = max(x, 0). */
static gpudnnDescriptor_t make_pointwise(gpu_cudnn_parts *parts, gpudnnDescriptor_t x, gpudnnDescriptor_t b,
                                         gpudnnDescriptor_t y)
{
    gpudnnDescriptor_t kind = gpu_cudnn_make(parts, GPUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    gpu_cudnn_set_kind(parts, kind, GPUDNN_ATTR_POINTWISE_MODE, GPUDNN_TYPE_POINTWISE_MODE,
                       b ? GPUDNN_POINTWISE_ADD : GPUDNN_POINTWISE_RELU_FWD);
    gpu_cudnn_set_kind(parts, kind, GPUDNN_ATTR_POINTWISE_MATH_PREC, GPUDNN_TYPE_DATA_TYPE, GPUDNN_DATA_FLOAT);
    gpu_cudnn_finish(parts, kind);
    gpudnnDescriptor_t d = gpu_cudnn_make(parts, GPUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    gpu_cudnn_set_part(parts, d, GPUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
    gpu_cudnn_set_part(parts, d, GPUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        gpu_cudnn_set_part(parts, d, GPUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    gpu_cudnn_set_part(parts, d, GPUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    gpu_cudnn_finish(parts, d);
    return d;
}

/* An operation's attributes. */
typedef struct operation {
    unsigned type, alpha, beta, window, x, w, y;
} operation;

static const operation forward_operation = {GPUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
static const operation data_operation = {GPUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                         GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
static const operation weights_operation = {GPUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                            GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};

static const operation *operation_of(gpu_cudnn_pass pass)
{
    if (pass >= GPU_CUDNN_BACKWARD_WEIGHTS)
        return &weights_operation;
    return pass >= GPU_CUDNN_BACKWARD_DATA ? &data_operation : &forward_operation;
}

int gpu_cudnn_has_bias(gpu_cudnn_pass pass)
{
    return pass == GPU_CUDNN_FORWARD_BIAS || pass == GPU_CUDNN_FORWARD_BIAS_RELU;
}

/* The operations of a pass, at most three. `type` is the tensors'. */
static int make_operations(gpu_cudnn_parts *parts, const ops_conv2d *op, gpu_cudnn_pass pass, int64_t batch,
                           unsigned type, gpudnnDescriptor_t *operations)
{
    const operation *o = operation_of(pass);
    const int64_t oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    const int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    const int64_t y_shape[4] = {batch, oh, ow, op->n}, b_shape[4] = {1, 1, 1, op->n};
    const unsigned w_type = pass == GPU_CUDNN_BACKWARD_WEIGHTS ? GPUDNN_DATA_FLOAT : type;
    gpudnnDescriptor_t window = make_window(parts, op);
    gpudnnDescriptor_t x = make_tensor(parts, GPU_CUDNN_X, type, (int64_t[4]){batch, op->h, op->w, op->c});
    gpudnnDescriptor_t w =
        make_tensor(parts, GPU_CUDNN_W, w_type, (int64_t[4]){op->n, op->kernel_h, op->kernel_w, op->c});
    gpudnnDescriptor_t y = make_tensor(parts, GPU_CUDNN_Y, type, y_shape), sum = y, product = y, b = NULL;
    int count = 0;
    if (gpu_cudnn_has_bias(pass)) {
        b = make_tensor(parts, GPU_CUDNN_B, type, b_shape);
        product = make_tensor(parts, GPU_CUDNN_PRODUCT, GPUDNN_DATA_FLOAT, y_shape);
    }
    if (pass == GPU_CUDNN_FORWARD_BIAS_RELU)
        sum = make_tensor(parts, GPU_CUDNN_SUM, GPUDNN_DATA_FLOAT, y_shape);
    gpudnnDescriptor_t d = operations[count++] = gpu_cudnn_make(parts, o->type);
    set_float(parts, d, o->alpha, 1.0f);
    set_float(parts, d, o->beta, pass == GPU_CUDNN_BACKWARD_DATA_ADD ? 1.0f : 0.0f);
    gpu_cudnn_set_part(parts, d, o->window, window);
    gpu_cudnn_set_part(parts, d, o->x, x);
    gpu_cudnn_set_part(parts, d, o->w, w);
    gpu_cudnn_set_part(parts, d, o->y, product);
    gpu_cudnn_finish(parts, d);
    if (gpu_cudnn_has_bias(pass))
        operations[count++] = make_pointwise(parts, product, b, sum);
    if (pass == GPU_CUDNN_FORWARD_BIAS_RELU)
        operations[count++] = make_pointwise(parts, sum, NULL, y);
    return count;
}

gpudnnDescriptor_t gpu_cudnn_graph(gpu_cudnn_parts *parts, gpudnnHandle_t handle, unsigned type, const ops_conv2d *op,
                                   gpu_cudnn_pass pass, int64_t batch)
{
    gpudnnDescriptor_t operations[3];
    const int count = make_operations(parts, op, pass, batch, type, operations);
    gpudnnDescriptor_t d = gpu_cudnn_make(parts, GPUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (handle)
        gpu_cudnn_set(parts, d, GPUDNN_ATTR_OPERATIONGRAPH_HANDLE, GPUDNN_TYPE_HANDLE, 1, &handle);
    gpu_cudnn_set(parts, d, GPUDNN_ATTR_OPERATIONGRAPH_OPS, GPUDNN_TYPE_BACKEND_DESCRIPTOR, count, operations);
    gpu_cudnn_finish(parts, d);
    return d;
}
