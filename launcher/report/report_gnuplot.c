#include "report_gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { PATIENCE_MS = 60 * 1000, NAP_MS = 2 };

/* The three standard streams of the child: files without a name, so that neither side waits for the other. */
typedef struct streams {
    FILE *in, *out, *err;
} streams;

static void close_streams(streams *self)
{
    FILE *all[] = {self->in, self->out, self->err};
    for (int i = 0; i < 3; i++)
        if (all[i])
            fclose(all[i]);
}

static base_status open_streams(streams *self, const char *script)
{
    *self = (streams){tmpfile(), tmpfile(), tmpfile()};
    if (!self->in || !self->out || !self->err)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make a temporary file for gnuplot");
    if (fputs(script, self->in) < 0 || fflush(self->in) != 0 || fseek(self->in, 0, SEEK_SET) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write gnuplot's script to a temporary file");
    return BASE_OK;
}

/* The file from its beginning; malloc'd. */
static char *read_all(FILE *file)
{
    char *text = NULL;
    long nbytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (nbytes >= 0 && fseek(file, 0, SEEK_SET) == 0)
        text = malloc((size_t)nbytes + 1);
    if (!text)
        return NULL;
    text[fread(text, 1, (size_t)nbytes, file)] = '\0';
    return text;
}

/* The handlers and the mask of signals are ours, not gnuplot's. Returns an errno, 0 for success. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t set;
    sigemptyset(&set);
    int error = posix_spawnattr_setsigmask(attributes, &set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGPIPE);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &set);
    return error ? error : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const streams *files, pid_t *child)
{
    char *const arguments[] = {"gnuplot", "-d", NULL}; /* -d: no start-up files */
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    int error = set_signals(&attributes);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(files->in), STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(files->out), STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(files->err), STDERR_FILENO);
    if (!error)
        error = posix_spawnp(child, "gnuplot", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* 0 if it was ended because it took too long. */
static int wait_for(pid_t child, int *status)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += NAP_MS) {
        pid_t ended = waitpid(child, status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR))
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
    }
    kill(child, SIGKILL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

/* What a failed gnuplot said: its last line of text, which names the trouble. */
static base_status fail_with(FILE *err, const char *what)
{
    char *text = read_all(err), *last = NULL, *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        if (line[strspn(line, " \t^")] != '\0')
            last = line + strspn(line, " \t");
    base_status status = last ? BASE_FAIL(BASE_ERROR, "gnuplot %s: %.200s", what, last)
                              : BASE_FAIL(BASE_ERROR, "gnuplot %s, and said nothing", what);
    free(text);
    return status;
}

static base_status run(const streams *files, char **svg)
{
    pid_t child;
    int ended = 0, error = spawn(files, &child);
    if (error == ENOENT)
        return BASE_FAIL(BASE_ERROR, "gnuplot is not installed, or not on PATH (Debian and Ubuntu: apt-get install "
                                     "gnuplot-nox)");
    if (error)
        return BASE_FAIL_ERRNO(BASE_ERROR, error, "cannot start gnuplot");
    if (!wait_for(child, &ended))
        return BASE_FAIL(BASE_ERROR, "gnuplot took more than %d s and was ended", PATIENCE_MS / 1000);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        return fail_with(files->err, "failed");
    char *text = read_all(files->out);
    if (!text)
        return BASE_FAIL(BASE_ERROR, "out of memory for a picture");
    if (!strstr(text, "<svg") || !strstr(text, "</svg>")) {
        free(text);
        return fail_with(files->err, "drew no SVG image");
    }
    *svg = text;
    return BASE_OK;
}

base_status report_gnuplot_run(const char *script, char **svg)
{
    streams files;
    base_status status = open_streams(&files, script);
    if (status == BASE_OK)
        status = run(&files, svg);
    close_streams(&files);
    return status;
}
