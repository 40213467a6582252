/* gpu_library.h: libraries that are loaded when they are asked for and linked nowhere, so that a GPU is of use without
 * them. Local.
 */
#ifndef GPU_LIBRARY_H
#define GPU_LIBRARY_H

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

typedef struct gpu_symbol {
    const char *name;
    void *place; /* of its address */
} gpu_symbol;

/* The first of `names` that is there; NULL: none is, and dlerror says why of the last. */
static inline void *gpu_library_open(const char *const *names, size_t count)
{
    void *library = NULL;
    for (size_t i = 0; i < count && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* Fills the places. NULL, or the name of a symbol that the library does not have. */
static inline const char *gpu_library_take(void *library, const gpu_symbol *symbols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return symbols[i].name;
        memcpy(symbols[i].place, &symbol, sizeof symbol);
    }
    return NULL;
}

#endif
