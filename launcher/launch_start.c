#include "launch_start.h"

#include "process_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static base_status start_guard(char *const *argv, const sigset_t *mask, int report[2], int life[2], int ended[2],
                               launch_tree *self)
{
    if (pipe2(report, O_CLOEXEC) != 0 || pipe2(life, O_CLOEXEC) != 0 || pipe2(ended, O_CLOEXEC) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make a pipe");
    process_guard_order order = {.argv = argv,
                                 .parent = getpid(),
                                 .output = -1,
                                 .report = report[1],
                                 .life = {life[0], life[1]},
                                 .ended = ended[1],
                                 .mask = *mask};
    self->guard = fork();
    if (self->guard == 0)
        process_guard_run(&order);
    if (self->guard < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot start a process");
    close(report[1]);
    report[1] = -1;
    int reason = process_guard_start_error(self->guard, report[0]);
    return reason ? BASE_FAIL_ERRNO(BASE_ERROR, reason, "cannot start %s", argv[0]) : BASE_OK;
}

base_status launch_start(char *const *argv, const sigset_t *mask, launch_tree *self)
{
    int report[2] = {-1, -1}, life[2] = {-1, -1}, ended[2] = {-1, -1};
    *self = (launch_tree){.life = -1, .ended = -1};
    /* If the guard is killed, what it had becomes ours. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    self->stranger_count = process_guard_children(self->strangers, LAUNCH_STRANGERS_MAX);
    base_status status = start_guard(argv, mask, report, life, ended, self);
    if (status == BASE_OK) {
        self->life = life[1];
        self->ended = ended[0];
        life[1] = ended[0] = -1;
        fcntl(self->ended, F_SETFL, O_NONBLOCK);
    }
    close_pair(report);
    close_pair(life);
    close_pair(ended);
    return status;
}

void launch_start_cut(launch_tree *self)
{
    if (self->life >= 0)
        close(self->life);
    self->life = -1;
}

void launch_start_clear(launch_tree *self, int *status)
{
    *status = SIGKILL;
    kill(self->guard, SIGKILL);
    while (waitpid(self->guard, status, 0) < 0 && errno == EINTR)
        continue;
    process_guard_kill_rest(self->strangers, self->stranger_count);
    launch_start_cut(self);
    close(self->ended);
}
