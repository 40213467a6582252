#include "run_config_diff.h"
#include "run_config_option.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 80 }; /* characters of a value */

typedef struct diff {
    int shaping_only;
    const char *left, *right; /* "there", "here" */
    base_arena *arena;
    const char **lines;
    int count, room;
} diff;

/* ---- lines ---- */

static base_status add_line(diff *self, char *line)
{
    if (!line)
        return BASE_ERROR;
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    if (self->count == self->room) {
        int room = self->room ? 2 * self->room : 16;
        const char **lines = BASE_NEW_ARRAY(self->arena, const char *, room);
        if (!lines)
            return BASE_ERROR;
        if (self->count)
            memcpy(lines, self->lines, (size_t)self->count * sizeof *lines);
        self->lines = lines;
        self->room = room;
    }
    self->lines[self->count++] = line;
    return BASE_OK;
}

/* As in a configuration, with the precision of a dumped echo, so that a number equals itself read from a manifest. */
static char *value_text(diff *self, const json_t *value)
{
    if (json_is_null(value))
        return base_arena_string(self->arena, "none");
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    char *text = dump ? base_arena_string(self->arena, dump) : NULL;
    if (!dump)
        (void)BASE_FAIL(BASE_ERROR, "out of memory for the differences of two configurations");
    free(dump);
    return text;
}

static const char *shown(diff *self, const char *text)
{
    return strlen(text) <= TEXT_MAX ? text : base_arena_format(self->arena, "%.*s...", TEXT_MAX - 3, text);
}

static base_status compare_values(diff *self, const char *path, const json_t *there, const json_t *here)
{
    const char *a = value_text(self, there), *b = value_text(self, here);
    if (!a || !b)
        return BASE_ERROR;
    if (strcmp(a, b) == 0)
        return BASE_OK;
    a = shown(self, a);
    b = shown(self, b);
    if (!a || !b)
        return BASE_ERROR;
    return add_line(self, base_arena_format(self->arena, "%s = %s %s, %s %s", path, a, self->left, b, self->right));
}

/* A key that one of the two does not have. */
static base_status add_only(diff *self, const char *path, const char *where, const json_t *value)
{
    if (json_is_object(value) || json_is_array(value))
        return add_line(self, base_arena_format(self->arena, "%s only %s", path, where));
    char *text = value_text(self, value);
    const char *short_text = text ? shown(self, text) : NULL;
    if (!short_text)
        return BASE_ERROR;
    return add_line(self, base_arena_format(self->arena, "%s only %s (%s)", path, where, short_text));
}

/* ---- groups ---- */

static base_status compare_groups(diff *self, const run_option_group *group, const char *path, const json_t *there,
                                  const json_t *here);
static base_status compare_layers(diff *self, const char *path, const json_t *there, const json_t *here);

static const run_option *find_option(const run_option_group *group, const char *key)
{
    for (const run_option *o = group ? group->options : NULL; o && o->key; o++)
        if (strcmp(o->key, key) == 0)
            return o;
    return NULL;
}

static const run_option_group *find_child(const run_option_group *group, const char *key)
{
    for (const run_option_group *const *g = group ? group->children : NULL; g && *g; g++)
        if (strcmp((*g)->name, key) == 0)
            return *g;
    return NULL;
}

static int is_left_out(const diff *self, const run_option_group *group, const char *key)
{
    const run_option *option = find_option(group, key);
    const run_option_group *child = find_child(group, key);
    return self->shaping_only && ((option && option->execution) || (child && child->execution));
}

/* The word that selects the group's variant; NULL where there is none. */
static const char *variant_of(const run_option_group *group, const json_t *object)
{
    return group && group->variants ? json_string_value(json_object_get(object, group->options[0].key)) : NULL;
}

static int same_variant(const run_option_group *group, const json_t *there, const json_t *here)
{
    const char *a = variant_of(group, there), *b = variant_of(group, here);
    return !a || !b || strcmp(a, b) == 0;
}

static base_status compare_key(diff *self, const run_option_group *group, const char *path, const char *key,
                               const json_t *there, const json_t *here)
{
    const run_option *option = find_option(group, key);
    char *full = base_arena_format(self->arena, "%s%s%s", path, *path ? "." : "", key);
    if (!full)
        return BASE_ERROR;
    if (!there || !here)
        return add_only(self, full, there ? self->left : self->right, there ? there : here);
    if (json_is_object(there) && json_is_object(here))
        return compare_groups(self, find_child(group, key), full, there, here);
    if (option && option->type == RUN_OPTION_LAYERS && json_is_array(there) && json_is_array(here))
        return compare_layers(self, full, there, here);
    return compare_values(self, full, there, here);
}

/* `group` is NULL for one that this version does not know. */
static base_status compare_groups(diff *self, const run_option_group *group, const char *path, const json_t *there,
                                  const json_t *here)
{
    int same = same_variant(group, there, here);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)here, key, value)
    {
        const json_t *other = json_object_get(there, key);
        if ((other || same) && !is_left_out(self, group, key))
            BASE_TRY(compare_key(self, group, path, key, other, value));
    }
    json_object_foreach((json_t *)there, key, value)
    {
        if (same && !json_object_get(here, key) && !is_left_out(self, group, key))
            BASE_TRY(compare_key(self, group, path, key, value, NULL));
    }
    return BASE_OK;
}

/* ---- layers ---- */

/* A configuration's text has a string here; "" for what some other text has. */
static const char *word_of(const json_t *layer, const char *key)
{
    const char *word = json_string_value(json_object_get(layer, key));
    return word ? word : "";
}

/* Does a layer of this one's name come in `list` from entry `from` on? */
static int comes_later(const json_t *layer, const json_t *list, size_t from)
{
    for (size_t i = from; i < json_array_size(list); i++)
        if (strcmp(word_of(json_array_get(list, i), "name"), word_of(layer, "name")) == 0)
            return 1;
    return 0;
}

static base_status add_layer(diff *self, const char *path, size_t index, const char *where, const json_t *layer)
{
    return add_line(self, base_arena_format(self->arena, "%s.%zu only %s (%s \"%s\")", path, index, where,
                                            word_of(layer, "type"), word_of(layer, "name")));
}

static base_status compare_layer(diff *self, const char *path, size_t index, const json_t *there, const json_t *here)
{
    char *full = base_arena_format(self->arena, "%s.%zu", path, index);
    if (!full)
        return BASE_ERROR;
    if (!json_is_object(there) || !json_is_object(here))
        return compare_values(self, full, there, here);
    if (!same_variant(&run_option_layer, there, here))
        return add_line(self,
                        base_arena_format(self->arena, "%s.type = \"%s\" %s, \"%s\" %s", full, word_of(there, "type"),
                                          self->left, word_of(here, "type"), self->right));
    return compare_groups(self, &run_option_layer, full, there, here);
}

/* A layer that was put in or taken out is one line, and those behind it are compared with themselves. */
static base_status compare_layers(diff *self, const char *path, const json_t *there, const json_t *here)
{
    size_t a = 0, b = 0;
    while (a < json_array_size(there) && b < json_array_size(here)) {
        const json_t *left = json_array_get(there, a), *right = json_array_get(here, b);
        int left_stays = comes_later(left, here, b), right_stays = comes_later(right, there, a);
        if (left_stays && !right_stays) {
            BASE_TRY(add_layer(self, path, b++, self->right, right));
        } else if (right_stays && !left_stays) {
            BASE_TRY(add_layer(self, path, a++, self->left, left));
        } else {
            BASE_TRY(compare_layer(self, path, b, left, right));
            a++;
            b++;
        }
    }
    for (; a < json_array_size(there); a++)
        BASE_TRY(add_layer(self, path, a, self->left, json_array_get(there, a)));
    for (; b < json_array_size(here); b++)
        BASE_TRY(add_layer(self, path, b, self->right, json_array_get(here, b)));
    return BASE_OK;
}

/* NULL with a recorded failure where the text is no JSON object. */
static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    if (json_is_object(root))
        return root;
    (void)BASE_FAIL(BASE_CKPT, "the checkpoint's configuration is not one: it is no JSON%s", root ? " object" : "");
    json_decref(root);
    return NULL;
}

static base_status compare_roots(diff *self, const json_t *there, const json_t *here, const char *const **lines,
                                 int *count)
{
    base_status status = compare_groups(self, &run_option_root, "", there, here);
    *lines = self->lines;
    *count = self->count;
    return status;
}

base_status run_config_diff(const char *there, const json_t *here, int shaping_only, base_arena *arena,
                            const char *const **lines, int *count)
{
    diff self = {.shaping_only = shaping_only, .left = "there", .right = "here", .arena = arena};
    json_t *root = parse(there);
    base_status status = root ? compare_roots(&self, root, here, lines, count) : BASE_CKPT;
    json_decref(root);
    return status;
}

base_status run_config_diff_texts(const char *there, const char *here, const char *left, const char *right,
                                  base_arena *arena, const char *const **lines, int *count)
{
    diff self = {.left = left, .right = right, .arena = arena};
    json_t *a = parse(there), *b = a ? parse(here) : NULL;
    base_status status = a && b ? compare_roots(&self, a, b, lines, count) : BASE_CKPT;
    json_decref(a);
    json_decref(b);
    return status;
}
