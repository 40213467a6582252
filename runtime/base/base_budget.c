#include "base_budget.h"

#include <stdlib.h>

size_t base_budget_for(size_t nbytes)
{
    return nbytes * 64 + 64 * 1024;
}

void *base_budget_alloc(void *budget, size_t nbytes)
{
    size_t *left = budget;
    if (nbytes > *left)
        return NULL;
    *left -= nbytes;
    return malloc(nbytes ? nbytes : 1);
}

void base_budget_free(void *budget, void *memory)
{
    (void)budget;
    free(memory);
}
