/* ckpt_commit.h: the last act of a save: it makes a folder of shards a checkpoint, and lets older ones go. Local. */
#ifndef CKPT_COMMIT_H
#define CKPT_COMMIT_H

#include "ckpt_manifest.h"

/* All shards of `manifest` have been written and synced to the folder CKPT/step-<its step>. Checks that each is there
 * with its size (a folder that the nodes do not share shows here), puts manifest.pb in place (write, fsync, rename,
 * fsync of the step's folder), fsyncs `ckpt` and the folder that holds it, then removes all but the newest `keep` of
 * the checkpoints up to this one. On failure the step's folder is removed, and what was there before remains; once the
 * manifest is in place, trouble with older checkpoints is a warning. Failpoints at manifest.pb: those of
 * base_file_commit; at `ckpt`: "committed", "removed" (before and after the older ones go). */
base_status ckpt_commit(const char *ckpt, const ckpt_manifest *manifest, int keep);

/* Give up the save of `step`: remove this rank's shard, and with `all` what there is of the step's folder. The record
 * of the failure for which it is given up stays as it is. */
void ckpt_abandon(const char *ckpt, int64_t step, int shard, int all);

#endif
