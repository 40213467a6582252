/* checkpoint_compare.h: two checkpoints' elements side by side, in memory for two chunks, however they are cut. */
#ifndef CHECKPOINT_COMPARE_H
#define CHECKPOINT_COMPARE_H

#include "base_worker.h"
#include "ckpt_reader.h"

typedef struct checkpoint_difference {
    uint64_t differing; /* elements whose bits differ */
    double most;        /* largest |a - b| of them; infinite where one is no finite number */
} checkpoint_difference;

/* Read tensor `ta` of `a` and `tb` of `b`, of the same number of elements and dtype, each once, and verify both.
 * `worker` is idle before and after. BASE_CKPT: one of them is damaged. Local. */
base_status checkpoint_compare(base_worker *worker, ckpt_reader *a, const ckpt_tensor *ta, ckpt_reader *b,
                               const ckpt_tensor *tb, checkpoint_difference *difference);

#endif
