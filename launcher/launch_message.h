/* launch_message.h: what a worker tells the launcher that has started it (launch_job.h), over a connection of its own.
 *
 * The launcher listens on an abstract socket of type SOCK_SEQPACKET, whose name the workers find in their environment.
 * A worker connects as soon as it runs, and goes on when it gets a byte: by then the launcher knows its process. A
 * connection that ends before LAUNCH_ENDED has come is a worker that died
 * without a word; one that ends on the worker's side is a launcher that is gone, which the worker does not outlive.
 */
#ifndef LAUNCH_MESSAGE_H
#define LAUNCH_MESSAGE_H

#include <limits.h>

#define LAUNCH_SOCKET_VARIABLE "DDPT_LAUNCH_SOCKET" /* the name, without the 0 before it */
#define LAUNCH_CORES_VARIABLE "DDPT_LAUNCH_CORES"   /* "0-1;2-3": processors for each rank of the node; unset: any */

typedef enum launch_kind {
    LAUNCH_BEGUN,  /* `rank` as the environment says, or -1. The reading ends of the pipes that are the worker's stdout
                      and stderr from now on come with it (SCM_RIGHTS) */
    LAUNCH_JOINED, /* the MPI job is open, `rank` is sure, and the signals that ask for a save are caught */
    LAUNCH_FOLDER, /* `text`: the run's folder, in which its checkpoints will be; from rank 0 of a training */
    LAUNCH_ENDED   /* `status` and the message of its failure, which the launcher prints */
} launch_kind;

enum { LAUNCH_TEXT_MAX = PATH_MAX };

/* Sent up to the end of the string. */
typedef struct launch_message {
    int kind, rank, status;
    char text[LAUNCH_TEXT_MAX];
} launch_message;

#endif
