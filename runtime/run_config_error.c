/* Messages about a configuration: where, which key, the value seen, and what may have been meant. */
#include "run_config_option.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 256, VALUE_MAX_BYTES = 80, MESSAGE_MAX_BYTES = 1600, WORD_MAX_BYTES = 64 };

static void append_va(char *text, size_t size, const char *fmt, va_list args)
{
    size_t used = strlen(text);
    if (used + 1 < size)
        vsnprintf(text + used, size - used, fmt, args);
}

void run_config_append(char *text, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append_va(text, size, fmt, args);
    va_end(args);
}

base_status run_config_fail_line(const char *text)
{
    char line[MESSAGE_MAX_BYTES];
    snprintf(line, sizeof line, "%s", text);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return BASE_FAIL(BASE_USAGE, "%s", line);
}

/* "model.layers.2.units" */
static void append_path(char *text, size_t size, const config_setting_t *setting)
{
    const config_setting_t *parent = config_setting_parent(setting);
    if (!parent)
        return;
    append_path(text, size, parent);
    if (*text)
        run_config_append(text, size, ".");
    if (config_setting_name(setting))
        run_config_append(text, size, "%s", config_setting_name(setting));
    else
        run_config_append(text, size, "%d", config_setting_index(setting));
}

/* The value as one would write it; what is long is cut. */
static void append_value(char *text, size_t size, const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: run_config_append(text, size, "%lld", config_setting_get_int64(setting)); break;
    case CONFIG_TYPE_FLOAT: run_config_append(text, size, "%.9g", config_setting_get_float(setting)); break;
    case CONFIG_TYPE_BOOL: run_config_append(text, size, config_setting_get_bool(setting) ? "true" : "false"); break;
    case CONFIG_TYPE_STRING:
        if (config_setting_get_string(setting))
            run_config_append(text, size, "\"%.60s\"", config_setting_get_string(setting));
        break;
    case CONFIG_TYPE_GROUP: run_config_append(text, size, "{ ... }"); break;
    default:
        run_config_append(text, size, "[");
        for (int i = 0; i < config_setting_length(setting) && strlen(text) + 1 < size; i++) {
            run_config_append(text, size, i ? ", " : "");
            append_value(text, size, config_setting_get_elem(setting, (unsigned)i));
        }
        run_config_append(text, size, "]");
    }
}

/* What comes before the value: the file and line, or the --set. Returns 1 if that already names `path` and its value.
 */
static int append_where(char *text, size_t size, const run_config_source *source, const config_setting_t *setting,
                        const char *path)
{
    const char *set = setting ? config_setting_get_hook(setting) : NULL;
    if (set) {
        run_config_append(text, size, "--set %.100s: ", set);
        size_t n = strlen(path);
        return !strncmp(set, path, n) && set[n] == '=';
    }
    run_config_append(text, size, "%s:", *source->path ? source->path : "configuration");
    if (setting && config_setting_source_line(setting) > 0)
        run_config_append(text, size, "%u:", config_setting_source_line(setting));
    run_config_append(text, size, " ");
    return 0;
}

base_status run_config_fail(const run_config_source *source, const config_setting_t *setting, const char *key,
                            const char *fmt, ...)
{
    char path[PATH_MAX_BYTES] = "", value[VALUE_MAX_BYTES] = "", text[MESSAGE_MAX_BYTES] = "";
    const config_setting_t *at = setting;
    if (setting && key && config_setting_is_group(setting)) {
        const config_setting_t *member = config_setting_get_member(setting, key);
        at = member ? member : setting;
    }
    int is_member = !key || at != setting;
    if (at)
        append_path(path, sizeof path, at);
    if (!is_member)
        run_config_append(path, sizeof path, "%s%.64s", *path ? "." : "", key);
    int named = append_where(text, sizeof text, source, at, path);
    if (at && is_member && config_setting_parent(at) && !config_setting_is_group(at))
        append_value(value, sizeof value, at);
    if (!named && *path)
        run_config_append(text, sizeof text, "%s%s%s: ", path, *value ? " = " : "", value);
    va_list args;
    va_start(args, fmt);
    append_va(text, sizeof text, fmt, args);
    va_end(args);
    return run_config_fail_line(text);
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) from `a` to `b`; both shorter than WORD_MAX_BYTES. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX_BYTES], n = strlen(a), m = strlen(b);
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least_of(replace, 1 + least_of(last[j], now[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least_of(now[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[m];
}

/* Edits that lie between them, where an abbreviation (eps) or a longer form (batch_size) counts as little. */
static size_t strangeness(const char *word, const char *candidate)
{
    size_t n = strlen(word), m = strlen(candidate);
    if (n >= 3 && m >= 3 && !strncmp(word, candidate, least_of(n, m)))
        return 1;
    return edit_distance(word, candidate);
}

const char *run_config_nearest(const char *word, const char *const *candidates)
{
    size_t n = strlen(word), allowed = n < 6 ? 1 : n / 3, best = allowed + 1;
    const char *nearest = NULL;
    if (n >= WORD_MAX_BYTES)
        return NULL;
    for (const char *const *c = candidates; *c; c++) {
        size_t distance = strlen(*c) < WORD_MAX_BYTES ? strangeness(word, *c) : best;
        if (distance < best) {
            best = distance;
            nearest = *c;
        }
    }
    return nearest;
}

enum { KEYS_MAX = 64 };

/* The keys that the group takes in this variant (-1: in any), groups below it too; NULL-terminated. */
static void list_keys(const run_option_group *group, int variant, const char *keys[KEYS_MAX])
{
    int n = 0;
    for (const run_option *o = group->options; o->key && n + 1 < KEYS_MAX; o++)
        if (variant < 0 || run_option_applies(o, variant))
            keys[n++] = o->key;
    for (const run_option_group *const *g = group->children; g && *g && n + 1 < KEYS_MAX; g++)
        keys[n++] = (*g)->name;
    keys[n] = NULL;
}

/* The variants of the group that do have `key`, "sgd or adam"; empty if none has. */
static void list_owners(const run_option_group *group, const char *key, char *text, size_t size)
{
    for (int v = 0; group->variants && group->variants[v]; v++)
        for (const run_option *o = group->options; o->key; o++)
            if (!strcmp(o->key, key) && run_option_applies(o, v))
                run_config_append(text, size, "%s%s", *text ? " or " : "", group->variants[v]);
}

/* The groups that have `key` in some variant, "train or data". */
static void list_homes(const char *key, char *text, size_t size)
{
    for (const run_option_group *const *g = run_option_groups; *g; g++) {
        int has = 0;
        for (const run_option *o = (*g)->options; o->key; o++)
            has |= !strcmp(o->key, key);
        for (const run_option_group *const *c = (*g)->children; c && *c; c++)
            has |= !strcmp((*c)->name, key);
        if (has)
            run_config_append(text, size, "%s%s", *text ? " or " : "", *(*g)->path ? (*g)->path : "the top level");
    }
}

/* `key` as it is written in any group, or the key of any group that is nearest to it; NULL if none is. */
static const char *nearest_anywhere(const char *key)
{
    const char *nearest = NULL;
    for (const run_option_group *const *g = run_option_groups; *g; g++) {
        const char *keys[KEYS_MAX];
        list_keys(*g, -1, keys);
        const char *found = run_config_nearest(key, keys);
        if (found && (!nearest || strangeness(key, found) < strangeness(key, nearest)))
            nearest = found;
    }
    return nearest;
}

base_status run_config_fail_unknown(const run_config_source *source, const run_option_group *group, int variant,
                                    const config_setting_t *setting, const char *key)
{
    const char *keys[KEYS_MAX];
    char owners[VALUE_MAX_BYTES * 2] = "", homes[VALUE_MAX_BYTES * 2] = "", all[PATH_MAX_BYTES * 2] = "";
    list_keys(group, variant, keys);
    for (int i = 0; keys[i]; i++)
        run_config_append(all, sizeof all, "%s%s", i ? ", " : "", keys[i]);
    list_owners(group, key, owners, sizeof owners);
    if (*owners)
        return run_config_fail(source, setting, key, "a key of %s, not of %s, which takes: %s", owners,
                               group->variants[variant], all);
    const char *here = run_config_nearest(key, keys), *there = nearest_anywhere(key);
    if (here && (!there || strangeness(key, here) <= strangeness(key, there)))
        return run_config_fail(source, setting, key, "unknown key; did you mean '%s'?", here);
    if (!there)
        return run_config_fail(source, setting, key, "unknown key; allowed are: %s", all);
    list_homes(there, homes, sizeof homes);
    if (!strcmp(there, key))
        return run_config_fail(source, setting, key, "unknown key here; it belongs in %s", homes);
    return run_config_fail(source, setting, key, "unknown key; did you mean '%s' of %s?", there, homes);
}
