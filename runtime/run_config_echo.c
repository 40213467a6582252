/* The configuration in force as JSON, and the digest of the part of it that shapes the mathematics. */
#include "run_config_option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static json_t *echo_group(const run_option_group *group, const void *fields, int digest);

/* The double with the fewest digits that is this float: 0.1, not 0.10000000149. */
static json_t *echo_float(float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *echo_strings(const char *const *list)
{
    if (!list)
        return json_null();
    json_t *array = json_array();
    for (; *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

static json_t *echo_floats(const float *list, int count)
{
    if (!list)
        return json_null();
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, echo_float(list[i]));
    return array;
}

static json_t *echo_shape(const base_shape *shape)
{
    if (shape->flat)
        return json_pack("[I]", (json_int_t)shape->c);
    return json_pack("[III]", (json_int_t)shape->c, (json_int_t)shape->h, (json_int_t)shape->w);
}

static json_t *echo_layers(const run_config_model *model, int digest)
{
    json_t *array = json_array();
    for (int i = 0; i < model->layer_count; i++)
        json_array_append_new(array, echo_group(&run_option_layer, &model->layers[i], digest));
    return array;
}

static json_t *echo_string(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *echo_option(const run_option *option, const void *fields, int digest)
{
    const char *field = (const char *)fields + option->offset;
    int index;
    switch (option->type) {
    case RUN_OPTION_INT: return json_integer(*(const int64_t *)field);
    case RUN_OPTION_FLOAT: return echo_float(*(const float *)field);
    case RUN_OPTION_DOUBLE: return json_real(*(const double *)field);
    case RUN_OPTION_BOOL: return json_boolean(*(const int *)field);
    case RUN_OPTION_ENUM: memcpy(&index, field, sizeof index); return json_string(option->words[index]);
    case RUN_OPTION_WORD:
    case RUN_OPTION_STRING: return echo_string(*(const char *const *)field);
    case RUN_OPTION_STRINGS: return echo_strings(*(const char *const *const *)field);
    case RUN_OPTION_FLOATS:
        memcpy(&index, (const char *)fields + option->count_offset, sizeof index);
        return echo_floats(*(const float *const *)field, index);
    case RUN_OPTION_PAIR:
        return json_pack("[II]", (json_int_t)((const int64_t *)field)[0], (json_int_t)((const int64_t *)field)[1]);
    case RUN_OPTION_SHAPE: return echo_shape((const base_shape *)field);
    case RUN_OPTION_LAYERS: return echo_layers(fields, digest);
    }
    return NULL;
}

/* With `digest`, only what shapes the mathematics. NULL when memory is short. */
static json_t *echo_group(const run_option_group *group, const void *fields, int digest)
{
    int variant = run_option_variant(group, fields), failed = 0;
    json_t *object = json_object();
    for (const run_option *o = group->options; o->key; o++)
        if (run_option_applies(o, variant) && !(digest && o->execution))
            failed |= json_object_set_new(object, o->key, echo_option(o, fields, digest));
    for (const run_option_group *const *g = group->children; g && *g; g++)
        if (!(digest && (*g)->execution))
            failed |=
                json_object_set_new(object, (*g)->name, echo_group(*g, (const char *)fields + (*g)->offset, digest));
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

base_status run_config_echo(run_config *self)
{
    self->echo = echo_group(&run_option_root, self, 0);
    json_t *shaping = echo_group(&run_option_root, self, 1);
    char *text = shaping ? json_dumps(shaping, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(shaping);
    if (!self->echo || !text) {
        free(text);
        return BASE_FAIL(BASE_ERROR, "out of memory for the echo of the configuration");
    }
    snprintf(self->digest, sizeof self->digest, "%016llx", (unsigned long long)XXH64(text, strlen(text), 0));
    free(text);
    return BASE_OK;
}
