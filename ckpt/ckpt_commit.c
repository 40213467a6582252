#include "ckpt_commit.h"

#include "base_failpoint.h"
#include "base_file.h"
#include "base_log.h"
#include "ckpt_folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a rank on another node wrote must be seen from here. */
static base_status check_shard(const char *path, uint64_t nbytes)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno,
                               "cannot find %s, which was written (the run's folder must be one that all nodes share)",
                               path);
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != nbytes)
        return BASE_FAIL(BASE_ERROR,
                         "%s has %lld bytes, %llu were written (the run's folder must be one that all nodes share)",
                         path, (long long)info.st_size, (unsigned long long)nbytes);
    return BASE_OK;
}

static base_status check_shards(const char *step, const ckpt_manifest *manifest, base_arena *arena)
{
    for (int i = 0; i < manifest->shard_count; i++) {
        const char *path = ckpt_folder_shard_path(step, i, arena);
        if (!path)
            return BASE_ERROR;
        BASE_TRY(check_shard(path, manifest->shard_bytes[i]));
    }
    return BASE_OK;
}

static base_status put_in_place(const char *step, const ckpt_manifest *manifest, base_arena *arena)
{
    BASE_TRY(check_shards(step, manifest, arena));
    const char *path = base_arena_format(arena, "%s/" CKPT_MANIFEST_NAME, step);
    if (!path)
        return BASE_ERROR;
    uint8_t *bytes;
    size_t nbytes;
    BASE_TRY(ckpt_manifest_pack(manifest, &bytes, &nbytes));
    base_status status = base_file_write(path, bytes, nbytes);
    free(bytes);
    return status;
}

/* Remove a step's folder without touching the record of the failure for which it goes. */
static void remove_step(const char *step)
{
    char message[2048];
    snprintf(message, sizeof message, "%s", base_status_message());
    if (ckpt_folder_remove(step) == BASE_OK)
        return;
    BASE_WARN("%s", base_status_message());
    if (message[0])
        BASE_FAIL(BASE_ERROR, "%s", message);
    else
        base_status_clear();
}

/* The checkpoint is there: nothing from here on makes the save a failure. */
static void let_older_go(const char *ckpt, int64_t step, int keep)
{
    if (ckpt_folder_keep(ckpt, step, keep) == BASE_OK)
        return;
    BASE_WARN("%s: older checkpoints stay", base_status_message());
    base_status_clear();
}

static base_status commit(const char *ckpt, const ckpt_manifest *manifest, int keep, base_arena *arena)
{
    int64_t step = manifest->position.step;
    const char *step_path = ckpt_folder_step_path(ckpt, step, arena);
    const char *run = base_arena_format(arena, "%s/..", ckpt);
    if (!step_path || !run)
        return BASE_ERROR;
    base_status status = put_in_place(step_path, manifest, arena);
    if (status != BASE_OK) {
        remove_step(step_path);
        return status;
    }
    base_file_sync_folder(ckpt);
    base_file_sync_folder(run);
    base_failpoint(ckpt, "committed");
    let_older_go(ckpt, step, keep);
    base_failpoint(ckpt, "removed");
    return BASE_OK;
}

base_status ckpt_commit(const char *ckpt, const ckpt_manifest *manifest, int keep)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "commit"));
    base_status status = commit(ckpt, manifest, keep, arena);
    base_arena_destroy(&arena);
    return status;
}

void ckpt_abandon(const char *ckpt, int64_t step, int shard, int all)
{
    base_arena *arena;
    if (base_arena_create(&arena, "abandoned save") != BASE_OK)
        return;
    const char *step_path = ckpt_folder_step_path(ckpt, step, arena);
    const char *shard_path = step_path ? ckpt_folder_shard_path(step_path, shard, arena) : NULL;
    if (shard_path)
        unlink(shard_path);
    if (step_path && all)
        remove_step(step_path);
    base_arena_destroy(&arena);
}
