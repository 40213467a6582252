/* From text to a run_config: read the tree, apply --set, walk the option table over it. */
#include "run_config_option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 16 << 20, LAYERS_MAX = 10000 };

int run_option_variant(const run_option_group *group, const void *fields)
{
    int variant = 0;
    if (group->variants)
        memcpy(&variant, (const char *)fields + group->options[0].offset, sizeof variant);
    return variant;
}

static const run_option *find_option(const run_option_group *group, int variant, const char *key)
{
    for (const run_option *o = group->options; o->key; o++)
        if (!strcmp(o->key, key) && run_option_applies(o, variant))
            return o;
    return NULL;
}

static const run_option_group *find_child(const run_option_group *group, const char *key)
{
    for (const run_option_group *const *g = group->children; g && *g; g++)
        if (!strcmp((*g)->name, key))
            return *g;
    return NULL;
}

static base_status check_keys(const run_config_source *source, const run_option_group *group, int variant,
                              const config_setting_t *setting)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        const char *key = config_setting_name(config_setting_get_elem(setting, (unsigned)i));
        if (!find_option(group, variant, key) && !find_child(group, key))
            return run_config_fail_unknown(source, group, variant, setting, key);
    }
    return BASE_OK;
}

static base_status parse_layers(const run_config_source *source, const run_option *option, const config_setting_t *list,
                                run_config_model *model);

/* `setting`: the group above, or NULL where it is not there. `given`: NULL where the key is not. */
static base_status parse_option(const run_config_source *source, const run_option_group *group,
                                const run_option *option, const config_setting_t *setting, void *fields)
{
    const config_setting_t *given = setting ? config_setting_get_member(setting, option->key) : NULL;
    if (given && option->type == RUN_OPTION_LAYERS)
        return parse_layers(source, option, given, fields);
    if (given)
        return run_option_store(source, option, given, fields);
    if (option->required) {
        char wants[512];
        run_option_wants(option, wants, sizeof wants);
        if (setting)
            return run_config_fail(source, setting, option->key, "missing; must be %s", wants);
        return run_config_fail(source, NULL, NULL, "%s.%s: missing; must be %s", group->path, option->key, wants);
    }
    run_option_store_initial(option, fields);
    return BASE_OK;
}

static base_status parse_group(const run_config_source *source, const run_option_group *group,
                               const config_setting_t *setting, char *fields)
{
    if (setting && !config_setting_is_group(setting))
        return run_config_fail(source, setting, NULL, "must be a group, as in { key = value; }");
    const run_option *option = group->options;
    if (group->variants)
        BASE_TRY(parse_option(source, group, option++, setting, fields));
    int variant = run_option_variant(group, fields);
    if (setting)
        BASE_TRY(check_keys(source, group, variant, setting));
    for (; option->key; option++)
        if (run_option_applies(option, variant))
            BASE_TRY(parse_option(source, group, option, setting, fields));
    for (const run_option_group *const *g = group->children; g && *g; g++) {
        const config_setting_t *given = setting ? config_setting_get_member(setting, (*g)->name) : NULL;
        BASE_TRY(parse_group(source, *g, given, fields + (*g)->offset));
    }
    return BASE_OK;
}

/* What depends on the other layers or keys: the name, and the stride of a pool. */
static base_status complete_layer(const run_config_source *source, run_config_layer *layer, int nth)
{
    if (!layer->name)
        layer->name = base_arena_format(source->arena, "%s%d", run_layer_type_name(layer->type), nth);
    for (int i = 0; i < 2; i++)
        if (!layer->stride[i])
            layer->stride[i] = layer->kernel[i];
    return layer->name ? BASE_OK : BASE_ERROR;
}

static base_status parse_layers(const run_config_source *source, const run_option *option, const config_setting_t *list,
                                run_config_model *model)
{
    if (!config_setting_is_list(list))
        return run_option_store(source, option, list, model);
    int count = config_setting_length(list), seen[RUN_LAYER_TYPE_COUNT] = {0};
    if (count < 1 || count > LAYERS_MAX)
        return run_config_fail(source, list, NULL, "has %d layers; must have from 1 to %d", count, (int)LAYERS_MAX);
    run_config_layer *layers = BASE_NEW_ARRAY(source->arena, run_config_layer, count);
    if (!layers)
        return BASE_ERROR;
    for (int i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(list, (unsigned)i);
        BASE_TRY(parse_group(source, &run_option_layer, setting, (char *)&layers[i]));
        layers[i].line = config_setting_get_hook(setting) ? 0 : (int)config_setting_source_line(setting);
        BASE_TRY(complete_layer(source, &layers[i], ++seen[layers[i].type]));
    }
    model->layers = layers;
    model->layer_count = count;
    return BASE_OK;
}

/* "examples/mnist.cfg" -> "mnist" */
static const char *name_of(base_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    int n = (int)(dot && dot > base ? (size_t)(dot - base) : strlen(base));
    return n ? base_arena_format(arena, "%.*s", n, base) : "ddpt";
}

static base_status parse_tree(const run_config_source *source, const char *text, int set_count, const char *const *sets,
                              config_t *tree, run_config *self)
{
    BASE_TRY(run_config_text_read(source, text, tree));
    for (int i = 0; i < set_count; i++)
        BASE_TRY(run_config_set(source, sets[i], tree));
    const config_setting_t *root = config_root_setting(tree);
    BASE_TRY(parse_group(source, &run_option_root, root, (char *)self));
    BASE_TRY(run_config_check(source, self, root));
    return run_config_echo(self);
}

base_status run_config_parse(const char *path, const char *text, int set_count, const char *const *sets,
                             run_config **self)
{
    base_arena *arena = NULL;
    *self = NULL;
    BASE_TRY(base_arena_create(&arena, "configuration"));
    run_config *config = BASE_NEW(arena, run_config);
    if (!config) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    config->arena = arena;
    config->path = base_arena_string(arena, path ? path : "");
    config->name = config->path ? name_of(arena, config->path) : NULL;
    config_t tree;
    config_init(&tree);
    const run_config_source source = {.path = config->path, .arena = arena};
    base_status status = config->name ? parse_tree(&source, text, set_count, sets, &tree, config) : BASE_ERROR;
    config_destroy(&tree);
    if (status == BASE_OK)
        *self = config;
    else
        run_config_destroy(&config);
    BASE_TRY(status);
    return BASE_OK;
}

/* The file's text, malloc'd. */
static base_status read_text(const char *path, FILE *file, char **text)
{
    size_t size = 0, room = 65536;
    char *buffer = NULL;
    for (;;) {
        char *larger = room <= FILE_MAX_BYTES ? realloc(buffer, room + 1) : NULL;
        if (!larger) {
            free(buffer);
            return room > FILE_MAX_BYTES ? BASE_FAIL(BASE_USAGE, "%s: too long for a configuration", path)
                                         : BASE_FAIL(BASE_ERROR, "%s: out of memory", path);
        }
        buffer = larger;
        size += fread(buffer + size, 1, room - size, file);
        if (size < room)
            break;
        room *= 2;
    }
    buffer[size] = '\0';
    *text = buffer;
    if (ferror(file))
        return BASE_FAIL_ERRNO(BASE_USAGE, errno, "%s: cannot be read", path);
    if (strlen(buffer) != size)
        return BASE_FAIL(BASE_USAGE, "%s: is not a text file: it holds a zero byte at %zu", path, strlen(buffer));
    return BASE_OK;
}

base_status run_config_read(const char *path, int set_count, const char *const *sets, run_config **self)
{
    *self = NULL;
    FILE *file = fopen(path, "r");
    if (!file)
        return BASE_FAIL_ERRNO(BASE_USAGE, errno, "%s: cannot be opened", path);
    char *text = NULL;
    base_status status = read_text(path, file, &text);
    fclose(file);
    if (status == BASE_OK)
        status = run_config_parse(path, text, set_count, sets, self);
    free(text);
    BASE_TRY(status);
    return BASE_OK;
}

void run_config_destroy(run_config **self)
{
    if (!*self)
        return;
    json_decref((*self)->echo);
    base_arena *arena = (*self)->arena;
    base_arena_destroy(&arena);
    *self = NULL;
}

const char *run_config_where(const run_config *self, int index, char *text)
{
    enum { TEXT_BYTES = 512 };
    const run_config_layer *layer = &self->model.layers[index];
    const char *path = *self->path ? self->path : "configuration";
    if (layer->line)
        snprintf(text, TEXT_BYTES, "%.400s:%d: layer %.64s", path, layer->line, layer->name);
    else
        snprintf(text, TEXT_BYTES, "%.400s, --set: layer %.64s", path, layer->name);
    return text;
}
