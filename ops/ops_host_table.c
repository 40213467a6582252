/* ops_host_table.c: the host's slots for one instruction set. */
#include "ops_host_kernels.h"

#define STRING_(text) #text
#define STRING(text) STRING_(text)

extern const ops_table OPS_HOST(table);

static base_status open_context(const ops_options *options, ops_context **self)
{
#if defined(__AVX512F__)
    const ops_bf16 *native = ops_bf16_native();
#else
    const ops_bf16 *native = NULL;
#endif
    return ops_host_open(options, native, &OPS_HOST(bf16), self);
}

const ops_table OPS_HOST(table) = {
    .name = "host-" STRING(OPS_ISA),
    .wide_sums = 1,
    .joint_sums = 1,
    .open = open_context,
    .close = ops_close_host,
    .libraries = ops_libraries_host,
    .element_bytes = ops_element_bytes_host,
    .bind_params = ops_bind_params_host,
    .params_changed = ops_params_changed_host,
    .begin_step = ops_begin_step_host,
    .gemm = ops_gemm_host,
    .dense_forward = OPS_HOST(dense_forward),
    .dense_backward_data = OPS_HOST(dense_backward_data),
    .dense_backward_weights = OPS_HOST(dense_backward_weights),
    .conv2d_create = OPS_HOST(conv2d_create),
    .conv2d_destroy = OPS_HOST(conv2d_destroy),
    .conv2d_forward = OPS_HOST(conv2d_forward),
    .conv2d_backward = OPS_HOST(conv2d_backward),
    .max_pool_forward = OPS_HOST(max_pool_forward),
    .max_pool_backward = OPS_HOST(max_pool_backward),
    .avg_pool_forward = OPS_HOST(avg_pool_forward),
    .avg_pool_backward = OPS_HOST(avg_pool_backward),
    .batch_norm_sums = OPS_HOST(batch_norm_sums),
    .batch_norm_statistics = OPS_HOST(batch_norm_statistics),
    .batch_norm_running = OPS_HOST(batch_norm_running),
    .batch_norm_forward = OPS_HOST(batch_norm_forward),
    .batch_norm_backward_sums = OPS_HOST(batch_norm_backward_sums),
    .batch_norm_backward = OPS_HOST(batch_norm_backward),
    .activation_forward = OPS_HOST(activation_forward),
    .activation_backward = OPS_HOST(activation_backward),
    .dropout_forward = OPS_HOST(dropout_forward),
    .dropout_backward = OPS_HOST(dropout_backward),
    .copy = OPS_HOST(copy),
    .add = OPS_HOST(add),
    .concat = OPS_HOST(concat),
    .concat_backward = OPS_HOST(concat_backward),
    .softmax_cross_entropy = OPS_HOST(softmax_cross_entropy),
    .mean_squared_error = OPS_HOST(mean_squared_error),
    .sgd_update = OPS_HOST(sgd_update),
    .adam_update = OPS_HOST(adam_update),
    .round = OPS_HOST(round),
    .sum_of_squares = OPS_HOST(sum_of_squares),
    .clip = ops_clip_host,
    .normalize = OPS_HOST(normalize),
};
