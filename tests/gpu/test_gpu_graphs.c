/* Random networks on the emulated GPU, whose neighbouring operations are computed as one (run_fuse.h), against the
 * host, which computes each by itself: the same losses and the same parameters after some steps. */
#include "../runtime/graph_random.h"
#include "base_arena.h"
#include "comm/comm_test.h"
#include "run_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 32 * 1024, GRAPHS = 60, STEPS = 3, BATCH = 13 };

/* Sums of floats in another order; three small steps amplify that little. */
#define TOLERANCE 2e-4

typedef struct trained {
    double loss[STEPS];
    float *params; /* in canonical order */
    size_t count;
    int absorbed, gates; /* operations that were done by another */
} trained;

static void count_fused(const run_job *job, trained *t)
{
    for (int n = 0; n < job->graph->node_count; n++) {
        t->absorbed += job->fuse[n].absorbed;
        t->gates += run_fuse_dz_given(job->graph, job->fuse, n);
    }
}

static int download(run_job *job, trained *t)
{
    const base_device_table *table = job->device_table;
    const float *params = comm_slab_data(run_net_params(job->net));
    int good = 1;
    t->params = calloc((size_t)job->graph->parameters, sizeof *t->params);
    for (int p = 0; good && p < job->graph->param_count; p++) {
        size_t count = (size_t)job->graph->params[p].count;
        good = table->copy(job->device, job->stream, t->params + t->count, params + job->plan->param_offset[p],
                           count * sizeof(float)) == BASE_OK;
        t->count += count;
    }
    return good && table->stream_wait(job->device, job->stream) == BASE_OK;
}

static int train(const char *text, const char *device, trained *t)
{
    const char *const sets[] = {device};
    run_config *config = NULL;
    run_job job;
    base_phases phases = {0};
    run_step_result result = {0};
    int good = run_config_parse("test.cfg", text, 1, sets, &config) == BASE_OK &&
               run_job_create(world, config, RUN_JOB_TRAIN, &job) == BASE_OK;
    if (!good)
        return 0;
    count_fused(&job, t);
    for (int s = 0; good && s < STEPS; s++) {
        good = run_step_train(&job, &(run_step_order){.step = s, .meets = 1}, &phases, &result) == BASE_OK;
        t->loss[s] = result.loss;
    }
    good = good && download(&job, t);
    run_job_destroy(&job);
    run_config_destroy(&config);
    return good;
}

static int near(double a, double b)
{
    return fabs(a - b) <= TOLERANCE * (1.0 + fabs(b));
}

static int agree(const trained *a, const trained *b)
{
    int good = a->count == b->count;
    for (int s = 0; s < STEPS; s++)
        good = good && near(a->loss[s], b->loss[s]);
    for (size_t i = 0; good && i < a->count; i++)
        good = near((double)a->params[i], (double)b->params[i]);
    return good;
}

static void compare(const char *layers, const char *input, int *absorbed, int *gates)
{
    static char text[TEXT_BYTES + 1024];
    trained gpu = {0}, host = {0};
    snprintf(text, sizeof text,
             "data = { format = \"synthetic\"; train_samples = %d; test_samples = 5; classes = 3; };\n"
             "train = { batch = %d; seed = 5; optimizer = { lr = 0.02; momentum = 0.9; }; };\n"
             "model = { input = %s; layers = (\n%s); };\n",
             STEPS * BATCH, BATCH, input, layers);
    int good = train(text, "train.device=gpu", &gpu) && train(text, "train.device=cpu", &host);
    if (!good || !agree(&gpu, &host))
        print_message("%s\n%s\n", good ? "they differ:" : base_status_message(), layers);
    EVERYWHERE(good && agree(&gpu, &host));
    EVERYWHERE(host.absorbed == 0 && host.gates == 0);
    *absorbed += gpu.absorbed;
    *gates += gpu.gates;
    free(gpu.params);
    free(host.params);
}

static void random_graphs(void **state)
{
    static char layers[TEXT_BYTES];
    (void)state;
    int absorbed = 0, gates = 0;
    for (uint32_t n = 0; n < GRAPHS; n++) {
        graph_random_layers(n, layers, sizeof layers);
        compare(layers, "[2, 8, 8]", &absorbed, &gates);
    }
    EVERYWHERE(absorbed > 0 && gates > 0);
}

/* What is fused in the networks of the examples. */
static void chains(void **state)
{
    static const struct {
        const char *layers;
        int absorbed, gates;
    } cases[] = {
        {"{ type = \"dense\"; units = 9; activation = \"relu\"; }, { type = \"dropout\"; rate = 0.3; },\n"
         "{ type = \"dense\"; units = 6; activation = \"relu\"; }, { type = \"dropout\"; rate = 0.2; },\n"
         "{ type = \"dense\"; units = 3; }",
         2, 2},
        {"{ type = \"conv2d\"; filters = 4; kernel = 3; activation = \"relu\"; },\n"
         "{ type = \"conv2d\"; filters = 5; kernel = 3; activation = \"relu\"; },\n"
         "{ type = \"max_pool2d\"; kernel = 2; }, { type = \"dropout\"; rate = 0.25; }, { type = \"flatten\"; },\n"
         "{ type = \"dense\"; units = 7; activation = \"relu\"; }, { type = \"dropout\"; rate = 0.25; },\n"
         "{ type = \"dense\"; units = 3; }",
         2, 4},
        /* The output's own relu and dropout: the loss reads it, and multiplies nothing in. */
        {"{ type = \"dense\"; units = 3; activation = \"relu\"; }, { type = \"dropout\"; rate = 0.2; }", 1, 0},
        /* Two readers, and a sum. */
        {"{ name = \"a\"; type = \"dense\"; units = 5; activation = \"relu\"; },\n"
         "{ name = \"b\"; type = \"dense\"; units = 5; inputs = [\"a\"]; },\n"
         "{ type = \"add\"; inputs = [\"a\", \"b\"]; }, { type = \"dense\"; units = 3; }",
         0, 0},
        /* Another activation tells nothing by its sign. */
        {"{ type = \"dense\"; units = 5; activation = \"gelu\"; }, { type = \"dropout\"; rate = 0.2; },\n"
         "{ type = \"dense\"; units = 3; }",
         0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int absorbed = 0, gates = 0;
        compare(cases[i].layers, "[2, 8, 8]", &absorbed, &gates);
        if (absorbed != cases[i].absorbed || gates != cases[i].gates)
            print_message("case %zu: %d absorbed, %d gates\n", i, absorbed, gates);
        EVERYWHERE(absorbed == cases[i].absorbed && gates == cases[i].gates);
    }
}

int main(int argc, char **argv)
{
    setenv("DDPT_GPU_PLUGIN", argc > 1 ? argv[1] : DDPT_TEST_PLUGIN, 1);
    setenv("DDPT_SHARE_GPUS", "1", 1);
    test_open_world();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains),
        cmocka_unit_test(random_graphs),
    };
    return test_close_world(cmocka_run_group_tests_name("gpu_graphs", tests, NULL, NULL));
}
