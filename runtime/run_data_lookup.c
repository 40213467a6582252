/* Where a data set's files are, and what to say when they are not there. */
#include "run_data_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* 1 when the text fitted. */
static int join(char to[RUN_DATA_PATH_MAX], const char *folder, const char *name, const char *suffix)
{
    const char *slash = *folder && folder[strlen(folder) - 1] != '/' ? "/" : "";
    int n = name[0] == '/' ? snprintf(to, RUN_DATA_PATH_MAX, "%s%s", name, suffix)
                           : snprintf(to, RUN_DATA_PATH_MAX, "%s%s%s%s", folder, slash, name, suffix);
    return n >= 0 && n < RUN_DATA_PATH_MAX;
}

static base_status add_folder(run_data_lookup *self, const char *parent, const char *path)
{
    char *to = self->folders[self->count];
    if (!join(to, parent, path, ""))
        return BASE_FAIL(BASE_USAGE, "data.path = \"%.64s...\" is longer than %d characters", path,
                         RUN_DATA_PATH_MAX - 1);
    for (int i = 0; i < self->count; i++)
        if (strcmp(self->folders[i], to) == 0)
            return BASE_OK;
    self->count++;
    return BASE_OK;
}

base_status run_data_lookup_open(const run_config *config, run_data_lookup *self)
{
    self->count = 0;
    const char *path = config->data.path ? config->data.path : run_data_format_name(config->data.format);
    if (path[0] == '/')
        return add_folder(self, "", path);
    const char *root = getenv("DDPT_DATA");
    if (root && *root)
        BASE_TRY(add_folder(self, root, path));
    const char *slash = strrchr(config->path, '/');
    if (slash) {
        char beside[RUN_DATA_PATH_MAX];
        snprintf(beside, sizeof beside, "%.*s", (int)(slash - config->path + 1), config->path);
        BASE_TRY(add_folder(self, beside, path));
    }
    BASE_TRY(add_folder(self, "", path));
    return add_folder(self, "data", path);
}

int run_data_lookup_in(const char *folder, const char *name, char path[RUN_DATA_PATH_MAX])
{
    static const char *const suffixes[] = {"", ".gz"};
    struct stat st;
    for (int i = 0; i < 2; i++)
        if (join(path, folder, name, suffixes[i]) && (stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR)))
            return 1; /* also what may not be looked at: opening it says why */
    return 0;
}

static const char *folder_state(const char *folder)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return errno == ENOENT ? "no such folder" : strerror(errno);
    return S_ISDIR(st.st_mode) ? "not in this folder" : "a file, not a folder";
}

base_status run_data_lookup_failed(const run_data_lookup *self, const run_config *config, const char *what)
{
    char places[1200] = "";
    size_t used = 0;
    for (int i = 0; i < self->count && used < sizeof places; i++)
        used += (size_t)snprintf(places + used, sizeof places - used, "%s%s (%s)", i ? ", " : "", self->folders[i],
                                 folder_state(self->folders[i]));
    const char *set = config->data.format == RUN_DATA_CIFAR10                     ? "cifar10"
                      : config->data.path && strstr(config->data.path, "fashion") ? "fashion"
                                                                                  : "mnist";
    return BASE_FAIL(BASE_DATA,
                     "cannot find %s; looked in %s; set data.path or DDPT_DATA, or get it: sh examples/get-data.sh %s",
                     what, places, set);
}
