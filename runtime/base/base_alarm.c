#include "base_alarm.h"

#include <stdio.h>

void base_alarm_raise(base_alarm *self, const char *text)
{
    if (base_alarm_raised(self))
        return;
    snprintf(self->text, sizeof self->text, "%s", text);
    atomic_store_explicit(&self->raised, 1, memory_order_release);
}
