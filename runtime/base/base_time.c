#include "base_time.h"

#include <string.h>
#include <time.h>

double base_time_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void base_phases_start(base_phases *self, base_phase first)
{
    memset(self->seconds, 0, sizeof self->seconds);
    self->running = first;
    self->since = base_time_now();
}

base_phase base_phases_switch(base_phases *self, base_phase next)
{
    double now = base_time_now();
    base_phase ended = self->running;
    self->seconds[ended] += now - self->since;
    self->running = next;
    self->since = now;
    return ended;
}

const char *base_phase_name(base_phase phase)
{
    static const char *const names[BASE_PHASE_COUNT] = {"data", "forward", "backward", "reduce", "update", "other"};
    return names[phase];
}
