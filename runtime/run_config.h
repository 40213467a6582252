/* run_config.h: the configuration of a run: one table of keys, parse (libconfig), validate, echo.
 *
 * One option table holds every key with its type, default, unit, range and help; it drives parsing, validation,
 * `ddpt train --help-config` and the echo in the run record. Everything is checked here that can be checked without
 * looking at data or shapes; shapes are run_graph's business, which reports with run_config_where.
 * A configuration is const once built. Local; every rank parses the same text (the launcher broadcasts the file).
 */
#ifndef RUN_CONFIG_H
#define RUN_CONFIG_H

#include "base_arena.h"
#include "base_status.h"
#include "base_tensor.h"
#include "ops.h"

#include <jansson.h>
#include <stdint.h>

typedef enum run_data_format { RUN_DATA_MNIST, RUN_DATA_CIFAR10, RUN_DATA_DIGITS, RUN_DATA_SYNTHETIC } run_data_format;

typedef struct run_config_data {
    run_data_format format;
    const char *path;               /* folder as written; NULL for built-in formats. run_data resolves it */
    const char *const *train_files; /* NULL-terminated names inside path, or NULL for the format's defaults */
    const char *const *test_files;
    int64_t train_samples, test_samples; /* digits, synthetic: how many; files: at most so many (0: all) */
    int64_t classes;                     /* 0: the format's (10), or the model's outputs for synthetic */
    const float *mean, *deviation;       /* per channel, of pixels scaled to 0..1; NULL: the format's own */
    int channels_given;                  /* length of the two arrays; 1 serves all channels */
} run_config_data;

typedef enum run_layer_type {
    RUN_LAYER_DENSE,
    RUN_LAYER_CONV2D,
    RUN_LAYER_MAX_POOL2D,
    RUN_LAYER_AVG_POOL2D,
    RUN_LAYER_BATCH_NORM,
    RUN_LAYER_ACTIVATION,
    RUN_LAYER_DROPOUT,
    RUN_LAYER_FLATTEN,
    RUN_LAYER_ADD,
    RUN_LAYER_CONCAT,
    RUN_LAYER_TYPE_COUNT
} run_layer_type;

typedef enum run_init { RUN_INIT_AUTO, RUN_INIT_HE, RUN_INIT_GLOROT, RUN_INIT_ZERO } run_init;

/* One entry of model.layers. Keys that a type does not have are errors. */
typedef struct run_config_layer {
    run_layer_type type;
    const char *name;          /* given, or "<type><n>" counting the layers of that type from 1 */
    const char *const *inputs; /* NULL-terminated names ("input" is the model's input); NULL: the layer before */
    int line;                  /* in the file, for messages; 0 from --set */
    int64_t units;             /* dense */
    int64_t filters;           /* conv2d */
    int64_t kernel[2], stride[2], padding[2]; /* {height, width}; a single number in the file serves both. Pools: stride
                                                 defaults to the kernel */
    int bias;                                 /* dense, conv2d */
    ops_activation activation;                /* dense, conv2d, batch_norm: fused; activation: `activation = "relu"` */
    run_init init;                            /* dense, conv2d: auto is he before relu and gelu, glorot otherwise */
    float rate;                               /* dropout */
    float momentum, epsilon;                  /* batch_norm */
} run_config_layer;

typedef enum run_loss { RUN_LOSS_SOFTMAX_CROSS_ENTROPY, RUN_LOSS_MEAN_SQUARED_ERROR } run_loss;

typedef struct run_config_model {
    base_shape input; /* [C, H, W] or [N] */
    int layer_count;
    const run_config_layer *layers;
    run_loss loss;
} run_config_model;

typedef enum run_optimizer { RUN_OPTIMIZER_SGD, RUN_OPTIMIZER_ADAM, RUN_OPTIMIZER_ADAMW } run_optimizer;
typedef enum run_schedule { RUN_SCHEDULE_CONSTANT, RUN_SCHEDULE_STEP, RUN_SCHEDULE_COSINE } run_schedule;

typedef struct run_config_optimizer {
    run_optimizer type;
    float lr, momentum, weight_decay, beta1, beta2, epsilon;
    int nesterov;
    double clip_norm; /* global norm; 0: off */
    struct {
        run_schedule type;
        double warmup_epochs; /* linear from 0; may be a fraction */
        double every_epochs;  /* step: multiply by gamma that often */
        double gamma;
        double min_lr; /* cosine ends here */
    } schedule;
} run_config_optimizer;

typedef enum run_device { RUN_DEVICE_AUTO, RUN_DEVICE_CPU, RUN_DEVICE_GPU } run_device;
typedef enum run_comm {
    RUN_COMM_AUTO,
    RUN_COMM_LOCAL,
    RUN_COMM_SHM,
    RUN_COMM_MPI,
    RUN_COMM_NCCL,
    RUN_COMM_STAGED
} run_comm;
typedef enum run_sync { RUN_SYNC_AUTO, RUN_SYNC_ALLREDUCE, RUN_SYNC_SHARDED } run_sync;
typedef enum run_precision { RUN_PRECISION_FP32, RUN_PRECISION_TF32, RUN_PRECISION_BF16 } run_precision;

typedef struct run_config_train {
    int64_t epochs;
    int64_t batch; /* global */
    uint64_t seed;
    int64_t max_steps;  /* 0: no limit */
    int64_t log_every;  /* steps; 0: whenever the ranks meet (run_pace.h) */
    int64_t eval_every; /* epochs between evaluations; 0: only at the end */
    int shuffle;
    run_device device;
    run_precision precision;
    run_comm comm;
    run_sync sync;
    double bucket_mb;     /* MiB of gradients a bucket, at least; 0: chosen by the program */
    int64_t threads;      /* a rank; 0: cores in its affinity mask over the ranks that share it */
    const char *gemm;     /* "auto", "openblas", "onednn" */
    double stall_timeout; /* s: bound of a wait for other ranks within a step; 0: none */
    run_config_optimizer optimizer;
    struct {                  /* the last step is saved whatever these say */
        int64_t every_steps;  /* 0: not by steps */
        double every_minutes; /* since the last save; 0: not by the clock */
        int64_t keep;         /* how many of the newest stay, at least 1 */
        int async;            /* write while training goes on */
    } checkpoint;
} run_config_train;

typedef struct run_config {
    const char *path; /* the file, for messages and to look for data beside it; "" for built-in text */
    const char *name; /* its name without folder and ending */
    const char *out;  /* run folder from the `out` key, or NULL */
    run_config_data data;
    run_config_model model;
    run_config_train train;
    char digest[17]; /* XXH64 of the keys that shape the mathematics (data, model, train less device, comm, sync,
                        threads, gemm, log_every, eval_every, epochs, max_steps, bucket_mb, stall_timeout, checkpoint),
                        hexadecimal */
    json_t *echo;    /* every key with the value in force, as a JSON object of the config's structure, null for what was
                        left open; borrowed. Dumped with JSON_REAL_PRECISION(15), 0.1 stays 0.1 */
    base_arena *arena;
} run_config;

/* Parse `text` (the contents of `path`, used for messages), apply `sets` ("train.batch=256"; strings may go unquoted;
 * "model.layers.0.units=64" reaches a layer), validate. On failure BASE_USAGE with a message of one line: file, line,
 * key, value seen, values allowed, a suggestion for a misspelt key. */
base_status run_config_parse(const char *path, const char *text, int set_count, const char *const *sets,
                             run_config **self);

/* Read the file, then run_config_parse. */
base_status run_config_read(const char *path, int set_count, const char *const *sets, run_config **self);
void run_config_destroy(run_config **self);

/* "examples/mnist.cfg:12: layer dense2" for messages about layer `index`, "examples/mnist.cfg, --set: layer dense2" for
 * one that --set brought; into `text` (at least 512 bytes). */
const char *run_config_where(const run_config *self, int index, char *text);

/* The text of --help-config: every key, grouped, with type, default, unit, range and help; malloc'd, caller frees. */
char *run_config_help(void);

const char *run_layer_type_name(run_layer_type type); /* "dense", "conv2d", ... as in the file */
const char *run_comm_name(run_comm comm);
const char *run_sync_name(run_sync sync);
const char *run_device_name(run_device device);
const char *run_precision_name(run_precision precision);
const char *run_optimizer_name(run_optimizer optimizer);
const char *run_data_format_name(run_data_format format);

#endif
