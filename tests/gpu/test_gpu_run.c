/* A job on the emulated GPU, or on that of the plug-in given, from the inside: a step allocates nothing and becomes a
 * graph, a device that the host runs ahead of loses no step's loss, and batches are the host's, whether the data set
 * lies on the device or travels. */
#include "base_arena.h"
#include "comm/comm_test.h"
#include "run_step.h"

#include <math.h>

static const char model[] =
    "data = { format = \"synthetic\"; train_samples = 100; test_samples = 25; classes = 3; };\n"
    "model = { input = [2, 8, 8]; layers = ({ type = \"conv2d\"; filters = 4; kernel = 3; },\n"
    "{ type = \"batch_norm\"; activation = \"gelu\"; }, { type = \"max_pool2d\"; kernel = 2; },\n"
    "{ type = \"dropout\"; rate = 0.5; }, { type = \"dense\"; units = 3; }); };\n"
    "train = { batch = 9; epochs = 100; optimizer = { type = \"adam\"; clip_norm = 1.0; }; };\n";

static void open_job(const char *set, run_config **config, run_job *job)
{
    const char *const sets[] = {"train.device=gpu", set};
    int good = run_config_parse("test.cfg", model, 2, sets, config) == BASE_OK &&
               run_job_create(world, *config, RUN_JOB_TRAIN, job) == BASE_OK;
    EVERYWHERE(good);
}

static void close_job(run_config **config, run_job *job)
{
    run_job_destroy(job);
    run_config_destroy(config);
}

static base_status take_step(run_job *job, int64_t step, int meets, run_step_result *result)
{
    static base_phases phases;
    return run_step_train(job, &(run_step_order){.step = step, .meets = meets}, &phases, result);
}

static size_t memory_free(const run_job *job)
{
    run_plugin_gpu gpu;
    return job->choice.plugin->describe(job->choice.index, &gpu) == BASE_OK ? gpu.memory_free : 0;
}

static void a_step_allocates_nothing(const char *set)
{
    enum { STEPS = 30, WARM = 24 }; /* both shapes of batch are captured in the second epoch, of 12 steps */
    run_config *config = NULL;
    run_job job;
    run_step_result result;
    open_job(set, &config, &job);
    uint64_t count = 0;
    size_t left = 0;
    int good = 1;
    for (int64_t s = 0; s < STEPS + WARM; s++) {
        good = good && take_step(&job, s, s % 5 == 4, &result) == BASE_OK;
        if (s == WARM) {
            count = base_arena_count();
            left = memory_free(&job);
        }
    }
    EVERYWHERE(good && base_arena_count() == count && memory_free(&job) == left);
    EVERYWHERE(run_replay_captured(job.replay) == (comm_group_can_capture(job.group) ? 2 : 0));
    close_job(&config, &job);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    a_step_allocates_nothing("train.sync=allreduce");
    a_step_allocates_nothing("train.sync=sharded");
    a_step_allocates_nothing("train.precision=bf16");
}

/* Is it the same number on all ranks? They choose their pace by it. */
static int agreed(const run_job *job, double seconds)
{
    double ends[2] = {seconds, -seconds};
    return comm_small_all_reduce(job->group, ends, 2, COMM_F64, COMM_MAX) == BASE_OK && ends[0] == -ends[1];
}

/* Meeting after each step or only now and then: the same losses, none lost, none twice. */
static void no_loss_is_lost(void **state)
{
    enum { STEPS = 35 }; /* across ends of epochs, and further ahead than the device may be behind */
    (void)state;
    double sums[2] = {0}, last[2] = {0};
    int64_t samples[2] = {0}, steps[2] = {0};
    for (int together = 0; together < 2; together++) {
        run_config *config = NULL;
        run_job job;
        run_step_result result;
        int good = 1;
        open_job("train.sync=auto", &config, &job);
        for (int64_t s = 0; s < STEPS; s++) {
            int meets = !together || s % 17 == 16 || s == STEPS - 1;
            good = good && take_step(&job, s, meets, &result) == BASE_OK;
            good = good && (result.steps > 0) == meets;
            sums[together] += result.loss_sum;
            samples[together] += result.samples;
            steps[together] += result.steps;
            good = good && (result.seconds > 0.0) == meets && agreed(&job, result.seconds);
            last[together] = result.loss;
        }
        EVERYWHERE(good);
        close_job(&config, &job);
    }
    EVERYWHERE(steps[0] == STEPS && steps[1] == STEPS && samples[0] == samples[1]);
    EVERYWHERE(last[0] == last[1] && fabs(sums[0] - sums[1]) < 1e-9 * sums[0]);
}

static int same_batch(run_job *job, run_feed *feed, run_feed *host, size_t elements)
{
    run_net_batch batch, wanted;
    static float x[4096];
    static int32_t labels[64];
    const base_device_table *table = job->device_table;
    int good = run_feed_next(feed, &batch) == BASE_OK &&
               job->ops->begin_step(job->context, &(ops_step){.samples = batch.samples}) == BASE_OK &&
               run_feed_gather(feed, &batch) == BASE_OK && run_feed_next(host, &wanted) == BASE_OK &&
               batch.count == wanted.count && batch.first_sample == wanted.first_sample &&
               batch.global_count == wanted.global_count;
    size_t count = good ? (size_t)batch.count : 0;
    good = good && table->copy(job->device, job->stream, x, batch.x, count * elements * sizeof(float)) == BASE_OK &&
           table->copy(job->device, job->stream, labels, batch.labels, count * sizeof *labels) == BASE_OK &&
           table->stream_wait(job->device, job->stream) == BASE_OK;
    good = good && memcmp(labels, wanted.labels, count * sizeof *labels) == 0;
    for (size_t i = 0; good && i < count * elements; i++)
        good = fabsf(x[i] - ((const float *)wanted.x)[i]) < 1e-6f;
    return good;
}

static void batches_are_the_hosts(void **state)
{
    (void)state;
    run_config *config = NULL;
    run_job job;
    open_job("train.sync=auto", &config, &job);
    run_feed_options on_host = {
        .data = job.train_data, .sampler = job.train_sampler, .device_table = &base_device_host, .ops = ops_host()};
    for (int resident = 0; resident < 2; resident++)
        for (int background = 0; background < 2; background++) {
            run_feed_options on_device = {.data = job.train_data,
                                          .sampler = job.train_sampler,
                                          .background = background,
                                          .keep = RUN_FLIGHT_MAX,
                                          .resident_bytes = resident ? 1 << 20 : 0,
                                          .device_table = job.device_table,
                                          .device = job.device,
                                          .stream = job.stream,
                                          .ops = job.ops,
                                          .context = job.context};
            run_feed *feed = NULL, *host = NULL;
            int good = run_feed_create(&on_device, &feed) == BASE_OK && run_feed_create(&on_host, &host) == BASE_OK;
            good = good && run_feed_is_resident(feed) == resident;
            for (int s = 0; good && s < 30; s++)
                good = same_batch(&job, feed, host, (size_t)base_shape_count(job.graph->nodes[0].shape));
            run_feed_destroy(&feed);
            run_feed_destroy(&host);
            EVERYWHERE(good);
        }
    close_job(&config, &job);
}

int main(int argc, char **argv)
{
    setenv("DDPT_GPU_PLUGIN", argc > 1 ? argv[1] : DDPT_TEST_PLUGIN, 1);
    setenv("DDPT_SHARE_GPUS", "1", 1);
    test_open_world();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(no_loss_is_lost),
        cmocka_unit_test(batches_are_the_hosts),
    };
    return test_close_world(cmocka_run_group_tests_name("gpu_run", tests, NULL, NULL));
}
