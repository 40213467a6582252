#include "base_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double base_time_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double base_time_since_start(void)
{
    /* Field 22 of /proc/self/stat: start in clock ticks since boot. The name in field 2 may hold blanks. */
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    unsigned long long ticks;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                      &ticks) != 1)
        return NAN;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
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
