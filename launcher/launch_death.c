#include "launch_death.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAP_NS = 500 * 1000, TRIES = 1000 };

/* PIDFD_GET_INFO of Linux 6.15, which tells how a process ended that its parent has waited for; C libraries are
 * older. */
typedef struct pidfd_information {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
} pidfd_information;
#define GET_INFORMATION _IOWR(0xFF, 11, pidfd_information)
enum { WITH_EXIT = 1 << 3 };

int launch_death_open(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

void launch_death_signal(pid_t pid, int pidfd, int signal)
{
#ifdef SYS_pidfd_send_signal
    if (pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
        return;
    }
#endif
    kill(pid, signal);
}

static int read_pidfd(int pidfd, int *status)
{
    pidfd_information information = {.mask = WITH_EXIT};
    if (pidfd < 0 || ioctl(pidfd, GET_INFORMATION, &information) != 0 || !(information.mask & WITH_EXIT))
        return 0;
    *status = information.exit_code;
    return 1;
}

/* The last field of /proc/PID/stat is set as soon as a process begins to end, and is there until its parent has waited
 * for it. */
static int read_stat(pid_t pid, int *status)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *state = strrchr(text, ')'), *last = strrchr(text, ' ');
    if (!state || sscanf(last, "%d", status) != 1)
        return 0;
    return *status != 0 || state[2] == 'Z' || state[2] == 'X';
}

int launch_death_read(pid_t pid, int pidfd, int *status)
{
    for (int i = 0; i < TRIES; i++) {
        if (read_stat(pid, status) || read_pidfd(pidfd, status))
            return 1;
        if (kill(pid, 0) != 0 && pidfd < 0)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return 0;
}
