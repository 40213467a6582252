/* main.c: finds the command, runs it, prints its failure, ends the MPI job. The only place that prints errors or exits.
 */
#include "command.h"

#include "base_arena.h"
#include "base_log.h"
#include "launch_worker.h"
#include "run_signal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const command *const commands[] = {&command_train,   &command_launch,      &command_eval,  &command_scale,
                                          &command_report,  &command_coordinator, &command_top,   &command_ckpt,
                                          &command_summary, &command_bench,       &command_doctor};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static comm_world *open_world;
static char line[4096];

/* A launcher that is told to end the job may drop what it has not yet forwarded of stderr: hydra does. So what lies in
 * the pipe must be read first, and then be given some time. */
static int stay_ms = 300;
enum { READ_MS = 600, LOOK_MS = 10 };

static int others_speak;

const char *command_line(void)
{
    return line;
}

void command_stay(int ms)
{
    if (ms > stay_ms)
        stay_ms = ms;
}

static void remember_line(int argc, char **argv)
{
    size_t used = 0;
    for (int i = 0; i < argc && used < sizeof line - 1; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", i ? " " : "", argv[i]);
}

base_status command_open_world(comm_world **world)
{
    if (!open_world) {
        BASE_TRY(comm_world_open(&open_world));
        const comm_world_info *info = comm_world_get_info(open_world);
        base_log_set_rank(info->rank, info->size);
        launch_worker_join(info);
    }
    *world = open_world;
    return BASE_OK;
}

static void print_overview(FILE *to)
{
    fputs("usage: ddpt COMMAND [options] [CONFIG]\n\n"
          "Distributed data-parallel training from a config file.\n\n",
          to);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help        this text; `ddpt help COMMAND` for one command\n\n"
          "      --version  the version\n\n"
          "Start with:  mpirun -n 2 ddpt train examples/digits.cfg\n",
          to);
}

static const command *find(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static base_status no_such_command(const char *name)
{
    char names[256] = "";
    for (int i = 0; i < COMMAND_COUNT; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s, ", commands[i]->name);
    return BASE_FAIL(BASE_USAGE, "'%s' is no command of ddpt; the commands are %shelp", name, names);
}

static int asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static base_status help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return BASE_OK;
    }
    const command *found = find(argv[1]);
    if (!found && !asks_for_help(argv[1]))
        return no_such_command(argv[1]);
    if (found)
        fputs(found->usage, stdout);
    else
        print_overview(stdout);
    return BASE_OK;
}

static base_status dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return BASE_FAIL(BASE_USAGE, "no command was given");
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        puts("ddpt " DDPT_VERSION);
        return BASE_OK;
    }
    if (asks_for_help(name))
        return help(argc - 1, argv + 1);
    const command *found = find(name);
    return found ? found->run(argc - 1, argv + 1) : no_such_command(name);
}

/* Of several copies that fail for the same reason before MPI can say who they are, the launcher's first one speaks. */
int command_speaks(void)
{
    static const char *const ranks[] = {"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"};
    if (open_world)
        return comm_world_get_info(open_world)->rank == 0;
    for (int i = 0; i < (int)(sizeof ranks / sizeof *ranks); i++) {
        const char *rank = getenv(ranks[i]);
        if (rank)
            return strcmp(rank, "0") == 0;
    }
    return 1;
}

void command_leave_words(void)
{
    others_speak = 1;
}

static int is_said(base_status status)
{
    return status == BASE_PEER && (others_speak || (open_world && comm_world_lost(open_world)));
}

/* A lost peer is one rank's finding: each says what it saw, unless it was told. All other failures are agreed on, and
 * rank 0 speaks for all. A run that was asked to save and stop has done what it was told, and a command that has
 * nothing to add to its status has left no message. */
static void print_failure(base_status status, int launcher_speaks)
{
    if (!open_world && !command_speaks())
        return;
    if (*base_status_message() == '\0')
        return;
    if (!launcher_speaks)
        base_log_write(status == BASE_STOPPED ? BASE_LOG_INFO : BASE_LOG_ERROR, status == BASE_PEER, "%s",
                       base_status_message());
    base_log_write(BASE_LOG_DEBUG, status == BASE_PEER, "at %s", base_status_trace());
}

void command_say_end(base_status status)
{
    static int said;
    if (said)
        return;
    said = 1;
    int launcher_speaks = launch_worker_tell_end(status, is_said(status) ? "" : base_status_message());
    if (status != BASE_OK && !is_said(status))
        print_failure(status, launcher_speaks);
}

/* What is opened from now on must not be taken for a stream that the caller has closed. Writing fails as before. */
static void fill_streams(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd <= STDERR_FILENO)
        continue;
    if (fd >= 0)
        close(fd);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void await_reader_of_stderr(void)
{
    struct stat stream;
    if (fstat(STDERR_FILENO, &stream) != 0 || !S_ISFIFO(stream.st_mode))
        return;
    int unread = 0;
    for (int ms = 0; ms < READ_MS && ioctl(STDERR_FILENO, FIONREAD, &unread) == 0 && unread > 0; ms += LOOK_MS)
        pause_ms(LOOK_MS);
}

int main(int argc, char **argv)
{
    fill_streams();
    remember_line(argc, argv);
    base_status status = launch_worker_begin();
    if (status == BASE_OK)
        status = dispatch(argc, argv);
    if (status == BASE_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = BASE_FAIL(BASE_ERROR, "cannot write to stdout");
    command_say_end(status);
    run_signal_disarm();
    if (open_world && status == BASE_PEER) {
        comm_world_lose(open_world, base_status_message());
        await_reader_of_stderr();
        comm_world_stay(open_world, stay_ms);
        comm_world_abort(open_world, (int)status);
    }
    if (open_world)
        comm_world_close(&open_world, (int)status);
    return (int)status;
}
