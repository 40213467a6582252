/* base_budget.h: memory for what a decoder unpacks, bounded by the size of its input. A few bytes of input can name a
 * structure of a hundred, so the bound is some multiple of it; without one, a small file might ask for everything. The
 * functions have the form that protobuf-c's allocators want. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stddef.h>

/* Bytes that unpacking `nbytes` of input may ask for. */
size_t base_budget_for(size_t nbytes);

/* `budget`: size_t *, what is left; NULL when it is not enough. */
void *base_budget_alloc(void *budget, size_t nbytes);
void base_budget_free(void *budget, void *memory);

#endif
