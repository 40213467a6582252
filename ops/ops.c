/* ops.c: what all back ends say alike. */
#include "ops.h"

const char *ops_activation_name(ops_activation a)
{
    static const char *const names[OPS_ACTIVATION_COUNT] = {"identity", "relu", "gelu", "tanh", "sigmoid"};
    return a >= 0 && a < OPS_ACTIVATION_COUNT ? names[a] : "unknown";
}

int ops_activation_keeps_input(ops_activation a)
{
    return a == OPS_GELU;
}

int64_t ops_window_output(int64_t size, int64_t kernel, int64_t stride, int64_t pad)
{
    int64_t room = size + 2 * pad - kernel;
    return room < 0 || stride < 1 ? 0 : room / stride + 1;
}

base_status ops_conv2d_output(const ops_conv2d *op, int64_t *oh, int64_t *ow)
{
    *oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    *ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    if (*oh > 0 && *ow > 0)
        return BASE_OK;
    return BASE_FAIL(BASE_USAGE, "a kernel of %lldx%lld does not fit into an image of %lldx%lld with padding %lldx%lld",
                     (long long)op->kernel_h, (long long)op->kernel_w, (long long)op->h, (long long)op->w,
                     (long long)op->pad_h, (long long)op->pad_w);
}
