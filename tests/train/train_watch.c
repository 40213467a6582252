/* train_watch NAME COMMAND...: starts COMMAND, writes its process to NAME.pid, and once it has ended its exit status to
 * NAME.status (128 + N where signal N ended it); then ends likewise. Signals that a launcher sends to all processes of
 * a rank are for COMMAND alone. COMMAND does not outlive it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whoever reads the file sees all of it. */
static void put(const char *name, const char *kind, int value)
{
    char partial[4096], path[4096];
    snprintf(partial, sizeof partial, "%s.%s.new", name, kind);
    snprintf(path, sizeof path, "%s.%s", name, kind);
    FILE *f = fopen(partial, "w");
    if (!f || fprintf(f, "%d\n", value) < 0 || fclose(f) != 0 || rename(partial, path) != 0) {
        perror(path);
        exit(127);
    }
}

static void pass(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    if (argc < 3)
        return 2;
    /* A handler, not SIG_IGN: that would be COMMAND's too. */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], pass);
    pid_t watch = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == watch)
            execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    put(argv[1], "pid", (int)pid);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    put(argv[1], "status", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}
