#include "base_switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 4 };

static const struct {
    const char *name;
    int computes;
    const char *values[VALUES_MAX];
} switches[BASE_SWITCH_COUNT] = {
    [BASE_SWITCH_GPU_OWN] = {"DDPT_GPU_OWN", 1, {"0", "1"}},
    [BASE_SWITCH_GPU_CUDNN] = {"DDPT_GPU_CUDNN", 1, {"0", "1"}},
    [BASE_SWITCH_GPU_GRAPHS] = {"DDPT_GPU_GRAPHS", 1, {"0", "1"}},
    [BASE_SWITCH_HOST_BF16] = {"DDPT_HOST_BF16", 1, {"emulate"}},
    [BASE_SWITCH_SHARE_GPUS] = {"DDPT_SHARE_GPUS", 0, {"0", "1"}},
    [BASE_SWITCH_LOG] = {"DDPT_LOG", 0, {"error", "warn", "info", "debug"}},
};

const char *base_switch_name(base_switch self)
{
    return switches[self].name;
}

int base_switch_computes(base_switch self)
{
    return switches[self].computes;
}

const char *base_switch_value(base_switch self)
{
    const char *value = getenv(switches[self].name);
    return value && *value ? value : NULL;
}

int base_switch_index(base_switch self)
{
    const char *value = base_switch_value(self);
    for (int i = 0; value && i < VALUES_MAX && switches[self].values[i]; i++)
        if (strcmp(value, switches[self].values[i]) == 0)
            return i;
    return -1;
}

static base_status refuse(base_switch self)
{
    char allowed[64] = "";
    for (int i = 0; i < VALUES_MAX && switches[self].values[i]; i++) {
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s\"%s\"", i ? ", " : "", switches[self].values[i]);
    }
    return BASE_FAIL(BASE_USAGE, "%s is \"%s\"; it may be %s, or not be set", switches[self].name,
                     base_switch_value(self), allowed);
}

base_status base_switch_check(void)
{
    for (base_switch s = 0; s < BASE_SWITCH_COUNT; s++)
        if (base_switch_value(s) && base_switch_index(s) < 0)
            return refuse(s);
    return BASE_OK;
}
