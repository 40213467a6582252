/* Checks that need more than one key. */
#include "run_config_option.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 48, WINDOW_MAX = 255 /* ops.h: a winner's place is a byte */ };

typedef struct checker {
    const run_config_source *source;
    const run_config *config;
    const config_setting_t *root;
} checker;

/* The setting at a path of keys that was parsed, or NULL where it was left to its default. */
static const config_setting_t *find(const checker *self, const char *group, const char *below)
{
    const config_setting_t *at = config_setting_get_member(self->root, group);
    return at && below ? config_setting_get_member(at, below) : at;
}

static const config_setting_t *find_layer(const checker *self, int index)
{
    return config_setting_get_elem(find(self, "model", "layers"), (unsigned)index);
}

static int count_strings(const char *const *list)
{
    int n = 0;
    while (list && list[n])
        n++;
    return n;
}

static base_status check_data(const checker *self)
{
    const run_config_data *data = &self->config->data;
    const config_setting_t *setting = find(self, "data", NULL);
    if (data->format == RUN_DATA_MNIST) {
        if (data->train_files && count_strings(data->train_files) != 2)
            return run_config_fail(self->source, setting, "train_files", "must be two, images and labels");
        if (data->test_files && count_strings(data->test_files) != 2)
            return run_config_fail(self->source, setting, "test_files", "must be two, images and labels");
    }
    if (!data->mean != !data->deviation)
        return run_config_fail(self->source, setting, data->mean ? "deviation" : "mean", "missing, while %s is given",
                               data->mean ? "mean" : "deviation");
    int64_t channels = self->config->model.input.c;
    if (data->mean && data->channels_given != 1 && data->channels_given != channels)
        return run_config_fail(self->source, setting, "mean", "must be one number, or one for each of %lld channels",
                               (long long)channels);
    return BASE_OK;
}

static base_status check_name(const checker *self, int index)
{
    const char *name = self->config->model.layers[index].name;
    const config_setting_t *setting = find_layer(self, index);
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i]))
            return run_config_fail(self->source, setting, "name", "must be made of letters, digits, '_', '-' and '.'");
    if (n > NAME_MAX_BYTES)
        return run_config_fail(self->source, setting, "name", "must have at most %d characters", (int)NAME_MAX_BYTES);
    if (!strcmp(name, "input"))
        return run_config_fail(self->source, setting, "name", "stands for the model's input; choose another");
    return BASE_OK;
}

/* A layer's name and place; sorted by name for look-ups. */
typedef struct named {
    const char *name;
    int index;
} named;

static int compare_names(const void *a, const void *b)
{
    const named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->index - y->index;
}

static int compare_name(const void *name, const void *entry)
{
    return strcmp(name, ((const named *)entry)->name);
}

static base_status check_unique(const checker *self, const named *names)
{
    const run_config_model *model = &self->config->model;
    for (int i = 1; i < model->layer_count; i++) {
        if (strcmp(names[i - 1].name, names[i].name) != 0)
            continue;
        const config_setting_t *later = find_layer(self, names[i].index);
        int given = config_setting_get_member(later, "name") != NULL;
        return run_config_fail(
            self->source, later, "name", "layers %d and %d of the list are both '%s'%s; give one another name",
            names[i - 1].index, names[i].index, names[i].name, given ? "" : " (this one by its type)");
    }
    return BASE_OK;
}

static base_status check_inputs(const checker *self, int index, const named *names, const char *const *candidates)
{
    const run_config_model *model = &self->config->model;
    const run_config_layer *layer = &model->layers[index];
    const config_setting_t *setting = find_layer(self, index);
    int joins = layer->type == RUN_LAYER_ADD || layer->type == RUN_LAYER_CONCAT, count = count_strings(layer->inputs);
    if (joins && count < 2)
        return run_config_fail(self->source, setting, "inputs", "%s needs the names of at least two layers",
                               run_layer_type_name(layer->type));
    if (!joins && count > 1)
        return run_config_fail(self->source, setting, "inputs", "%s takes one input; add and concat take several",
                               run_layer_type_name(layer->type));
    for (int i = 0; i < count; i++) {
        const char *name = layer->inputs[i];
        if (!strcmp(name, "input") || bsearch(name, names, (size_t)model->layer_count, sizeof *names, compare_name))
            continue;
        const char *nearest = run_config_nearest(name, candidates);
        return run_config_fail(self->source, setting, "inputs", "no layer is called '%.64s'%s%s%s", name,
                               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    return BASE_OK;
}

static base_status check_window(const checker *self, int index)
{
    const run_config_layer *layer = &self->config->model.layers[index];
    const config_setting_t *setting = find_layer(self, index);
    int max = layer->type == RUN_LAYER_MAX_POOL2D;
    if (!max && layer->type != RUN_LAYER_AVG_POOL2D)
        return BASE_OK;
    if (layer->padding[0] >= layer->kernel[0] || layer->padding[1] >= layer->kernel[1])
        return run_config_fail(self->source, setting, "padding", "must be smaller than the kernel");
    if (max && layer->kernel[0] * layer->kernel[1] > WINDOW_MAX)
        return run_config_fail(self->source, setting, "kernel", "a window of max_pool2d has at most %d pixels",
                               (int)WINDOW_MAX);
    return BASE_OK;
}

static base_status check_layers(const checker *self)
{
    const run_config_model *model = &self->config->model;
    size_t count = (size_t)model->layer_count;
    named *names = BASE_NEW_ARRAY(self->source->arena, named, count);
    const char **candidates = BASE_NEW_ARRAY(self->source->arena, const char *, count + 2);
    if (!names || !candidates)
        return BASE_ERROR;
    candidates[count] = "input";
    for (int i = 0; i < model->layer_count; i++) {
        names[i] = (named){model->layers[i].name, i};
        candidates[i] = model->layers[i].name;
        BASE_TRY(check_name(self, i));
    }
    qsort(names, count, sizeof *names, compare_names);
    BASE_TRY(check_unique(self, names));
    for (int i = 0; i < model->layer_count; i++) {
        BASE_TRY(check_inputs(self, i, names, candidates));
        BASE_TRY(check_window(self, i));
    }
    return BASE_OK;
}

static base_status check_train(const checker *self)
{
    const run_config_train *train = &self->config->train;
    const config_setting_t *setting = find(self, "train", NULL);
    if ((train->comm == RUN_COMM_NCCL || train->comm == RUN_COMM_STAGED) && train->device == RUN_DEVICE_CPU)
        return run_config_fail(self->source, setting, "comm", "needs train.device = \"gpu\" or \"auto\"");
    if (train->stall_timeout > 0.0 && train->stall_timeout < 0.1)
        return run_config_fail(self->source, setting, "stall_timeout", "must be at least 0.1 s, or 0 for no bound");
    const run_config_optimizer *optimizer = &train->optimizer;
    setting = find(self, "train", "optimizer");
    if (optimizer->nesterov && optimizer->momentum <= 0)
        return run_config_fail(self->source, setting, "nesterov", "needs a momentum above 0");
    if (optimizer->schedule.type == RUN_SCHEDULE_COSINE && optimizer->schedule.min_lr > (double)optimizer->lr)
        return run_config_fail(self->source, config_setting_get_member(setting, "schedule"), "min_lr",
                               "must be at most lr, which is %g", (double)optimizer->lr);
    return BASE_OK;
}

base_status run_config_check(const run_config_source *source, const run_config *config, const config_setting_t *root)
{
    const checker self = {source, config, root};
    BASE_TRY(check_data(&self));
    BASE_TRY(check_layers(&self));
    BASE_TRY(check_train(&self));
    return BASE_OK;
}
