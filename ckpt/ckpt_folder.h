/* ckpt_folder.h: checkpoints on disk: names, what is there, what goes.
 *
 *     RUN/ckpt/step-<8 digits>/manifest.pb, shard-<4 digits>.bin
 *
 * A step's folder is a checkpoint once it holds manifest.pb, which is put there last and taken away first; without it
 * the folder is the rest of a save or of a removal that did not end, and means nothing. A step beyond 99999999 has more
 * digits, as has a shard beyond 9999. All functions are Local.
 */
#ifndef CKPT_FOLDER_H
#define CKPT_FOLDER_H

#include "base_arena.h"
#include "base_status.h"

#include <stdint.h>

#define CKPT_MANIFEST_NAME "manifest.pb"

/* One checkpoint. */
typedef struct ckpt_entry {
    int64_t step;
    const char *path; /* of the step's folder */
} ckpt_entry;

/* "CKPT/step-00000500", in the arena. */
const char *ckpt_folder_step_path(const char *ckpt, int64_t step, base_arena *arena);
/* "STEP/shard-0003.bin", in the arena. */
const char *ckpt_folder_shard_path(const char *step, int shard, base_arena *arena);

/* The step that a folder's name stands for, or -1: "x/step-00000500", with or without a slash at the end. */
int64_t ckpt_folder_step_of(const char *path);

/* The checkpoints that `path` stands for, by step, oldest first, in `arena`: a folder that holds a manifest stands for
 * itself (its step is -1 where its name is not a step folder's), a run's folder for those in its ckpt/, any other for
 * the step folders in it. Not whether they are sound. BASE_CKPT: no such folder, not readable, a step's folder without
 * a manifest ("... is no checkpoint: it has no manifest.pb"), nothing there. `folder` (may be NULL) becomes the folder
 * that holds the step folders. */
base_status ckpt_folder_list(const char *path, base_arena *arena, const ckpt_entry **entries, int *count,
                             const char **folder);

/* Remove the checkpoint `step_path`: the manifest first, so that a removal that is cut short leaves no half of a
 * checkpoint, then the shards, then the folder. Only files that a checkpoint has are touched: where others are, they
 * and the folder stay. Fine if it does not exist. */
base_status ckpt_folder_remove(const char *step_path);

/* Remove all checkpoints in `ckpt` but the newest `keep` of those up to `step`, and those newer than `step`. */
base_status ckpt_folder_keep(const char *ckpt, int64_t step, int keep);

/* Remove step folders without a manifest. Fine if `ckpt` does not exist. */
base_status ckpt_folder_clean(const char *ckpt);

/* Rename checkpoints in `ckpt` newer than `step` to "step-<8 digits>.aside", or ".aside-2" and so on where that is
 * taken: no names of checkpoints any more, since a run that goes on from `step` will write others there. *count: how
 * many. Fine if `ckpt` does not exist. */
base_status ckpt_folder_set_aside(const char *ckpt, int64_t step, int *count);

#endif
