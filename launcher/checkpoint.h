/* checkpoint.h: the subcommands of `ddpt ckpt`, one file each, and what they share. argv[0] is the subcommand's name.
 * They start no MPI, change nothing on disk and print to stdout. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "command.h"

#include "base_arena.h"
#include "ckpt_folder.h"
#include "ckpt_reader.h"

base_status checkpoint_ls(int argc, char **argv);
base_status checkpoint_show(int argc, char **argv);
base_status checkpoint_verify(int argc, char **argv);
base_status checkpoint_diff(int argc, char **argv);

/* The options that the subcommands have between them; `known` (of getopt_long, with the values below) says which. */
typedef struct checkpoint_options {
    int json, config, no_verify, help;
} checkpoint_options;
enum { CHECKPOINT_JSON = 'j', CHECKPOINT_CONFIG = 'c', CHECKPOINT_NO_VERIFY = 'n', CHECKPOINT_HELP = 'h' };

struct option;
/* *first: index of the first operand; there are `least` to `most` (`operands` names them in messages), unless help is
 * asked for. */
base_status checkpoint_parse(int argc, char **argv, const struct option *known, int least, int most,
                             const char *operands, checkpoint_options *options, int *first);

/* Open the newest of the checkpoints that `path` stands for. Its manifest is checked, its shards are not. */
base_status checkpoint_open_newest(const char *path, base_arena *arena, ckpt_reader **reader);

uint64_t checkpoint_shard_bytes(const ckpt_manifest *manifest);
/* "784x512"; in the arena, NULL when memory is short. */
const char *checkpoint_shape_text(const ckpt_tensor *tensor, base_arena *arena);

/* As people count: the first epoch is 1. */
static inline int64_t checkpoint_epoch(const ckpt_position *position)
{
    return position->epoch < INT64_MAX ? position->epoch + 1 : INT64_MAX;
}

/* For people: "12 s", "3 min", "2 h", "5 days"; "1.63 MB"; "0.0731". */
enum { CHECKPOINT_TEXT_BYTES = 48 };
const char *checkpoint_age_text(int64_t saved_at, char text[CHECKPOINT_TEXT_BYTES]);
const char *checkpoint_bytes_text(uint64_t nbytes, char text[CHECKPOINT_TEXT_BYTES]);
/* The fewest digits that are this number, as a float if it is one: 0.1, not 0.100000001. */
const char *checkpoint_number_text(double value, char text[CHECKPOINT_TEXT_BYTES]);
const char *checkpoint_loss_text(double loss, char text[CHECKPOINT_TEXT_BYTES]);
/* "2026-11-03T14:22:10Z"; "-" for a time that no calendar has. */
const char *checkpoint_date_text(int64_t saved_at, char text[CHECKPOINT_TEXT_BYTES]);

/* null for what is not finite. */
json_t *checkpoint_json_number(double value);

/* Print a manifest's config_json as the text of a configuration that `ddpt train` reads. BASE_CKPT: it is none. */
base_status checkpoint_print_config(const char *config_json);

#endif
