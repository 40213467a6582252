/* launch_output.h: the output of workers, each line with its rank before it if that is asked for (`ddpt launch
 * --prefix`); else byte for byte what they write, but that a last line without an end gets one on stderr.
 *
 * It comes to us and not to mpiexec, which ends the job when it cannot write: a reader that is gone, or a disk that is
 * full, costs the output. Lines are written whole. Nothing blocks: while nobody reads our stdout, that of the workers
 * is left in their pipes.
 */
#ifndef LAUNCH_OUTPUT_H
#define LAUNCH_OUTPUT_H

#include "base_status.h"

#include <signal.h>

typedef struct launch_output launch_output;

/* For the output of `workers`; `prefix`: with ranks. `epoll` gets what is to be waited for, with `tag` + 0, 1, ... as
 * data: hand those less `tag` to launch_output_move. */
base_status launch_output_create(int workers, int prefix, int epoll, unsigned tag, launch_output **self);
void launch_output_destroy(launch_output **self);

/* Takes the reading ends of the stdout and stderr of worker number `index`. */
void launch_output_add(launch_output *self, int index, const int fds[2]);

/* The rank to print; before it is known the worker's output waits. */
void launch_output_name(launch_output *self, int index, int rank);

/* Something can be read or written. */
void launch_output_move(launch_output *self, unsigned which);

/* All workers have ended: writes what they left, with `mask` while it waits. BASE_ERROR: some of what they wrote to
 * stdout could not be written, which is their result. */
base_status launch_output_finish(launch_output *self, const sigset_t *mask);

#endif
