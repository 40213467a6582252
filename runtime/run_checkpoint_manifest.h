/* run_checkpoint_manifest.h: which rank saves what, and the manifest that says so. Private to run_checkpoint.c. */
#ifndef RUN_CHECKPOINT_MANIFEST_H
#define RUN_CHECKPOINT_MANIFEST_H

#include "ckpt_manifest.h"
#include "run_state.h"

/* A span of some rank's state without its address. */
typedef struct run_checkpoint_piece {
    int64_t tensor, first, count;
} run_checkpoint_piece;

/* The same for every save of a run. */
typedef struct run_checkpoint_layout {
    run_job *job;
    const run_state *state;             /* of this rank */
    int64_t most_pieces;                /* that any rank saves */
    const int64_t *piece_counts;        /* (size) */
    const run_checkpoint_piece *pieces; /* (size, most_pieces), as they lie in the ranks' shards */
    char graph_digest[17], data_digest[17];
    const char *config_json;
} run_checkpoint_layout;

/* Collective. Everything in `arena`. */
base_status run_checkpoint_layout_create(run_job *job, base_arena *arena, run_checkpoint_layout *layout);

/* Local. The manifest of a save by all ranks; `checksums(context, rank)` are those of that rank's pieces. In `arena`.
 */
base_status run_checkpoint_manifest(const run_checkpoint_layout *layout, const ckpt_position *position,
                                    const uint64_t *(*checksums)(void *context, int rank), void *context,
                                    base_arena *arena, const ckpt_manifest **manifest);

#endif
