/* train_matrix: trains small models with every way to share the work that the number of ranks allows, and prints the
 * loss of each step and the parameters' digest at the end: lines of
 *
 *     MODEL COMM SYNC STEP LOSS            (%.17g)
 *     MODEL COMM SYNC digest HEXADECIMAL
 *
 * test_train_invariance.sh compares the output of several numbers of ranks. Fails by itself where ranks disagree on the
 * parameters. All in one process, since starting MPI takes longer than such a run.
 *
 *     train_matrix STEPS MODEL|all [KEY=VALUE...]
 */
#include "comm.h"
#include "run_step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 413 samples in batches of 51: no number of ranks but 1 and 3 divides them, and the last batch of an epoch has 5, so
 * that some of 8 ranks get none. The test set's last batch is short too. */
#define DATA "data = { format = \"digits\"; train_samples = 413; test_samples = 137; };\n"
#define IMAGE_DATA "data = { format = \"synthetic\"; classes = 5; train_samples = 413; test_samples = 137; };\n"
#define TRAIN "train = { batch = 51; epochs = 1000; seed = 7; "

typedef struct model {
    const char *name, *text;
} model;

static const model models[] = {
    {"dense", DATA "model = { input = [1, 28, 28]; layers = (\n"
                   "{ type = \"dense\"; units = 67; activation = \"relu\"; }, { type = \"dropout\"; rate = 0.3; },\n"
                   "{ type = \"dense\"; units = 33; bias = false; activation = \"relu\"; }, { type = \"dense\"; units "
                   "= 10; }); };\n" TRAIN
                   "optimizer = { type = \"sgd\"; lr = 0.05; momentum = 0.9; nesterov = true; weight_decay = 0.001;\n"
                   "              schedule = { type = \"cosine\"; warmup_epochs = 0.4; }; }; };\n"},
    {"conv", DATA
     "model = { input = [1, 28, 28]; layers = (\n"
     "{ type = \"conv2d\"; filters = 5; kernel = 3; stride = 2; activation = \"relu\"; },\n"
     "{ type = \"conv2d\"; filters = 7; kernel = [3, 5]; padding = [1, 2]; bias = false; activation = \"gelu\"; },\n"
     "{ type = \"max_pool2d\"; kernel = 3; stride = 2; padding = 1; }, { type = \"flatten\"; },\n"
     "{ type = \"dense\"; units = 10; }); };\n" TRAIN
     "optimizer = { type = \"adam\"; lr = 0.002; weight_decay = 0.01; clip_norm = 1.0; }; };\n"},
    /* Batch normalisation fused and not, joins of branches, every activation. */
    {"mixed", IMAGE_DATA
     "model = { input = [3, 9, 7]; layers = (\n"
     "{ name = \"a\"; type = \"conv2d\"; filters = 6; kernel = 3; padding = 1; bias = false; },\n"
     "{ name = \"b\"; type = \"batch_norm\"; activation = \"relu\"; },\n"
     "{ name = \"c\"; type = \"conv2d\"; filters = 6; kernel = 3; padding = 1; activation = \"tanh\"; },\n"
     "{ name = \"d\"; type = \"add\"; inputs = [\"b\", \"c\"]; },\n"
     "{ name = \"e\"; type = \"dropout\"; rate = 0.2; },\n"
     "{ name = \"f\"; type = \"avg_pool2d\"; kernel = 2; inputs = [\"b\"]; },\n"
     "{ name = \"g\"; type = \"max_pool2d\"; kernel = 2; inputs = [\"e\"]; },\n"
     "{ name = \"h\"; type = \"concat\"; inputs = [\"f\", \"g\"]; },\n"
     "{ name = \"i\"; type = \"flatten\"; },\n"
     "{ name = \"j\"; type = \"dense\"; units = 19; activation = \"gelu\"; },\n"
     "{ name = \"k\"; type = \"dense\"; units = 19; activation = \"sigmoid\"; },\n"
     "{ name = \"l\"; type = \"concat\"; inputs = [\"j\", \"k\"]; },\n"
     "{ name = \"m\"; type = \"batch_norm\"; activation = \"gelu\"; },\n"
     "{ name = \"n\"; type = \"dense\"; units = 5; }); };\n" TRAIN
     "optimizer = { type = \"adamw\"; lr = 0.003; schedule = { type = \"step\"; every_epochs = 1; }; }; };\n"},
    {"mse", IMAGE_DATA
     "model = { input = [3, 9, 7]; layers = ({ type = \"dense\"; units = 40; activation = \"tanh\"; },\n"
     "{ type = \"activation\"; activation = \"gelu\"; }, { type = \"dense\"; units = 5; activation = \"sigmoid\"; });\n"
     "loss = \"mean_squared_error\"; };\n" TRAIN "optimizer = { lr = 0.3; momentum = 0.5; clip_norm = 0.05; }; };\n"},
};
enum { MODEL_COUNT = sizeof models / sizeof *models, STEPS_MAX = 1000 };

typedef struct way {
    const char *comm, *sync;
} way;

static const way ways_alone[] = {
    {"local", "allreduce"}, {"local", "sharded"}, {"shm", "allreduce"}, {"mpi", "sharded"}};
static const way ways_together[] = {{"shm", "allreduce"}, {"shm", "sharded"}, {"mpi", "allreduce"}, {"mpi", "sharded"}};
enum { WAYS = 4 };

static base_status same_everywhere(comm_world *world, const char *what, const char *mine, size_t nbytes)
{
    int size = comm_world_get_info(world)->size;
    char *all = malloc((size_t)size * nbytes);
    if (!all)
        return BASE_FAIL(BASE_ERROR, "out of memory");
    base_status status = comm_world_all_gather(world, mine, nbytes, all);
    for (int r = 1; r < size && status == BASE_OK; r++)
        if (memcmp(all, all + (size_t)r * nbytes, nbytes) != 0)
            status = BASE_FAIL(BASE_ERROR, "%s differ between rank 0 and rank %d", what, r);
    free(all);
    return status;
}

static base_status train(run_job *job, int64_t steps, const char *label)
{
    double losses[STEPS_MAX] = {0};
    char digest[17];
    for (int64_t s = 0; s < steps; s++) {
        base_phases phases = {0};
        run_step_result result;
        BASE_TRY(run_step_train(job, &(run_step_order){.step = s, .meets = 1}, &phases, &result));
        losses[s] = result.loss;
    }
    BASE_TRY(run_net_param_digest(job->net, digest));
    BASE_TRY(same_everywhere(job->world, "the parameters", digest, sizeof digest));
    BASE_TRY(same_everywhere(job->world, "the losses", (const char *)losses, sizeof losses));
    /* Evaluation leaves training as it is, and is the same everywhere too. */
    double test[2];
    BASE_TRY(run_step_evaluate(job, NULL, &test[0], &test[1]));
    BASE_TRY(same_everywhere(job->world, "the test results", (const char *)test, sizeof test));
    if (job->info.rank != 0)
        return BASE_OK;
    for (int64_t s = 0; s < steps; s++)
        printf("%s %" PRId64 " %.17g\n", label, s + 1, losses[s]);
    printf("%s test %.17g\n%s digest %s\n", label, test[0], label, digest);
    return BASE_OK;
}

typedef struct options {
    int64_t steps;
    const char *model;
    int set_count;
    char **sets;
} options;

static base_status run(comm_world *world, const model *m, const way *w, const options *o)
{
    enum { SETS_MAX = 16 };
    char label[64], comm[64], sync[64];
    const char *sets[SETS_MAX] = {comm, sync};
    int count = 2;
    snprintf(label, sizeof label, "%s %s %s", m->name, w->comm, w->sync);
    snprintf(comm, sizeof comm, "train.comm=%s", w->comm);
    snprintf(sync, sizeof sync, "train.sync=%s", w->sync);
    for (int i = 0; i < o->set_count && count < SETS_MAX; i++)
        sets[count++] = o->sets[i];
    run_config *config = NULL;
    run_job job;
    BASE_TRY(run_config_parse(m->name, m->text, count, sets, &config));
    base_status status = run_job_create(world, config, RUN_JOB_TRAIN, &job);
    if (status == BASE_OK)
        status = comm_world_agree(world, train(&job, o->steps, label));
    if (status != BASE_PEER)
        run_job_destroy(&job);
    run_config_destroy(&config);
    return status == BASE_OK ? BASE_OK : BASE_FAIL(status, "%s: %s", label, base_status_message());
}

static base_status run_all(comm_world *world, const options *o)
{
    const way *ways = comm_world_get_info(world)->size == 1 ? ways_alone : ways_together;
    for (int m = 0; m < MODEL_COUNT; m++)
        for (int w = 0; w < WAYS; w++)
            if (strcmp(o->model, "all") == 0 || strcmp(o->model, models[m].name) == 0)
                BASE_TRY(run(world, &models[m], &ways[w], o));
    return BASE_OK;
}

int main(int argc, char **argv)
{
    comm_world *world = NULL;
    options o = {.steps = argc > 2 ? atoll(argv[1]) : 0};
    if (o.steps < 1 || o.steps > STEPS_MAX) {
        fputs("usage: train_matrix STEPS MODEL|all [KEY=VALUE...]\n", stderr);
        return BASE_USAGE;
    }
    o.model = argv[2];
    o.set_count = argc - 3;
    o.sets = argv + 3;
    base_status status = comm_world_open(&world);
    if (status == BASE_OK)
        status = run_all(world, &o);
    if (status != BASE_OK)
        fprintf(stderr, "error: %s\n", base_status_message());
    if (world && status == BASE_PEER)
        comm_world_abort(world, (int)status);
    if (world)
        comm_world_close(&world, (int)status);
    return (int)status;
}
