#include "command.h"

#include "base_log.h"
#include "launch_worker.h"
#include "run_job.h"
#include "run_signal.h"
#include "run_step.h"
#include "train_observer.h"

#include <getopt.h>
#include <stdlib.h>

typedef struct train_options {
    const char *config, *out, *init_from;
    const char *again; /* the folder of the run that goes on, whatever else is said of that */
    int resume, auto_resume, allow_config_change;
    const char *resume_path;  /* NULL: the newest of the run's folder */
    const char *after_resume; /* the word behind a --resume without =, if it is no option */
    const char *coordinator;
    int no_coordinator;
    command_sets sets;
    int help, help_config;
} train_options;

/* The path of --resume is optional, so that the word behind it may be that or the config: it is the path where another
 * operand is left to be the config. */
static base_status split_operands(int argc, char **argv, int first, train_options *options)
{
    int path = -1;
    for (int i = first; options->after_resume && argc - first == 2 && i < argc; i++)
        if (argv[i] == options->after_resume)
            path = i;
    if (path < 0)
        return command_operand("train", "a config file", argc, argv, first, &options->config);
    options->resume_path = argv[path];
    options->config = argv[path == first ? first + 1 : first];
    return BASE_OK;
}

static base_status check(const train_options *options)
{
    if ((options->resume_path && !*options->resume_path) || (options->init_from && !*options->init_from))
        return BASE_FAIL(BASE_USAGE, "--resume and --init-from: the name of the checkpoint is empty");
    if (options->resume && options->auto_resume)
        return BASE_FAIL(BASE_USAGE,
                         "--resume and --auto-resume exclude each other: --resume wants a checkpoint to go on "
                         "from, --auto-resume starts anew where there is none");
    if (options->resume && options->init_from)
        return BASE_FAIL(BASE_USAGE,
                         "--resume and --init-from exclude each other: --resume takes the whole state of a run "
                         "to go on with it, --init-from only parameters to start a new one");
    if (options->coordinator && options->no_coordinator)
        return BASE_FAIL(BASE_USAGE, "--coordinator and --no-coordinator exclude each other");
    if (options->allow_config_change && !options->resume && !options->auto_resume)
        return BASE_FAIL(BASE_USAGE, "--allow-config-change needs --resume or --auto-resume");
    return BASE_OK;
}

static void take_resume(char **argv, train_options *options)
{
    options->resume = 1;
    options->resume_path = optarg;
    options->after_resume = !optarg && argv[optind] && *argv[optind] != '-' ? argv[optind] : NULL;
}

/* Of a run that ddpt launch starts again, with what it was started with. */
static void take_restart(train_options *options)
{
    if (!options->again)
        return;
    options->out = options->again;
    options->resume_path = NULL;
    options->resume = 0;
    options->auto_resume = 1;
}

static base_status parse(int argc, char **argv, train_options *options)
{
    static const struct option known[] = {{"out", required_argument, NULL, 'o'},
                                          {"set", required_argument, NULL, 's'},
                                          {"resume", optional_argument, NULL, 'r'},
                                          {"auto-resume", no_argument, NULL, 'a'},
                                          {"allow-config-change", no_argument, NULL, 'w'},
                                          {"init-from", required_argument, NULL, 'i'},
                                          {"again", required_argument, NULL, 'x'},
                                          {"coordinator", required_argument, NULL, 'd'},
                                          {"no-coordinator", no_argument, NULL, 'n'},
                                          {"share-gpus", no_argument, NULL, 'g'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"help-config", no_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:s:h", known, NULL)) != -1;) {
        switch (c) {
        case 'o': options->out = optarg; break;
        case 's': BASE_TRY(command_sets_add(&options->sets, optarg)); break;
        case 'r': take_resume(argv, options); break;
        case 'a': options->auto_resume = 1; break;
        case 'w': options->allow_config_change = 1; break;
        case 'i': options->init_from = optarg; break;
        case 'x': options->again = optarg; break;
        case 'd': options->coordinator = optarg; break;
        case 'n': options->no_coordinator = 1; break;
        case 'g': command_share_gpus(); break;
        case 'h': options->help = 1; return BASE_OK;
        case 'c': options->help_config = 1; return BASE_OK;
        default: return command_bad_option("train", argv, optind);
        }
    }
    BASE_TRY(split_operands(argc, argv, optind, options));
    BASE_TRY(check(options));
    take_restart(options);
    return BASE_OK;
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

/* Who tells the launcher and stderr, before the observer behind it, if there is one. */
typedef struct teller {
    const run_observer *inner; /* or NULL */
    const run_job *job;
} teller;

/* A launcher that starts the run again must know its folder. */
static void tell_begin(void *context, run_job *job, const run_monitor_run *run)
{
    const run_observer *inner = ((teller *)context)->inner;
    if (run->rank == 0)
        launch_worker_tell_folder(run->folder);
    if (inner)
        inner->begin(inner->context, job, run);
}

/* What comes later, the observer's end and what ranks tell each other, makes the others end the job. */
static void tell_end(void *context, base_status status)
{
    const teller *self = context;
    if (status == BASE_PEER) {
        if (run_job_was_told(self->job))
            command_leave_words();
        command_say_end(status);
    }
    if (self->inner)
        self->inner->end(self->inner->context, status);
}

/* `observer`: NULL for a run without a coordinator. */
static base_status train(comm_world *world, const run_config *config, const train_options *options,
                         const run_observer *observer)
{
    run_job job;
    run_outcome outcome = {0};
    int resumes = options->resume || options->auto_resume;
    teller tells = {.inner = observer, .job = &job};
    run_observer hooks = {.context = &tells, .begin = tell_begin, .end = tell_end};
    run_resume_options resume = {.path = options->resume_path,
                                 .allow_config_change = options->allow_config_change,
                                 .if_any = options->auto_resume};
    run_train_options train = {.out = options->out,
                               .command = command_line(),
                               .resume = resumes ? &resume : NULL,
                               .init_from = options->init_from,
                               .observer = &hooks};
    /* Before the set-up, which may take minutes: a batch system that ends the job then gets its status 75 too. */
    run_signal_install();
    base_status status = run_job_create(world, config, RUN_JOB_TRAIN, &job);
    if (status == BASE_OK) {
        status = run_train(&job, &train, &outcome);
        if (status == BASE_OK)
            print_outcome(&outcome);
    }
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        run_job_destroy(&job);
    else
        command_stay(outcome.stay_ms);
    return status;
}

static base_status observe_and_train(comm_world *world, const run_config *config, const train_options *options)
{
    if (options->no_coordinator)
        return train(world, config, options, NULL);
    train_observer *observer;
    BASE_TRY(train_observer_create(world, options->coordinator, &observer));
    run_observer hooks = train_observer_hooks(observer);
    base_status status = train(world, config, options, &hooks);
    train_observer_destroy(&observer);
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
    run_signal_hold();
    BASE_TRY(command_open_world(&world));
    base_status status = run_job_read_config(world, options.config, options.sets.count, options.sets.values, &config);
    if (status == BASE_OK)
        status = observe_and_train(world, config, &options);
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
        "      --resume [PATH] go on from a checkpoint, on any number of ranks: the newest sound one of the run's\n"
        "                      folder, or exactly PATH (a run's folder, its ckpt folder, or one checkpoint). The\n"
        "                      run's folder is --out, else the config's `out`, else the newest runs/<config>-* that\n"
        "                      has a checkpoint. The word after --resume is PATH if there is another word for\n"
        "                      CONFIG; --resume=PATH leaves no doubt\n"
        "      --auto-resume   the same where there is a checkpoint, a new run where there is none: for job scripts\n"
        "                      that are started again; give --out, or `out` in the config\n"
        "      --allow-config-change  go on although keys have changed that shape the mathematics (model, data,\n"
        "                      batch, seed, optimizer); others, as epochs or device, may always change\n"
        "      --init-from DIR start a new run with the parameters of a checkpoint\n"
        "      --again DIR     as --auto-resume with --out DIR, in place of --resume: what `ddpt launch` adds when it\n"
        "                      starts a run again\n"
        "      --coordinator ADDR  report to a coordinator that stands alone (ddpt coordinator): its address, or its\n"
        "                      key file. Default: a thread of rank 0, which `ddpt top` finds by the run's folder\n"
        "      --no-coordinator  report to nobody: no live view, no naming of ranks that hold the others up\n"
        "      --share-gpus    more ranks than GPUs are no mistake: some share one (or set DDPT_SHARE_GPUS=1)\n"
        "      --help-config   every key of a config: type, default, range, meaning\n"
        "  -h, --help          this text\n"
        "\n"
        "The folder gets run.json (the record of the run), steps.csv (loss, rate and phases of the steps) and, in\n"
        "ckpt/, checkpoints as train.checkpoint says; the last step is always saved. A resumed run equals one\n"
        "that was never stopped. Relative data paths are looked up under $DDPT_DATA, beside CONFIG, and in the\n"
        "current folder.\n"
        "\n"
        "A rank that stops, or gets nowhere, for train.stall_timeout seconds is named with its last step and phase,\n"
        "and the run ends with status 6. One that fails by itself says why, and the run ends at once.\n"
        "\n"
        "SIGTERM, SIGUSR1 or SIGUSR2 to any rank, or SIGTERM to the launcher: the run saves and ends with status 75.\n"
        "Ctrl-C: it ends within a second without saving; what was saved before stays.\n"
        "\n"
        "Exit status: 0 done; 1 an error of ddpt or the system; 2 usage or configuration; 3 data; 4 no checkpoint\n"
        "that can be used, or the last step could not be saved; 5 device or back end not available; 6 a rank was\n"
        "lost; 7 the loss is no longer finite; 75 stopped on request after saving, run it again with --resume;\n"
        "130 interrupted (Ctrl-C).\n",
    .run = run,
};
