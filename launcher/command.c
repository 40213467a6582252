#include "command.h"

#include "base_switch.h"
#include "run_signal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

void command_share_gpus(void)
{
    setenv(base_switch_name(BASE_SWITCH_SHARE_GPUS), "1", 1);
}

base_status command_sets_add(command_sets *self, const char *value)
{
    if (self->count == COMMAND_SETS_MAX)
        return BASE_FAIL(BASE_USAGE, "--set may be given at most %d times", COMMAND_SETS_MAX);
    self->values[self->count++] = value;
    return BASE_OK;
}

base_status command_operand(const char *name, const char *what, int argc, char **argv, int index, const char **operand)
{
    if (index >= argc)
        return BASE_FAIL(BASE_USAGE, "ddpt %s needs %s; see: ddpt help %s", name, what, name);
    if (index + 1 < argc)
        return BASE_FAIL(BASE_USAGE, "ddpt %s takes one operand, '%s' is one too many; see: ddpt help %s", name,
                         argv[index + 1], name);
    *operand = argv[index];
    return BASE_OK;
}

base_status command_bad_option(const char *name, char **argv, int index)
{
    return BASE_FAIL(BASE_USAGE, "ddpt %s: '%s' is no option of it, or lacks its value; see: ddpt help %s", name,
                     argv[index - 1], name);
}

base_status command_number(const char *option, const char *text, long long least, long long most, long long *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *value < least || *value > most)
        return BASE_FAIL(BASE_USAGE, "%s = '%s': must be a whole number from %lld to %lld", option, text, least, most);
    return BASE_OK;
}

static int ascending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

base_status command_list(const char *option, const char *text, int least, int most, int room, int *count, int *values)
{
    int n = 0;
    for (const char *rest = text;; rest++) {
        char *end;
        errno = 0;
        long value = strtol(rest, &end, 10);
        if (errno != 0 || end == rest || (*end != ',' && *end != '\0') || value < least || value > most)
            return BASE_FAIL(BASE_USAGE,
                             "%s = '%s': must be numbers from %d to %d with commas between them, e.g. 1,2,4", option,
                             text, least, most);
        if (n == room)
            return BASE_FAIL(BASE_USAGE, "%s = '%s': at most %d numbers", option, text, room);
        values[n++] = (int)value;
        rest = end;
        if (*rest == '\0')
            break;
    }
    qsort(values, (size_t)n, sizeof *values, ascending);
    *count = 0;
    for (int i = 0; i < n; i++)
        if (*count == 0 || values[i] != values[*count - 1])
            values[(*count)++] = values[i];
    return BASE_OK;
}

base_status command_share(const char *option, const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(*value > 0.0) || !(*value <= 1.0))
        return BASE_FAIL(BASE_USAGE, "%s = '%s': must be a number above 0, at most 1", option, text);
    return BASE_OK;
}

base_status command_print_json(json_t *json)
{
    int failed = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(json);
    return failed || putchar('\n') == EOF ? BASE_FAIL(BASE_ERROR, "cannot write to stdout") : BASE_OK;
}

void command_catch_interrupt(void)
{
    run_signal_install();
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}
