#include "scale_process.h"

#include "process_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- signals ---- */

/* What was before the hold. */
static struct {
    struct sigaction ending[PROCESS_GUARD_ENDINGS], child;
    sigset_t mask;
} before;

/* Its coming is enough: it ends a wait. */
static void on_child(int signal)
{
    (void)signal;
}

/* They come in ppoll alone, so that none is lost between a look at what came and the wait. */
void scale_process_hold(void)
{
    sigset_t held;
    struct sigaction action = {.sa_handler = process_guard_tell};
    sigemptyset(&held);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < PROCESS_GUARD_ENDINGS; i++) {
        sigaddset(&held, process_guard_endings[i]);
        sigaction(process_guard_endings[i], &action, &before.ending[i]);
    }
    sigaddset(&held, SIGCHLD);
    action.sa_handler = on_child;
    sigaction(SIGCHLD, &action, &before.child);
    sigprocmask(SIG_BLOCK, &held, &before.mask);
}

void scale_process_release(void)
{
    for (int i = 0; i < PROCESS_GUARD_ENDINGS; i++)
        sigaction(process_guard_endings[i], &before.ending[i], NULL);
    sigaction(SIGCHLD, &before.child, NULL);
    sigprocmask(SIG_SETMASK, &before.mask, NULL);
}

/* ---- start ---- */

typedef struct process {
    pid_t guard;
    int output; /* where we read it */
    scale_process_end *end;
} process;

static base_status start_guard(char *const *argv, const int output[2], const int report[2], process *self)
{
    process_guard_order order = {.argv = argv,
                                 .parent = getpid(),
                                 .output = output[1],
                                 .report = report[1],
                                 .life = {-1, -1},
                                 .mask = before.mask};
    self->guard = fork();
    if (self->guard == 0)
        process_guard_run(&order);
    int reason = errno;
    close(output[1]);
    close(report[1]);
    if (self->guard < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, reason, "cannot start a process");
    reason = process_guard_start_error(self->guard, report[0]);
    return reason ? BASE_FAIL_ERRNO(BASE_USAGE, reason, "cannot start %s", argv[0]) : BASE_OK;
}

static base_status start(char *const *argv, process *self)
{
    int output[2], report[2];
    if (pipe2(output, O_CLOEXEC) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make a pipe");
    if (pipe2(report, O_CLOEXEC) != 0) {
        int reason = errno;
        close(output[0]);
        close(output[1]);
        return BASE_FAIL_ERRNO(BASE_ERROR, reason, "cannot make a pipe");
    }
    base_status status = start_guard(argv, output, report, self);
    close(report[0]);
    if (status != BASE_OK) {
        close(output[0]);
        return status;
    }
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    self->output = output[0];
    return BASE_OK;
}

/* ---- the wait ---- */

static void keep(scale_process_end *end, const char *bytes, size_t count)
{
    size_t room = SCALE_PROCESS_TAIL - 1;
    if (end->length + count > room) {
        size_t dropped = end->length + count - room;
        memmove(end->tail, end->tail + dropped, end->length - dropped);
        end->length -= dropped;
    }
    memcpy(end->tail + end->length, bytes, count);
    end->length += count;
    end->tail[end->length] = '\0';
}

/* What there is now. Its end is no end: processes that the program left behind may hold it open. */
static void read_output(process *self)
{
    char bytes[SCALE_PROCESS_TAIL / 8];
    for (ssize_t n; (n = read(self->output, bytes, sizeof bytes)) > 0;)
        keep(self->end, bytes, (size_t)n);
}

static void await_end(process *self)
{
    static const struct timespec a_while = {.tv_nsec = 200 * 1000 * 1000};
    struct pollfd output = {.fd = self->output, .events = POLLIN};
    int status, handed_on = 0;
    while (waitpid(self->guard, &status, WNOHANG) != self->guard) {
        if (process_guard_told() && !handed_on) {
            kill(self->guard, process_guard_told());
            handed_on = 1;
        }
        if (ppoll(&output, 1, &a_while, &before.mask) > 0) {
            read_output(self);
            if (output.revents & POLLHUP)
                output.fd = -1;
        }
    }
    read_output(self);
    self->end->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

base_status scale_process_run(char *const *argv, scale_process_end *end)
{
    static const struct timespec none;
    process self = {.end = end};
    end->length = 0;
    end->tail[0] = '\0';
    ppoll(NULL, 0, &none, &before.mask); /* what came since the last one */
    if (!process_guard_told()) {
        BASE_TRY(start(argv, &self));
        await_end(&self);
        close(self.output);
    }
    return process_guard_told() ? BASE_FAIL(BASE_INTERRUPTED, "interrupted") : BASE_OK;
}

int scale_process_message(const scale_process_end *end, char *message, size_t size)
{
    static const char mark[] = "error: ";
    for (const char *line = end->tail; *line;) {
        size_t length = strcspn(line, "\n");
        const char *text = line;
        if (*text == '[') /* the rank */
            text += strspn(text, "[]0123456789") + 1;
        if ((size_t)(text - line) < length && strncmp(text, mark, sizeof mark - 1) == 0) {
            text += sizeof mark - 1;
            snprintf(message, size, "%.*s", (int)(length - (size_t)(text - line)), text);
            return 1;
        }
        line += length + (line[length] == '\n');
    }
    return 0;
}
