#include "ckpt_folder.h"

#include "base_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */

const char *ckpt_folder_step_path(const char *ckpt, int64_t step, base_arena *arena)
{
    return base_arena_format(arena, "%s/step-%08lld", ckpt, (long long)step);
}

const char *ckpt_folder_shard_path(const char *step, int shard, base_arena *arena)
{
    return base_arena_format(arena, "%s/shard-%04d.bin", step, shard);
}

/* The number in `name` if it is `before`, a number of at least `width` digits (more only where it needs them), `after`;
 * else -1. */
static int64_t number_of(const char *name, const char *before, size_t width, const char *after)
{
    size_t head = strlen(before);
    if (strncmp(name, before, head) != 0)
        return -1;
    const char *digits = name + head;
    size_t n = strspn(digits, "0123456789");
    if (n < width || (n > width && digits[0] == '0') || strcmp(digits + n, after) != 0)
        return -1;
    errno = 0;
    long long number = strtoll(digits, NULL, 10);
    return errno ? -1 : number;
}

static int64_t step_of_name(const char *name)
{
    return number_of(name, "step-", 8, "");
}

/* The length of `path` without slashes at its end; "/" keeps its one. */
static size_t trimmed_length(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

int64_t ckpt_folder_step_of(const char *path)
{
    size_t end = trimmed_length(path), begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    char name[NAME_MAX + 1];
    if (end - begin >= sizeof name)
        return -1;
    snprintf(name, sizeof name, "%.*s", (int)(end - begin), path + begin);
    return step_of_name(name);
}

/* The folder that holds `path`, as a path. */
static const char *parent_of(const char *path, base_arena *arena)
{
    size_t n = trimmed_length(path);
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n ? base_arena_format(arena, "%.*s", (int)n, path) : base_arena_string(arena, ".");
}

/* ---- what is there ---- */

typedef enum content { NO_FOLDER, NO_MANIFEST, COMPLETE } content;

/* A manifest that cannot be looked at counts as one: whoever reads it finds out why, and nothing is cleared away. */
static content content_of(int folder, const char *name)
{
    char manifest[NAME_MAX + sizeof CKPT_MANIFEST_NAME + 1];
    struct stat info;
    if (fstatat(folder, name, &info, 0) != 0 || !S_ISDIR(info.st_mode))
        return NO_FOLDER;
    snprintf(manifest, sizeof manifest, "%.*s/" CKPT_MANIFEST_NAME, NAME_MAX, name);
    return fstatat(folder, manifest, &info, 0) != 0 && errno == ENOENT ? NO_MANIFEST : COMPLETE;
}

static int compare_steps(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

typedef struct step_list {
    int64_t *steps; /* ascending; free()d by the caller, also after a failure */
    size_t count, room;
} step_list;

static int add_step(step_list *self, int64_t step)
{
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 64;
        int64_t *steps = realloc(self->steps, room * sizeof *steps);
        if (!steps)
            return ENOMEM;
        self->steps = steps;
        self->room = room;
    }
    self->steps[self->count++] = step;
    return 0;
}

/* The steps whose folders in `ckpt` have the content `wanted`. Returns an errno. */
static int scan(const char *ckpt, content wanted, step_list *list)
{
    DIR *folder = opendir(ckpt);
    if (!folder)
        return errno;
    int failed = 0;
    while (!failed) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            failed = errno;
            break;
        }
        int64_t step = step_of_name(entry->d_name);
        if (step >= 0 && content_of(dirfd(folder), entry->d_name) == wanted)
            failed = add_step(list, step);
    }
    closedir(folder);
    if (list->count)
        qsort(list->steps, list->count, sizeof *list->steps, compare_steps);
    return failed;
}

static base_status list_itself(const char *path, base_arena *arena, const ckpt_entry **entries, const char **folder)
{
    ckpt_entry *entry = BASE_NEW(arena, ckpt_entry);
    const char *copy = base_arena_format(arena, "%.*s", (int)trimmed_length(path), path),
               *parent = parent_of(path, arena);
    if (!entry || !copy || !parent)
        return BASE_ERROR;
    *entry = (ckpt_entry){.step = ckpt_folder_step_of(path), .path = copy};
    *entries = entry;
    if (folder)
        *folder = parent;
    return BASE_OK;
}

static base_status list_inside(const char *ckpt, base_arena *arena, const step_list *list, const ckpt_entry **entries)
{
    ckpt_entry *all = BASE_NEW_ARRAY(arena, ckpt_entry, list->count);
    if (!all)
        return BASE_ERROR;
    for (size_t i = 0; i < list->count; i++) {
        all[i] = (ckpt_entry){.step = list->steps[i], .path = ckpt_folder_step_path(ckpt, list->steps[i], arena)};
        if (!all[i].path)
            return BASE_ERROR;
    }
    *entries = all;
    return BASE_OK;
}

static base_status list_folder(const char *ckpt, base_arena *arena, const ckpt_entry **entries, int *count)
{
    step_list list = {0};
    base_status status;
    int failed = scan(ckpt, COMPLETE, &list);
    if (failed)
        status = BASE_FAIL_ERRNO(BASE_CKPT, failed, "cannot read %s", ckpt);
    else if (list.count == 0)
        status = BASE_FAIL(BASE_CKPT,
                           "there is no checkpoint in %s: no folder step-<8 digits> with a " CKPT_MANIFEST_NAME, ckpt);
    else
        status = list_inside(ckpt, arena, &list, entries);
    *count = (int)list.count;
    free(list.steps);
    return status;
}

base_status ckpt_folder_list(const char *path, base_arena *arena, const ckpt_entry **entries, int *count,
                             const char **folder)
{
    struct stat info;
    if (stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return BASE_FAIL(BASE_CKPT, "%s is no checkpoint: no such folder", path);
    int readable = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (readable < 0 && errno == ENOTDIR)
        return BASE_FAIL(BASE_CKPT,
                         "%s is no checkpoint: it is a file; a folder step-<8 digits>, or one that holds such folders, "
                         "is expected",
                         path);
    if (readable < 0)
        return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s", path);
    content own = content_of(readable, "."), inner = content_of(readable, "ckpt");
    close(readable);

    *count = 1;
    if (own == COMPLETE)
        return list_itself(path, arena, entries, folder);
    if (ckpt_folder_step_of(path) >= 0)
        return BASE_FAIL(BASE_CKPT, "%s is no checkpoint: it has no " CKPT_MANIFEST_NAME, path);
    const char *ckpt =
        base_arena_format(arena, "%.*s%s", (int)trimmed_length(path), path, inner == NO_FOLDER ? "" : "/ckpt");
    if (!ckpt)
        return BASE_ERROR;
    if (folder)
        *folder = ckpt;
    return list_folder(ckpt, arena, entries, count);
}

/* ---- what goes ---- */

static int is_ours(const char *name)
{
    return number_of(name, "shard-", 4, ".bin") >= 0 || strcmp(name, CKPT_MANIFEST_NAME ".partial") == 0;
}

/* Unlinks what is_ours in `folder`. Returns an errno. */
static int remove_files(DIR *folder)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry)
            return errno;
        if (is_ours(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0 && errno != ENOENT)
            return errno;
    }
}

/* The manifest's removal is made durable before the first shard goes. */
base_status ckpt_folder_remove(const char *step_path)
{
    DIR *folder = opendir(step_path);
    if (!folder)
        return errno == ENOENT ? BASE_OK : BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot remove %s", step_path);
    int failed = 0;
    if (unlinkat(dirfd(folder), CKPT_MANIFEST_NAME, 0) == 0)
        base_file_sync_folder(step_path);
    else if (errno != ENOENT)
        failed = errno;
    if (!failed)
        failed = remove_files(folder);
    closedir(folder);
    if (!failed && rmdir(step_path) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        failed = errno;
    return failed ? BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot remove %s", step_path) : BASE_OK;
}

/* Does `act` to the folder of each step; goes on after a failure and returns the last. */
static base_status for_each(const char *ckpt, const int64_t *steps, size_t count, base_status (*act)(const char *path))
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "checkpoint folder"));
    base_status status = BASE_OK;
    for (size_t i = 0; i < count; i++) {
        const char *path = ckpt_folder_step_path(ckpt, steps[i], arena);
        base_status one = path ? act(path) : BASE_ERROR;
        status = one != BASE_OK ? one : status;
    }
    base_arena_destroy(&arena);
    if (count)
        base_file_sync_folder(ckpt);
    return status;
}

static size_t count_up_to(const step_list *list, int64_t step)
{
    size_t count = 0;
    while (count < list->count && list->steps[count] <= step)
        count++;
    return count;
}

base_status ckpt_folder_keep(const char *ckpt, int64_t step, int keep)
{
    step_list list = {0};
    base_status status = BASE_OK;
    int failed = scan(ckpt, COMPLETE, &list);
    size_t old = count_up_to(&list, step), kept = keep > 0 ? (size_t)keep : 0;
    if (failed)
        status = BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot read %s", ckpt);
    else if (old > kept)
        status = for_each(ckpt, list.steps, old - kept, ckpt_folder_remove);
    free(list.steps);
    return status;
}

base_status ckpt_folder_clean(const char *ckpt)
{
    step_list list = {0};
    int failed = scan(ckpt, NO_MANIFEST, &list);
    base_status status = BASE_OK;
    if (failed && failed != ENOENT)
        status = BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot read %s", ckpt);
    else if (list.count)
        status = for_each(ckpt, list.steps, list.count, ckpt_folder_remove);
    free(list.steps);
    return status;
}

static base_status put_aside(const char *path)
{
    enum { NAMES_MAX = 10000 };
    char aside[PATH_MAX];
    for (int i = 1; i < NAMES_MAX; i++) {
        char number[16] = "";
        if (i > 1)
            snprintf(number, sizeof number, "-%d", i);
        if ((size_t)snprintf(aside, sizeof aside, "%s.aside%s", path, number) >= sizeof aside)
            return BASE_FAIL(BASE_ERROR, "the name %s is too long", path);
        if (access(aside, F_OK) != 0)
            break;
    }
    if (rename(path, aside) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot rename %s to %s", path, aside);
    return BASE_OK;
}

base_status ckpt_folder_set_aside(const char *ckpt, int64_t step, int *count)
{
    step_list list = {0};
    base_status status = BASE_OK;
    int failed = scan(ckpt, COMPLETE, &list);
    size_t old = count_up_to(&list, step), newer = list.count - old;
    if (failed && failed != ENOENT)
        status = BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot read %s", ckpt);
    else if (newer)
        status = for_each(ckpt, list.steps + old, newer, put_aside);
    *count = (int)newer;
    free(list.steps);
    return status;
}
