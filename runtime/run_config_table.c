/* The option table: every key of a configuration. */
#include "run_config_option.h"

#include <stddef.h>

/* Enum fields are written through their representation. */
_Static_assert(sizeof(run_layer_type) == sizeof(int) && sizeof(ops_activation) == sizeof(int), "enums are ints");

#define AT(type, field) .offset = offsetof(type, field)
#define FROM_TO(low, high) .least = (low), .most = (high)
#define END                                                                                                            \
    {                                                                                                                  \
        .key = NULL                                                                                                    \
    }

enum { DIMENSION_MAX = 1000000000, INTEGER_MAX = 2147483647 };
#define SEED_MAX 0x1p63          /* the largest int64_t, rounded; libconfig has no larger integers */
#define STEPS_MAX 0x1p47         /* base_random's steps have 48 bits */
#define SAMPLES_MAX 4294967295.0 /* base_random's sample numbers have 32 bits */
#define MADE_MAX 2147483647.0    /* of those that are made here */

static const char *const format_words[] = {"mnist", "cifar10", "digits", "synthetic", NULL};
static const char *const layer_words[] = {"dense",   "conv2d",  "max_pool2d", "avg_pool2d", "batch_norm", "activation",
                                          "dropout", "flatten", "add",        "concat",     NULL};
static const char *const init_words[] = {"auto", "he", "glorot", "zero", NULL};
static const char *const activation_words[] = {"identity", "relu", "gelu", "tanh", "sigmoid", NULL};
static const char *const loss_words[] = {"softmax_cross_entropy", "mean_squared_error", NULL};
static const char *const optimizer_words[] = {"sgd", "adam", "adamw", NULL};
static const char *const schedule_words[] = {"constant", "step", "cosine", NULL};
static const char *const device_words[] = {"auto", "cpu", "gpu", NULL};
static const char *const comm_words[] = {"auto", "local", "shm", "mpi", "nccl", "staged", NULL};
static const char *const sync_words[] = {"auto", "allreduce", "sharded", NULL};
static const char *const precision_words[] = {"fp32", "tf32", "bf16", NULL};
static const char *const gemm_words[] = {"auto", "openblas", "onednn", NULL};

_Static_assert(sizeof layer_words / sizeof *layer_words == RUN_LAYER_TYPE_COUNT + 1, "a word a layer type");
_Static_assert(sizeof activation_words / sizeof *activation_words == OPS_ACTIVATION_COUNT + 1, "a word an activation");

enum {
    MNIST = 1 << RUN_DATA_MNIST,
    CIFAR10 = 1 << RUN_DATA_CIFAR10,
    DIGITS = 1 << RUN_DATA_DIGITS,
    SYNTHETIC = 1 << RUN_DATA_SYNTHETIC,
    FILES = MNIST | CIFAR10
};

static const run_option data_options[] = {
    {"format", RUN_OPTION_ENUM, AT(run_config_data, format), .required = 1, .words = format_words,
     .help = "Where samples come from. mnist: any pair of idx files; cifar10: binary batches; digits: built in, drawn "
             "by the program; synthetic: random numbers, for benchmarks."},
    {"path", RUN_OPTION_STRING, MNIST, AT(run_config_data, path), .initial = "mnist",
     .help = "Folder of the files. A relative one is looked up under $DDPT_DATA, then beside the configuration."},
    {"path", RUN_OPTION_STRING, CIFAR10, AT(run_config_data, path), .initial = "cifar10",
     .help = "Folder of the files. A relative one is looked up under $DDPT_DATA, then beside the configuration."},
    {"train_files", RUN_OPTION_STRINGS, FILES, AT(run_config_data, train_files), .initial_note = "the format's names",
     .help = "Names inside path. mnist: images, then labels."},
    {"test_files", RUN_OPTION_STRINGS, FILES, AT(run_config_data, test_files), .initial_note = "the format's names",
     .help = "Names inside path. mnist: images, then labels."},
    {"train_samples", RUN_OPTION_INT, FILES, AT(run_config_data, train_samples), .initial = "0",
     FROM_TO(0, SAMPLES_MAX), .unit = "samples", .help = "Use the first so many training samples; 0: all."},
    {"train_samples", RUN_OPTION_INT, DIGITS, AT(run_config_data, train_samples), .initial = "60000",
     FROM_TO(1, MADE_MAX), .unit = "samples", .help = "How many training samples to make."},
    {"train_samples", RUN_OPTION_INT, SYNTHETIC, AT(run_config_data, train_samples), .initial = "4096",
     FROM_TO(1, MADE_MAX), .unit = "samples", .help = "How many training samples to make."},
    {"test_samples", RUN_OPTION_INT, FILES, AT(run_config_data, test_samples), .initial = "0", FROM_TO(0, SAMPLES_MAX),
     .unit = "samples", .help = "Use the first so many test samples; 0: all."},
    {"test_samples", RUN_OPTION_INT, DIGITS, AT(run_config_data, test_samples), .initial = "10000",
     FROM_TO(1, MADE_MAX), .unit = "samples", .help = "How many test samples to make."},
    {"test_samples", RUN_OPTION_INT, SYNTHETIC, AT(run_config_data, test_samples), .initial = "512",
     FROM_TO(1, MADE_MAX), .unit = "samples", .help = "How many test samples to make."},
    {"classes", RUN_OPTION_INT, FILES | SYNTHETIC, AT(run_config_data, classes), .initial = "0", FROM_TO(0, 256),
     .help = "Labels are below this; 0: 10, or the model's outputs for synthetic."},
    {"mean", RUN_OPTION_FLOATS, AT(run_config_data, mean), .count_offset = offsetof(run_config_data, channels_given),
     .initial_note = "the format's own", FROM_TO(-1e6, 1e6),
     .help = "Subtracted from pixels, which are scaled to 0..1: one number, or one a channel."},
    {"deviation", RUN_OPTION_FLOATS, AT(run_config_data, deviation),
     .count_offset = offsetof(run_config_data, channels_given), .initial_note = "the format's own", FROM_TO(0, 1e6),
     .above_least = 1, .help = "Divides what is left after the mean was subtracted; as many numbers as mean."},
    END};

enum {
    DENSE = 1 << RUN_LAYER_DENSE,
    CONV2D = 1 << RUN_LAYER_CONV2D,
    POOLS = 1 << RUN_LAYER_MAX_POOL2D | 1 << RUN_LAYER_AVG_POOL2D,
    BATCH_NORM = 1 << RUN_LAYER_BATCH_NORM,
    ACTIVATION = 1 << RUN_LAYER_ACTIVATION,
    DROPOUT = 1 << RUN_LAYER_DROPOUT
};

static const run_option layer_options[] = {
    {"type", RUN_OPTION_ENUM, AT(run_config_layer, type), .required = 1, .words = layer_words,
     .help = "What the layer does."},
    {"name", RUN_OPTION_STRING, AT(run_config_layer, name), .initial_note = "the type and a number, as in dense1",
     .help = "What `inputs` of other layers, messages and checkpoints call it."},
    {"inputs", RUN_OPTION_STRINGS, AT(run_config_layer, inputs), .initial_note = "the layer before",
     .help = "Names of the layers that it follows; \"input\" is the model's input."},
    {"units", RUN_OPTION_INT, DENSE, AT(run_config_layer, units), .required = 1, FROM_TO(1, DIMENSION_MAX),
     .help = "Output features."},
    {"filters", RUN_OPTION_INT, CONV2D, AT(run_config_layer, filters), .required = 1, FROM_TO(1, DIMENSION_MAX),
     .help = "Output channels."},
    {"kernel", RUN_OPTION_PAIR, CONV2D | POOLS, AT(run_config_layer, kernel), .required = 1, FROM_TO(1, 65535),
     .unit = "pixels", .help = "Window: one number, or [height, width]."},
    {"stride", RUN_OPTION_PAIR, CONV2D, AT(run_config_layer, stride), .initial = "1", FROM_TO(1, 65535),
     .unit = "pixels", .help = "Step of the window: one number, or [height, width]."},
    {"stride", RUN_OPTION_PAIR, POOLS, AT(run_config_layer, stride), .initial_note = "the kernel", FROM_TO(1, 65535),
     .unit = "pixels", .help = "Step of the window: one number, or [height, width]."},
    {"padding", RUN_OPTION_PAIR, CONV2D | POOLS, AT(run_config_layer, padding), .initial = "0", FROM_TO(0, 65535),
     .unit = "pixels", .help = "Border on each side: one number, or [height, width]. Pools: smaller than the kernel."},
    {"bias", RUN_OPTION_BOOL, DENSE | CONV2D, AT(run_config_layer, bias), .initial = "true",
     .help = "Add a learned number to each output feature or channel."},
    {"activation", RUN_OPTION_ENUM, DENSE | CONV2D | BATCH_NORM, AT(run_config_layer, activation),
     .initial = "identity", .words = activation_words, .help = "Applied to the layer's output."},
    {"activation", RUN_OPTION_ENUM, ACTIVATION, AT(run_config_layer, activation), .required = 1,
     .words = activation_words, .help = "The function."},
    {"init", RUN_OPTION_ENUM, DENSE | CONV2D, AT(run_config_layer, init), .initial = "auto", .words = init_words,
     .help = "Initial weights; auto is he before relu and gelu, glorot otherwise."},
    {"rate", RUN_OPTION_FLOAT, DROPOUT, AT(run_config_layer, rate), .required = 1, FROM_TO(0, 1), .below_most = 1,
     .help = "Share of the values that a training step sets to zero."},
    {"momentum", RUN_OPTION_FLOAT, BATCH_NORM, AT(run_config_layer, momentum), .initial = "0.1", FROM_TO(0, 1),
     .help = "How far the running statistics move towards those of a batch."},
    {"epsilon", RUN_OPTION_FLOAT, BATCH_NORM, AT(run_config_layer, epsilon), .initial = "1e-5", FROM_TO(0, 1),
     .above_least = 1, .help = "Added to the variance."},
    END};

static const run_option model_options[] = {
    {"input", RUN_OPTION_SHAPE, AT(run_config_model, input), .required = 1, FROM_TO(1, DIMENSION_MAX),
     .help = "Shape of a sample: [channels, height, width], or [features]."},
    {"layers", RUN_OPTION_LAYERS, .required = 1, .help = "Groups, one a layer, in ( )."},
    {"loss", RUN_OPTION_ENUM, AT(run_config_model, loss), .initial = "softmax_cross_entropy", .words = loss_words,
     .help =
         "Of the last layer's output. softmax_cross_entropy takes logits; mean_squared_error compares with 0 and 1."},
    END};

enum { STEP = 1 << RUN_SCHEDULE_STEP, COSINE = 1 << RUN_SCHEDULE_COSINE };
#define SCHEDULE(field) .offset = offsetof(run_config_optimizer, schedule.field)

static const run_option schedule_options[] = {
    {"type", RUN_OPTION_ENUM, SCHEDULE(type), .initial = "constant", .words = schedule_words,
     .help = "How the learning rate goes on after the warm-up."},
    {"warmup_epochs", RUN_OPTION_DOUBLE, SCHEDULE(warmup_epochs), .initial = "0", FROM_TO(0, 1e6), .unit = "epochs",
     .help = "The learning rate grows linearly from 0 over this time; may be a fraction."},
    {"every_epochs", RUN_OPTION_DOUBLE, STEP, SCHEDULE(every_epochs), .required = 1, FROM_TO(0, 1e6), .above_least = 1,
     .unit = "epochs", .help = "The learning rate is multiplied by gamma that often."},
    {"gamma", RUN_OPTION_DOUBLE, STEP, SCHEDULE(gamma), .initial = "0.1", FROM_TO(0, 1), .above_least = 1,
     .help = "Factor of a step."},
    {"min_lr", RUN_OPTION_DOUBLE, COSINE, SCHEDULE(min_lr), .initial = "0", FROM_TO(0, 1e6),
     .help = "The learning rate at the end; at most lr."},
    END};

static const run_option_group schedule_group = {
    "schedule", "train.optimizer.schedule", "the learning rate over time", schedule_options, schedule_words, NULL, 0,
    0};

enum { SGD = 1 << RUN_OPTIMIZER_SGD, ADAM = 1 << RUN_OPTIMIZER_ADAM, ADAMW = 1 << RUN_OPTIMIZER_ADAMW };

static const run_option optimizer_options[] = {
    {"type", RUN_OPTION_ENUM, AT(run_config_optimizer, type), .initial = "sgd", .words = optimizer_words,
     .help = "How parameters follow their gradients."},
    {"lr", RUN_OPTION_FLOAT, SGD, AT(run_config_optimizer, lr), .initial = "0.01", FROM_TO(0, 1e6),
     .help = "Learning rate."},
    {"lr", RUN_OPTION_FLOAT, ADAM | ADAMW, AT(run_config_optimizer, lr), .initial = "0.001", FROM_TO(0, 1e6),
     .help = "Learning rate."},
    {"momentum", RUN_OPTION_FLOAT, SGD, AT(run_config_optimizer, momentum), .initial = "0", FROM_TO(0, 1),
     .below_most = 1, .help = "Share of the last step that the next one keeps."},
    {"nesterov", RUN_OPTION_BOOL, SGD, AT(run_config_optimizer, nesterov), .initial = "false",
     .help = "Nesterov's form of momentum."},
    {"beta1", RUN_OPTION_FLOAT, ADAM | ADAMW, AT(run_config_optimizer, beta1), .initial = "0.9", FROM_TO(0, 1),
     .below_most = 1, .help = "Decay of the mean of gradients."},
    {"beta2", RUN_OPTION_FLOAT, ADAM | ADAMW, AT(run_config_optimizer, beta2), .initial = "0.999", FROM_TO(0, 1),
     .below_most = 1, .help = "Decay of the mean of squared gradients."},
    {"epsilon", RUN_OPTION_FLOAT, ADAM | ADAMW, AT(run_config_optimizer, epsilon), .initial = "1e-8", FROM_TO(0, 1),
     .above_least = 1, .help = "Added to the root of the mean of squared gradients."},
    {"weight_decay", RUN_OPTION_FLOAT, SGD | ADAM, AT(run_config_optimizer, weight_decay), .initial = "0",
     FROM_TO(0, 1000), .help = "This much of each parameter is added to its gradient."},
    {"weight_decay", RUN_OPTION_FLOAT, ADAMW, AT(run_config_optimizer, weight_decay), .initial = "0.01",
     FROM_TO(0, 1000), .help = "A step takes lr times this from each parameter, beside the gradient."},
    {"clip_norm", RUN_OPTION_DOUBLE, AT(run_config_optimizer, clip_norm), .initial = "0", FROM_TO(0, 1e30),
     .help = "A longer gradient (norm over all parameters) is shortened to this; 0: off."},
    END};

static const run_option_group *const optimizer_children[] = {&schedule_group, NULL};
static const run_option_group optimizer_group = {.name = "optimizer",
                                                 .path = "train.optimizer",
                                                 .help = "the optimizer",
                                                 .options = optimizer_options,
                                                 .variants = optimizer_words,
                                                 .children = optimizer_children,
                                                 .offset = offsetof(run_config_train, optimizer)};

static const run_option checkpoint_options[] = {
    {"every_steps", RUN_OPTION_INT, AT(run_config_train, checkpoint.every_steps), .initial = "0", FROM_TO(0, STEPS_MAX),
     .unit = "steps", .help = "Save whenever the step is a multiple of this; 0: not by steps."},
    {"every_minutes", RUN_OPTION_DOUBLE, AT(run_config_train, checkpoint.every_minutes), .initial = "0",
     FROM_TO(0, 1e6), .unit = "minutes",
     .help = "Save when so much time has gone by since the last save; 0: not by the clock. Together with every_steps: "
             "whichever comes first."},
    {"keep", RUN_OPTION_INT, AT(run_config_train, checkpoint.keep), .initial = "3", FROM_TO(1, INTEGER_MAX),
     .unit = "checkpoints", .help = "The newest ones that stay; older ones are removed once a new one is complete."},
    {"async", RUN_OPTION_BOOL, AT(run_config_train, checkpoint.async), .initial = "true",
     .help = "Training waits only while a copy of the state is made, and goes on while the copy is written; false: it "
             "waits until all is on disk."},
    END};

static const run_option_group checkpoint_group = {
    .name = "checkpoint",
    .path = "train.checkpoint",
    .help = "when to save the state to continue from; the last step always is",
    .options = checkpoint_options,
    .execution = 1};

static const run_option train_options[] = {
    {"epochs", RUN_OPTION_INT, AT(run_config_train, epochs), .initial = "1", FROM_TO(1, INTEGER_MAX), .execution = 1,
     .help = "How often each training sample is visited."},
    {"batch", RUN_OPTION_INT, AT(run_config_train, batch), .initial = "128", FROM_TO(1, INTEGER_MAX), .unit = "samples",
     .help = "Global batch: the samples of a step, over all ranks."},
    {"seed", RUN_OPTION_INT, AT(run_config_train, seed), .initial = "1", FROM_TO(0, SEED_MAX),
     .help = "Of every random number: initial weights, order of samples, dropout."},
    {"max_steps", RUN_OPTION_INT, AT(run_config_train, max_steps), .initial = "0", FROM_TO(0, STEPS_MAX),
     .unit = "steps", .execution = 1, .help = "End the run early; 0: no limit."},
    {"log_every", RUN_OPTION_INT, AT(run_config_train, log_every), .initial = "0", FROM_TO(0, INTEGER_MAX),
     .unit = "steps", .execution = 1,
     .help = "A line of steps.csv that often; 0: every step on the cpu, some a second on GPUs, which wait for each."},
    {"eval_every", RUN_OPTION_INT, AT(run_config_train, eval_every), .initial = "1", FROM_TO(0, INTEGER_MAX),
     .unit = "epochs", .execution = 1, .help = "Evaluate that often; 0: only at the end."},
    {"shuffle", RUN_OPTION_BOOL, AT(run_config_train, shuffle), .initial = "true",
     .help = "A new order of the samples each epoch."},
    {"device", RUN_OPTION_ENUM, AT(run_config_train, device), .initial = "auto", .words = device_words, .execution = 1,
     .help = "Where to compute; auto: GPUs where there is one for each rank, the cpu otherwise."},
    {"precision", RUN_OPTION_ENUM, AT(run_config_train, precision), .initial = "fp32", .words = precision_words,
     .help =
         "Of matrix products and convolutions. bf16: GPUs (tensors too), and cpus with AVX512_BF16. tf32: GPUs alone."},
    {"comm", RUN_OPTION_ENUM, AT(run_config_train, comm), .initial = "auto", .words = comm_words, .execution = 1,
     .help = "How ranks exchange gradients: local, shm, mpi on the cpu; local, nccl, staged (through host memory, for "
             "ranks that share a GPU) on GPUs; auto: shm on one node, else mpi; nccl where it is there, else staged."},
    {"sync", RUN_OPTION_ENUM, AT(run_config_train, sync), .initial = "auto", .words = sync_words, .execution = 1,
     .help = "allreduce: every rank updates all parameters; sharded: each its share; auto: sharded where ranks share "
             "memory, allreduce otherwise."},
    {"bucket_mb", RUN_OPTION_DOUBLE, AT(run_config_train, bucket_mb), .initial = "0", FROM_TO(0, 65536), .unit = "MiB",
     .execution = 1, .help = "Gradients are reduced in pieces of at least this size; 0: chosen by the program."},
    {"threads", RUN_OPTION_INT, AT(run_config_train, threads), .initial = "0", FROM_TO(0, 4096), .execution = 1,
     .help = "Threads a rank; 0: the cores it may use over the ranks that share them."},
    {"gemm", RUN_OPTION_WORD, AT(run_config_train, gemm), .initial = "auto", .words = gemm_words, .execution = 1,
     .help = "The host's library for matrix products; auto: the faster one."},
    {"stall_timeout", RUN_OPTION_DOUBLE, AT(run_config_train, stall_timeout), .initial = "30", FROM_TO(0, 86400),
     .unit = "s", .execution = 1,
     .help = "A rank that is silent, or gets nowhere, for so long is named and ends the run with status 6; 0: never."},
    END};

static const run_option_group *const train_children[] = {&optimizer_group, &checkpoint_group, NULL};

static const run_option root_options[] = {{"out", RUN_OPTION_STRING, AT(run_config, out),
                                           .initial_note = "runs/<name>-<date>-<time>", .execution = 1,
                                           .help = "Folder of the run's record; --out overrides it."},
                                          END};

static const run_option_group data_group = {
    "data", "data", "the samples", data_options, format_words, NULL, offsetof(run_config, data), 0};
static const run_option_group model_group = {
    "model", "model", "the network", model_options, NULL, NULL, offsetof(run_config, model), 0};
static const run_option_group train_group = {
    "train", "train", "the training", train_options, NULL, train_children, offsetof(run_config, train), 0};
static const run_option_group *const root_children[] = {&data_group, &model_group, &train_group, NULL};

const run_option_group run_option_root = {"", "", "the run", root_options, NULL, root_children, 0, 0};
const run_option_group run_option_layer = {
    "layers", "model.layers", "one group a layer", layer_options, layer_words, NULL, 0, 0};
const run_option_group *const run_option_groups[] = {&run_option_root,  &data_group,       &model_group,
                                                     &run_option_layer, &train_group,      &optimizer_group,
                                                     &schedule_group,   &checkpoint_group, NULL};

const char *run_layer_type_name(run_layer_type type)
{
    return layer_words[type];
}

const char *run_comm_name(run_comm comm)
{
    return comm_words[comm];
}

const char *run_sync_name(run_sync sync)
{
    return sync_words[sync];
}

const char *run_device_name(run_device device)
{
    return device_words[device];
}

const char *run_precision_name(run_precision precision)
{
    return precision_words[precision];
}

const char *run_optimizer_name(run_optimizer optimizer)
{
    return optimizer_words[optimizer];
}

const char *run_data_format_name(run_data_format format)
{
    return format_words[format];
}
