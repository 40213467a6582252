#include "command.h"

#include "base_log.h"
#include "run_job.h"
#include "run_signal.h"
#include "run_step.h"

#include <getopt.h>
#include <stdlib.h>

typedef struct train_options {
    const char *config, *out;
    command_sets sets;
    int help, help_config;
} train_options;

static base_status parse(int argc, char **argv, train_options *options)
{
    static const struct option known[] = {{"out", required_argument, NULL, 'o'},
                                          {"set", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"help-config", no_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:s:h", known, NULL)) != -1;) {
        switch (c) {
        case 'o': options->out = optarg; break;
        case 's': BASE_TRY(command_sets_add(&options->sets, optarg)); break;
        case 'h': options->help = 1; return BASE_OK;
        case 'c': options->help_config = 1; return BASE_OK;
        default: return command_bad_option("train", argv, optind);
        }
    }
    return command_operand("train", "a config file", argc, argv, optind, &options->config);
}

static base_status print_config_help(void)
{
    char *text = run_config_help();
    if (!text)
        return BASE_FAIL(BASE_ERROR, "out of memory for the help");
    fputs(text, stdout);
    free(text);
    return BASE_OK;
}

static void print_outcome(const run_outcome *outcome)
{
    BASE_INFO("done: %lld steps in %.1f s, test accuracy %.2f %%, test loss %.4f (%s/run.json)",
              (long long)outcome->steps, outcome->seconds, 100.0 * outcome->test_accuracy, outcome->test_loss,
              outcome->folder);
}

static base_status train(comm_world *world, const run_config *config, const train_options *options)
{
    run_job job;
    run_outcome outcome;
    run_train_options train = {.out = options->out, .command = command_line()};
    base_status status = run_job_create(world, config, &job);
    if (status == BASE_OK) {
        run_signal_install();
        status = run_train(&job, &train, &outcome);
        if (status == BASE_OK)
            print_outcome(&outcome);
    }
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        run_job_destroy(&job);
    return status;
}

static base_status run(int argc, char **argv)
{
    train_options options = {0};
    comm_world *world;
    run_config *config = NULL;
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_train.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (options.help_config)
        return print_config_help();
    BASE_TRY(command_open_world(&world));
    base_status status = run_job_read_config(world, options.config, options.sets.count, options.sets.values, &config);
    if (status == BASE_OK)
        status = train(world, config, &options);
    run_config_destroy(&config);
    return status;
}

const command command_train = {
    .name = "train",
    .summary = "train from a config; under mpirun on all its ranks",
    .usage =
        "usage: [mpirun -n N] ddpt train [options] CONFIG\n"
        "\n"
        "Trains the model that CONFIG describes on as many ranks as the MPI launcher started, one without it. The\n"
        "number of ranks does not change the mathematics: train.batch is the global batch, which the ranks share.\n"
        "\n"
        "  -o, --out DIR       the run's folder (default: runs/<config>-<date>-<time>)\n"
        "  -s, --set KEY=VALUE override a key of the config, e.g. --set train.batch=256; may be repeated\n"
        "      --help-config   every key of a config: type, default, range, meaning\n"
        "  -h, --help          this text\n"
        "\n"
        "The folder gets run.json (the record of the run) and steps.csv (loss, rate and phases of the steps).\n"
        "Relative data paths are looked up under $DDPT_DATA, beside CONFIG, and in the current folder.\n"
        "\n"
        "Exit status: 0 done; 1 an error of ddpt or the system; 2 usage or configuration; 3 data; 5 device or back\n"
        "end not available; 6 a rank was lost; 7 the loss is no longer finite; 130 interrupted (Ctrl-C).\n",
    .run = run,
};
