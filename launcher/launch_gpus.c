#include "launch_gpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static base_status bad_choice(const char *text)
{
    return BASE_FAIL(BASE_USAGE,
                     "--gpus = '%s': must be all, none, a number of GPUs, or the numbers of some with commas between "
                     "them, each once, e.g. 0,2,3 (one alone: 2,)",
                     text);
}

static int read_number(const char **text, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(*text, &end, 10);
    if (**text < '0' || **text > '9' || errno != 0 || value >= 65536)
        return 0;
    *number = (int)value;
    *text = end;
    return 1;
}

static int add(launch_gpus_choice *self, int number)
{
    for (int i = 0; i < self->count; i++)
        if (self->numbers[i] == number)
            return 0;
    if (self->count == LAUNCH_GPUS_MAX)
        return 0;
    self->numbers[self->count++] = number;
    return 1;
}

static base_status parse_numbers(const char *text, launch_gpus_choice *choice)
{
    const char *rest = text;
    int number;
    do {
        if (!read_number(&rest, &number) || (*rest != ',' && *rest != '\0') || !add(choice, number))
            return bad_choice(text);
        if (*rest == ',')
            choice->kind = LAUNCH_GPUS_LIST;
        rest += *rest == ',';
    } while (*rest);
    if (choice->kind == LAUNCH_GPUS_LIST)
        return BASE_OK;
    if (number == 0)
        return BASE_FAIL(BASE_USAGE, "--gpus = '0': is no number of GPUs; GPU 0 alone is '0,', no GPU is 'none'");
    if (number > LAUNCH_GPUS_MAX)
        return BASE_FAIL(BASE_USAGE, "--gpus = '%s': at most %d", text, LAUNCH_GPUS_MAX);
    *choice = (launch_gpus_choice){.kind = LAUNCH_GPUS_COUNT, .count = number};
    return BASE_OK;
}

base_status launch_gpus_parse(const char *text, launch_gpus_choice *choice)
{
    *choice = (launch_gpus_choice){.kind = LAUNCH_GPUS_AUTO};
    if (strcmp(text, "all") == 0)
        choice->kind = LAUNCH_GPUS_ALL;
    else if (strcmp(text, "none") == 0)
        choice->kind = LAUNCH_GPUS_NONE;
    else
        return parse_numbers(text, choice);
    return BASE_OK;
}

static void take_first(launch_gpus_choice *self, int count)
{
    *self = (launch_gpus_choice){.kind = count > 0 ? LAUNCH_GPUS_LIST : LAUNCH_GPUS_NONE, .count = count};
    for (int i = 0; i < count; i++)
        self->numbers[i] = i;
}

static base_status not_there(const char *text, int count)
{
    return BASE_FAIL(BASE_DEVICE, "--gpus = '%s': there %s %d GPU%s, counted from 0, as ddpt doctor lists", text,
                     count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
}

base_status launch_gpus_resolve(const launch_gpus_choice *choice, const char *text, const launch_probe *found,
                                launch_gpus_choice *resolved)
{
    *resolved = *choice;
    switch (choice->kind) {
    case LAUNCH_GPUS_NONE: return BASE_OK;
    case LAUNCH_GPUS_AUTO: take_first(resolved, found->count); return BASE_OK;
    case LAUNCH_GPUS_ALL:
    case LAUNCH_GPUS_COUNT:
    case LAUNCH_GPUS_LIST: break;
    }
    if (found->count == 0)
        return BASE_FAIL(BASE_DEVICE, "--gpus = '%s': %s", text, found->missing);
    if (choice->kind == LAUNCH_GPUS_ALL)
        take_first(resolved, found->count);
    else if (choice->kind == LAUNCH_GPUS_COUNT)
        take_first(resolved, choice->count);
    for (int i = 0; i < resolved->count; i++)
        if (resolved->numbers[i] >= found->count)
            return not_there(text, found->count);
    return BASE_OK;
}

/* The entry number `index` of "a,b,c"; a text of another end where there are fewer. */
static const char *entry_of(const char *list, int index, int *length)
{
    for (; index > 0; index--)
        list += strcspn(list, ",") + (strchr(list, ',') != NULL);
    *length = (int)strcspn(list, ",");
    return list;
}

int launch_gpus_visible(const launch_gpus_choice *resolved, const char *now, char *visible, size_t size)
{
    size_t used = 0;
    visible[0] = '\0';
    for (int i = 0; i < resolved->count; i++) {
        char number[16];
        int length = snprintf(number, sizeof number, "%d", resolved->numbers[i]);
        const char *entry = now ? entry_of(now, resolved->numbers[i], &length) : number;
        int n = snprintf(visible + used, size - used, "%s%.*s", i ? "," : "", length, entry);
        if (n < 0 || (size_t)n >= size - used)
            return 0;
        used += (size_t)n;
    }
    return 1;
}
