/* scale_process.h: a program that is run to its end, with what it has to say kept, and which does not outlive us.
 *
 * Between us and the program stands a guard, a process that ends when the program does. When it is told to end, by us
 * or because we are gone, it ends the program and all that the program has started: a launcher that is ended while its
 * job starts may leave ranks behind that wait for it for ever.
 */
#ifndef SCALE_PROCESS_H
#define SCALE_PROCESS_H

#include "base_status.h"

#include <stddef.h>

enum { SCALE_PROCESS_TAIL = 16 * 1024 };

typedef struct scale_process_end {
    int status;                    /* exit status; 128 + N where signal N ended it */
    size_t length;                 /* of the tail */
    char tail[SCALE_PROCESS_TAIL]; /* the last of its stdout and stderr, with an end of string */
} scale_process_end;

/* From here to the release SIGINT, SIGTERM and SIGHUP end programs and not this process. One thread runs programs. */
void scale_process_hold(void);
void scale_process_release(void);

/* Runs argv (argv[0] is looked up on PATH), with nothing on stdin and out of reach of the terminal's signals, and waits
 * for it; signals must be held. BASE_USAGE: it cannot be started. BASE_INTERRUPTED: one of the signals has come; the
 * program got it too, and if it did not end soon SIGTERM, then SIGKILL. */
base_status scale_process_run(char *const *argv, scale_process_end *end);

/* The text behind the first "error: " of a line in the tail, copied to `message`; 0: there is none. */
int scale_process_message(const scale_process_end *end, char *message, size_t size);

#endif
