/* --set key.path=value: changes libconfig's tree before it is checked, so that a value from here is checked like any
 * other. */
#include "run_config_option.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX_BYTES = 64 };

static base_status out_of_memory(const char *set)
{
    return BASE_FAIL(BASE_ERROR, "out of memory for --set %.100s", set);
}

/* A setting like `from` under `parent`, named `name` (NULL in a list). */
static base_status copy_setting(config_setting_t *parent, const char *name, const config_setting_t *from,
                                const char *set)
{
    config_setting_t *to = config_setting_add(parent, name, config_setting_type(from));
    if (!to)
        return out_of_memory(set);
    config_setting_set_hook(to, (void *)(uintptr_t)set); /* only ever read */
    int good = 1;
    switch (config_setting_type(from)) {
    case CONFIG_TYPE_INT: good = config_setting_set_int(to, config_setting_get_int(from)); break;
    case CONFIG_TYPE_INT64: good = config_setting_set_int64(to, config_setting_get_int64(from)); break;
    case CONFIG_TYPE_FLOAT: good = config_setting_set_float(to, config_setting_get_float(from)); break;
    case CONFIG_TYPE_BOOL: good = config_setting_set_bool(to, config_setting_get_bool(from)); break;
    case CONFIG_TYPE_STRING: good = config_setting_set_string(to, config_setting_get_string(from)); break;
    default:
        for (int i = 0; i < config_setting_length(from); i++) {
            const config_setting_t *part = config_setting_get_elem(from, (unsigned)i);
            BASE_TRY(copy_setting(to, config_setting_name(part), part, set));
        }
    }
    return good ? BASE_OK : out_of_memory(set);
}

/* The next part of a key path, up to '.' or '='; 0 if it is not one. */
static int take_key(const char **at, char key[KEY_MAX_BYTES])
{
    size_t n = strcspn(*at, ".=");
    if (!n || n >= KEY_MAX_BYTES)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)(*at)[i]) && (*at)[i] != '_')
            return 0;
    memcpy(key, *at, n);
    key[n] = '\0';
    *at += n;
    return 1;
}

BASE_PRINTF(2, 3) static base_status fail(const char *set, const char *fmt, ...)
{
    char text[512] = "", what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    run_config_append(text, sizeof text, "--set %.100s: %s", set, what);
    return run_config_fail_line(text);
}

/* Go from *at to its member or entry `key`, making a group where there is nothing. */
static base_status descend(const char *set, const char *key, config_setting_t **at)
{
    config_setting_t *parent = *at;
    if (config_setting_is_group(parent)) {
        *at = config_setting_get_member(parent, key);
        if (!*at && (*at = config_setting_add(parent, key, CONFIG_TYPE_GROUP)))
            config_setting_set_hook(*at, (void *)(uintptr_t)set);
        return *at ? BASE_OK : fail(set, "'%s' is not a key", key);
    }
    if (!config_setting_is_list(parent))
        return fail(set, "'%s' is not inside a group", key);
    int length = config_setting_length(parent);
    char *end;
    unsigned long index = strtoul(key, &end, 10);
    if (*end || index >= (unsigned long)length)
        return fail(set, "'%s' must be an entry of the list, from 0 to %d", key, length - 1);
    *at = config_setting_get_elem(parent, (unsigned)index);
    return BASE_OK;
}

static base_status put_value(const char *set, config_setting_t *parent, const char *key, const config_setting_t *value)
{
    if (config_setting_is_list(parent))
        return fail(set, "an entry of a list cannot be replaced; give the whole list, or a key of the entry");
    if (!config_setting_is_group(parent))
        return fail(set, "'%s' is not inside a group", key);
    if (!isalpha((unsigned char)*key))
        return fail(set, "'%s' is not a key", key);
    if (config_setting_get_member(parent, key))
        config_setting_remove(parent, key);
    return copy_setting(parent, key, value, set);
}

base_status run_config_set(const run_config_source *source, const char *set, config_t *tree)
{
    char key[KEY_MAX_BYTES];
    const char *rest = set;
    config_setting_t *at = config_root_setting(tree);
    for (;;) {
        if (!take_key(&rest, key) || !*rest)
            return fail(set, "must be key=value, as in train.batch=256");
        if (*rest++ == '=')
            break;
        BASE_TRY(descend(set, key, &at));
    }
    config_t scratch;
    config_init(&scratch);
    base_status status = run_config_text_read_value(source, set, rest, &scratch);
    if (status == BASE_OK)
        status = put_value(set, at, key, config_setting_get_elem(config_root_setting(&scratch), 0));
    config_destroy(&scratch);
    BASE_TRY(status);
    return BASE_OK;
}
