#include "checkpoint.h"

#include "base_json.h"
#include "run_job.h"
#include "run_resume.h"
#include "run_step.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>

typedef struct eval_options {
    const char *config, *ckpt;
    command_sets sets;
    int json, help;
} eval_options;

typedef struct evaluation {
    const run_resumed *from;
    int64_t samples;
    double loss, accuracy;
} evaluation;

static base_status parse(int argc, char **argv, eval_options *options)
{
    static const struct option known[] = {{"ckpt", required_argument, NULL, 'k'}, {"set", required_argument, NULL, 's'},
                                          {"share-gpus", no_argument, NULL, 'g'}, {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":s:h", known, NULL)) != -1;) {
        switch (c) {
        case 'k': options->ckpt = optarg; break;
        case 's': BASE_TRY(command_sets_add(&options->sets, optarg)); break;
        case 'g': command_share_gpus(); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("eval", argv, optind);
        }
    }
    BASE_TRY(command_operand("eval", "a config file", argc, argv, optind, &options->config));
    if (!options->ckpt)
        return BASE_FAIL(BASE_USAGE, "ddpt eval needs --ckpt DIR, the checkpoint to evaluate; see: ddpt help eval");
    return BASE_OK;
}

static base_status print(const evaluation *result, int json)
{
    if (!json) {
        printf("%s (step %" PRId64 "): test loss %.4f, accuracy %.2f %% (%" PRId64 " samples)\n", result->from->path,
               result->from->position.step, result->loss, 100.0 * result->accuracy, result->samples);
        return BASE_OK;
    }
    json_t *object = json_object();
    json_object_set_new(object, "schema", json_string("ddpt.eval.v1"));
    json_object_set_new(object, "checkpoint", base_json_text(result->from->path));
    json_object_set_new(object, "step", json_integer(result->from->position.step));
    json_object_set_new(object, "samples", json_integer(result->samples));
    json_object_set_new(object, "test_loss", json_real(result->loss));
    json_object_set_new(object, "test_accuracy", json_real(result->accuracy));
    return command_print_json(object);
}

/* The same on all ranks. */
static base_status evaluate(run_job *job, const char *ckpt, run_resumed *from, evaluation *result)
{
    *result = (evaluation){.from = from, .samples = run_data_get_info(job->test_data)->samples};
    BASE_TRY(run_resume_model(job, ckpt, from));
    BASE_TRY(run_job_lose_rank(job, run_step_evaluate(job, NULL, &result->loss, &result->accuracy)));
    if (!isfinite(result->loss))
        return BASE_FAIL(BASE_DIVERGED, "%s: the test loss is not finite", from->path);
    return BASE_OK;
}

static base_status eval(comm_world *world, const run_config *config, const eval_options *options)
{
    run_job job;
    run_resumed from;
    evaluation result;
    base_status status = run_job_create(world, config, RUN_JOB_EVALUATE, &job);
    if (status == BASE_OK) {
        command_catch_interrupt();
        status = run_job_lose_device(&job, evaluate(&job, options->ckpt, &from, &result));
    }
    if (status == BASE_OK)
        status = comm_world_agree(world, job.info.rank == 0 ? print(&result, options->json) : BASE_OK);
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        run_job_destroy(&job);
    return status;
}

static base_status run(int argc, char **argv)
{
    eval_options options = {0};
    comm_world *world;
    run_config *config = NULL;
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_eval.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(command_open_world(&world));
    base_status status = run_job_read_config(world, options.config, options.sets.count, options.sets.values, &config);
    if (status == BASE_OK)
        status = eval(world, config, &options);
    run_config_destroy(&config);
    return status;
}

const command command_eval = {
    .name = "eval",
    .summary = "loss and accuracy of a checkpoint on the test set",
    .usage =
        "usage: [mpirun -n N] ddpt eval [options] --ckpt DIR CONFIG\n"
        "\n"
        "Takes the parameters from the newest sound checkpoint of DIR and prints the mean loss and the accuracy over\n"
        "the test set of CONFIG, each sample once, shared among the ranks. Of CONFIG the model must be the\n"
        "checkpoint's; everything else may differ: `ddpt ckpt show --config DIR` prints the one that it was trained\n"
        "with.\n"
        "\n"
        "      --ckpt DIR      a run's folder, its ckpt folder, or the folder of one checkpoint\n"
        "  -s, --set KEY=VALUE override a key of the config, e.g. --set data.path=other; may be repeated\n"
        "      --share-gpus    more ranks than GPUs are no mistake: some share one\n"
        "      --json          the result as JSON (schema ddpt.eval.v1)\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 done; 1 an error of ddpt or the system; 2 usage or configuration; 3 data; 4 no checkpoint\n"
        "there, damaged, or of another model; 5 device or back end not available; 6 a rank was lost; 7 the loss\n"
        "is not finite; 130 interrupted (Ctrl-C).\n",
    .run = run,
};
