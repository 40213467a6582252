#include "checkpoint.h"

#include "base_json.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>

/* What there is to say of one checkpoint. */
typedef struct row {
    const ckpt_entry *entry;
    int known; /* its manifest is sound: the fields up to world_size hold */
    ckpt_position position;
    int64_t saved_at;
    uint64_t nbytes;
    int world_size;
    const char *problem; /* NULL: none found */
} row;

/* A problem of the checkpoint goes into the row; only trouble of ours is a failure. */
static base_status look(row *self, int verify, base_arena *arena)
{
    ckpt_reader *reader = NULL;
    base_status status = ckpt_reader_open(self->entry->path, NULL, 0, &reader);
    if (status == BASE_OK) {
        const ckpt_manifest *manifest = ckpt_reader_manifest(reader);
        self->known = 1;
        self->position = manifest->position;
        self->saved_at = manifest->saved_at;
        self->nbytes = checkpoint_shard_bytes(manifest);
        self->world_size = manifest->world_size;
        status = verify ? ckpt_reader_verify(reader) : BASE_OK;
    }
    ckpt_reader_close(&reader);
    if (status != BASE_CKPT)
        return status;
    self->problem = base_arena_string(arena, base_status_message());
    return self->problem ? BASE_OK : BASE_ERROR;
}

static const char *verdict(const row *self, int verify)
{
    return self->problem ? "DAMAGED" : verify ? "yes" : "-";
}

static void print_row(const row *self, int verify)
{
    char age[CHECKPOINT_TEXT_BYTES], size[CHECKPOINT_TEXT_BYTES], loss[CHECKPOINT_TEXT_BYTES];
    if (!self->known) {
        char step[CHECKPOINT_TEXT_BYTES] = "-";
        if (self->entry->step >= 0)
            snprintf(step, sizeof step, "%" PRId64, self->entry->step);
        printf("%10s  %6s  %8s  %8s  %10s  %5s  %s\n", step, "-", "-", "-", "-", "-", verdict(self, verify));
        return;
    }
    printf("%10" PRId64 "  %6" PRId64 "  %8s  %8s  %10s  %5d  %s\n", self->position.step,
           checkpoint_epoch(&self->position), checkpoint_age_text(self->saved_at, age),
           checkpoint_bytes_text(self->nbytes, size), checkpoint_loss_text(self->position.loss, loss), self->world_size,
           verdict(self, verify));
}

static void print_table(const row *rows, int count, int verify)
{
    int problems = 0;
    printf("%10s  %6s  %8s  %8s  %10s  %5s  %s\n", "step", "epoch", "age", "size", "loss", "ranks", "verified");
    for (int i = 0; i < count; i++)
        print_row(&rows[i], verify);
    for (int i = 0; i < count; i++)
        if (rows[i].problem)
            printf("%s%s\n", problems++ ? "" : "\n", rows[i].problem);
}

static json_t *row_json(const row *self, int verify)
{
    char date[CHECKPOINT_TEXT_BYTES];
    json_t *json = json_object();
    json_object_set_new(json, "path", base_json_text(self->entry->path));
    int64_t step = self->known ? self->position.step : self->entry->step;
    json_object_set_new(json, "step", step >= 0 ? json_integer(step) : json_null());
    json_object_set_new(json, "epoch", self->known ? json_integer(checkpoint_epoch(&self->position)) : json_null());
    json_object_set_new(json, "saved_at",
                        self->known ? json_string(checkpoint_date_text(self->saved_at, date)) : json_null());
    json_object_set_new(json, "bytes", self->known ? json_integer((json_int_t)self->nbytes) : json_null());
    json_object_set_new(json, "loss", checkpoint_json_number(self->known ? self->position.loss : NAN));
    json_object_set_new(json, "world_size", self->known ? json_integer(self->world_size) : json_null());
    json_object_set_new(json, "verified", self->problem ? json_false() : verify ? json_true() : json_null());
    json_object_set_new(json, "problem", self->problem ? base_json_text(self->problem) : json_null());
    return json;
}

static base_status print_json(const row *rows, int count, int verify)
{
    json_t *json = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(json, row_json(&rows[i], verify));
    return command_print_json(json);
}

static base_status list(const char *path, const checkpoint_options *options, base_arena *arena)
{
    const ckpt_entry *entries;
    int count, verify = !options->no_verify;
    BASE_TRY(ckpt_folder_list(path, arena, &entries, &count, NULL));
    row *rows = BASE_NEW_ARRAY(arena, row, count);
    if (!rows)
        return BASE_ERROR;
    for (int i = 0; i < count; i++) {
        rows[i].entry = &entries[i];
        BASE_TRY(look(&rows[i], verify, arena));
    }
    if (options->json)
        return print_json(rows, count, verify);
    print_table(rows, count, verify);
    return BASE_OK;
}

base_status checkpoint_ls(int argc, char **argv)
{
    static const struct option known[] = {{"no-verify", no_argument, NULL, CHECKPOINT_NO_VERIFY},
                                          {"json", no_argument, NULL, CHECKPOINT_JSON},
                                          {"help", no_argument, NULL, CHECKPOINT_HELP},
                                          {NULL, 0, NULL, 0}};
    checkpoint_options options = {0};
    base_arena *arena = NULL;
    int first;
    BASE_TRY(checkpoint_parse(argc, argv, known, 1, 1, "one folder", &options, &first));
    if (options.help)
        return fputs(command_ckpt.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (!command_speaks())
        return BASE_OK;
    base_status status = base_arena_create(&arena, "list of checkpoints");
    if (status == BASE_OK)
        status = list(argv[first], &options, arena);
    base_arena_destroy(&arena);
    return status;
}
