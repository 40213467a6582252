/* scale_guard.h: the process that stands between us and a program (scale_process.h). It is a copy of ours, in which
 * other threads may have held locks: it calls nothing but the system. */
#ifndef SCALE_GUARD_H
#define SCALE_GUARD_H

#include <signal.h>
#include <sys/types.h>

enum { SCALE_GUARD_ENDINGS = 3 };
extern const int scale_guard_endings[SCALE_GUARD_ENDINGS]; /* the signals that tell us to end */

/* The handler of those signals, and the last of them that came; 0: none. */
void scale_guard_tell(int signal);
int scale_guard_told(void);

typedef struct scale_guard_order {
    char *const *argv;
    pid_t parent;
    int output;    /* becomes the program's stdout and stderr */
    int report;    /* gets errno if the program cannot be started; else closed */
    sigset_t mask; /* of the program, and of the guard when it waits; the signals are blocked otherwise */
} scale_guard_order;

/* In the new process. Ends with the program's exit status, or 128 + N where signal N ended it. */
_Noreturn void scale_guard_run(const scale_guard_order *order);

#endif
