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

void base_phases_touch(const base_phases *self)
{
    if (self->watch)
        base_watch_touch(self->watch);
}

static void show(const base_phases *self, base_phase phase)
{
    if (self->mark)
        self->mark(base_phase_name(self->running));
    if (!self->watch)
        return;
    atomic_store_explicit(&self->watch->phase, (int)phase, memory_order_relaxed);
    base_phases_touch(self);
}

void base_phases_wait(const base_phases *self)
{
    if (self)
        show(self, BASE_PHASE_WAIT);
}

void base_phases_go_on(const base_phases *self)
{
    if (self)
        show(self, self->running);
}

double base_time_awake(double *looked, double now)
{
    double passed = *looked > 0.0 ? now - *looked : 0.0;
    *looked = now;
    return passed < BASE_AWAKE_S ? passed : BASE_AWAKE_S;
}

void base_phases_start(base_phases *self, base_phase first)
{
    memset(self->seconds, 0, sizeof self->seconds);
    self->running = first;
    self->since = base_time_now();
    show(self, self->running);
}

base_phase base_phases_switch(base_phases *self, base_phase next)
{
    double now = base_time_now();
    base_phase ended = self->running;
    self->seconds[ended] += now - self->since;
    self->running = next;
    self->since = now;
    show(self, self->running);
    return ended;
}

int base_phase_is_own(base_phase phase)
{
    return phase != BASE_PHASE_WAIT && phase != BASE_PHASE_REDUCE;
}

base_phase base_phase_recorded(base_phase phase)
{
    switch (phase) {
    case BASE_PHASE_WAIT: return BASE_PHASE_REDUCE;
    case BASE_PHASE_CHECKPOINT:
    case BASE_PHASE_EVALUATE: return BASE_PHASE_OTHER;
    default: return phase;
    }
}

const char *base_phase_name(base_phase phase)
{
    static const char *const names[BASE_PHASE_COUNT] = {"data",   "forward", "backward",   "wait",    "reduce",
                                                        "update", "other",   "checkpoint", "evaluate"};
    return names[phase];
}
