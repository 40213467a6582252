#include "launch_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static base_status look(launch_probe *self)
{
    const run_plugin *plugin;
    BASE_TRY(run_plugin_load(&plugin));
    snprintf(self->variable, sizeof self->variable, "%s_VISIBLE_DEVICES", plugin->name);
    BASE_TRY(plugin->count(&self->count));
    if (self->count > LAUNCH_GPUS_MAX)
        self->count = LAUNCH_GPUS_MAX;
    for (int i = 0; i < self->count; i++)
        if (plugin->locate(i, self->buses[i]) != BASE_OK)
            self->buses[i][0] = '\0';
    return BASE_OK;
}

/* In a process of its own. */
static _Noreturn void look_and_tell(int to, pid_t parent)
{
    launch_probe found = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a broken driver may never answer */
    if (getppid() != parent)
        _exit(1);
    if (look(&found) != BASE_OK) {
        found.count = 0;
        snprintf(found.missing, sizeof found.missing, "%s", base_status_message());
    }
    const char *rest = (const char *)&found;
    for (size_t left = sizeof found; left > 0;) {
        ssize_t n = write(to, rest, left);
        if (n <= 0)
            _exit(1);
        rest += n;
        left -= (size_t)n;
    }
    _exit(0);
}

/* 1: all of it has come. */
static int hear(int from, launch_probe *found)
{
    char *rest = (char *)found;
    size_t left = sizeof *found;
    while (left > 0) {
        ssize_t n = read(from, rest, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        rest += n;
        left -= (size_t)n;
    }
    return 1;
}

base_status launch_probe_gpus(launch_probe *found)
{
    int line[2], status = 0;
    if (pipe2(line, O_CLOEXEC) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make a pipe");
    pid_t self = getpid(), child = fork();
    if (child == 0)
        look_and_tell(line[1], self);
    int reason = errno, whole = 0;
    close(line[1]);
    if (child > 0) {
        whole = hear(line[0], found);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(line[0]);
    if (child < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, reason, "cannot start a process");
    if (!whole) {
        *found = (launch_probe){0};
        snprintf(found->missing, sizeof found->missing,
                 "the process that looked for GPUs ended with %s %d; does ddpt doctor do so, too?",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return BASE_OK;
}
