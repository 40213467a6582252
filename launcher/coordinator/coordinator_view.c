#include "coordinator_view.h"

#include <stdlib.h>

void coordinator_view_clear(coordinator_view *self)
{
    for (int i = 0; i < self->run_count; i++)
        free(self->runs[i].ranks);
    free(self->runs);
    *self = (coordinator_view){0};
}

const char *coordinator_run_state_name(coordinator_run_state state)
{
    static const char *const names[] = {"running", "done", "stopped", "diverged", "failed", "silent"};
    return names[state];
}
