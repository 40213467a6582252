/* process_guard.h: the process that stands between us and a program that must not outlive us. It is a copy of ours, in
 * which other threads may have held locks: it calls nothing but the system.
 *
 * It is told to end the program by signals, SIGTERM when we are gone, which it hands on first; or, with a life line, by
 * the end of that alone, when it ends the program and all that this has started at once.
 */
#ifndef PROCESS_GUARD_H
#define PROCESS_GUARD_H

#include <signal.h>
#include <sys/types.h>

enum { PROCESS_GUARD_ENDINGS = 3 };
extern const int process_guard_endings[PROCESS_GUARD_ENDINGS]; /* the signals that tell us to end */

/* The handler of those signals, and the last of them that came; 0: none. */
void process_guard_tell(int signal);
int process_guard_told(void);

typedef struct process_guard_order {
    char *const *argv;
    pid_t parent;
    int output;    /* becomes the program's stdout and stderr; -1: our stderr does */
    int report;    /* gets errno if the program cannot be started; else closed */
    int life[2];   /* life line: a pipe whose second end is in our hands alone; -1: the guard is told by signals */
    int ended;     /* life line: gets a process_guard_end; what the program left behind lives until the line ends */
    sigset_t mask; /* of the program, and of a guard that is told by signals when it waits; else all is blocked */
} process_guard_order;

typedef struct process_guard_end {
    pid_t program;
    int status; /* as of wait */
} process_guard_end;

/* In the new process. Ends with the program's exit status, or 128 + N where signal N ended it. */
_Noreturn void process_guard_run(const process_guard_order *order);

/* In ours: waits for the program's start. 0, or the errno with which it could not be started; the guard is gone then.
 * `report`: the reading end of the order's, which exec closes. */
int process_guard_start_error(pid_t guard, int report);

/* Ends our children, and theirs as they become ours (PR_SET_CHILD_SUBREAPER), with SIGKILL; 0: some did not end within
 * a second or two. The (count) `spared` are left alone. */
int process_guard_kill_rest(const pid_t *spared, int count);

/* The children of this thread now, at most `room`. */
int process_guard_children(pid_t *children, int room);

#endif
