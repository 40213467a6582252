/* base_arena.h: host memory by lifetime. An arena is filled, never emptied in part, and destroyed as a whole.
 *
 * Every request to the system goes through here and is counted, so that a test can show that a step makes none.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct base_arena base_arena;

/* `name` is borrowed for the life of the arena (a literal); it appears in the text of a failure. */
base_status base_arena_create(base_arena **self, const char *name);
void base_arena_destroy(base_arena **self);

/* Zeroed memory, aligned to 64 bytes, valid until the arena is destroyed. NULL with a recorded failure when the
 * system has no more: `if (!p) return BASE_ERROR`. nbytes may be 0 (a distinct, unusable address). */
void *base_arena_alloc(base_arena *self, size_t nbytes);

/* `count` elements of `size` bytes; fails on overflow. */
void *base_arena_array(base_arena *self, size_t count, size_t size);

/* A copy of `text`, or NULL for NULL. */
char *base_arena_string(base_arena *self, const char *text);
char *base_arena_format(base_arena *self, const char *fmt, ...) BASE_PRINTF(2, 3);

#define BASE_NEW(arena, type) ((type *)base_arena_alloc((arena), sizeof(type)))
#define BASE_NEW_ARRAY(arena, type, count) ((type *)base_arena_array((arena), (size_t)(count), sizeof(type)))

/* Calls of base_arena_alloc (all arenas, all threads) so far, and bytes held by arenas now. */
uint64_t base_arena_count(void);
size_t base_arena_bytes(void);

#endif
