#include "checkpoint.h"

#include "base_json.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

/* ---- text ---- */

/* Samples of the epoch that the position has behind it: the last batch may be short. */
static double epoch_samples_done(const ckpt_position *p)
{
    double samples = (double)p->step_in_epoch * (double)p->global_batch;
    return samples < (double)p->epoch_samples ? samples : (double)p->epoch_samples;
}

static void print_position(const ckpt_position *p)
{
    char last[CHECKPOINT_TEXT_BYTES], mean[CHECKPOINT_TEXT_BYTES];
    double samples = epoch_samples_done(p);
    printf("position       step %" PRId64 "; epoch %" PRId64 ", step %" PRId64 " of %" PRId64 " in it\n", p->step,
           checkpoint_epoch(p), p->step_in_epoch, p->steps_per_epoch);
    printf("batch          %" PRId64 " samples of %" PRId64 "\n", p->global_batch, p->epoch_samples);
    printf("loss           %s of the step", checkpoint_loss_text(p->loss, last));
    if (samples > 0.0)
        printf(", %s of the epoch so far, accuracy %.2f %%", checkpoint_loss_text(p->epoch_loss_sum / samples, mean),
               100.0 * p->epoch_correct_sum / samples);
    putchar('\n');
}

static void print_optimizer(const ckpt_manifest *manifest)
{
    char value[CHECKPOINT_TEXT_BYTES];
    printf("optimizer      %s", manifest->optimizer);
    for (int i = 0; i < manifest->scalar_count; i++)
        printf("%s%s %s", i ? ", " : ": ", manifest->scalars[i].name,
               checkpoint_number_text(manifest->scalars[i].value, value));
    putchar('\n');
}

static base_status print_tensors(const ckpt_manifest *manifest, base_arena *arena)
{
    int count = manifest->tensor_count, name_width = (int)strlen("tensor"), shape_width = (int)strlen("shape");
    const char **shapes = BASE_NEW_ARRAY(arena, const char *, count);
    if (!shapes)
        return BASE_ERROR;
    for (int i = 0; i < count; i++) {
        shapes[i] = checkpoint_shape_text(&manifest->tensors[i], arena);
        if (!shapes[i])
            return BASE_ERROR;
        int name = (int)strlen(manifest->tensors[i].name), shape = (int)strlen(shapes[i]);
        name_width = name > name_width ? name : name_width;
        shape_width = shape > shape_width ? shape : shape_width;
    }
    printf("\n%-*s  %-17s  %-*s  %-5s  %10s  %6s\n", name_width, "tensor", "role", shape_width, "shape", "dtype",
           "bytes", "pieces");
    for (int i = 0; i < count; i++) {
        const ckpt_tensor *t = &manifest->tensors[i];
        printf("%-*s  %-17s  %-*s  %-5s  %10" PRIu64 "  %6d\n", name_width, t->name, ckpt_role_name(t->role),
               shape_width, shapes[i], ckpt_dtype_name(t->dtype), t->elements * ckpt_dtype_size(t->dtype),
               t->piece_count);
    }
    return BASE_OK;
}

static base_status print_text(const ckpt_reader *reader, base_arena *arena)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    char date[CHECKPOINT_TEXT_BYTES], age[CHECKPOINT_TEXT_BYTES], size[CHECKPOINT_TEXT_BYTES];
    printf("checkpoint     %s\n", ckpt_reader_path(reader));
    printf("saved          %s (%s ago) by ddpt %s on %d rank%s\n", checkpoint_date_text(manifest->saved_at, date),
           checkpoint_age_text(manifest->saved_at, age), manifest->ddpt_version, manifest->world_size,
           manifest->world_size == 1 ? "" : "s");
    print_position(&manifest->position);
    printf("seed           %" PRIu64 "\n", manifest->seed);
    print_optimizer(manifest);
    printf("digests        configuration %s, graph %s, data %s\n", manifest->config_digest, manifest->graph_digest,
           manifest->data_digest[0] ? manifest->data_digest : "not known");
    printf("state          %s in %d shard%s, %d tensor%s\n",
           checkpoint_bytes_text(checkpoint_shard_bytes(manifest), size), manifest->shard_count,
           manifest->shard_count == 1 ? "" : "s", manifest->tensor_count, manifest->tensor_count == 1 ? "" : "s");
    return print_tensors(manifest, arena);
}

/* ---- JSON ---- */

static json_t *position_json(const ckpt_position *p)
{
    json_t *json = json_object();
    json_object_set_new(json, "step", json_integer(p->step));
    json_object_set_new(json, "epoch", json_integer(checkpoint_epoch(p)));
    json_object_set_new(json, "step_in_epoch", json_integer(p->step_in_epoch));
    json_object_set_new(json, "steps_per_epoch", json_integer(p->steps_per_epoch));
    json_object_set_new(json, "global_batch", json_integer(p->global_batch));
    json_object_set_new(json, "epoch_samples", json_integer(p->epoch_samples));
    json_object_set_new(json, "loss", checkpoint_json_number(p->loss));
    json_object_set_new(json, "epoch_loss_sum", checkpoint_json_number(p->epoch_loss_sum));
    json_object_set_new(json, "epoch_correct_sum", checkpoint_json_number(p->epoch_correct_sum));
    return json;
}

static json_t *optimizer_json(const ckpt_manifest *manifest)
{
    json_t *json = json_object(), *scalars = json_array();
    for (int i = 0; i < manifest->scalar_count; i++) {
        json_t *scalar = json_object();
        json_object_set_new(scalar, "name", base_json_text(manifest->scalars[i].name));
        json_object_set_new(scalar, "value", checkpoint_json_number(manifest->scalars[i].value));
        json_array_append_new(scalars, scalar);
    }
    json_object_set_new(json, "type", base_json_text(manifest->optimizer));
    json_object_set_new(json, "scalars", scalars);
    return json;
}

static json_t *tensor_json(const ckpt_tensor *tensor)
{
    uint64_t nbytes = tensor->elements * ckpt_dtype_size(tensor->dtype);
    json_t *json = json_object(), *shape = json_array();
    for (int i = 0; i < tensor->dim_count; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->dims[i]));
    json_object_set_new(json, "name", base_json_text(tensor->name));
    json_object_set_new(json, "role", json_string(ckpt_role_name(tensor->role)));
    json_object_set_new(json, "shape", shape);
    json_object_set_new(json, "dtype", json_string(ckpt_dtype_name(tensor->dtype)));
    json_object_set_new(json, "bytes", json_integer((json_int_t)nbytes));
    json_object_set_new(json, "pieces", json_integer(tensor->piece_count));
    return json;
}

static base_status print_json(const ckpt_reader *reader)
{
    const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
    char date[CHECKPOINT_TEXT_BYTES];
    json_error_t error;
    json_t *json = json_object(), *shards = json_array(), *tensors = json_array();
    json_t *config = json_loads(manifest->config_json, 0, &error);
    for (int i = 0; i < manifest->shard_count; i++)
        json_array_append_new(shards, json_integer((json_int_t)manifest->shard_bytes[i]));
    for (int i = 0; i < manifest->tensor_count; i++)
        json_array_append_new(tensors, tensor_json(&manifest->tensors[i]));
    json_object_set_new(json, "schema", json_string("ddpt.ckpt.show.v1"));
    json_object_set_new(json, "path", base_json_text(ckpt_reader_path(reader)));
    json_object_set_new(json, "format_version", json_integer(CKPT_FORMAT_VERSION));
    json_object_set_new(json, "ddpt_version", base_json_text(manifest->ddpt_version));
    json_object_set_new(json, "saved_at", json_string(checkpoint_date_text(manifest->saved_at, date)));
    json_object_set_new(json, "world_size", json_integer(manifest->world_size));
    json_object_set_new(json, "position", position_json(&manifest->position));
    json_object_set_new(json, "seed", json_integer((json_int_t)manifest->seed));
    json_object_set_new(json, "optimizer", optimizer_json(manifest));
    json_object_set_new(json, "config_digest", base_json_text(manifest->config_digest));
    json_object_set_new(json, "graph_digest", base_json_text(manifest->graph_digest));
    json_object_set_new(json, "data_digest", base_json_text(manifest->data_digest));
    json_object_set_new(json, "shard_bytes", shards);
    json_object_set_new(json, "tensors", tensors);
    json_object_set_new(json, "config", config ? config : json_null());
    return command_print_json(json);
}

static base_status show(const char *path, const checkpoint_options *options, base_arena *arena)
{
    ckpt_reader *reader = NULL;
    base_status status = checkpoint_open_newest(path, arena, &reader);
    if (status == BASE_OK && options->config)
        status = checkpoint_print_config(ckpt_reader_manifest(reader)->config_json);
    else if (status == BASE_OK)
        status = options->json ? print_json(reader) : print_text(reader, arena);
    ckpt_reader_close(&reader);
    return status;
}

base_status checkpoint_show(int argc, char **argv)
{
    static const struct option known[] = {{"config", no_argument, NULL, CHECKPOINT_CONFIG},
                                          {"json", no_argument, NULL, CHECKPOINT_JSON},
                                          {"help", no_argument, NULL, CHECKPOINT_HELP},
                                          {NULL, 0, NULL, 0}};
    checkpoint_options options = {0};
    base_arena *arena = NULL;
    int first;
    BASE_TRY(checkpoint_parse(argc, argv, known, 1, 1, "one folder", &options, &first));
    if (options.help)
        return fputs(command_ckpt.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (options.config && options.json)
        return BASE_FAIL(BASE_USAGE, "ddpt ckpt show: --config and --json exclude each other (--json has the "
                                     "configuration too)");
    if (!command_speaks())
        return BASE_OK;
    base_status status = base_arena_create(&arena, "checkpoint to show");
    if (status == BASE_OK)
        status = show(argv[first], &options, arena);
    base_arena_destroy(&arena);
    return status;
}
