#include "command.h"

#include "base_json.h"
#include "base_switch.h"
#include "run_device.h"
#include "run_job.h"
#include "run_optim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct summary_options {
    const char *config;
    command_sets sets;
    int ranks, json, help;
} summary_options;

/* The model and what it costs on `ranks` ranks of one node, on GPUs where the configuration insists on them, or leaves
 * it to what is here. */
typedef struct summary {
    base_arena *arena;
    const run_config *config;
    const run_graph *graph;
    const run_plan *plan;
    int ranks, sharded, on_gpus;
    char device_note[RUN_DEVICE_NOTE]; /* why that device; "": the configuration says so */
    int64_t share;                     /* samples a rank and step at most */
    size_t parameter_bytes;            /* of the slab */
    int parameter_copies_node;         /* 1: the node's ranks share one copy */
    size_t gradient_bytes;             /* with the sums in double */
    size_t operand_bytes;              /* of the slab of joint sums */
    int operand_copies_node;
    size_t optimizer_bytes; /* of the rank that has most */
    size_t input_bytes;     /* the loader's two batches; on a GPU the one at work */
    size_t narrow_bytes;    /* bf16 copy of the parameters, beside those that are updated */
} summary;

static base_status parse(int argc, char **argv, summary_options *options)
{
    static const struct option known[] = {
        {"ranks", required_argument, NULL, 'n'}, {"set", required_argument, NULL, 's'},
        {"share-gpus", no_argument, NULL, 'g'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    long long number;
    options->ranks = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":n:s:h", known, NULL)) != -1;) {
        switch (c) {
        case 'n':
            BASE_TRY(command_number("--ranks", optarg, 1, 1000000, &number));
            options->ranks = (int)number;
            break;
        case 's': BASE_TRY(command_sets_add(&options->sets, optarg)); break;
        case 'g': command_share_gpus(); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("summary", argv, optind);
        }
    }
    return command_operand("summary", "a config file", argc, argv, optind, &options->config);
}

/* ---- what it costs ---- */

/* The data are not looked at; every source but the synthetic one has 10 classes unless data.classes says otherwise. */
static int64_t known_classes(const run_config_data *data)
{
    return data->classes > 0 || data->format == RUN_DATA_SYNTHETIC ? data->classes : 10;
}

/* Rank 0's slices are the longest (comm_slice). */
static size_t updated_elements(const summary *self)
{
    size_t elements = 0;
    for (int b = 0; b < self->plan->bucket_count; b++) {
        size_t begin, end;
        comm_slice(self->plan->buckets[b].count, self->sharded ? self->ranks : 1, 0, &begin, &end);
        elements += end - begin;
    }
    return elements;
}

static int shares_memory(const summary *self)
{
    run_comm comm = self->config->train.comm;
    return !self->on_gpus && self->ranks > 1 && (comm == RUN_COMM_SHM || comm == RUN_COMM_AUTO);
}

/* As run_job decides for ranks that share a node. */
static base_status build_plan(summary *self, const run_backward *backward)
{
    const run_config_train *train = &self->config->train;
    int narrow = self->on_gpus && train->precision == RUN_PRECISION_BF16;
    run_plan_options plan = {.batch = self->share,
                             .global_batch = train->batch,
                             .bucket_grain = self->sharded && self->on_gpus ? 64 * (size_t)self->ranks : 1,
                             .bucket_bytes = run_job_bucket_bytes(self->config, self->graph),
                             .operands_travel = self->ranks > 1 && !shares_memory(self),
                             .element_bytes = narrow ? sizeof(uint16_t) : sizeof(float),
                             .joint_sums = !self->on_gpus,
                             .wide_sums = !self->on_gpus};
    BASE_TRY(run_plan_build(self->graph, backward, &plan, self->arena, &self->plan));
    self->narrow_bytes = narrow ? self->plan->param_elements * sizeof(uint16_t) : 0;
    int64_t values = self->share * base_shape_count(self->config->model.input);
    /* Beside a batch of a GPU lie labels and the samples' numbers. */
    self->input_bytes =
        self->on_gpus ? (size_t)values * plan.element_bytes + (size_t)self->share * (sizeof(int32_t) + sizeof(int64_t))
                      : 2 * (size_t)values * sizeof(float);
    return BASE_OK;
}

static base_status build(const run_config *config, int ranks, summary *self)
{
    const run_config_train *train = &config->train;
    const run_backward *backward;
    if (train->batch < ranks)
        return BASE_FAIL(BASE_USAGE,
                         "%s: train.batch = %" PRId64 " is the global batch: it must be at least the number of "
                         "ranks, %d",
                         config->path, train->batch, ranks);
    self->config = config;
    self->ranks = ranks;
    self->on_gpus = train->device == RUN_DEVICE_GPU ||
                    (train->device == RUN_DEVICE_AUTO && run_device_has_for(ranks, self->device_note));
    self->share = (train->batch + ranks - 1) / ranks;
    BASE_TRY(base_arena_create(&self->arena, "summary"));
    BASE_TRY(run_graph_build(config, known_classes(&config->data), self->arena, &self->graph));
    BASE_TRY(run_backward_build(self->graph, self->arena, &backward));
    int shm = shares_memory(self);
    self->sharded = train->sync == RUN_SYNC_SHARDED || (train->sync == RUN_SYNC_AUTO && shm);
    BASE_TRY(build_plan(self, backward));
    self->parameter_copies_node = self->sharded && shm ? 1 : ranks;
    self->parameter_bytes = self->plan->param_elements * sizeof(float);
    self->gradient_bytes = self->parameter_bytes + self->plan->wide_elements * sizeof(double);
    self->operand_bytes = self->plan->operand_elements * sizeof(float);
    self->operand_copies_node = shm ? 1 : ranks;
    self->optimizer_bytes = updated_elements(self) * sizeof(float) * (size_t)run_optim_states(&train->optimizer);
    return BASE_OK;
}

/* Memory of one rank; a copy of the parameters that all share counts in parts. */
static size_t rank_bytes(const summary *self)
{
    return self->parameter_bytes * (size_t)self->parameter_copies_node / (size_t)self->ranks + self->narrow_bytes +
           self->gradient_bytes + self->optimizer_bytes + self->plan->activation_bytes +
           self->operand_bytes * (size_t)self->operand_copies_node / (size_t)self->ranks + self->input_bytes;
}

/* ---- the table ---- */

static int64_t node_parameters(const run_graph *graph, const run_node *node)
{
    int64_t count = 0;
    for (int p = node->first_param; p < node->first_param + node->param_count; p++)
        count += graph->params[p].count;
    return count;
}

/* "a, b" where a node reads something else than the node before it; "" otherwise. */
static const char *inputs_text(const summary *self, const run_node *node)
{
    const run_node *nodes = self->graph->nodes;
    if (node->input_count == 0 || (node->input_count == 1 && node->inputs[0] == node->number - 1))
        return "";
    const char *text = nodes[node->inputs[0]].name;
    for (int i = 1; text && i < node->input_count; i++)
        text = base_arena_format(self->arena, "%s, %s", text, nodes[node->inputs[i]].name);
    return text ? text : "?";
}

/* Where several layers are one operation, or one works in the memory of another. */
static const char *note_text(const summary *self, const run_node *node)
{
    if (node->kind == RUN_NODE_ALIAS)
        return node->layer->type == RUN_LAYER_ACTIVATION ? "fused" : "no copy";
    if (node->in_place)
        return "in place";
    if (node->activation == OPS_IDENTITY)
        return "";
    const char *name = base_arena_format(self->arena, "+ %s", ops_activation_name(node->activation));
    return name && node->kind != RUN_NODE_ACTIVATION ? name : ops_activation_name(node->activation);
}

static void print_layers(const summary *self)
{
    const run_graph *graph = self->graph;
    int name = (int)strlen("layer"), inputs = 0;
    for (int n = 0; n < graph->node_count; n++) {
        int length = (int)strlen(graph->nodes[n].name), from = (int)strlen(inputs_text(self, &graph->nodes[n]));
        name = length > name ? length : name;
        inputs = from > inputs ? from : inputs;
    }
    if (inputs > 0)
        inputs = (inputs < (int)strlen("inputs") ? (int)strlen("inputs") : inputs) + 2;
    printf("%-*s  %-11s %*s%-14s %14s %16s\n", name, "layer", "type", -inputs, inputs ? "inputs" : "", "output",
           "parameters", "FLOPs forward");
    for (int n = 0; n < graph->node_count; n++) {
        const run_node *node = &graph->nodes[n];
        char shape[64];
        printf("%-*s  %-11s %*s%-14s %14" PRId64 " %16" PRId64, name, node->name, node->type, -inputs,
               inputs_text(self, node), base_shape_text(node->shape, shape), node_parameters(graph, node),
               node->flops_forward);
        const char *note = note_text(self, node);
        printf("%s%s\n", *note ? "  " : "", note);
    }
    printf("%-*s  %-11s %*s%-14s %14" PRId64 " %16" PRId64 "\n", name, "total", "", -inputs, "", "", graph->parameters,
           graph->flops_forward);
}

static const char *bytes_text(size_t nbytes, char text[32])
{
    double kib = (double)nbytes / 1024.0;
    if (kib < 1024.0)
        snprintf(text, 32, "%.1f KiB", kib);
    else
        snprintf(text, 32, "%.1f MiB", kib / 1024.0);
    return text;
}

static void print_bytes(const char *what, size_t nbytes, const char *note)
{
    char text[32];
    printf("  %-16s %14s%s%s\n", what, bytes_text(nbytes, text), *note ? "  " : "", note);
}

static void print_text(const summary *self)
{
    const run_graph *graph = self->graph;
    const run_config_train *train = &self->config->train;
    char planned[64], unshared[32];
    print_layers(self);
    printf("\nFLOPs of a training sample  %" PRId64 " (forward, gradients of inputs and of parameters)\n",
           graph->flops_train);
    printf("FLOPs of a training step    %.4g (train.batch = %" PRId64 ")\n",
           (double)graph->flops_train * (double)train->batch, train->batch);
    printf("gradients                   %d bucket%s, sync %s\n\n", self->plan->bucket_count,
           self->plan->bucket_count == 1 ? "" : "s",
           run_sync_name(self->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE));
    if (*self->device_note)
        printf("train.device = \"auto\" takes %s here: %s\n", self->on_gpus ? "GPUs" : "the cpu", self->device_note);
    printf("memory of a rank, on %s, %d rank%s on one node, %" PRId64 " sample%s each:\n",
           self->on_gpus ? "a GPU" : "the cpu", self->ranks, self->ranks == 1 ? "" : "s", self->share,
           self->share == 1 ? "" : "s");
    print_bytes("parameters", self->parameter_bytes,
                self->parameter_copies_node < self->ranks ? "one copy for all ranks of the node" : "");
    if (self->narrow_bytes)
        print_bytes("and in bf16", self->narrow_bytes, "");
    print_bytes("gradients", self->gradient_bytes, "");
    print_bytes("optimizer state", self->optimizer_bytes,
                self->sharded && self->ranks > 1 ? "of the slice that the rank updates" : "");
    snprintf(planned, sizeof planned, "%s without reuse", bytes_text(self->plan->activation_bytes_unshared, unshared));
    print_bytes("activations", self->plan->activation_bytes, planned);
    print_bytes("operands", self->operand_bytes,
                self->operand_copies_node < self->ranks
                    ? "inputs and gradients of dense layers, one copy for all ranks of the node"
                    : "inputs and gradients of dense layers");
    print_bytes(self->on_gpus ? "input batch" : "input batches", self->input_bytes, "");
    print_bytes("together", rank_bytes(self), "without the data set and the libraries' scratch");
}

/* ---- JSON ---- */

static json_t *layers_json(const summary *self)
{
    json_t *layers = json_array();
    for (int n = 0; n < self->graph->node_count; n++) {
        const run_node *node = &self->graph->nodes[n];
        json_t *layer = json_object(), *inputs = json_array(), *shape = json_array();
        for (int i = 0; i < node->input_count; i++)
            json_array_append_new(inputs, json_string(self->graph->nodes[node->inputs[i]].name));
        json_array_append_new(shape, json_integer(node->shape.c));
        if (!node->shape.flat) {
            json_array_append_new(shape, json_integer(node->shape.h));
            json_array_append_new(shape, json_integer(node->shape.w));
        }
        json_object_set_new(layer, "name", json_string(node->name));
        json_object_set_new(layer, "type", json_string(node->type));
        json_object_set_new(layer, "inputs", inputs);
        json_object_set_new(layer, "output", shape);
        json_object_set_new(layer, "parameters", json_integer(node_parameters(self->graph, node)));
        json_object_set_new(layer, "flops_forward", json_integer(node->flops_forward));
        json_array_append_new(layers, layer);
    }
    return layers;
}

static json_t *memory_json(const summary *self)
{
    json_t *json = json_object();
    json_object_set_new(json, "parameters", json_integer((json_int_t)self->parameter_bytes));
    json_object_set_new(json, "parameter_copies_a_node", json_integer(self->parameter_copies_node));
    json_object_set_new(json, "parameters_bf16", json_integer((json_int_t)self->narrow_bytes));
    json_object_set_new(json, "gradients", json_integer((json_int_t)self->gradient_bytes));
    json_object_set_new(json, "optimizer_state", json_integer((json_int_t)self->optimizer_bytes));
    json_object_set_new(json, "activations", json_integer((json_int_t)self->plan->activation_bytes));
    json_object_set_new(json, "activations_without_reuse",
                        json_integer((json_int_t)self->plan->activation_bytes_unshared));
    json_object_set_new(json, "operands", json_integer((json_int_t)self->operand_bytes));
    json_object_set_new(json, "operand_copies_a_node", json_integer(self->operand_copies_node));
    json_object_set_new(json, "input_batches", json_integer((json_int_t)self->input_bytes));
    json_object_set_new(json, "total", json_integer((json_int_t)rank_bytes(self)));
    return json;
}

static base_status print_json(const summary *self)
{
    json_t *json = json_object();
    json_object_set_new(json, "schema", json_string("ddpt.summary.v1"));
    json_object_set_new(json, "config", json_string(self->config->path));
    json_object_set_new(json, "layers", layers_json(self));
    json_object_set_new(json, "parameters", json_integer(self->graph->parameters));
    json_object_set_new(json, "flops_forward_per_sample", json_integer(self->graph->flops_forward));
    json_object_set_new(json, "flops_train_per_sample", json_integer(self->graph->flops_train));
    json_object_set_new(json, "batch", json_integer(self->config->train.batch));
    json_object_set_new(json, "device", json_string(run_device_name(self->on_gpus ? RUN_DEVICE_GPU : RUN_DEVICE_CPU)));
    json_object_set_new(json, "device_note", *self->device_note ? base_json_text(self->device_note) : json_null());
    json_object_set_new(json, "ranks", json_integer(self->ranks));
    json_object_set_new(json, "batch_per_rank", json_integer(self->share));
    json_object_set_new(json, "buckets", json_integer(self->plan->bucket_count));
    json_object_set_new(json, "sync",
                        json_string(run_sync_name(self->sharded ? RUN_SYNC_SHARDED : RUN_SYNC_ALLREDUCE)));
    json_object_set_new(json, "memory_bytes_per_rank", memory_json(self));
    return command_print_json(json);
}

static base_status print(const summary *self, int json)
{
    if (json)
        return print_json(self);
    print_text(self);
    return BASE_OK;
}

static base_status run(int argc, char **argv)
{
    summary_options options = {0};
    summary self = {0};
    run_config *config = NULL;
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_summary.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(base_switch_check());
    base_status status = run_config_read(options.config, options.sets.count, options.sets.values, &config);
    if (status == BASE_OK)
        status = build(config, options.ranks, &self);
    if (status == BASE_OK && command_speaks())
        status = print(&self, options.json);
    base_arena_destroy(&self.arena);
    run_config_destroy(&config);
    return status;
}

const command command_summary = {
    .name = "summary",
    .summary = "layers, shapes, parameters, FLOPs and memory of a model",
    .usage =
        "usage: ddpt summary [options] CONFIG\n"
        "\n"
        "Prints the model that CONFIG describes, layer by layer in the order of execution: output shape (C x H x W),\n"
        "parameters, multiplications and additions of a sample's forward pass; then the memory of a rank when\n"
        "train.batch is shared by N ranks of one node: on GPUs for train.device = \"gpu\", for \"auto\" on what train\n"
        "would take here. Needs neither data nor mpirun nor GPUs.\n"
        "\n"
        "  -n, --ranks N       ranks that share train.batch (default: 1)\n"
        "  -s, --set KEY=VALUE override a key of the config, e.g. --set train.sync=allreduce; may be repeated\n"
        "      --share-gpus    \"auto\" takes GPUs for more ranks than there are (or set DDPT_SHARE_GPUS=1)\n"
        "      --json          the same as JSON (schema ddpt.summary.v1; bytes)\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 printed; 1 an error of ddpt or the system; 2 usage or configuration.\n",
    .run = run,
};
