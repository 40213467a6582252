#include "ckpt_layout.h"

#include <stdlib.h>

uint64_t ckpt_layout_elements(const uint64_t *dims, int dim_count)
{
    if (dim_count < 1 || dim_count > CKPT_DIMS_MAX)
        return 0;
    uint64_t elements = 1;
    for (int i = 0; i < dim_count; i++) {
        if (dims[i] == 0 || elements > UINT64_MAX / sizeof(double) / dims[i]) /* no type is wider than double */
            return 0;
        elements *= dims[i];
    }
    return elements;
}

static int compare_places(const void *left, const void *right)
{
    const ckpt_piece *a = ((const ckpt_placed *)left)->piece, *b = ((const ckpt_placed *)right)->piece;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

base_status ckpt_layout_sort(const ckpt_manifest *manifest, ckpt_placed **placed, size_t *count)
{
    size_t total = 0, at = 0;
    for (int t = 0; t < manifest->tensor_count; t++)
        total += (size_t)manifest->tensors[t].piece_count;
    ckpt_placed *all = calloc(total ? total : 1, sizeof *all);
    if (!all)
        return BASE_FAIL(BASE_ERROR, "out of memory for the layout of a checkpoint of %zu pieces", total);
    for (int t = 0; t < manifest->tensor_count; t++) {
        const ckpt_tensor *tensor = &manifest->tensors[t];
        for (int p = 0; p < tensor->piece_count; p++)
            all[at++] = (ckpt_placed){.tensor = tensor, .piece = &tensor->pieces[p]};
    }
    qsort(all, total, sizeof *all, compare_places);
    *placed = all;
    *count = total;
    return BASE_OK;
}
