#include "gpu_cudnn_api.h"

#include "base_log.h"

#include <string.h>

#if defined(DDPT_GPU_EMULATED)

#define ADDRESS(name) .name = cudnn##name,
gpudnn_functions gpudnn = {GPUDNN_FUNCTIONS(ADDRESS)};

int gpudnn_find(void)
{
    return 1;
}

#elif defined(DDPT_GPU_HIP)

gpudnn_functions gpudnn;

int gpudnn_find(void)
{
    return 0;
}

#else

#include <dlfcn.h>

gpudnn_functions gpudnn;

#define DESCRIBE(name) {"cudnn" #name, &gpudnn.name},
static const struct {
    const char *name;
    void *place; /* of its address in `gpudnn` */
} places[] = {GPUDNN_FUNCTIONS(DESCRIBE)};

static int find_functions(void *library)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        void *symbol = dlsym(library, places[i].name);
        if (!symbol) {
            BASE_DEBUG("cuDNN is too old: it has no %s", places[i].name);
            return 0;
        }
        memcpy(places[i].place, &symbol, sizeof symbol);
    }
    return 1;
}

int gpudnn_find(void)
{
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8"};
    static int found, looked;
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library && !looked; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library)
        found = find_functions(library);
    looked = 1;
    return found;
}

#endif
