/* train_start COMMAND...: runs COMMAND as a terminal would. A shell starts its background commands with SIGINT ignored,
 * which they would hand on to every rank. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
