/* gpu_ops.h: the GPU back end's table of ops.h.
 *
 * Its tensors are floats, or bfloat16 where precision is OPS_BF16; sums of gradients are floats (wide_sums 0), dense
 * gradients are those of the rank's own samples (joint_sums 0), and slots return before their work is done.
 */
#ifndef GPU_OPS_H
#define GPU_OPS_H

#include "ops.h"

extern const ops_table ops_gpu;

/* "cuBLASLt 13.1, cuDNN 9.19": what there is; a context's slot says what it uses. Looks for cuDNN. */
void gpu_describe_libraries(char *text, size_t nbytes);

#endif
