#include "launch_restart.h"

#include <string.h>

enum { DELAY_MOST_MS = 60 * 1000 };

static void forget_old(launch_restart *self, double now)
{
    int old = 0;
    while (old < self->count && self->times[old] + self->window_s <= now)
        old++;
    self->count -= old;
    memmove(self->times, self->times + old, (size_t)self->count * sizeof *self->times);
}

int launch_restart_again(launch_restart *self, double now, int *delay_ms)
{
    forget_old(self, now);
    if (self->count >= self->most)
        return 0;
    int most_ms = self->delay_ms > DELAY_MOST_MS ? self->delay_ms : DELAY_MOST_MS;
    *delay_ms = self->count > 0 ? self->delay_ms : 0;
    for (int i = 1; i < self->count && *delay_ms < most_ms; i++)
        *delay_ms *= 2;
    if (*delay_ms > most_ms)
        *delay_ms = most_ms;
    self->times[self->count++] = now;
    return 1;
}
