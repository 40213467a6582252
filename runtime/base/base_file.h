/* base_file.h: folders made as needed, and files that appear whole or not at all. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base_status.h"

#include <stddef.h>

/* Make `path` and the folders above it; fine if it exists. BASE_ERROR names the folder that could not be made. */
base_status base_file_make_folder(const char *path);

/* How many folders that makes. */
int base_file_missing_folders(const char *path);

/* Remove `path` and the folders above it, `count` in all, as far as they are empty. */
void base_file_remove_folders(const char *path, int count);

/* Write `nbytes` to `path`.partial, fsync, rename to `path`, fsync the folder. On failure `path` is as it was before.
 */
base_status base_file_write(const char *path, const void *data, size_t nbytes);

/* The second half of that for a file that was written as `path`.partial and is open as `fd`, which is closed. On
 * failure the partial file is removed. Failpoints at `path`: "before-fsync", "before-rename", "after-rename",
 * "after-folder-fsync". */
base_status base_file_commit(const char *path, int fd);

/* Make what was created, renamed or removed in `folder` durable, as far as the file system can. */
void base_file_sync_folder(const char *folder);

#endif
