/* base_alarm.h: one thread tells another, which may be waiting for somebody, that it waits in vain. */
#ifndef BASE_ALARM_H
#define BASE_ALARM_H

#include <stdatomic.h>

enum {
    BASE_ALARM_TEXT = 512,
    BASE_ALARM_POLL_MS = 50 /* whoever waits looks at least this often */
};

typedef struct base_alarm {
    char text[BASE_ALARM_TEXT]; /* read only after `raised` was seen */
    atomic_int raised;
    atomic_int grace_ms; /* set by who will raise it: a wait that has a bound of its own lasts so much longer, since the
                            alarm knows better who is missing */
} base_alarm;

/* The first text stays. One thread raises. */
void base_alarm_raise(base_alarm *self, const char *text);

/* `self` may be NULL: never raised. */
static inline int base_alarm_raised(const base_alarm *self)
{
    return self && atomic_load_explicit(&self->raised, memory_order_acquire);
}

static inline int base_alarm_grace_ms(const base_alarm *self)
{
    return self ? atomic_load_explicit(&self->grace_ms, memory_order_relaxed) : 0;
}

#endif
