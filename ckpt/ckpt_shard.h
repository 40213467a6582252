/* ckpt_shard.h: the files that hold tensor elements, and nothing else: no header, no padding. All functions are Local.
 */
#ifndef CKPT_SHARD_H
#define CKPT_SHARD_H

#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

/* Write `data`, the pieces one after the other, piece i with piece_nbytes[i] bytes, to `path` (made anew), fsync, and
 * set xxh64[i] of each. Past the page cache where the file system can (O_DIRECT; `data` aligned to 4096 bytes), so that
 * a step that runs beside it loses neither a core nor the cache to copying. BASE_ERROR names the file; then there is
 * none. Failpoints at `path`: "opened", "chunk" (after each written chunk), "before-fsync", "after-fsync". */
base_status ckpt_shard_write(const char *path, const void *data, int piece_count, const size_t *piece_nbytes,
                             uint64_t *xxh64);

/* A shard that is being read. */
typedef struct ckpt_shard ckpt_shard;

/* BASE_CKPT: the file is missing ("... is missing"), is no plain file, cannot be read, or does not have `nbytes`. */
base_status ckpt_shard_open(const char *path, uint64_t nbytes, ckpt_shard **self);
void ckpt_shard_close(ckpt_shard **self);

/* What takes bytes as they are read: `nbytes` bytes that lie `at` bytes behind the piece's begin. `nbytes` and `at` are
 * multiples of 4096 except at the piece's end. */
typedef base_status (*ckpt_sink)(void *context, uint64_t at, const void *bytes, size_t nbytes);

/* Read the piece at `offset` in chunks of up to 1 MiB, give each to the sink (NULL: none), compare the checksum at the
 * end: what the sink took is not to be used unless this succeeds. BASE_CKPT: "<path> is damaged: bytes A to B do not
 * have the checksum that the manifest says". */
base_status ckpt_shard_read(ckpt_shard *self, uint64_t offset, uint64_t nbytes, uint64_t xxh64, ckpt_sink sink,
                            void *context);

#endif
