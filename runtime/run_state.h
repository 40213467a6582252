/* run_state.h: what a checkpoint holds of a job: named tensors, and where this rank has which elements of them.
 *
 * Tensors: every parameter ("dense1/weight"), for each the optimizer's state ("dense1/weight/momentum", ".../moment1",
 * ".../moment2"), and batch normalisation's running statistics ("batch_norm1/running_mean", ".../running_var"). Their
 * list depends on the graph and the optimizer alone. Spans say where elements are: each is contiguous in the tensor and
 * in this rank's memory.
 */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include "ckpt_manifest.h"
#include "run_job.h"

typedef struct run_span {
    int tensor;            /* index */
    uint64_t first, count; /* elements of the tensor */
    float *data;           /* on the device */
} run_span;

typedef struct run_state {
    int tensor_count;
    const ckpt_tensor *tensors; /* without pieces */
    int save_count;             /* this rank's share: over all ranks every element exactly once */
    const run_span *save;       /* by tensor, then first */
    uint64_t save_elements;
    int load_count; /* what this rank must be given when a state is read; a copy that ranks share is filled by all of
                       them, each its part */
    const run_span *load; /* by tensor, then first */
} run_state;

/* Local. In `arena`; the addresses hold as long as the job does. */
base_status run_state_describe(run_job *job, base_arena *arena, const run_state **state);

/* XXH64 of nodes, shapes, names, parameters and the loss, 16 hexadecimal digits: what must agree for parameters to fit.
 */
base_status run_state_graph_digest(const run_job *job, char digest[17]);

#endif
