#include "scaling.h"

#include <stdlib.h>
#include <string.h>

const char *scaling_part_name(scaling_part part)
{
    static const char *const names[SCALING_PART_COUNT] = {"data",  "forward",   "backward", "update",
                                                          "other", "imbalance", "reduce"};
    return names[part];
}

void scaling_sweep_clear(scaling_sweep *self)
{
    for (int i = 0; i < self->count; i++)
        free(self->trials[i].steps_s);
    free(self->trials);
    json_decref(self->config);
    json_decref(self->environment);
    *self = (scaling_sweep){0};
}

/* Room for powers of two; a new array is needed when the count has reached one. */
static int is_full(int count)
{
    return (count & (count - 1)) == 0;
}

base_status scaling_sweep_add(scaling_sweep *self, const scaling_trial *trial)
{
    if (is_full(self->count)) {
        size_t room = self->count ? 2 * (size_t)self->count : 1;
        scaling_trial *trials = realloc(self->trials, room * sizeof *trials);
        if (!trials) {
            free(trial->steps_s);
            return BASE_FAIL(BASE_ERROR, "no memory for %zu trials", room);
        }
        self->trials = trials;
    }
    self->trials[self->count++] = *trial;
    return BASE_OK;
}
