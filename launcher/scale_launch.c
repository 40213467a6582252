#include "scale_launch.h"

#include "base_arena.h"
#include "base_json.h"
#include "launch_mpiexec.h"
#include "report_sweep.h"
#include "run_environment.h"
#include "scale_process.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { OWN_WORDS = 20 }; /* at most, of a trial's command line, without those of the launcher and of --set */

struct scale_launch {
    const scale_options *options;
    const run_config *config;
    base_arena *arena;
    char program[PATH_MAX]; /* this one */
    char result[PATH_MAX];  /* the file that a job writes */
    int word_count;
    char **words;    /* (word_count) of the launcher */
    int64_t threads; /* of every worker; 0: not known yet */
    scale_process_end end;
};

/* ---- preparation ---- */

static base_status choose_launcher(scale_launch *self)
{
    if (self->options->launcher)
        return scale_options_words(self->options->launcher, self->arena, &self->word_count, &self->words);
    /* Open MPI binds few ranks to cores and many to sockets, so that the cores of a worker would change with their
     * number. */
    launch_mpiexec_unbind();
    launch_mpiexec_without_blas_threads();
    self->words = BASE_NEW_ARRAY(self->arena, char *, 3);
    const char *const words[] = {launch_mpiexec(), "-n", "{n}"};
    for (int i = 0; self->words && i < 3; i++)
        if (!(self->words[self->word_count++] = base_arena_string(self->arena, words[i])))
            return BASE_ERROR;
    return self->words ? BASE_OK : BASE_ERROR;
}

static base_status prepare(scale_launch *self, const char *folder)
{
    BASE_TRY(launch_mpiexec_program(self->program));
    int length = snprintf(self->result, sizeof self->result, "%s/trial-%ld.json", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof self->result)
        return BASE_FAIL(BASE_USAGE, "the name of the folder is too long: %s", folder);
    self->threads = self->config->train.threads;
    return choose_launcher(self);
}

base_status scale_launch_open(const scale_options *options, const run_config *config, const char *folder,
                              scale_launch **out)
{
    base_arena *arena;
    *out = NULL;
    BASE_TRY(base_arena_create(&arena, "launcher"));
    scale_launch *self = BASE_NEW(arena, scale_launch);
    base_status status = self ? BASE_OK : BASE_ERROR;
    if (self) {
        self->options = options;
        self->config = config;
        self->arena = arena;
        status = prepare(self, folder);
    }
    if (status != BASE_OK) {
        base_arena_destroy(&arena);
        return status;
    }
    scale_process_hold();
    *out = self;
    return BASE_OK;
}

void scale_launch_close(scale_launch **self)
{
    if (!*self)
        return;
    scale_process_release();
    base_arena *arena = (*self)->arena;
    base_arena_destroy(&arena);
    *self = NULL;
}

/* ---- the command line of a trial ---- */

typedef struct words {
    base_arena *arena;
    int count;
    const char **list; /* the last is NULL */
    int failed;        /* out of memory */
} words;

static void add(words *self, const char *word)
{
    self->failed |= !word;
    self->list[self->count++] = word;
}

static void add_number(words *self, const char *option, int64_t value)
{
    add(self, option);
    add(self, base_arena_format(self->arena, "%" PRId64, value));
}

/* `word` of the launcher, with each {n} replaced. */
static const char *with_number(base_arena *arena, const char *word, int workers)
{
    const char *place = word ? strstr(word, "{n}") : NULL;
    if (!place)
        return word;
    return base_arena_format(arena, "%.*s%d%s", (int)(place - word), word, workers,
                             with_number(arena, place + 3, workers));
}

static base_status build_line(const scale_launch *self, base_arena *arena, int workers, int64_t steps,
                              char *const **argv)
{
    const scale_options *options = self->options;
    size_t most = (size_t)self->word_count + 2 * (size_t)options->sets.count + OWN_WORDS;
    words line = {.arena = arena, .list = BASE_NEW_ARRAY(arena, const char *, most)};
    if (!line.list)
        return BASE_ERROR;
    for (int i = 0; i < self->word_count; i++)
        add(&line, with_number(arena, self->words[i], workers));
    add(&line, self->program);
    add(&line, "scale");
    add(&line, "--trials-only");
    add(&line, self->result);
    add_number(&line, "--workers", workers);
    add_number(&line, "--repeats", 1);
    if (steps > 0)
        add_number(&line, "--steps", steps);
    if (options->share_gpus)
        add(&line, "--share-gpus");
    add(&line, options->mode == SCALING_WEAK ? "--weak" : "--strong");
    for (int i = 0; i < options->sets.count; i++) {
        add(&line, "--set");
        add(&line, options->sets.values[i]);
    }
    if (self->threads > 0) {
        add(&line, "--set");
        add(&line, base_arena_format(arena, "train.threads=%" PRId64, self->threads));
    }
    add(&line, "--");
    add(&line, options->config);
    *argv = (char *const *)line.list;
    return line.failed ? BASE_ERROR : BASE_OK;
}

/* ---- a trial ---- */

static int is_ours(int status)
{
    static const base_status known[] = {BASE_USAGE, BASE_DATA, BASE_DEVICE, BASE_PEER, BASE_DIVERGED, BASE_INTERRUPTED};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (status == (int)known[i])
            return 1;
    return 0;
}

/* The signal that a worker, or the launcher itself, died of; 0: none. A shell says it as 128 + N; hydra ends with N,
 * which another launcher may mean otherwise, and names it in words. */
static int killed_by(const scale_process_end *end)
{
    char said[32];
    snprintf(said, sizeof said, "(signal %d)", end->status);
    if (end->status > 128 && end->status <= 128 + SIGRTMAX)
        return end->status - 128;
    return strstr(end->tail, said) ? end->status : 0;
}

/* An MPI ends a job with a status of its own at times, but our message is ours. */
static base_status failed(const scale_launch *self, int workers)
{
    char message[1024];
    const scale_process_end *end = &self->end;
    base_status status = is_ours(end->status) ? (base_status)end->status : BASE_ERROR;
    if (scale_process_message(end, message, sizeof message))
        return BASE_FAIL(status, "%s", message);
    fwrite(end->tail, 1, end->length, stderr);
    if (killed_by(end))
        return BASE_FAIL(BASE_PEER, "%d worker%s: a worker was lost, killed by signal %d (%s); %s ended with status %d",
                         workers, workers == 1 ? "" : "s", killed_by(end), strsignal(killed_by(end)), self->words[0],
                         end->status);
    return BASE_FAIL(BASE_ERROR, "%d worker%s: %s ended with status %d", workers, workers == 1 ? "" : "s",
                     self->words[0], end->status);
}

/* Moves the one trial of the job's file into `sweep`. */
static base_status take(scale_launch *self, scaling_sweep *from, int workers, int repeat, scaling_sweep *sweep)
{
    if (from->count != 1 || from->trials[0].workers != workers || strcmp(from->digest, self->config->digest) != 0)
        return BASE_FAIL(BASE_ERROR,
                         "%d worker%s: the job measured something else: was %s changed meanwhile, or is another "
                         "program started than this one?",
                         workers, workers == 1 ? "" : "s", self->options->config);
    if (!sweep->environment) {
        sweep->environment = json_incref(from->environment);
        json_object_set_new(sweep->environment, "command", base_json_text(command_line()));
        sweep->gradient_bytes = from->gradient_bytes;
    }
    scaling_trial trial = from->trials[0];
    from->trials[0].steps_s = NULL;
    trial.repeat = repeat;
    self->threads = trial.threads;
    return scaling_sweep_add(sweep, &trial);
}

static base_status read_result(scale_launch *self, int workers, int repeat, scaling_sweep *sweep)
{
    scaling_sweep from = {0};
    scaling_options ignored;
    if (access(self->result, F_OK) != 0)
        return BASE_FAIL(BASE_ERROR,
                         "%d worker%s: the job ended with status 0, but did not write %s: it must see this folder "
                         "under the same name, and nobody must end it meanwhile",
                         workers, workers == 1 ? "" : "s", self->result);
    base_status status = report_sweep_read(self->result, &from, &ignored);
    if (status == BASE_OK)
        status = take(self, &from, workers, repeat, sweep);
    scaling_sweep_clear(&from);
    return status;
}

static base_status run_trial(void *context, int workers, int repeat, int64_t steps, scaling_sweep *sweep)
{
    scale_launch *self = context;
    base_arena *arena;
    char *const *argv = NULL;
    BASE_TRY(base_arena_create(&arena, "command line"));
    base_status status = build_line(self, arena, workers, steps, &argv);
    if (status == BASE_OK)
        status = scale_process_run(argv, &self->end);
    base_arena_destroy(&arena);
    if (status == BASE_OK)
        status = self->end.status != 0 ? failed(self, workers) : read_result(self, workers, repeat, sweep);
    unlink(self->result);
    return status;
}

scale_runner scale_launch_runner(scale_launch *self)
{
    return (scale_runner){.self = self, .run = run_trial};
}
