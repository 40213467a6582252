#include "run_resume_find.h"

#include "ckpt_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Is `name` "<config>-<date>-<time>", as runs without --out are called? */
static int is_run_of(const char *name, const char *config)
{
    size_t n = strlen(config);
    int date = 0, time = 0, used = 0;
    return strncmp(name, config, n) == 0 && sscanf(name + n, "-%8d-%6d%n", &date, &time, &used) == 2 && used == 16;
}

static int has_checkpoint(const char *folder, base_arena *arena)
{
    const ckpt_entry *entries;
    int count = 0;
    return ckpt_folder_list(folder, arena, &entries, &count, NULL) == BASE_OK && count > 0;
}

/* The newest runs/<name>-<date>-<time> with a checkpoint; NULL: none. */
static const char *newest_run(const char *name, base_arena *arena)
{
    const char *newest = NULL;
    DIR *runs = opendir("runs");
    for (const struct dirent *entry; runs && (entry = readdir(runs));) {
        if (!is_run_of(entry->d_name, name))
            continue;
        const char *path = base_arena_format(arena, "runs/%s", entry->d_name);
        if (path && (!newest || strcmp(path, newest) > 0) && has_checkpoint(path, arena))
            newest = path;
    }
    if (runs)
        closedir(runs);
    return newest;
}

/* The folder that holds `path`; "" where its name says that it is not a run's folder of checkpoints. */
static void run_of(const char *ckpt, char folder[PATH_MAX])
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", ckpt);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    char *slash = strrchr(copy, '/');
    folder[0] = '\0';
    if (strcmp(slash ? slash + 1 : copy, "ckpt") != 0)
        return;
    if (slash == copy)
        slash++;
    if (slash)
        *slash = '\0';
    snprintf(folder, PATH_MAX, "%s", slash ? copy : ".");
}

/* No folder, or nothing in it that is a checkpoint, as opposed to one that cannot be read. */
static int has_none(const char *folder)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/ckpt", folder) >= sizeof path || access(path, F_OK) != 0)
        return 1;
    DIR *ckpt = opendir(path);
    if (ckpt)
        closedir(ckpt);
    return ckpt != NULL;
}

static base_status list(const char *path, base_arena *arena, run_resume_candidates *found)
{
    const ckpt_entry *entries;
    const char *ckpt;
    int count = 0;
    BASE_TRY(ckpt_folder_list(path, arena, &entries, &count, &ckpt));
    found->paths = BASE_NEW_ARRAY(arena, char, (size_t)count *PATH_MAX);
    if (!found->paths)
        return BASE_ERROR;
    found->count = count;
    for (int i = 0; i < count; i++)
        snprintf(found->paths + (size_t)i * PATH_MAX, PATH_MAX, "%s", entries[count - 1 - i].path);
    /* One that was set aside, or copied to another name, is no part of a run that could go on. */
    if (ckpt_folder_step_of(entries[0].path) >= 0)
        run_of(ckpt, found->folder);
    return BASE_OK;
}

static base_status find(const run_job *job, const run_resume_options *options, base_arena *arena,
                        run_resume_candidates *found)
{
    const char *out = options->out ? options->out : job->config->out;
    if (options->path)
        return list(options->path, arena, found);
    if (!out)
        out = newest_run(job->config->name, arena);
    if (options->if_any && (!out || has_none(out)) && (!out || !has_checkpoint(out, arena)))
        return BASE_OK;
    if (!out)
        return BASE_FAIL(
            BASE_CKPT,
            "no folder runs/%s-* has a checkpoint to resume from: name the run's folder with --out, or the "
            "checkpoint with --resume=PATH",
            job->config->name);
    BASE_TRY(list(out, arena, found));
    snprintf(found->folder, sizeof found->folder, "%s", out);
    return BASE_OK;
}

base_status run_resume_find(run_job *job, const run_resume_options *options, base_arena *arena,
                            run_resume_candidates *found)
{
    comm_world *world = job->world;
    memset(found, 0, sizeof *found);
    BASE_TRY(comm_world_agree(world, job->info.rank == 0 ? find(job, options, arena, found) : BASE_OK));
    char *paths = found->paths;
    BASE_TRY(comm_world_bcast(world, found, sizeof *found, 0));
    size_t nbytes = (size_t)found->count * PATH_MAX;
    found->paths = job->info.rank == 0 ? paths : BASE_NEW_ARRAY(arena, char, nbytes);
    BASE_TRY(comm_world_agree(world, nbytes == 0 || found->paths ? BASE_OK : BASE_ERROR));
    return comm_world_bcast(world, found->paths, nbytes, 0);
}
