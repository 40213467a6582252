#include "gpu_cudnn_api.h"

#include "base_log.h"

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

#include "gpu_library.h"

gpudnn_functions gpudnn;

#define DESCRIBE(name) {"cudnn" #name, &gpudnn.name},
static const gpu_symbol symbols[] = {GPUDNN_FUNCTIONS(DESCRIBE)};

static int find(void)
{
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8"};
    void *library = gpu_library_open(names, sizeof names / sizeof *names);
    const char *missing = library ? gpu_library_take(library, symbols, sizeof symbols / sizeof *symbols) : NULL;
    if (missing)
        BASE_DEBUG("cuDNN is too old: it has no %s", missing);
    return library && !missing;
}

int gpudnn_find(void)
{
    static int found, looked;
    if (!looked)
        found = find();
    looked = 1;
    return found;
}

#endif
