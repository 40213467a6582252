/* ckpt_reader.h: an open checkpoint: its manifest, checked, and its tensors, verified as they are read.
 *
 * Any number of readers in any number of processes may read the same checkpoint. All functions are Local.
 */
#ifndef CKPT_READER_H
#define CKPT_READER_H

#include "ckpt_manifest.h"

typedef struct ckpt_reader ckpt_reader;

/* The bytes of the manifest of the checkpoint in folder `step_path`, malloc'd, unchecked; the caller frees. For a rank
 * that reads them for all. BASE_CKPT: no such folder, "... is no checkpoint: it has no manifest.pb", not readable, too
 * large. */
base_status ckpt_reader_load_manifest(const char *step_path, uint8_t **bytes, size_t *nbytes);

/* Open the checkpoint in `step_path` with these bytes as its manifest (NULL: read them). Fails with BASE_CKPT, naming
 * the file, where the manifest is damaged or belongs to another step than the folder's name says (a folder of another
 * kind of name may hold any step). On failure *self is NULL. */
base_status ckpt_reader_open(const char *step_path, const uint8_t *manifest, size_t nbytes, ckpt_reader **self);
void ckpt_reader_close(ckpt_reader **self);

const ckpt_manifest *ckpt_reader_manifest(const ckpt_reader *self);
const char *ckpt_reader_path(const ckpt_reader *self); /* the step's folder */

/* What takes elements as they are read: `count` elements from element `first` of the tensor on; as bytes, in the
 * tensor's dtype. */
typedef base_status (*ckpt_take)(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count,
                                 const void *elements);

/* Read all pieces of `tensor` (one of the manifest's) that hold any of the elements first .. first + count - 1, whole,
 * verify them, and give the part that was asked for to `take` (NULL: none), in order, in chunks. Elements that were
 * taken are not to be used unless this succeeds. BASE_CKPT names the shard. */
base_status ckpt_reader_read(ckpt_reader *self, const ckpt_tensor *tensor, uint64_t first, uint64_t count,
                             ckpt_take take, void *context);

/* Are all shards there, of the right size, and every byte as it was written? BASE_CKPT names the first thing that is
 * not.
 */
base_status ckpt_reader_verify(ckpt_reader *self);

#endif
