#include "run_signal.h"

#include "base_status.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

/* Ranks that cannot agree on a step by then (one is gone, a step is long) just end. */
enum { GRACE_US = 800000 };

static volatile sig_atomic_t interrupted;

static void on_grace_over(int signal)
{
    (void)signal;
    _exit(BASE_INTERRUPTED);
}

static void on_interrupt(int signal)
{
    (void)signal;
    if (interrupted)
        _exit(BASE_INTERRUPTED);
    interrupted = 1;
    struct itimerval grace = {.it_value = {.tv_usec = GRACE_US}};
    setitimer(ITIMER_REAL, &grace, NULL);
}

void run_signal_install(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_grace_over;
    sigaction(SIGALRM, &action, NULL);
}

int run_signal_interrupted(void)
{
    return interrupted != 0;
}

void run_signal_disarm(void)
{
    struct itimerval none = {.it_value = {.tv_usec = 0}};
    setitimer(ITIMER_REAL, &none, NULL);
}
