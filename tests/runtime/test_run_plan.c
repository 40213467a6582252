#include "graph_fixture.h"
#include "graph_random.h"
#include "run_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MODELS = 3000, BATCH = 5, LARGE_BATCH = 1 << 24, LINE = 64, TEXT_BYTES = 16384 };

/* ---- a machine that runs plans ----
 * It knows nothing of lifetimes: its memory remembers which tensor wrote each line of 64 bytes last, and a read of a
 * tensor that somebody else has written to fails the test. It executes what run_net_exec executes, in that order, and
 * in the end what run_reduce does with the operands of joint sums. */

typedef enum part { PART_VALUE, PART_GRADIENT, PART_Z, PART_BYTES, PART_COUNT } part;

typedef struct machine {
    const run_graph *graph;
    const run_plan *plan;
    const run_fuse_node *fuse; /* NULL: every operation alone */
    int *lines;                /* activations: 1 + PART_COUNT * node + part of the last writer; 0: nobody */
    int *operand_lines;
    int contributions[64]; /* to the gradient of a tensor */
} machine;

static size_t joint_offset(const machine *self, int node, part p)
{
    const run_plan_node *n = &self->plan->nodes[node];
    return p == PART_VALUE ? n->joint_value : p == PART_GRADIENT ? n->joint_gradient : RUN_NO_OFFSET;
}

/* The lines of a tensor, which is in one of the two slabs. */
static int *first_line(const machine *self, int node, part p, size_t lines)
{
    const run_plan_node *n = &self->plan->nodes[node];
    size_t offset = p == PART_VALUE ? n->value : p == PART_GRADIENT ? n->gradient : p == PART_Z ? n->z : n->bytes;
    size_t joint = joint_offset(self, node, p);
    assert_true((offset == RUN_NO_OFFSET) != (joint == RUN_NO_OFFSET));
    if (joint != RUN_NO_OFFSET) {
        assert_int_equal(joint * sizeof(float) % LINE, 0);
        assert_true(joint * sizeof(float) + lines * LINE <= (self->plan->operand_elements * sizeof(float)));
        return self->operand_lines + joint * sizeof(float) / LINE;
    }
    assert_int_equal(offset % LINE, 0);
    assert_true(offset + lines * LINE <= self->plan->activation_bytes);
    return self->lines + offset / LINE;
}

static size_t lines_of(const machine *self, int node, part p)
{
    size_t count = (size_t)(self->plan->batch * base_shape_count(self->graph->nodes[node].shape));
    return (count * (p == PART_BYTES ? 1 : sizeof(float)) + LINE - 1) / LINE;
}

static int tag_of(int node, part p)
{
    return 1 + PART_COUNT * node + (int)p;
}

static void write_part(machine *self, int node, part p)
{
    size_t lines = lines_of(self, node, p);
    int *line = first_line(self, node, p, lines);
    for (size_t i = 0; i < lines; i++)
        line[i] = tag_of(node, p);
}

static void read_part(const machine *self, int node, part p)
{
    size_t lines = lines_of(self, node, p);
    const int *line = first_line(self, node, p, lines);
    for (size_t i = 0; i < lines; i++)
        if (line[i] != tag_of(node, p))
            fail_msg("%s, part %d: overwritten by node %d", self->graph->nodes[node].name, (int)p,
                     (line[i] - 1) / PART_COUNT);
}

/* The model's input lies elsewhere. */
static void read_value(const machine *self, int node)
{
    int tensor = self->graph->nodes[node].tensor;
    if (tensor != 0)
        read_part(self, tensor, PART_VALUE);
}

static int has_z(const run_node *node)
{
    return node->activation == OPS_GELU &&
           (node->kind == RUN_NODE_DENSE || node->kind == RUN_NODE_CONV2D || node->kind == RUN_NODE_BATCH_NORM);
}

static int has_bytes(const run_node *node)
{
    return node->kind == RUN_NODE_DROPOUT || node->kind == RUN_NODE_MAX_POOL;
}

/* Another operation does it. */
static int is_absorbed(const machine *self, const run_node *node)
{
    return self->fuse && self->fuse[node->number].absorbed;
}

static void run_forward(machine *self, int training)
{
    if (training && joint_offset(self, 0, PART_VALUE) != RUN_NO_OFFSET)
        write_part(self, 0, PART_VALUE);
    for (int n = 1; n < self->graph->node_count; n++) {
        const run_node *node = &self->graph->nodes[n];
        if (node->kind == RUN_NODE_ALIAS || is_absorbed(self, node))
            continue;
        for (int i = 0; i < node->input_count; i++)
            read_value(self, node->inputs[i]);
        if (has_z(node))
            write_part(self, n, PART_Z);
        if (has_bytes(node) && training)
            write_part(self, n, PART_BYTES);
        write_part(self, node->tensor, PART_VALUE);
        /* Inputs and outputs of an operation do not overlap, but where it works in place. */
        for (int i = 0; i < node->input_count; i++)
            read_value(self, node->inputs[i]);
        if (has_z(node))
            read_part(self, n, PART_Z);
    }
    read_value(self, self->graph->output);
}

static void read_for_backward(const machine *self, const run_node *node)
{
    read_part(self, node->tensor, PART_GRADIENT);
    if (node->kind == RUN_NODE_DENSE || node->kind == RUN_NODE_CONV2D || node->kind == RUN_NODE_BATCH_NORM)
        read_value(self, node->inputs[0]);
    if (node->kind == RUN_NODE_ACTIVATION && node->activation == OPS_GELU)
        read_value(self, node->inputs[0]);
    int dz_given = self->fuse && run_fuse_dz_given(self->graph, self->fuse, node->number);
    if (!dz_given && (node->activation == OPS_RELU || node->activation == OPS_TANH || node->activation == OPS_SIGMOID))
        read_value(self, node->number);
    if (has_z(node))
        read_part(self, node->number, PART_Z);
    if (has_bytes(node))
        read_part(self, node->number, PART_BYTES);
}

static void write_gradient(machine *self, const run_node *node, const run_gradient *to)
{
    if (to->tensor < 0)
        return;
    if (node->in_place) {
        assert_int_equal(to->tensor, node->tensor);
    } else {
        assert_int_equal(to->accumulate, self->contributions[to->tensor] > 0);
        self->contributions[to->tensor]++;
        if (to->accumulate)
            read_part(self, to->tensor, PART_GRADIENT);
    }
    write_part(self, to->tensor, PART_GRADIENT);
}

static void run_backward_nodes(machine *self, const run_backward *backward)
{
    int output = self->graph->nodes[self->graph->output].tensor;
    write_part(self, output, PART_GRADIENT);
    read_value(self, self->graph->output);
    self->contributions[output]++;
    for (int b = 0; b < backward->count; b++) {
        const run_backward_node *step = &backward->nodes[b];
        const run_node *node = &self->graph->nodes[step->node];
        if (is_absorbed(self, node))
            continue;
        read_for_backward(self, node);
        for (int i = 0; i < node->input_count; i++)
            write_gradient(self, node, &step->inputs[i]);
        read_for_backward(self, node);
    }
}

/* Joint sums come last, and want the operands as they were. */
static void read_operands(const machine *self)
{
    for (int b = 0; b < self->plan->bucket_count; b++) {
        const run_bucket *bucket = &self->plan->buckets[b];
        if (bucket->form != RUN_BUCKET_JOINT)
            continue;
        const run_node *node = &self->graph->nodes[bucket->node];
        read_part(self, self->graph->nodes[node->inputs[0]].tensor, PART_VALUE);
        read_part(self, node->tensor, PART_GRADIENT);
    }
}

/* ---- tests ---- */

typedef struct planned {
    graph_fixture fixture;
    const run_backward *backward;
    const run_fuse_node *fuse;
    const run_plan *plan;
} planned;

static void build_graph(planned *self, const char *input, const char *layers)
{
    if (graph_fixture_open(&self->fixture, input, layers, 0) != BASE_OK)
        fail_msg("%s in:\n%s", base_status_message(), layers);
    assert_int_equal(run_backward_build(self->fixture.graph, self->fixture.arena, &self->backward), BASE_OK);
}

static void build_plan(planned *self, const char *input, const char *layers, const run_plan_options *options)
{
    build_graph(self, input, layers);
    assert_int_equal(run_plan_build(self->fixture.graph, self->backward, options, self->fixture.arena, &self->plan),
                     BASE_OK);
}

/* With a large batch over a network no dense layer is summed jointly. */
static void open_plan(planned *self, const char *input, const char *layers, int large_travels, size_t bucket_bytes)
{
    run_plan_options options = {.batch = BATCH,
                                .global_batch = large_travels ? LARGE_BATCH : BATCH,
                                .bucket_bytes = bucket_bytes,
                                .operands_travel = large_travels,
                                .element_bytes = sizeof(float),
                                .joint_sums = 1,
                                .wide_sums = 1};
    build_plan(self, input, layers, &options);
}

/* As for a back end that fuses operations. */
static void open_fused_plan(planned *self, const char *input, const char *layers)
{
    build_graph(self, input, layers);
    base_arena *arena = self->fixture.arena;
    assert_int_equal(run_fuse_build(self->fixture.graph, 1, 1, arena, &self->fuse), BASE_OK);
    const run_plan_options options = {
        .batch = BATCH, .global_batch = BATCH, .bucket_bytes = 1, .element_bytes = sizeof(float), .fuse = self->fuse};
    assert_int_equal(run_plan_build(self->fixture.graph, self->backward, &options, arena, &self->plan), BASE_OK);
}

static void execute(const planned *self, int training)
{
    machine m = {.graph = self->fixture.graph, .plan = self->plan, .fuse = self->fuse};
    m.lines = BASE_NEW_ARRAY(self->fixture.arena, int, self->plan->activation_bytes / LINE + 1);
    m.operand_lines = BASE_NEW_ARRAY(self->fixture.arena, int, self->plan->operand_elements * sizeof(float) / LINE + 1);
    assert_non_null(m.lines);
    assert_non_null(m.operand_lines);
    assert_true(m.graph->node_count <= (int)(sizeof m.contributions / sizeof *m.contributions));
    run_forward(&m, training);
    if (training) {
        run_backward_nodes(&m, self->backward);
        read_operands(&m);
    }
}

static void tensors_that_live_together_do_not_overlap(void **state)
{
    (void)state;
    static char layers[TEXT_BYTES];
    size_t smaller = 0;
    for (uint32_t i = 0; i < 3 * MODELS; i++) {
        planned p = {0};
        graph_random_layers(i / 3, layers, sizeof layers);
        if (i % 3 == 2)
            open_fused_plan(&p, "2, 8, 8", layers);
        else
            open_plan(&p, "2, 8, 8", layers, i % 3 == 1, 1);
        execute(&p, 1);
        execute(&p, 0);
        assert_true(p.plan->activation_bytes <= p.plan->activation_bytes_unshared);
        smaller += p.plan->activation_bytes < p.plan->activation_bytes_unshared;
        graph_fixture_close(&p.fixture);
    }
    assert_true(smaller > MODELS); /* most models are large enough for some reuse */
}

/* Training keeps 41 values, of which none is needed once its gradient is done: gradients take their places. */
static void chain_of_training_reuses_values(void **state)
{
    (void)state;
    char layers[TEXT_BYTES] = "";
    for (int i = 0; i < 40; i++)
        strcat(layers, "{ type = \"dense\"; units = 256; activation = \"relu\"; },\n");
    strcat(layers, "{ type = \"dense\"; units = 256; }\n");
    planned p = {0};
    open_plan(&p, "256", layers, 1, 1);
    assert_int_equal(p.plan->operand_elements, 0);
    size_t one = BATCH * 256 * sizeof(float);
    assert_int_equal(p.plan->activation_bytes_unshared, 82 * one);
    assert_in_range(p.plan->activation_bytes, 41 * one, 43 * one);
    execute(&p, 1);
    graph_fixture_close(&p.fixture);
}

/* Operands of joint sums live to the end of the step: inputs and gradients of each layer, and the output for the loss.
 */
static void joint_operands_are_kept(void **state)
{
    (void)state;
    planned p = {0};
    open_plan(&p, "256",
              "{ type = \"dense\"; units = 256; activation = \"relu\"; }, { type = \"dense\"; units = 256; },"
              "{ type = \"dense\"; units = 10; }",
              0, 1);
    assert_int_equal(p.plan->bucket_count, 3);
    assert_int_equal(p.plan->operand_elements, 5 * BATCH * 256 + 64); /* 3 inputs, 2 and a short gradient */
    assert_true(p.plan->activation_bytes < BATCH * 256 * sizeof(float));
    execute(&p, 1);
    graph_fixture_close(&p.fixture);
}

/* Every element of the layout is in one bucket; a bucket is ready when the last of its parameters is, and not before.
 */
static void check_buckets(const planned *p, size_t bucket_bytes)
{
    const run_graph *graph = p->fixture.graph;
    size_t at = 0;
    int ready = -1;
    for (int b = 0; b < p->plan->bucket_count; b++) {
        const run_bucket *bucket = &p->plan->buckets[b];
        assert_int_equal(bucket->begin, at);
        assert_true(bucket->count > 0);
        assert_true(bucket->ready > ready);
        const run_bucket *next = b + 1 < p->plan->bucket_count ? bucket + 1 : NULL;
        assert_true(!next || bucket->form == RUN_BUCKET_JOINT || next->form != bucket->form ||
                    bucket->count * sizeof(float) >= bucket_bytes);
        at += bucket->count;
        ready = bucket->ready;
        int last = -1;
        for (int i = 0; i < p->backward->count; i++) {
            const run_node *node = &graph->nodes[p->backward->nodes[i].node];
            for (int q = node->first_param; q < node->first_param + node->param_count; q++) {
                size_t offset = p->plan->param_offset[q], end = offset + (size_t)graph->params[q].count;
                if (offset >= bucket->begin && offset < at) {
                    assert_true(end <= at);
                    assert_int_equal(p->plan->param_bucket[q], b);
                    assert_int_equal(node->kind == RUN_NODE_DENSE, bucket->form != RUN_BUCKET_WIDE);
                    assert_int_equal(bucket->node, bucket->form == RUN_BUCKET_JOINT ? node->number : -1);
                    last = i;
                }
            }
        }
        assert_int_equal(bucket->ready, last);
    }
    assert_int_equal(at, p->plan->param_elements);
}

static void check_layout(const planned *p)
{
    const run_graph *graph = p->fixture.graph;
    char *taken = base_arena_alloc(p->fixture.arena, p->plan->param_elements + 1);
    assert_non_null(taken);
    for (int q = 0; q < graph->param_count; q++) {
        size_t offset = p->plan->param_offset[q];
        assert_int_equal(offset * sizeof(float) % 64, 0);
        assert_true(offset + (size_t)graph->params[q].count <= p->plan->param_elements);
        for (int64_t i = 0; i < graph->params[q].count; i++)
            assert_int_equal(taken[offset + (size_t)i]++, 0);
    }
}

static void buckets_cover_all_parameters_in_ready_order(void **state)
{
    (void)state;
    static char layers[TEXT_BYTES];
    static const size_t sizes[] = {1, 256, 2048, (size_t)1 << 40};
    for (uint32_t i = 0; i < MODELS; i++) {
        planned p = {0};
        size_t bucket_bytes = sizes[i % 4];
        graph_random_layers(i, layers, sizeof layers);
        open_plan(&p, "2, 8, 8", layers, i / 4 % 2, bucket_bytes);
        check_layout(&p);
        check_buckets(&p, bucket_bytes);
        graph_fixture_close(&p.fixture);
    }
}

/* As for GPUs: ranks have parts of the same size. */
static void plain_buckets_are_padded(void **state)
{
    enum { GRAIN = 3 * 64 };
    (void)state;
    static char layers[TEXT_BYTES];
    for (uint32_t i = 0; i < MODELS; i++) {
        planned p = {0};
        run_plan_options options = {.batch = BATCH,
                                    .global_batch = BATCH,
                                    .bucket_grain = GRAIN,
                                    .bucket_bytes = 2048,
                                    .element_bytes = sizeof(float)};
        graph_random_layers(i, layers, sizeof layers);
        build_plan(&p, "2, 8, 8", layers, &options);
        check_layout(&p);
        size_t at = 0;
        for (int b = 0; b < p.plan->bucket_count; b++) {
            const run_bucket *bucket = &p.plan->buckets[b];
            assert_int_equal(bucket->form, RUN_BUCKET_PLAIN);
            assert_int_equal(bucket->begin, at);
            assert_int_equal(bucket->count % GRAIN, 0);
            at += bucket->count;
        }
        assert_int_equal(at, p.plan->param_elements);
        graph_fixture_close(&p.fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_that_live_together_do_not_overlap),
        cmocka_unit_test(chain_of_training_reuses_values),
        cmocka_unit_test(joint_operands_are_kept),
        cmocka_unit_test(buckets_cover_all_parameters_in_ready_order),
        cmocka_unit_test(plain_buckets_are_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
