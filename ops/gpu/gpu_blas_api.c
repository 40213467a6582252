/* gpu_blas_api.c: where the library is found, and its version. */
#include "gpu_blas_api.h"

#include "gpu_blas.h"

#include <stdio.h>

#if defined(DDPT_GPU_HIP)

#include "gpu_library.h"

gpublas_functions gpublas;

#define DESCRIBE(name) {"hipblasLt" #name, &gpublas.name},
static const gpu_symbol symbols[] = {GPUBLAS_FUNCTIONS(DESCRIBE)};

base_status gpublas_find(void)
{
    static void *found;
    if (found)
        return BASE_OK;
    static const char *const names[] = {"libhipblaslt.so.1", "libhipblaslt.so.0"}; /* of ROCm 7, and before: alike */
    void *library = gpu_library_open(names, sizeof names / sizeof *names);
    if (!library)
        return BASE_FAIL(BASE_DEVICE, "the GPU back end needs hipBLASLt: install it, or use train.device = \"cpu\": %s",
                         dlerror());
    const char *missing = gpu_library_take(library, symbols, sizeof symbols / sizeof *symbols);
    if (missing)
        return BASE_FAIL(BASE_DEVICE, GPU_BLAS_NAME " is of another version: it has no %s", missing);
    found = library;
    return BASE_OK;
}

/* Its version is known to an open library alone. */
void gpu_blas_describe(char *text, size_t nbytes)
{
    snprintf(text, nbytes, GPU_BLAS_NAME);
}

#else

base_status gpublas_find(void)
{
    return BASE_OK;
}

void gpu_blas_describe(char *text, size_t nbytes)
{
    size_t version = GPUBLAS(GetVersion)(); /* 130100 */
    snprintf(text, nbytes, GPU_BLAS_NAME " %zu.%zu", version / 10000, version / 100 % 100);
}

#endif
