#include "launch_signals.h"

#include "base_time.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP};
enum { TAKEN_COUNT = sizeof taken / sizeof *taken };

const char *launch_signals_name(int signal)
{
    static const char *const names[TAKEN_COUNT] = {"SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTSTP"};
    for (int i = 0; i < TAKEN_COUNT; i++)
        if (taken[i] == signal)
            return names[i];
    return "a signal";
}

static int stays_ignored(int signal)
{
    struct sigaction now;
    return signal == SIGHUP && sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

base_status launch_signals_open(launch_signals *self)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t held;
    *self = (launch_signals){.fd = -1};
    sigemptyset(&held);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < TAKEN_COUNT; i++) {
        if (stays_ignored(taken[i]))
            continue;
        /* A shell has its background commands ignore SIGINT. */
        sigaction(taken[i], &action, NULL);
        sigaddset(&held, taken[i]);
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigprocmask(SIG_BLOCK, &held, &self->before);
    self->fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->fd >= 0 ? BASE_OK : BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot wait for signals");
}

void launch_signals_close(launch_signals *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    sigprocmask(SIG_SETMASK, &self->before, NULL);
}

int launch_signals_next(launch_signals *self)
{
    struct signalfd_siginfo information;
    if (read(self->fd, &information, sizeof information) != (ssize_t)sizeof information)
        return 0;
    int signal = (int)information.ssi_signo;
    if (signal == SIGINT)
        self->interrupts++;
    else if (signal != SIGTSTP)
        self->stop = signal;
    return signal;
}

int launch_signals_wait(launch_signals *self, int ms)
{
    double end = base_time_now() + 1e-3 * ms;
    for (;;) {
        for (int signal; (signal = launch_signals_next(self)) != 0;)
            if (signal == SIGTSTP)
                raise(SIGSTOP);
        double left = end - base_time_now();
        if (self->interrupts || self->stop)
            return 1;
        if (left <= 0.0)
            return 0;
        struct pollfd one = {.fd = self->fd, .events = POLLIN};
        poll(&one, 1, (int)(1e3 * left) + 1);
    }
}
