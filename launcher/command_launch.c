#include "command.h"

#include "base_log.h"
#include "base_time.h"
#include "ckpt_folder.h"
#include "comm_launcher.h"
#include "launch_cores.h"
#include "launch_job.h"
#include "launch_mpiexec.h"
#include "launch_options.h"
#include "launch_restart.h"
#include "run_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct launch {
    launch_options options;
    int workers;
    launch_probe found;
    launch_gpus_choice gpus; /* of those, the job's */
    char program[PATH_MAX];
    char folder[LAUNCH_TEXT_MAX]; /* of the run; "": not known */
    launch_signals signals;
    launch_restart restart;
} launch;

/* ---- who and where ---- */

/* A job of one process that srun has started may start workers. The others of a larger one would do the same beside it,
 * and what another MPI leaves in the environment confuses the workers. */
static base_status check_place(void)
{
    comm_launcher around = comm_launcher_detect();
    if (strcmp(around.name, "none") == 0 || (strcmp(around.name, "srun") == 0 && around.size == 1))
        return BASE_OK;
    return BASE_FAIL(
        BASE_USAGE,
        "ddpt launch starts the workers of one machine itself, but it was started by %s: start it without, "
        "or ddpt train in its place",
        around.name);
}

/* What these variables do not name, a process does not see; no GPU has the number -1. */
static void hide_gpus(void)
{
    setenv("CUDA_VISIBLE_DEVICES", "-1", 1);
    setenv("HIP_VISIBLE_DEVICES", "-1", 1);
}

/* Nobody looks for GPUs who has no question about them: that takes a while. */
static base_status choose_gpus(launch *self)
{
    const launch_options *options = &self->options;
    char visible[4096];
    if (options->gpus.kind == LAUNCH_GPUS_NONE)
        hide_gpus();
    if (options->gpus.kind == LAUNCH_GPUS_NONE || (options->gpus.kind == LAUNCH_GPUS_AUTO && options->workers))
        return BASE_OK;
    BASE_TRY(launch_probe_gpus(&self->found));
    BASE_TRY(launch_gpus_resolve(&options->gpus, options->gpus_text, &self->found, &self->gpus));
    if (self->gpus.count == 0)
        return BASE_OK;
    if (!launch_gpus_visible(&self->gpus, getenv(self->found.variable), visible, sizeof visible))
        return BASE_FAIL(BASE_USAGE, "%s is too long", self->found.variable);
    setenv(self->found.variable, visible, 1);
    return BASE_OK;
}

/* With neither -n nor GPUs a worker a core, of one thread each: that was never slower than one worker of many. */
static base_status choose_workers(launch *self)
{
    BASE_TRY(choose_gpus(self));
    self->workers = self->options.workers ? self->options.workers : self->gpus.count;
    if (self->workers == 0)
        self->workers = run_job_cores();
    return BASE_OK;
}

static base_status choose_cores(const launch *self)
{
    const char *buses[LAUNCH_GPUS_MAX];
    char *text;
    int cores;
    unsetenv(LAUNCH_CORES_VARIABLE);
    launch_mpiexec_unbind();
    launch_mpiexec_without_blas_threads();
    if (!self->options.bind)
        return BASE_OK;
    for (int i = 0; i < self->gpus.count; i++)
        buses[i] = self->found.buses[self->gpus.numbers[i]];
    BASE_TRY(launch_cores_plan(self->workers, buses, self->gpus.count, &text, &cores));
    if (!text) {
        BASE_INFO("%d workers share %d core%s, so none is bound to cores of its own", self->workers, cores,
                  cores == 1 ? "" : "s");
        return BASE_OK;
    }
    setenv(LAUNCH_CORES_VARIABLE, text, 1);
    free(text);
    return BASE_OK;
}

/* A connection, two pipes and a process to watch for each worker. */
static void allow_files(int workers)
{
    struct rlimit limit;
    rlim_t wanted = 5 * (rlim_t)workers + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- a start ---- */

/* The newest checkpoint of the run; -1: none. */
static int64_t last_step(const launch *self)
{
    base_arena *arena;
    const ckpt_entry *entries;
    int count = 0;
    int64_t step = -1;
    if (!self->folder[0] || base_arena_create(&arena, "checkpoints") != BASE_OK)
        return -1;
    if (ckpt_folder_list(self->folder, arena, &entries, &count, NULL) == BASE_OK && count > 0)
        step = entries[count - 1].step;
    base_arena_destroy(&arena);
    base_status_clear();
    return step;
}

static base_status start_once(launch *self, launch_end *end)
{
    const launch_options *options = &self->options;
    enum { OWN_WORDS = 8 };
    char workers[16];
    size_t count = 0;
    const char **argv = calloc((size_t)options->word_count + OWN_WORDS, sizeof *argv);
    if (!argv)
        return BASE_FAIL(BASE_ERROR, "out of memory for a command line");
    snprintf(workers, sizeof workers, "%d", self->workers);
    argv[count++] = launch_mpiexec();
    argv[count++] = "-n";
    argv[count++] = workers;
    argv[count++] = self->program;
    argv[count++] = options->words[0];
    /* A run that has begun goes on in its folder; with nothing saved there it begins as it did. */
    if (self->folder[0]) {
        argv[count++] = last_step(self) >= 0 ? "--again" : "--out";
        argv[count++] = self->folder;
    }
    for (int i = 1; i < options->word_count; i++)
        argv[count++] = options->words[i];
    launch_job_options job = {.argv = (char *const *)argv, .workers = self->workers, .prefix = options->prefix};
    base_status status = launch_job_run(&job, &self->signals, end, self->folder);
    free(argv);
    return status;
}

/* ---- starts ---- */

static void print_restart(const launch *self, const launch_end *end)
{
    char from[64] = "the beginning";
    int64_t step = last_step(self);
    if (step >= 0)
        snprintf(from, sizeof from, "step %" PRId64, step);
    BASE_WARN("%s; restart %d of %d goes on from %s", end->text, self->restart.count, self->restart.most, from);
}

/* A signal that comes between two starts. */
static base_status told_to_end(const launch *self)
{
    int64_t step = last_step(self);
    if (self->signals.interrupts == 0 && step >= 0)
        return BASE_FAIL(BASE_STOPPED,
                         "stopped on request before a restart; step %" PRId64 " is saved: --resume goes on", step);
    return BASE_FAIL(BASE_INTERRUPTED, "interrupted before a restart");
}

static base_status start(launch *self)
{
    launch_end end = {.status = BASE_OK};
    for (;;) {
        int delay_ms;
        BASE_TRY(start_once(self, &end));
        if (!end.may_restart || !launch_restart_again(&self->restart, base_time_now(), &delay_ms))
            break;
        print_restart(self, &end);
        if (launch_signals_wait(&self->signals, delay_ms))
            return told_to_end(self);
    }
    if (end.status == BASE_OK)
        return BASE_OK;
    const char *tried = self->restart.most > 0 && end.may_restart ? "; no restart is left" : "";
    return BASE_FAIL(end.status, "%.*s%s", (int)sizeof end.text - 32, end.text, tried);
}

static base_status run(int argc, char **argv)
{
    launch self = {.folder = ""};
    BASE_TRY(launch_options_parse(argc, argv, &self.options));
    if (self.options.help)
        return fputs(command_launch.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(check_place());
    BASE_TRY(choose_workers(&self));
    BASE_TRY(launch_mpiexec_check());
    BASE_TRY(launch_mpiexec_program(self.program));
    BASE_TRY(choose_cores(&self));
    launch_mpiexec_stay_here();
    allow_files(self.workers);
    self.restart.most = self.options.restarts;
    self.restart.window_s = self.options.restart_window_s;
    self.restart.delay_ms = 1000 * self.options.restart_delay_s;
    base_status status = launch_signals_open(&self.signals);
    if (status == BASE_OK)
        status = start(&self);
    launch_signals_close(&self.signals);
    return status;
}

const command command_launch = {
    .name = "launch",
    .summary = "start and supervise the workers of this machine",
    .usage =
        "usage: ddpt launch [options] COMMAND [its options] ...\n"
        "\n"
        "Starts COMMAND (train, eval, scale or bench) with its arguments on several workers of this machine, through\n"
        "mpiexec, and stays with them: signals are passed on, all end when one fails, and no process is left whatever\n"
        "is killed. Options of launch stand before COMMAND.\n"
        "\n"
        "  -n, --workers N     workers (default: one a GPU, or without GPUs one a core)\n"
        "      --gpus CHOICE   all, none, a number of GPUs, or the numbers of some (0,2,3; one alone: 2,) as ddpt\n"
        "                      doctor lists them; the others are hidden from the job\n"
        "      --bind auto|none  auto: each worker gets cores of its own, near each other and its GPU, where there\n"
        "                      are enough; none: all workers may use all cores (default: auto)\n"
        "      --restarts K    start a training again that lost a worker or failed with status 1 or 6, from its last\n"
        "                      checkpoint, at most K times (default: 0)\n"
        "      --restart-window SECONDS  in any such time, not in all (default: 3600)\n"
        "      --restart-delay SECONDS  before the second restart: the first comes at once, and the delay doubles each\n"
        "                      time, up to a minute (default: 1)\n"
        "      --prefix        begin each line that a worker prints with [rank]\n"
        "  -h, --help          this text\n"
        "\n"
        "A restarted run goes on in its folder and ends as one that was never disturbed.\n"
        "\n"
        "SIGTERM, SIGHUP, SIGUSR1, SIGUSR2: a training saves and ends with status 75. Ctrl-C: all ends within three\n"
        "seconds, at the second one at once. Ctrl-Z stops the workers too. stdin is closed to the workers.\n"
        "\n"
        "mpiexec is that of the MPI that ddpt was built with, else the first on PATH; DDPT_MPIEXEC in the environment\n"
        "names another.\n"
        "\n"
        "Exit status: that of COMMAND, as the first worker that failed gave it; 1 mpiexec cannot be started; 2 usage;\n"
        "5 GPUs are not available; 6 a worker was killed or lost, or mpiexec; 130 interrupted.\n",
    .run = run,
};
