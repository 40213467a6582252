#include "run_plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libddpt_gpu.so"

/* Where the program, or libddpt.so in somebody's program, lies. */
static int own_folder(char folder[PATH_MAX])
{
    Dl_info info;
    char path[PATH_MAX];
    if (!dladdr((void *)&base_services_own, &info) || !info.dli_fname || !realpath(info.dli_fname, path)) {
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
        if (length < 0)
            return 0;
        path[length] = '\0';
    }
    char *slash = strrchr(path, '/');
    if (!slash)
        return 0;
    *slash = '\0';
    memcpy(folder, path, sizeof path);
    return 1;
}

static int try_path(char path[PATH_MAX], const char *folder, const char *below)
{
    int n = snprintf(path, PATH_MAX, "%s/%s" LIBRARY, folder, below);
    return n > 0 && n < PATH_MAX && access(path, F_OK) == 0;
}

static base_status find(char path[PATH_MAX])
{
    static const char *const places[] = {"", "../" DDPT_LIBDIR "/", "../lib/"};
    const char *given = getenv("DDPT_GPU_PLUGIN");
    char folder[PATH_MAX];
    if (given && *given) {
        snprintf(path, PATH_MAX, "%s", given);
        return BASE_OK;
    }
    for (size_t i = 0; own_folder(folder) && i < sizeof places / sizeof *places; i++)
        if (try_path(path, folder, places[i]))
            return BASE_OK;
    return BASE_FAIL(BASE_DEVICE,
                     "this build of ddpt has no GPU back end: build it where the CUDA toolkit and NCCL are "
                     "installed (cmake -DDDPT_GPU=on), or use train.device = \"cpu\"");
}

/* "libcublasLt.so.13: cannot open shared object file: No such file or directory": the library's name says enough. */
static base_status cannot_load(const char *path, const char *reason)
{
    const char *colon = strstr(reason, ": cannot open shared object file");
    if (colon && strncmp(reason, path, (size_t)(colon - reason)) != 0)
        return BASE_FAIL(BASE_DEVICE,
                         "the GPU back end needs %.*s, which the loader does not find: install the CUDA runtime "
                         "libraries, or add their folder to LD_LIBRARY_PATH, or use train.device = \"cpu\"",
                         (int)(colon - reason), reason);
    return BASE_FAIL(BASE_DEVICE, "the GPU back end cannot be loaded: %s", reason);
}

static base_status load(const char *path, const run_plugin **plugin)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return cannot_load(path, dlerror());
    void *symbol = dlsym(library, RUN_PLUGIN_ENTRY);
    run_plugin_entry *entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from an object's address to a function's */
    *plugin = symbol ? entry(RUN_PLUGIN_VERSION, &base_services_own) : NULL;
    if (*plugin)
        return BASE_OK;
    dlclose(library);
    return BASE_FAIL(BASE_DEVICE, "%s belongs to another version of ddpt: install program and back end together", path);
}

base_status run_plugin_load(const run_plugin **plugin)
{
    static const run_plugin *loaded;
    char path[PATH_MAX];
    if (!loaded) {
        BASE_TRY(find(path));
        BASE_TRY(load(path, &loaded));
    }
    *plugin = loaded;
    return BASE_OK;
}
