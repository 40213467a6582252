/* ckpt_layout.h: where the elements of a manifest's tensors lie in the shards. Private to ckpt/. All functions are
 * Local. */
#ifndef CKPT_LAYOUT_H
#define CKPT_LAYOUT_H

#include "ckpt_manifest.h"

/* The product of `dims`; 0 where there are not 1 to CKPT_DIMS_MAX of them, one is 0, or the bytes would not fit in 64
 * bits. */
uint64_t ckpt_layout_elements(const uint64_t *dims, int dim_count);

/* A piece and whose it is. */
typedef struct ckpt_placed {
    const ckpt_tensor *tensor;
    const ckpt_piece *piece;
} ckpt_placed;

/* All pieces as they lie on disk: by shard, then offset. malloc'd; the caller frees. BASE_ERROR: out of memory. */
base_status ckpt_layout_sort(const ckpt_manifest *manifest, ckpt_placed **placed, size_t *count);

#endif
