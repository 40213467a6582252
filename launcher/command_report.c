#include "command.h"

#include "base_file.h"
#include "base_log.h"
#include "report_runs.h"
#include "report_sweep.h"
#include "report_text.h"
#include "report_write.h"
#include "run_report.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BOOTSTRAP_SEED = 1 };

typedef struct report_options {
    const char *out;
    int count; /* of folders */
    char *const *folders;
    double target_efficiency; /* 0: not given */
    int predict_count;        /* 0: not given */
    int predict[SCALING_PREDICTION_MAX];
    int oversubscribe, json, help;
} report_options;

static base_status parse(int argc, char **argv, report_options *self)
{
    static const struct option known[] = {{"out", required_argument, NULL, 'o'},
                                          {"target-efficiency", required_argument, NULL, 'e'},
                                          {"predict", required_argument, NULL, 'p'},
                                          {"oversubscribe", no_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:h", known, NULL)) != -1;) {
        switch (c) {
        case 'o': self->out = optarg; break;
        case 'e': BASE_TRY(command_share("--target-efficiency", optarg, &self->target_efficiency)); break;
        case 'p':
            BASE_TRY(command_list("--predict", optarg, 1, 1 << 20, SCALING_PREDICTION_MAX, &self->predict_count,
                                  self->predict));
            break;
        case 'c': self->oversubscribe = 1; break;
        case 'j': self->json = 1; break;
        case 'h': self->help = 1; return BASE_OK;
        default: return command_bad_option("report", argv, optind);
        }
    }
    self->count = argc - optind;
    self->folders = argv + optind;
    if (self->count == 0)
        return BASE_FAIL(BASE_USAGE, "ddpt report needs the folder of a scaling experiment, or the folders of runs on "
                                     "different numbers of ranks; see: ddpt help report");
    return BASE_OK;
}

/* ---- what there is ---- */

/* 1 if `path` is or holds a scaling.json. */
static int is_sweep(const char *path)
{
    struct stat info;
    return (stat(path, &info) == 0 && S_ISREG(info.st_mode)) || report_sweep_has(path, "scaling.json");
}

static base_status check_folders(const report_options *options)
{
    for (int i = 0; i < options->count; i++) {
        const char *folder = options->folders[i];
        if (options->count > 1 && is_sweep(folder))
            return BASE_FAIL(BASE_DATA,
                             "%s is a scaling experiment: a report is of one experiment, or of runs made by hand",
                             folder);
        if (!is_sweep(folder) && !report_sweep_has(folder, "run.json"))
            return BASE_FAIL(BASE_DATA, "%s: neither a scaling experiment (scaling.json) nor a run (run.json) is there",
                             folder);
    }
    return BASE_OK;
}

static base_status read_all(const report_options *self, scaling_sweep *sweep, scaling_options *options)
{
    BASE_TRY(check_folders(self));
    if (is_sweep(self->folders[0])) {
        BASE_TRY(report_sweep_read(self->folders[0], sweep, options));
    } else {
        BASE_TRY(report_runs_read(self->count, self->folders, sweep));
        *options = (scaling_options){.target_efficiency = 0.7, .seed = BOOTSTRAP_SEED};
    }
    if (self->oversubscribe)
        sweep->oversubscribe = 1;
    if (self->target_efficiency > 0.0)
        options->target_efficiency = self->target_efficiency;
    if (self->predict_count > 0) {
        options->predict_count = self->predict_count;
        memcpy(options->predict, self->predict, sizeof options->predict);
    }
    return BASE_OK;
}

/* ---- where the report goes ---- */

/* runs/report-<name>-<date>-<time>; the name may hold anything. */
static base_status make_new_folder(const scaling_sweep *sweep, char folder[PATH_MAX])
{
    char name[sizeof sweep->name + 8];
    snprintf(name, sizeof name, "report-%s", sweep->name);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '_';
    return run_report_new_folder(name, folder, PATH_MAX);
}

static base_status choose_folder(const report_options *options, const scaling_sweep *sweep, char folder[PATH_MAX])
{
    const char *place = options->out ? options->out : options->folders[0];
    struct stat info;
    if (!options->out && !is_sweep(place))
        return make_new_folder(sweep, folder);
    if (options->out)
        BASE_TRY(report_sweep_check_out(options->out));
    if ((size_t)snprintf(folder, PATH_MAX, "%s", place) >= PATH_MAX)
        return BASE_FAIL(BASE_USAGE, "--out: the name of the folder is too long (%zu characters)", strlen(place));
    if (!options->out && stat(place, &info) == 0 && S_ISREG(info.st_mode)) {
        char *slash = strrchr(folder, '/');
        if (slash)
            slash[slash == folder] = '\0';
        else
            snprintf(folder, PATH_MAX, ".");
    }
    return BASE_OK;
}

/* ---- the command ---- */

static base_status print(const report_options *self, const scaling_sweep *sweep, const scaling_options *options,
                         const scaling_analysis *analysis)
{
    report_text_print(self->json ? stderr : stdout, sweep, analysis);
    if (!self->json)
        return BASE_OK;
    char *text = report_sweep_text(sweep, options, analysis);
    if (!text)
        return BASE_ERROR;
    base_status status = fputs(text, stdout) < 0 ? BASE_FAIL(BASE_ERROR, "cannot write to stdout") : BASE_OK;
    free(text);
    return status;
}

static base_status report(const report_options *self, const scaling_sweep *sweep, const scaling_options *options)
{
    char folder[PATH_MAX];
    scaling_analysis analysis;
    BASE_TRY(scaling_analyse(sweep, options, &analysis));
    base_status status = choose_folder(self, sweep, folder);
    if (status == BASE_OK)
        status = report_write(folder, sweep, options, &analysis);
    if (status == BASE_OK)
        status = print(self, sweep, options, &analysis);
    if (status == BASE_OK) {
        fflush(stdout);
        BASE_INFO("report: %s/report.html", folder);
    }
    scaling_analysis_clear(&analysis);
    return status;
}

static base_status run(int argc, char **argv)
{
    report_options self = {.folders = argv};
    scaling_sweep sweep;
    scaling_options options;
    BASE_TRY(parse(argc, argv, &self));
    if (self.help)
        return fputs(command_report.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (!command_speaks())
        return BASE_OK;
    BASE_TRY(read_all(&self, &sweep, &options));
    base_status status = report(&self, &sweep, &options);
    scaling_sweep_clear(&sweep);
    return status;
}

const command command_report = {
    .name = "report",
    .summary = "the report of a scaling experiment, made again or from runs",
    .usage =
        "usage: ddpt report [options] DIR...\n"
        "\n"
        "Says how far a training scales, what stops it, and how many workers are worth it: as text, as a page for\n"
        "people (report.html), as data (scaling.json, scaling.csv) and as pictures (SVG, by gnuplot if there is one).\n"
        "\n"
        "DIR is the folder of a `ddpt scale`, whose report is made again from its recorded trials. Or there are "
        "several\n"
        "DIRs, folders of runs that `ddpt train` made of one configuration on different numbers of ranks: with the "
        "same\n"
        "train.batch (strong scaling), or with train.batch in proportion to the ranks (weak scaling). Runs on the "
        "same\n"
        "number of ranks are repeats. Let them write lines often (train.log_every = 0, the default), and give workers\n"
        "the same number of threads (train.threads). The report is made in runs/report-<name>-<date>-<time>.\n"
        "\n"
        "  -o, --out DIR            where to write the report; not the folder of a run\n"
        "      --target-efficiency E\n"
        "                           how much of a worker must be put to use for it to be worth it, above 0, at most 1\n"
        "                           (default: as recorded, else 0.7)\n"
        "      --predict N,N,...    numbers of workers to predict (default: as recorded, else 2, 4 and 16 times the\n"
        "                           largest)\n"
        "      --oversubscribe      count runs in which workers share cores, too\n"
        "      --json               print what is in scaling.json, and the text to stderr\n"
        "  -h, --help               this text\n"
        "\n"
        "Exit status: 0 done, without pictures too; 1 an error of ddpt or the system; 2 usage; 3 no such folder, "
        "damaged\n"
        "records, or runs that do not belong together.\n",
    .run = run,
};
