/* Whole random networks: what a step takes from the parameters is the gradient of the loss that the forward pass
 * computes, for every parameter of every layer, whatever the graph, the loss and the number of ranks. And a step
 * allocates nothing. */
#include "base_arena.h"
#include "base_random.h"
#include "comm.h"
#include "graph_random.h"
#include "run_step.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_BYTES = 32 * 1024, GRAPHS = 40, BATCH = 13 };

/* Losses are sums of floats: they are good to about 1e-6, and this step makes 3e-4 of that. The rest of the tolerance
 * is for curvature and for the turning points of relu and max pooling that lie within the step. */
#define STEP 2e-3
#define ABSOLUTE 2e-3
#define RELATIVE 0.04

static comm_world *world;

static void open_job(const char *text, run_config **config, run_job *job)
{
    if (run_config_parse("test.cfg", text, 0, NULL, config) != BASE_OK ||
        run_job_create(world, *config, RUN_JOB_TRAIN, job) != BASE_OK)
        fail_msg("%s", base_status_message());
}

static void close_job(run_config **config, run_job *job)
{
    run_job_destroy(job);
    run_config_destroy(config);
}

/* The mean loss of the first batch of the first epoch with the parameters as they are. */
static double loss_of(run_job *job)
{
    run_net_batch batch;
    double result[2];
    assert_int_equal(run_feed_seek(job->train_feed, 0, 0), BASE_OK);
    assert_int_equal(run_feed_next(job->train_feed, &batch), BASE_OK);
    ops_step step = {.first_sample = batch.first_sample};
    assert_int_equal(job->ops->begin_step(job->context, &step), BASE_OK);
    assert_int_equal(run_net_forward(job->net, &batch, 1, NULL), BASE_OK);
    assert_int_equal(run_net_loss(job->net, &batch, 1, result), BASE_OK);
    assert_int_equal(comm_small_all_reduce(job->group, result, 1, COMM_F64, COMM_SUM), BASE_OK);
    return result[0] / (double)batch.global_count;
}

/* The derivative of the loss along `direction`, `count` parameters from `at` on. */
static double slope(run_job *job, size_t at, size_t count, const float *before, const double *direction)
{
    float *p = (float *)comm_slab_data(run_net_params(job->net)) + at;
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            p[i] = (float)(before[at + i] + (side ? STEP : -STEP) * direction[i]);
        loss[side] = loss_of(job);
    }
    memcpy(p, before + at, count * sizeof *p);
    return (loss[1] - loss[0]) / (2.0 * STEP);
}

/* Along the gradient itself, where the loss changes most, and along a random direction. Both have length 1. */
static int check_param(run_job *job, int param, const float *before, const float *after, double *direction)
{
    size_t at = job->plan->param_offset[param], count = (size_t)job->graph->params[param].count;
    base_random random = base_random_stream(5, 1, (uint64_t)param);
    int wrong = 0;
    for (int kind = 0; kind < 2; kind++) {
        double norm = 0.0, wanted = 0.0;
        for (size_t i = 0; i < count; i++) {
            double g = (double)before[at + i] - (double)after[at + i];
            uint32_t words[4];
            base_random_block(&random, 0, (uint32_t)i, words);
            direction[i] = kind == 0 ? g : 2.0 * (double)base_random_uniform(words[0]) - 1.0;
            norm += direction[i] * direction[i];
        }
        norm = sqrt(norm) + 1e-30;
        for (size_t i = 0; i < count; i++) {
            direction[i] /= norm;
            wanted += direction[i] * ((double)before[at + i] - (double)after[at + i]);
        }
        double seen = slope(job, at, count, before, direction);
        if (!(fabs(seen - wanted) <= ABSOLUTE + RELATIVE * fabs(wanted))) {
            print_message("%s: slope %g, gradient %g\n", job->graph->params[param].name, seen, wanted);
            wrong++;
        }
    }
    return wrong;
}

static void check_graph(uint32_t number, const char *loss)
{
    static char layers[TEXT_BYTES], text[TEXT_BYTES + 1024];
    run_config *config = NULL;
    run_job job;
    graph_random_layers(number, layers, sizeof layers);
    /* A rate of 1 without momentum: a step takes just the gradient. Each rank has parameters of its own to vary. */
    snprintf(text, sizeof text,
             "data = { format = \"synthetic\"; train_samples = %d; test_samples = 5; classes = 3; };\n"
             "train = { batch = %d; seed = %" PRIu32
             "; comm = \"%s\"; sync = \"allreduce\"; optimizer = { lr = 1.0; }; };\n"
             "model = { input = [2, 8, 8]; loss = \"%s\"; layers = (\n%s); };\n",
             BATCH, BATCH, number + 1, number % 2 ? "mpi" : "shm", loss, layers);
    open_job(text, &config, &job);

    base_arena *arena;
    assert_int_equal(base_arena_create(&arena, "gradient test"), BASE_OK);
    size_t elements = job.plan->param_elements;
    float *params = comm_slab_data(run_net_params(job.net));
    float *before = BASE_NEW_ARRAY(arena, float, elements), *after = BASE_NEW_ARRAY(arena, float, elements);
    double *direction = BASE_NEW_ARRAY(arena, double, elements);
    assert_true(before && after && direction);
    base_phases phases = {0};
    run_step_result result;
    memcpy(before, params, elements * sizeof *params);
    assert_int_equal(run_step_train(&job, &(run_step_order){.step = 0, .meets = 1}, &phases, &result), BASE_OK);
    memcpy(after, params, elements * sizeof *params);
    memcpy(params, before, elements * sizeof *params);

    int wrong = fabs(loss_of(&job) - result.loss) > 1e-5 * fabs(result.loss);
    for (int p = 0; p < job.graph->param_count; p++)
        wrong += check_param(&job, p, before, after, direction);
    base_arena_destroy(&arena);
    close_job(&config, &job);
    if (wrong)
        fail_msg("graph %" PRIu32 ", %s: %d wrong\n%s", number, loss, wrong, layers);
}

static void gradients_of_random_graphs(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < GRAPHS; n++)
        check_graph(n, n % 3 ? "softmax_cross_entropy" : "mean_squared_error");
}

static void a_step_allocates_nothing(void **state)
{
    static const char *const ways[] = {"comm = \"shm\"; sync = \"sharded\";", "comm = \"shm\"; sync = \"allreduce\";",
                                       "comm = \"mpi\"; sync = \"allreduce\";"};
    (void)state;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        char text[2048];
        run_config *config = NULL;
        run_job job;
        snprintf(text, sizeof text,
                 "data = { format = \"synthetic\"; train_samples = 100; test_samples = 5; classes = 3; };\n"
                 "train = { batch = 9; epochs = 100; %s optimizer = { type = \"adam\"; clip_norm = 1.0; }; };\n"
                 "model = { input = [2, 8, 8]; layers = ({ type = \"conv2d\"; filters = 4; kernel = 3; },\n"
                 "{ type = \"batch_norm\"; activation = \"gelu\"; }, { type = \"max_pool2d\"; kernel = 2; },\n"
                 "{ type = \"dropout\"; rate = 0.5; }, { type = \"dense\"; units = 3; }); };\n",
                 ways[w]);
        open_job(text, &config, &job);
        uint64_t count = 0;
        for (int64_t s = 0; s < 100; s++) {
            base_phases phases = {0};
            run_step_result result;
            assert_int_equal(run_step_train(&job, &(run_step_order){.step = s, .meets = 1}, &phases, &result), BASE_OK);
            if (s == 1)
                count = base_arena_count();
        }
        assert_int_equal(base_arena_count(), count);
        close_job(&config, &job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_random_graphs),
        cmocka_unit_test(a_step_allocates_nothing),
    };
    if (comm_world_open(&world) != BASE_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    /* One that has failed has left its test early, and cannot end together with the others. */
    if (failed)
        comm_world_abort(world, 1);
    comm_world_close(&world, 0);
    return 0;
}
