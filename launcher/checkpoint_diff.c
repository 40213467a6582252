#include "checkpoint.h"

#include "base_json.h"
#include "checkpoint_compare.h"
#include "run_config_diff.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

/* A tensor that is not the same in both. */
typedef struct unequal {
    const ckpt_tensor *tensor;
    const char *only;  /* "A" or "B": the other has none of that name; NULL: both have it */
    const char *forms; /* "parameter 8x3 f32 in A, parameter 8x4 f32 in B"; NULL: the same, elements were compared */
    checkpoint_difference difference;
} unequal;

typedef struct line_list {
    int count;
    const char *const *texts;
} line_list;

typedef struct comparison {
    base_arena *arena;
    ckpt_reader *readers[2];
    const ckpt_manifest *a, *b;
    line_list position, optimizer, config;
    int tensor_count; /* names in A or B */
    uint64_t elements;
    int unequal_count;
    unequal *unequals;
} comparison;

/* ---- what differs ---- */

static base_status compare_positions(comparison *self)
{
    const ckpt_position *a = &self->a->position, *b = &self->b->position;
    const struct {
        const char *name;
        int64_t a, b;
    } counts[] = {{"step", a->step, b->step},
                  {"epoch", checkpoint_epoch(a), checkpoint_epoch(b)},
                  {"step in the epoch", a->step_in_epoch, b->step_in_epoch},
                  {"steps of an epoch", a->steps_per_epoch, b->steps_per_epoch},
                  {"global batch", a->global_batch, b->global_batch},
                  {"samples of an epoch", a->epoch_samples, b->epoch_samples}};
    const struct {
        const char *name;
        double a, b;
    } sums[] = {{"loss", a->loss, b->loss},
                {"sum of the epoch's losses", a->epoch_loss_sum, b->epoch_loss_sum},
                {"correct in the epoch", a->epoch_correct_sum, b->epoch_correct_sum}};
    enum { COUNTS = sizeof counts / sizeof *counts, SUMS = sizeof sums / sizeof *sums };
    const char **texts = BASE_NEW_ARRAY(self->arena, const char *, COUNTS + SUMS);
    if (!texts)
        return BASE_ERROR;
    char left[CHECKPOINT_TEXT_BYTES], right[CHECKPOINT_TEXT_BYTES];
    int n = 0;
    for (int i = 0; i < COUNTS; i++)
        if (counts[i].a != counts[i].b)
            texts[n++] = base_arena_format(self->arena, "%s = %" PRId64 " in A, %" PRId64 " in B", counts[i].name,
                                           counts[i].a, counts[i].b);
    for (int i = 0; i < SUMS; i++)
        if (sums[i].a != sums[i].b)
            texts[n++] =
                base_arena_format(self->arena, "%s = %s in A, %s in B", sums[i].name,
                                  checkpoint_number_text(sums[i].a, left), checkpoint_number_text(sums[i].b, right));
    self->position = (line_list){n, texts};
    for (int i = 0; i < n; i++)
        if (!texts[i])
            return BASE_ERROR;
    return BASE_OK;
}

static const ckpt_scalar *find_scalar(const ckpt_manifest *manifest, const char *name)
{
    for (int i = 0; i < manifest->scalar_count; i++)
        if (strcmp(manifest->scalars[i].name, name) == 0)
            return &manifest->scalars[i];
    return NULL;
}

static const char *scalar_text(comparison *self, const ckpt_scalar *a, const ckpt_scalar *b)
{
    char left[CHECKPOINT_TEXT_BYTES], right[CHECKPOINT_TEXT_BYTES];
    const char *name = a ? a->name : b->name;
    if (a && b)
        return base_arena_format(self->arena, "%s = %s in A, %s in B", name, checkpoint_number_text(a->value, left),
                                 checkpoint_number_text(b->value, right));
    return base_arena_format(self->arena, "%s only in %s (%s)", name, a ? "A" : "B",
                             checkpoint_number_text(a ? a->value : b->value, left));
}

static base_status compare_optimizers(comparison *self)
{
    const ckpt_manifest *a = self->a, *b = self->b;
    const char **texts = BASE_NEW_ARRAY(self->arena, const char *, 1 + a->scalar_count + b->scalar_count);
    int n = 0;
    if (!texts)
        return BASE_ERROR;
    if (strcmp(a->optimizer, b->optimizer) != 0)
        texts[n++] = base_arena_format(self->arena, "type = %s in A, %s in B", a->optimizer, b->optimizer);
    for (int i = 0; i < a->scalar_count; i++) {
        const ckpt_scalar *other = find_scalar(b, a->scalars[i].name);
        if (!other || other->value != a->scalars[i].value)
            texts[n++] = scalar_text(self, &a->scalars[i], other);
    }
    for (int i = 0; i < b->scalar_count; i++)
        if (!find_scalar(a, b->scalars[i].name))
            texts[n++] = scalar_text(self, NULL, &b->scalars[i]);
    self->optimizer = (line_list){n, texts};
    for (int i = 0; i < n; i++)
        if (!texts[i])
            return BASE_ERROR;
    return BASE_OK;
}

static int same_form(const ckpt_tensor *a, const ckpt_tensor *b)
{
    return a->role == b->role && a->dtype == b->dtype && a->dim_count == b->dim_count &&
           memcmp(a->dims, b->dims, (size_t)a->dim_count * sizeof *a->dims) == 0;
}

static const char *forms_text(comparison *self, const ckpt_tensor *a, const ckpt_tensor *b)
{
    const char *left = checkpoint_shape_text(a, self->arena), *right = checkpoint_shape_text(b, self->arena);
    if (!left || !right)
        return NULL;
    return base_arena_format(self->arena, "%s %s %s in A, %s %s %s in B", ckpt_role_name(a->role), left,
                             ckpt_dtype_name(a->dtype), ckpt_role_name(b->role), right, ckpt_dtype_name(b->dtype));
}

static base_status compare_pair(comparison *self, base_worker *worker, const ckpt_tensor *a, const ckpt_tensor *b)
{
    unequal *entry = &self->unequals[self->unequal_count];
    *entry = (unequal){.tensor = a};
    if (!same_form(a, b)) {
        entry->forms = forms_text(self, a, b);
        self->unequal_count++;
        return entry->forms ? BASE_OK : BASE_ERROR;
    }
    BASE_TRY(checkpoint_compare(worker, self->readers[0], a, self->readers[1], b, &entry->difference));
    self->elements += a->elements;
    self->unequal_count += entry->difference.differing > 0;
    return BASE_OK;
}

static base_status compare_tensors(comparison *self, base_worker *worker)
{
    const ckpt_manifest *a = self->a, *b = self->b;
    self->unequals = BASE_NEW_ARRAY(self->arena, unequal, a->tensor_count + b->tensor_count + 1);
    if (!self->unequals)
        return BASE_ERROR;
    for (int i = 0; i < a->tensor_count; i++) {
        const ckpt_tensor *other = ckpt_manifest_find(b, a->tensors[i].name);
        if (other)
            BASE_TRY(compare_pair(self, worker, &a->tensors[i], other));
        else
            self->unequals[self->unequal_count++] = (unequal){.tensor = &a->tensors[i], .only = "A"};
    }
    self->tensor_count = a->tensor_count;
    for (int i = 0; i < b->tensor_count; i++)
        if (!ckpt_manifest_find(a, b->tensors[i].name)) {
            self->unequals[self->unequal_count++] = (unequal){.tensor = &b->tensors[i], .only = "B"};
            self->tensor_count++;
        }
    return BASE_OK;
}

static base_status compare(comparison *self, char **paths)
{
    base_worker *worker = NULL;
    for (int i = 0; i < 2; i++)
        BASE_TRY(checkpoint_open_newest(paths[i], self->arena, &self->readers[i]));
    self->a = ckpt_reader_manifest(self->readers[0]);
    self->b = ckpt_reader_manifest(self->readers[1]);
    BASE_TRY(compare_positions(self));
    BASE_TRY(compare_optimizers(self));
    BASE_TRY(run_config_diff_texts(self->a->config_json, self->b->config_json, "in A", "in B", self->arena,
                                   &self->config.texts, &self->config.count));
    BASE_TRY(base_worker_create(&worker));
    base_status status = compare_tensors(self, worker);
    base_worker_destroy(&worker);
    return status;
}

/* ---- text ---- */

static void print_lines(const char *title, const line_list *lines)
{
    if (lines->count)
        printf("\n%s\n", title);
    for (int i = 0; i < lines->count; i++)
        printf("  %s\n", lines->texts[i]);
}

static void print_unequals(const comparison *self)
{
    int width = (int)strlen("tensor"), compared = 0;
    for (int i = 0; i < self->unequal_count; i++) {
        int length = (int)strlen(self->unequals[i].tensor->name);
        width = length > width ? length : width;
        compared += !self->unequals[i].only && !self->unequals[i].forms;
    }
    if (self->unequal_count)
        printf("\n%-*s  ", width, "tensor");
    if (compared)
        printf("%12s  %12s  %s", "elements", "different", "max |A - B|");
    if (self->unequal_count)
        putchar('\n');
    for (int i = 0; i < self->unequal_count; i++) {
        const unequal *u = &self->unequals[i];
        printf("%-*s  ", width, u->tensor->name);
        if (u->only)
            printf("only in %s (%s)\n", u->only, ckpt_role_name(u->tensor->role));
        else if (u->forms)
            printf("%s\n", u->forms);
        else
            printf("%12" PRIu64 "  %12" PRIu64 "  %11.3e\n", u->tensor->elements, u->difference.differing,
                   u->difference.most);
    }
}

static void print_text(const comparison *self)
{
    printf("A  %s (step %" PRId64 ")\nB  %s (step %" PRId64 ")\n", ckpt_reader_path(self->readers[0]),
           self->a->position.step, ckpt_reader_path(self->readers[1]), self->b->position.step);
    print_lines("position", &self->position);
    print_lines("optimizer", &self->optimizer);
    print_lines("configuration", &self->config);
    print_unequals(self);
    if (self->unequal_count)
        printf("\n%d of %d tensors differ\n", self->unequal_count, self->tensor_count);
    else
        printf("\nall %d tensors are equal to the bit (%" PRIu64 " elements)\n", self->tensor_count, self->elements);
}

/* ---- JSON ---- */

static json_t *lines_json(const line_list *lines)
{
    json_t *json = json_array();
    for (int i = 0; i < lines->count; i++)
        json_array_append_new(json, base_json_text(lines->texts[i]));
    return json;
}

static json_t *unequal_json(const unequal *self)
{
    int compared = !self->only && !self->forms;
    json_t *json = json_object();
    json_object_set_new(json, "name", base_json_text(self->tensor->name));
    json_object_set_new(json, "role", json_string(ckpt_role_name(self->tensor->role)));
    json_object_set_new(json, "only_in", self->only ? json_string(self->only) : json_null());
    json_object_set_new(json, "forms", self->forms ? json_string(self->forms) : json_null());
    json_object_set_new(json, "elements", json_integer((json_int_t)self->tensor->elements));
    json_object_set_new(json, "differing",
                        compared ? json_integer((json_int_t)self->difference.differing) : json_null());
    json_object_set_new(json, "max_abs_difference",
                        compared ? checkpoint_json_number(self->difference.most) : json_null());
    return json;
}

static base_status print_json(const comparison *self)
{
    json_t *json = json_object(), *unequals = json_array();
    for (int i = 0; i < self->unequal_count; i++)
        json_array_append_new(unequals, unequal_json(&self->unequals[i]));
    json_object_set_new(json, "schema", json_string("ddpt.ckpt.diff.v1"));
    json_object_set_new(json, "a", base_json_text(ckpt_reader_path(self->readers[0])));
    json_object_set_new(json, "b", base_json_text(ckpt_reader_path(self->readers[1])));
    json_object_set_new(json, "tensors_equal", json_boolean(self->unequal_count == 0));
    json_object_set_new(json, "position", lines_json(&self->position));
    json_object_set_new(json, "optimizer", lines_json(&self->optimizer));
    json_object_set_new(json, "config", lines_json(&self->config));
    json_object_set_new(json, "tensors", json_integer(self->tensor_count));
    json_object_set_new(json, "tensors_that_differ", unequals);
    return command_print_json(json);
}

base_status checkpoint_diff(int argc, char **argv)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, CHECKPOINT_JSON}, {"help", no_argument, NULL, CHECKPOINT_HELP}, {NULL, 0, NULL, 0}};
    checkpoint_options options = {0};
    comparison self = {0};
    int first;
    BASE_TRY(checkpoint_parse(argc, argv, known, 2, 2, "two folders", &options, &first));
    if (options.help)
        return fputs(command_ckpt.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (!command_speaks())
        return BASE_OK;
    base_status status = base_arena_create(&self.arena, "comparison of checkpoints");
    if (status == BASE_OK)
        status = compare(&self, argv + first);
    if (status == BASE_OK && options.json)
        status = print_json(&self);
    else if (status == BASE_OK)
        print_text(&self);
    for (int i = 0; i < 2; i++)
        ckpt_reader_close(&self.readers[i]);
    base_arena_destroy(&self.arena);
    if (status != BASE_OK || self.unequal_count == 0)
        return status;
    base_status_clear(); /* all is said, and a difference is no error */
    return BASE_ERROR;
}
