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
