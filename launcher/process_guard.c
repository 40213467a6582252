#include "process_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const int process_guard_endings[PROCESS_GUARD_ENDINGS] = {SIGINT, SIGTERM, SIGHUP};

/* A job of MPI ends within a second of what it was told; srun wants SIGTERM where Ctrl-C has told it once. */
enum { GRACE_MS = 1500, LOOK_MS = 100, NOT_STARTED = 127, CHILDREN_MAX = 512 };

static volatile sig_atomic_t told;

void process_guard_tell(int signal)
{
    told = signal;
}

int process_guard_told(void)
{
    return told;
}

/* ---- the program ---- */

/* Hydra does not start where it cannot write. `nothing`: /dev/null. */
static int write_to(int output, int nothing)
{
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    if (output < 0)
        output = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY ? STDERR_FILENO : nothing;
    return dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0;
}

static _Noreturn void become(const process_guard_order *order, pid_t guard)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigemptyset(&plain.sa_mask);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != guard)
        _exit(NOT_STARTED);
    /* A shell has its background commands ignore SIGINT, which they would hand on. */
    for (int i = 0; i < PROCESS_GUARD_ENDINGS; i++)
        sigaction(process_guard_endings[i], &plain, NULL);
    sigaction(SIGCHLD, &plain, NULL);
    sigaction(SIGPIPE, &plain, NULL);
    /* In a process group of its own it writes to the terminal from the background, which `stty tostop` would stop. */
    plain.sa_handler = SIG_IGN;
    sigaction(SIGTTOU, &plain, NULL);
    sigprocmask(SIG_SETMASK, &order->mask, NULL);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (write_to(order->output, nothing) && dup2(nothing, STDIN_FILENO) >= 0)
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

int process_guard_children(pid_t *children, int room)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC), count = 0;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (char *rest = text, *end; count < room; rest = end) {
        long pid = strtol(rest, &end, 10);
        /* The last number may be cut off by the end of the text. */
        if (end == rest || *end == '\0')
            break;
        children[count++] = (pid_t)pid;
    }
    return count;
}

static int is_spared(pid_t pid, const pid_t *spared, int count)
{
    for (int i = 0; i < count; i++)
        if (spared[i] == pid)
            return 1;
    return 0;
}

/* How many there were. */
static int kill_children(const pid_t *spared, int spared_count)
{
    pid_t children[CHILDREN_MAX];
    int count = process_guard_children(children, CHILDREN_MAX), killed = 0;
    for (int i = 0; i < count; i++) {
        if (is_spared(children[i], spared, spared_count))
            continue;
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, WNOHANG);
        killed++;
    }
    return killed;
}

/* What the program has started and left is our child by now, and when that is gone what it had started. */
int process_guard_kill_rest(const pid_t *spared, int count)
{
    sigset_t none;
    sigfillset(&none);
    for (int tries = 0; tries < GRACE_MS; tries++) {
        /* The list may lack one that is just becoming ours. */
        pid_t one = kill_children(spared, count) == 0 ? waitpid(-1, NULL, WNOHANG) : 1;
        if (one < 0 || (one == 0 && count > 0))
            return 1;
        sleep_ms(1, &none);
    }
    return 0;
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

/* ---- with a life line ---- */

static void on_child(int signal)
{
    (void)signal;
}

/* All signals are blocked, but SIGCHLD while we wait: whoever sends one to all of a job's processes, as a batch system
 * does, means those that can do something about it. */
static void block_signals(sigset_t *waiting)
{
    struct sigaction action = {.sa_handler = on_child};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    sigfillset(waiting);
    sigprocmask(SIG_SETMASK, waiting, NULL);
    sigdelset(waiting, SIGCHLD);
}

/* What we hold open of the launcher's would look alive to others when it is gone. */
static void close_others(const process_guard_order *order)
{
    for (int fd = STDERR_FILENO + 1; fd < FD_SETSIZE; fd++)
        if (fd != order->life[0] && fd != order->ended)
            close(fd);
}

/* 1: the program has ended by itself; 0: the life line has. */
static int await_either(pid_t program, int life, const sigset_t *waiting, int *status)
{
    struct pollfd line = {.fd = life};
    for (;;) {
        for (pid_t ended; (ended = waitpid(-1, status, WNOHANG)) > 0;)
            if (ended == program)
                return 1;
        if (ppoll(&line, 1, NULL, waiting) > 0)
            return 0;
    }
}

/* What the program left behind stays until the launcher, who sees what it does, has heard of the end. */
static _Noreturn void guard_by_line(const process_guard_order *order, pid_t program, const sigset_t *waiting)
{
    process_guard_end end = {.program = program, .status = SIGKILL};
    close_others(order);
    if (await_either(program, order->life[0], waiting, &end.status) &&
        write(order->ended, &end, sizeof end) == sizeof end)
        await_either(0, order->life[0], waiting, &(int){0});
    int status = end.status;
    process_guard_kill_rest(NULL, 0);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* ---- both ---- */

static _Noreturn void fail_to_start(const process_guard_order *order)
{
    int reason = errno;
    _exit(write(order->report, &reason, sizeof reason) == sizeof reason ? NOT_STARTED : NOT_STARTED - 1);
}

_Noreturn void process_guard_run(const process_guard_order *order)
{
    int by_line = order->life[0] >= 0;
    sigset_t waiting;
    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (by_line)
        block_signals(&waiting);
    prctl(PR_SET_PDEATHSIG, by_line ? SIGCONT : SIGTERM); /* SIGCONT: whoever is stopped does not see that line end */
    if (getppid() != order->parent)
        _exit(NOT_STARTED);
    pid_t guard = getpid(), program = fork();
    if (program == 0)
        become(order, guard);
    if (program < 0)
        fail_to_start(order);
    if (by_line)
        guard_by_line(order, program, &waiting);
    close(order->report);
    close(order->output);
    int status;
    await_end(program, &order->mask, &status);
    if (told)
        process_guard_kill_rest(NULL, 0);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

int process_guard_start_error(pid_t guard, int report)
{
    int reason = 0;
    ssize_t n;
    while ((n = read(report, &reason, sizeof reason)) < 0 && errno == EINTR)
        continue;
    if (n != sizeof reason)
        return 0;
    waitpid(guard, NULL, 0);
    return reason;
}
