#include "base_arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, CHUNK_BYTES = 64 * 1024 };

typedef struct chunk {
    struct chunk *next;
    size_t used, size; /* bytes behind the header */
} chunk;

struct base_arena {
    const char *name;
    chunk *head;
};

static atomic_uint_fast64_t request_count;
static atomic_size_t held_bytes;

static size_t round_up(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static chunk *chunk_create(size_t size)
{
    size_t total = ALIGNMENT + size;
    chunk *c = aligned_alloc(ALIGNMENT, total);
    if (!c)
        return NULL;
    /* A large request is one chunk that the system hands out zeroed page by page; memset still touches it here,
     * which is wanted: the pages are then local to the thread that will use them and the step meets no page fault. */
    memset(c, 0, total);
    c->size = size;
    atomic_fetch_add(&held_bytes, total);
    return c;
}

base_status base_arena_create(base_arena **self, const char *name)
{
    base_arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return BASE_FAIL(BASE_ERROR, "out of memory for the %s arena", name);
    arena->name = name;
    *self = arena;
    return BASE_OK;
}

void base_arena_destroy(base_arena **self)
{
    if (!*self)
        return;
    for (chunk *c = (*self)->head, *next; c; c = next) {
        next = c->next;
        atomic_fetch_sub(&held_bytes, ALIGNMENT + c->size);
        free(c);
    }
    free(*self);
    *self = NULL;
}

static void *out_of_memory(const base_arena *self, size_t nbytes)
{
    BASE_FAIL(BASE_ERROR, "out of memory: %zu bytes for the %s arena", nbytes, self->name);
    return NULL;
}

void *base_arena_alloc(base_arena *self, size_t nbytes)
{
    atomic_fetch_add(&request_count, 1);
    if (nbytes > SIZE_MAX / 2)
        return out_of_memory(self, nbytes);
    size_t need = nbytes ? round_up(nbytes) : ALIGNMENT;
    chunk *c = self->head;
    if (!c || c->size - c->used < need) {
        chunk *fresh = chunk_create(need > CHUNK_BYTES ? need : CHUNK_BYTES);
        if (!fresh)
            return out_of_memory(self, nbytes);
        if (c && need > CHUNK_BYTES) { /* keep filling the small chunk */
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            self->head = fresh;
        }
        c = fresh;
    }
    char *at = (char *)c + ALIGNMENT + c->used;
    c->used += need;
    return at;
}

void *base_arena_array(base_arena *self, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / 2 / size) {
        BASE_FAIL(BASE_ERROR, "out of memory: %zu elements of %zu bytes for the %s arena", count, size, self->name);
        return NULL;
    }
    return base_arena_alloc(self, count * size);
}

char *base_arena_string(base_arena *self, const char *text)
{
    if (!text)
        return NULL;
    size_t n = strlen(text) + 1;
    char *copy = base_arena_alloc(self, n);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *base_arena_format(base_arena *self, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : base_arena_alloc(self, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

uint64_t base_arena_count(void)
{
    return atomic_load(&request_count);
}

size_t base_arena_bytes(void)
{
    return atomic_load(&held_bytes);
}
