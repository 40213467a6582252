#include "checkpoint.h"

#include <getopt.h>
#include <limits.h>

typedef struct counts {
    int checkpoints, damaged, missing; /* missing: operands that stand for no checkpoint */
} counts;

static base_status verify(const char *path)
{
    ckpt_reader *reader = NULL;
    char size[CHECKPOINT_TEXT_BYTES];
    base_status status = ckpt_reader_open(path, NULL, 0, &reader);
    if (status == BASE_OK)
        status = ckpt_reader_verify(reader);
    if (status == BASE_OK)
        printf("ok       %s (%s)\n", path,
               checkpoint_bytes_text(checkpoint_shard_bytes(ckpt_reader_manifest(reader)), size));
    ckpt_reader_close(&reader);
    return status;
}

/* Goes on after a damaged checkpoint; messages name it. */
static base_status verify_all(const char *path, counts *tally, base_arena *arena)
{
    const ckpt_entry *entries;
    int count;
    BASE_TRY(ckpt_folder_list(path, arena, &entries, &count, NULL));
    for (int i = 0; i < count; i++) {
        base_status status = verify(entries[i].path);
        if (status == BASE_CKPT) {
            printf("DAMAGED  %s\n", base_status_message());
            tally->damaged++;
        } else if (status != BASE_OK) {
            return status;
        }
        tally->checkpoints++;
        fflush(stdout);
    }
    return BASE_OK;
}

static base_status verify_operands(int count, char **paths, base_arena *arena)
{
    counts tally = {0};
    for (int i = 0; i < count; i++) {
        base_status status = verify_all(paths[i], &tally, arena);
        if (status == BASE_CKPT && count > 1) {
            printf("NONE     %s\n", base_status_message());
            tally.missing++;
        } else if (status != BASE_OK) {
            return status;
        }
    }
    if (tally.damaged)
        return BASE_FAIL(BASE_CKPT, "%d of %d checkpoint%s %s damaged", tally.damaged, tally.checkpoints,
                         tally.checkpoints == 1 ? "" : "s", tally.damaged == 1 ? "is" : "are");
    if (tally.missing)
        return BASE_FAIL(BASE_CKPT, "%d of %d folders hold no checkpoint", tally.missing, count);
    return BASE_OK;
}

base_status checkpoint_verify(int argc, char **argv)
{
    static const struct option known[] = {{"help", no_argument, NULL, CHECKPOINT_HELP}, {NULL, 0, NULL, 0}};
    checkpoint_options options = {0};
    base_arena *arena = NULL;
    int first;
    BASE_TRY(checkpoint_parse(argc, argv, known, 1, INT_MAX, "at least one folder", &options, &first));
    if (options.help)
        return fputs(command_ckpt.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (!command_speaks())
        return BASE_OK;
    base_status status = base_arena_create(&arena, "list of checkpoints");
    if (status == BASE_OK)
        status = verify_operands(argc - first, argv + first, arena);
    base_arena_destroy(&arena);
    return status;
}
