#include "command.h"

#include "base_file.h"
#include "base_log.h"
#include "base_utf8.h"
#include "comm_launcher.h"
#include "report_sweep.h"
#include "report_text.h"
#include "report_write.h"
#include "run_job.h"
#include "run_report.h"
#include "run_signal.h"
#include "scale_job.h"
#include "scale_launch.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The report is made by one rank. */
enum { BOOTSTRAP_SEED = 1, REPORT_MS = 10 * 60 * 1000 };

typedef struct scale {
    scale_options options;
    scaling_sweep sweep;
    char folder[PATH_MAX - 32]; /* of the report; "": there is none */
    int made;                   /* it and so many folders above it were not there */
} scale;

/* ---- the report ---- */

static base_status make_folder(scale *self, const run_config *config)
{
    char name[PATH_MAX];
    size_t size = sizeof self->folder;
    if (!self->options.out) {
        snprintf(name, sizeof name, "scale-%s", config->name);
        self->made = 1 + base_file_missing_folders("runs");
        return run_report_new_folder(name, self->folder, size);
    }
    BASE_TRY(report_sweep_check_out(self->options.out));
    int n = snprintf(self->folder, size, "%s", self->options.out);
    if (n < 0 || (size_t)n >= size)
        return BASE_FAIL(BASE_USAGE, "--out: the name of the folder is too long (%zu characters)",
                         strlen(self->options.out));
    self->made = base_file_missing_folders(self->folder);
    return base_file_make_folder(self->folder);
}

/* Of a sweep that has measured nothing. */
static void drop_folder(const scale *self)
{
    if (self->sweep.count == 0 && self->folder[0])
        base_file_remove_folders(self->folder, self->made);
}

static void begin_sweep(scale *self, const run_config *config)
{
    scaling_sweep *sweep = &self->sweep;
    sweep->mode = self->options.mode;
    sweep->oversubscribe = self->options.oversubscribe;
    base_utf8_copy(config->name, sweep->name, sizeof sweep->name);
    snprintf(sweep->digest, sizeof sweep->digest, "%s", config->digest);
    sweep->config = json_incref(config->echo);
}

static base_status write_text(const scale *self, const scaling_options *options, const scaling_analysis *analysis)
{
    char *text = report_sweep_text(&self->sweep, options, analysis);
    if (!text)
        return BASE_ERROR;
    base_status status = BASE_OK;
    if (self->options.trials_only)
        status = base_file_write(self->options.trials_only, text, strlen(text));
    else if (fputs(text, stdout) < 0)
        status = BASE_FAIL(BASE_ERROR, "cannot write to stdout");
    free(text);
    return status;
}

static base_status write_report(const scale *self, const scaling_options *options, const scaling_analysis *analysis)
{
    if (self->options.trials_only)
        return write_text(self, options, analysis);
    report_text_print(stderr, &self->sweep, analysis); /* whether or not there is a place for the files */
    BASE_TRY(report_write(self->folder, &self->sweep, options, analysis));
    BASE_INFO("report: %s/report.html", self->folder);
    return self->options.json ? write_text(self, options, analysis) : BASE_OK;
}

static scaling_options options_of(const scale *self)
{
    scaling_options options = {.target_efficiency = self->options.target_efficiency,
                               .predict_count = self->options.predict_count,
                               .seed = BOOTSTRAP_SEED};
    memcpy(options.predict, self->options.predict, sizeof options.predict);
    return options;
}

static base_status report(scale *self)
{
    scaling_analysis analysis;
    scaling_options options = options_of(self);
    if (self->options.mode == SCALING_WEAK)
        scale_sweep_warn(&self->sweep, "Weak scaling: train.batch of the configuration is the batch of one worker.");
    BASE_TRY(scaling_analyse(&self->sweep, &options, &analysis));
    base_status status = write_report(self, &options, &analysis);
    scaling_analysis_clear(&analysis);
    return status;
}

/* What `ddpt report` can make the rest from. */
static base_status keep_measured(scale *self)
{
    char path[PATH_MAX];
    scaling_analysis analysis;
    scaling_options options = options_of(self);
    BASE_TRY(scaling_analyse(&self->sweep, &options, &analysis));
    char *text = report_sweep_text(&self->sweep, &options, &analysis);
    scaling_analysis_clear(&analysis);
    snprintf(path, sizeof path, "%s/scaling.json", self->folder);
    base_status status = text ? base_file_write(path, text, strlen(text)) : BASE_ERROR;
    free(text);
    return status;
}

/* After each trial, since the next one may be the end of all: a batch system kills, a rank dies. Where it cannot be
 * written the end of the sweep says so. */
static void keep_trial(void *context)
{
    scale *self = context;
    if (!self->options.trials_only && keep_measured(self) != BASE_OK)
        base_status_clear();
}

static void tell_of_measured(const scale *self)
{
    if (self->sweep.count > 0 && !self->options.trials_only)
        BASE_INFO("what was measured before: ddpt report %s", self->folder);
}

/* Who is told to end does not stay for an analysis in print and pictures. */
static base_status end_at_once(scale *self)
{
    BASE_TRY(keep_measured(self));
    tell_of_measured(self);
    return BASE_OK;
}

/* What was measured before a trial failed is worth having. */
static base_status finish(scale *self, base_status status)
{
    char message[1024], warning[1100];
    snprintf(message, sizeof message, "%s", base_status_message());
    if (status == BASE_OK)
        return report(self);
    if (self->sweep.count > 0 && !self->options.trials_only) {
        snprintf(warning, sizeof warning, "The sweep ended early, this is what was measured before: %s", message);
        scale_sweep_warn(&self->sweep, warning);
        if ((status == BASE_INTERRUPTED ? end_at_once(self) : report(self)) != BASE_OK)
            BASE_WARN("no report of what was measured before: %s", base_status_message());
    }
    drop_folder(self);
    return BASE_FAIL(status, "%s", message);
}

/* ---- the two ways ---- */

static base_status scale_in_job(scale *self, comm_world *world, scale_job *job)
{
    int root = comm_world_get_info(world)->rank == 0;
    begin_sweep(self, scale_job_config(job));
    base_status status = BASE_OK;
    if (root && !self->options.trials_only)
        status = make_folder(self, scale_job_config(job));
    BASE_TRY(comm_world_agree(world, status));
    scale_runner runner = scale_job_runner(job);
    scale_keeper keeper = {self, keep_trial};
    status = scale_sweep_run(&runner, &self->options, &keeper, &self->sweep);
    if (status == BASE_PEER) {
        tell_of_measured(self); /* rank 0 has it */
        drop_folder(self);
        return status;
    }
    status = root ? finish(self, status) : status;
    BASE_TRY(comm_world_rest(world, &(comm_rest){.timeout_ms = REPORT_MS}));
    return comm_world_agree(world, status);
}

static base_status inside(scale *self)
{
    comm_world *world;
    scale_job *job;
    BASE_TRY(command_open_world(&world));
    run_signal_install();
    BASE_TRY(scale_job_open(world, &self->options, &job));
    base_status status = scale_in_job(self, world, job);
    scale_job_close(&job);
    return status;
}

/* MPI is not started in this process: what it leaves in the environment would reach the jobs. */
static base_status scale_by_jobs(scale *self, const run_config *config)
{
    scale_launch *launch;
    BASE_TRY(scale_options_check(&self->options, config));
    BASE_TRY(make_folder(self, config));
    begin_sweep(self, config);
    base_status status = scale_launch_open(&self->options, config, self->folder, &launch);
    if (status == BASE_OK) {
        scale_runner runner = scale_launch_runner(launch);
        scale_keeper keeper = {self, keep_trial};
        status = scale_sweep_run(&runner, &self->options, &keeper, &self->sweep);
    }
    scale_launch_close(&launch);
    return finish(self, status);
}

static base_status outside(scale *self)
{
    run_config *config;
    BASE_TRY(run_config_read(self->options.config, self->options.sets.count, self->options.sets.values, &config));
    scale_options_complete(&self->options, run_job_cores());
    base_status status = scale_by_jobs(self, config);
    run_config_destroy(&config);
    return status;
}

static base_status run(int argc, char **argv)
{
    scale self = {.folder = ""};
    BASE_TRY(scale_options_parse(argc, argv, &self.options));
    if (self.options.help)
        return fputs(command_scale.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (self.options.share_gpus)
        command_share_gpus();
    int in_job = self.options.trials_only || strcmp(comm_launcher_detect().name, "none") != 0;
    base_status status = in_job ? inside(&self) : outside(&self);
    scaling_sweep_clear(&self.sweep);
    return status;
}

const command command_scale = {
    .name = "scale",
    .summary = "a scaling experiment: how far does a config scale, and what stops it",
    .usage =
        "usage: ddpt scale [options] CONFIG\n"
        "       mpirun -n N ddpt scale [options] CONFIG\n"
        "\n"
        "Trains CONFIG for some seconds on several numbers of workers and reports how far it scales, what stops it,\n"
        "and what to expect of more. Started alone, it starts an MPI job for each trial; inside a job of N ranks, as\n"
        "in a batch script, it uses the first 1, 2, 4, ... N of them while the others sleep.\n"
        "\n"
        "      --workers LIST  numbers of workers, e.g. 1,2,4,8 (default: 1, 2, 4, ... up to the cores of this "
        "machine,\n"
        "                      or inside a job its ranks)\n"
        "      --strong        train.batch is shared by the workers (the default)\n"
        "      --weak          train.batch is the batch of one worker: n workers have n times as much\n"
        "  -n, --steps N       steps that a trial counts (default: what takes about 3 s, 20 at least, on the\n"
        "                      cpu 2000 at most)\n"
        "      --repeats N     trials of each number of workers, at most (default: 3); after two, one whose step is\n"
        "                      known to 1 % gets no more\n"
        "  -s, --set KEY=VALUE override a key of the config; may be repeated\n"
        "  -o, --out DIR       the report's folder (default: runs/scale-<config>-<date>-<time>)\n"
        "      --launcher CMD  what starts a job of {n} ranks, e.g. 'srun -n {n}' (default: our MPI's mpiexec -n "
        "{n});\n"
        "                      ddpt and its arguments are put behind it\n"
        "      --target-efficiency E  from where on more workers are not worth it (default: 0.7)\n"
        "      --predict LIST  numbers of workers to predict (default: 2, 4 and 16 times the largest)\n"
        "      --oversubscribe count points in the fits although their workers share cores\n"
        "      --share-gpus    more workers than GPUs are no mistake: some share one\n"
        "      --json          scaling.json on stdout as well\n"
        "      --trials-only FILE  measure and write the trials to FILE, in the form of scaling.json, in place of a\n"
        "                      report: what the jobs of `ddpt scale` do\n"
        "  -h, --help          this text\n"
        "\n"
        "A trial warms up, then times every step; nothing is evaluated or saved. The trials run in rounds of shuffled\n"
        "order, after a short one that does not count. Every worker has the same number of threads throughout:\n"
        "train.threads, or else the cores over the largest number of workers.\n"
        "\n"
        "The folder gets scaling.json, which grows with every trial, scaling.csv, report.html and, where gnuplot is\n"
        "there, its pictures. If a trial fails, the sweep ends with its status, and the report shows what was "
        "measured\n"
        "before. Told to end by Ctrl-C or SIGTERM, it keeps scaling.json, from which `ddpt report DIR` makes the "
        "rest.\n"
        "\n"
        "Exit status: 0 done; 1 an error of ddpt or the system; 2 usage or configuration; 3 data; 5 back end not\n"
        "available; 6 a rank was lost; 7 the loss is no longer finite; 130 interrupted (Ctrl-C, SIGTERM).\n",
    .run = run,
};
