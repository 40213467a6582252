/* One key: from libconfig's setting, or from the default's text, to the field of its struct. */
#include "run_config_option.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WANTS_BYTES = 512 };

static void append_number(char *text, size_t size, double value)
{
    if (value >= 0x1p63)
        run_config_append(text, size, "9223372036854775807");
    else if (value == floor(value) && fabs(value) < 0x1p53)
        run_config_append(text, size, "%.0f", value);
    else
        run_config_append(text, size, "%g", value);
}

static int has_range(const run_option *option)
{
    return option->least < option->most;
}

void run_option_range(const run_option *option, char *text, size_t size)
{
    *text = '\0';
    if (!has_range(option))
        return;
    int open = option->above_least || option->below_most;
    run_config_append(text, size, "%s", !open ? "from " : option->above_least ? "above " : "at least ");
    append_number(text, size, option->least);
    run_config_append(text, size, "%s", !open ? " to " : option->below_most ? " and below " : " and at most ");
    append_number(text, size, option->most);
}

void run_option_wants(const run_option *option, char *text, size_t size)
{
    char range[128];
    run_option_range(option, range, sizeof range);
    *text = '\0';
    switch (option->type) {
    case RUN_OPTION_INT: run_config_append(text, size, "an integer %s", range); break;
    case RUN_OPTION_FLOAT:
    case RUN_OPTION_DOUBLE: run_config_append(text, size, "a number %s", range); break;
    case RUN_OPTION_BOOL: run_config_append(text, size, "true or false"); break;
    case RUN_OPTION_ENUM:
    case RUN_OPTION_WORD:
        for (int i = 0; option->words[i]; i++)
            run_config_append(text, size, "%s%s", i ? ", " : "one of ", option->words[i]);
        break;
    case RUN_OPTION_STRING: run_config_append(text, size, "a string that is not empty"); break;
    case RUN_OPTION_STRINGS: run_config_append(text, size, "a list of strings, as in [\"a\", \"b\"]"); break;
    case RUN_OPTION_FLOATS: run_config_append(text, size, "a number, or a list of numbers, %s", range); break;
    case RUN_OPTION_PAIR: run_config_append(text, size, "an integer %s, or [height, width]", range); break;
    case RUN_OPTION_SHAPE:
        run_config_append(text, size, "[channels, height, width] or [features], integers %s", range);
        break;
    case RUN_OPTION_LAYERS: run_config_append(text, size, "a list of groups, as in ( { type = \"dense\"; ... }, ... )");
    }
}

static const char *kind_of(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: return "an integer";
    case CONFIG_TYPE_FLOAT: return "a number with a fraction";
    case CONFIG_TYPE_BOOL: return "a boolean";
    case CONFIG_TYPE_STRING: return "a string";
    case CONFIG_TYPE_GROUP: return "a group";
    default: return "a list";
    }
}

static base_status fail_type(const run_config_source *source, const run_option *option, const config_setting_t *setting)
{
    char wants[WANTS_BYTES];
    run_option_wants(option, wants, sizeof wants);
    return run_config_fail(source, setting, NULL, "must be %s; this is %s", wants, kind_of(setting));
}

static base_status fail_value(const run_config_source *source, const run_option *option,
                              const config_setting_t *setting)
{
    char wants[WANTS_BYTES];
    if (has_range(option))
        run_option_range(option, wants, sizeof wants);
    else
        run_option_wants(option, wants, sizeof wants);
    return run_config_fail(source, setting, NULL, "must be %s", wants);
}

static int in_range(const run_option *option, double value)
{
    if (!isfinite(value) || value < option->least || value > option->most)
        return 0;
    return !(option->above_least && value == option->least) && !(option->below_most && value == option->most);
}

/* A number with a fraction counts as an integer where its value is one: 1e6. */
static base_status read_integer(const run_config_source *source, const run_option *option,
                                const config_setting_t *setting, int64_t *value)
{
    if (!config_setting_is_number(setting))
        return fail_type(source, option, setting);
    if (config_setting_type(setting) != CONFIG_TYPE_FLOAT) {
        *value = config_setting_get_int64(setting);
        return in_range(option, (double)*value) ? BASE_OK : fail_value(source, option, setting);
    }
    double number = config_setting_get_float(setting);
    if (isfinite(number) && number != floor(number))
        return fail_type(source, option, setting);
    if (!in_range(option, number) || fabs(number) > 0x1p53)
        return fail_value(source, option, setting);
    *value = (int64_t)number;
    return BASE_OK;
}

/* `single`: the value is kept as a float, and must lie in the range as one. */
static base_status read_number(const run_config_source *source, const run_option *option,
                               const config_setting_t *setting, int single, double *value)
{
    if (!config_setting_is_number(setting))
        return fail_type(source, option, setting);
    *value = config_setting_type(setting) == CONFIG_TYPE_FLOAT ? config_setting_get_float(setting)
                                                               : (double)config_setting_get_int64(setting);
    int good = in_range(option, *value) && (!single || in_range(option, (double)(float)*value));
    return good ? BASE_OK : fail_value(source, option, setting);
}

static int find_word(const run_option *option, const char *word)
{
    for (int i = 0; option->words[i]; i++)
        if (!strcmp(option->words[i], word))
            return i;
    return -1;
}

static base_status store_word(const run_config_source *source, const run_option *option,
                              const config_setting_t *setting, void *field)
{
    if (config_setting_type(setting) != CONFIG_TYPE_STRING)
        return fail_type(source, option, setting);
    const char *word = config_setting_get_string(setting);
    int index = word ? find_word(option, word) : -1;
    if (index < 0)
        return fail_value(source, option, setting);
    if (option->type == RUN_OPTION_WORD)
        memcpy(field, &option->words[index], sizeof option->words[index]);
    else
        memcpy(field, &index, sizeof index);
    return BASE_OK;
}

static base_status read_string(const run_config_source *source, const run_option *option,
                               const config_setting_t *setting, const char **value)
{
    if (config_setting_type(setting) != CONFIG_TYPE_STRING)
        return fail_type(source, option, setting);
    const char *text = config_setting_get_string(setting);
    if (!text || !*text)
        return fail_value(source, option, setting);
    json_t *json = json_string(text); /* the run record is JSON, which is UTF-8 */
    if (!json)
        return run_config_fail(source, setting, NULL, "must be UTF-8 text");
    json_decref(json);
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            return run_config_fail(source, setting, NULL, "must have no control characters");
    *value = base_arena_string(source->arena, text);
    return *value ? BASE_OK : BASE_ERROR;
}

static base_status store_strings(const run_config_source *source, const run_option *option,
                                 const config_setting_t *setting, void *field)
{
    int single = config_setting_type(setting) == CONFIG_TYPE_STRING;
    if (!single && !config_setting_is_list(setting))
        return fail_type(source, option, setting);
    int count = single ? 1 : config_setting_length(setting);
    if (!count)
        return run_config_fail(source, setting, NULL, "must name at least one");
    const char **list = BASE_NEW_ARRAY(source->arena, const char *, count + 1);
    if (!list)
        return BASE_ERROR;
    for (int i = 0; i < count; i++) {
        const config_setting_t *part = single ? setting : config_setting_get_elem(setting, (unsigned)i);
        BASE_TRY(read_string(source, option, part, &list[i]));
    }
    memcpy(field, &list, sizeof list);
    return BASE_OK;
}

static base_status store_floats(const run_config_source *source, const run_option *option,
                                const config_setting_t *setting, char *fields)
{
    int single = config_setting_is_number(setting);
    if (!single && !config_setting_is_list(setting))
        return fail_type(source, option, setting);
    int count = single ? 1 : config_setting_length(setting), *shared = (int *)(fields + option->count_offset);
    if (!count)
        return run_config_fail(source, setting, NULL, "must hold at least one number");
    if (*shared && *shared != count)
        return run_config_fail(source, setting, NULL, "must hold as many numbers as mean, which has %d", *shared);
    float *list = BASE_NEW_ARRAY(source->arena, float, count);
    if (!list)
        return BASE_ERROR;
    for (int i = 0; i < count; i++) {
        double value = 0;
        BASE_TRY(
            read_number(source, option, single ? setting : config_setting_get_elem(setting, (unsigned)i), 1, &value));
        list[i] = (float)value;
    }
    *shared = count;
    memcpy(fields + option->offset, &list, sizeof list);
    return BASE_OK;
}

static base_status store_pair(const run_config_source *source, const run_option *option,
                              const config_setting_t *setting, int64_t pair[2])
{
    if (config_setting_is_number(setting)) {
        BASE_TRY(read_integer(source, option, setting, &pair[0]));
        pair[1] = pair[0];
        return BASE_OK;
    }
    if (!config_setting_is_list(setting))
        return fail_type(source, option, setting);
    if (config_setting_length(setting) != 2)
        return run_config_fail(source, setting, NULL, "must be one number or two, [height, width]");
    for (unsigned i = 0; i < 2; i++)
        BASE_TRY(read_integer(source, option, config_setting_get_elem(setting, i), &pair[i]));
    return BASE_OK;
}

static base_status store_shape(const run_config_source *source, const run_option *option,
                               const config_setting_t *setting, base_shape *shape)
{
    int64_t size[3] = {0};
    if (!config_setting_is_list(setting))
        return fail_type(source, option, setting);
    int count = config_setting_length(setting);
    if (count != 1 && count != 3)
        return run_config_fail(source, setting, NULL, "must be [channels, height, width] or [features]");
    for (int i = 0; i < count; i++)
        BASE_TRY(read_integer(source, option, config_setting_get_elem(setting, (unsigned)i), &size[i]));
    *shape = count == 1 ? base_shape_vector(size[0]) : base_shape_image(size[0], size[1], size[2]);
    return BASE_OK;
}

static void store_number(const run_option *option, double value, void *field)
{
    float single = (float)value;
    if (option->type == RUN_OPTION_FLOAT)
        memcpy(field, &single, sizeof single);
    else
        memcpy(field, &value, sizeof value);
}

base_status run_option_store(const run_config_source *source, const run_option *option, const config_setting_t *setting,
                             void *fields)
{
    char *field = (char *)fields + option->offset;
    double number = 0;
    switch (option->type) {
    case RUN_OPTION_INT: return read_integer(source, option, setting, (int64_t *)field);
    case RUN_OPTION_FLOAT:
    case RUN_OPTION_DOUBLE:
        BASE_TRY(read_number(source, option, setting, option->type == RUN_OPTION_FLOAT, &number));
        store_number(option, number, field);
        return BASE_OK;
    case RUN_OPTION_BOOL:
        if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
            return fail_type(source, option, setting);
        *(int *)field = config_setting_get_bool(setting);
        return BASE_OK;
    case RUN_OPTION_ENUM:
    case RUN_OPTION_WORD: return store_word(source, option, setting, field);
    case RUN_OPTION_STRING: return read_string(source, option, setting, (const char **)field);
    case RUN_OPTION_STRINGS: return store_strings(source, option, setting, field);
    case RUN_OPTION_FLOATS: return store_floats(source, option, setting, fields);
    case RUN_OPTION_PAIR: return store_pair(source, option, setting, (int64_t *)field);
    case RUN_OPTION_SHAPE: return store_shape(source, option, setting, (base_shape *)field);
    case RUN_OPTION_LAYERS: break;
    }
    return fail_type(source, option, setting);
}

void run_option_store_initial(const run_option *option, void *fields)
{
    char *field = (char *)fields + option->offset;
    const char *text = option->initial;
    if (!text)
        return; /* the struct is zeroed */
    int64_t *integer = (int64_t *)field;
    int index;
    switch (option->type) {
    case RUN_OPTION_INT: *integer = strtoll(text, NULL, 10); break;
    case RUN_OPTION_FLOAT:
    case RUN_OPTION_DOUBLE: store_number(option, strtod(text, NULL), field); break;
    case RUN_OPTION_BOOL: *(int *)field = !strcmp(text, "true"); break;
    case RUN_OPTION_ENUM:
        index = find_word(option, text);
        memcpy(field, &index, sizeof index);
        break;
    case RUN_OPTION_WORD:
    case RUN_OPTION_STRING: memcpy(field, &text, sizeof text); break;
    case RUN_OPTION_PAIR: integer[0] = integer[1] = strtoll(text, NULL, 10); break;
    case RUN_OPTION_STRINGS:
    case RUN_OPTION_FLOATS:
    case RUN_OPTION_SHAPE:
    case RUN_OPTION_LAYERS: break; /* have no default */
    }
}
