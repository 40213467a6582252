/* run_data_source.h: what run_data.c asks of a source of data, private to run_data*.c.
 *
 * Opening a split has two parts. `probe` runs on one rank a node and finds out what there is: a plan, plain data that
 * is copied to the node's other ranks. `fill` then runs on every rank of the node and writes the rank's part of the
 * pixels and labels into the memory that they share. A source whose files can be mapped as they are is not filled.
 */
#ifndef RUN_DATA_SOURCE_H
#define RUN_DATA_SOURCE_H

#include "run_data.h"

enum { RUN_DATA_FILES_MAX = 64, RUN_DATA_PATH_MAX = 1024, RUN_DATA_LOOKUP_MAX = 4 };

typedef struct run_data_plan_file {
    char path[RUN_DATA_PATH_MAX];
    int64_t nbytes;  /* on disk, to notice a change */
    int64_t offset;  /* of the payload within the content */
    int64_t samples; /* taken from this file */
    int whole;       /* 1: nothing may follow them */
} run_data_plan_file;

typedef struct run_data_plan {
    base_shape shape;
    int64_t samples, classes;
    int mapped;     /* 1: files[0] holds the pixels and files[1] the labels, raw, in our layout */
    int file_count; /* 0 for built-in sets */
    run_data_plan_file files[RUN_DATA_FILES_MAX];
    char source[RUN_DATA_PATH_MAX]; /* run_data_info.source */
} run_data_plan;

/* The share of the filling that falls to this rank: part `part` of `parts`. */
typedef struct run_data_part {
    int part, parts;
    uint8_t *pixels, *labels; /* of the whole split */
} run_data_part;

typedef struct run_data_source {
    base_status (*probe)(const run_config *config, run_data_split split, run_data_plan *plan);
    base_status (*fill)(const run_config *config, run_data_split split, const run_data_plan *plan,
                        const run_data_part *part);
    const float *mean, *deviation; /* the format's own, when data.mean and data.deviation are not given */
    int channels;                  /* their length */
} run_data_source;

extern const run_data_source run_data_source_idx;
extern const run_data_source run_data_source_cifar;
extern const run_data_source run_data_source_digits;
extern const run_data_source run_data_source_synthetic;

/* The folders in which data.path may lie, in order of preference. */
typedef struct run_data_lookup {
    int count;
    char folders[RUN_DATA_LOOKUP_MAX][RUN_DATA_PATH_MAX];
} run_data_lookup;

base_status run_data_lookup_open(const run_config *config, run_data_lookup *self);

/* 1 and the path of `name` or `name`.gz in `folder` (an absolute name stands for itself), or 0. */
int run_data_lookup_in(const char *folder, const char *name, char path[RUN_DATA_PATH_MAX]);

/* The failure for a file that is in none of the folders; `what` as a person calls it. */
base_status run_data_lookup_failed(const run_data_lookup *self, const run_config *config, const char *what);

/* The configuration's file, for messages. */
const char *run_data_where(const run_config *config);

/* Every label below `classes`, or BASE_DATA naming `path`, the index and the value. */
base_status run_data_check_labels(const char *path, const uint8_t *labels, int64_t count, int64_t classes);

/* `samples` samples of `shape` and their labels: `code` when that many bytes cannot be counted or the machine's memory
 * cannot hold them. `what` begins the message. */
base_status run_data_check_size(base_status code, const char *what, int64_t samples, base_shape shape);

#endif
