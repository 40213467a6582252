#include "run_signal.h"

#include "base_status.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

/* Ranks that cannot agree on a step by then (one is gone, a step is long) just end. */
enum { GRACE_US = 800000 };

/* A frame with all of AVX-512 and AMX is 11 KiB. */
enum { STACK_BYTES = 64 * 1024 };

static volatile sig_atomic_t interrupted, stopping;

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

static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
}

/* oneDNN's GEMM kernels use the stack pointer as one register more and point it into their workspace: a signal's frame
 * there would overwrite the heap. So all handlers of this thread, MPI's among them, get a stack of their own; our other
 * threads block all signals. */
static void move_handlers(void)
{
    static char memory[STACK_BYTES];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    sigaltstack(&stack, NULL);
    for (int s = 1; s <= SIGRTMAX; s++) {
        struct sigaction action;
        if (sigaction(s, NULL, &action) != 0 || (action.sa_flags & SA_ONSTACK) || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN)
            continue;
        action.sa_flags |= SA_ONSTACK;
        sigaction(s, &action, NULL);
    }
}

static const int stops[] = {SIGTERM, SIGUSR1, SIGUSR2};
enum { STOP_COUNT = sizeof stops / sizeof *stops };

static void catch_stops(void)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_COUNT; i++)
        sigaction(stops[i], &action, NULL);
}

static void mask_stops(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < STOP_COUNT; i++)
        sigaddset(&set, stops[i]);
    pthread_sigmask(how, &set, NULL);
}

/* Both: OpenBLAS has started threads by now, in which nothing is blocked. */
void run_signal_hold(void)
{
    catch_stops();
    mask_stops(SIG_BLOCK);
}

void run_signal_install(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_grace_over;
    sigaction(SIGALRM, &action, NULL);
    catch_stops(); /* MPI has put a handler of its own for SIGUSR1 */
    /* Hours of training do not end because nobody reads the progress line any more. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    /* A file over the limit is a failed save, not the end. */
    sigaction(SIGXFSZ, &action, NULL);
    move_handlers();
    mask_stops(SIG_UNBLOCK);
}

int run_signal_interrupted(void)
{
    return interrupted != 0;
}

int run_signal_stopping(void)
{
    return stopping != 0;
}

void run_signal_disarm(void)
{
    struct itimerval none = {.it_value = {.tv_usec = 0}};
    setitimer(ITIMER_REAL, &none, NULL);
}
