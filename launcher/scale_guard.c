#include "scale_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const int scale_guard_endings[SCALE_GUARD_ENDINGS] = {SIGINT, SIGTERM, SIGHUP};

/* A job of MPI ends within a second of what it was told; srun wants SIGTERM where Ctrl-C has told it once. */
enum { GRACE_MS = 1500, LOOK_MS = 100, NOT_STARTED = 127 };

static volatile sig_atomic_t told;

void scale_guard_tell(int signal)
{
    told = signal;
}

int scale_guard_told(void)
{
    return told;
}

/* ---- the program ---- */

static _Noreturn void become(const scale_guard_order *order, pid_t guard)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigemptyset(&plain.sa_mask);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != guard)
        _exit(NOT_STARTED);
    /* A shell has its background commands ignore SIGINT, which they would hand on. */
    for (int i = 0; i < SCALE_GUARD_ENDINGS; i++)
        sigaction(scale_guard_endings[i], &plain, NULL);
    sigaction(SIGCHLD, &plain, NULL);
    sigprocmask(SIG_SETMASK, &order->mask, NULL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(order->output, STDOUT_FILENO) >= 0 &&
        dup2(order->output, STDERR_FILENO) >= 0)
        execvp(order->argv[0], order->argv);
    int reason = errno;
    if (write(order->report, &reason, sizeof reason) != sizeof reason)
        _exit(NOT_STARTED - 1);
    _exit(NOT_STARTED);
}

/* ---- the guard ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(int ms, const sigset_t *mask)
{
    struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    ppoll(NULL, 0, &length, mask);
}

/* What the program has started and left is our child by now, and when that is gone what it had started. */
static void kill_children(void)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (char *rest = text, *end;; rest = end) {
        long pid = strtol(rest, &end, 10);
        if (end == rest)
            return;
        kill((pid_t)pid, SIGKILL);
    }
}

static void kill_rest(void)
{
    sigset_t none;
    sigfillset(&none);
    for (int tries = 0; tries < GRACE_MS; tries++) {
        kill_children();
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (waitpid(-1, NULL, WNOHANG) < 0)
            return;
        sleep_ms(1, &none);
    }
}

/* Until the program has ended; *status is its. */
static void await_end(pid_t program, const sigset_t *mask, int *status)
{
    int signals = 0;
    int64_t next_ms = 0;
    for (pid_t ended; (ended = waitpid(-1, status, WNOHANG)) != program;) {
        if (ended > 0)
            continue;
        if (told && now_ms() >= next_ms) {
            kill(-program, signals == 0 ? told : signals == 1 ? SIGTERM : SIGKILL);
            signals++;
            next_ms = now_ms() + GRACE_MS;
        }
        sleep_ms(LOOK_MS, mask);
    }
}

_Noreturn void scale_guard_run(const scale_guard_order *order)
{
    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != order->parent)
        _exit(NOT_STARTED);
    pid_t guard = getpid(), program = fork();
    if (program == 0)
        become(order, guard);
    if (program < 0) {
        int reason = errno;
        _exit(write(order->report, &reason, sizeof reason) == sizeof reason ? NOT_STARTED : NOT_STARTED - 1);
    }
    close(order->report);
    close(order->output);
    int status;
    await_end(program, &order->mask, &status);
    if (told)
        kill_rest();
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
