/* comm_nccl.h: what the NCCL back end of a group (comm_nccl.c) asks of the GPU plug-in (comm/gpu), which knows NCCL or
 * RCCL. One const table; comm.h's groups are given it with their device.
 *
 * Nothing here waits but close. After open, and after every call that puts work on a stream, the communicator is busy
 * until poll says otherwise; only then is the work on the stream. All ranks make the same calls in the same order.
 */
#ifndef COMM_NCCL_H
#define COMM_NCCL_H

#include "comm.h"

typedef struct comm_nccl comm_nccl; /* a communicator */

typedef struct comm_nccl_id {
    char bytes[128];
} comm_nccl_id;

typedef struct comm_nccl_table {
    /* Loads the library. BASE_DEVICE where it is not there. *version: 22809 is 2.28.9. */
    base_status (*load)(int *version);
    base_status (*make_id)(comm_nccl_id *id); /* on one rank, which sends it to the others */
    base_status (*open)(const comm_nccl_id *id, int size, int rank, comm_nccl **self);
    /* BASE_PEER: another rank or the way to it is lost. */
    base_status (*poll)(comm_nccl *self, int *busy);
    /* Nothing is under way on any rank, and graphs that hold work of the communicator are gone. Takes NULL. */
    void (*close)(comm_nccl **self);
    /* A rank is lost: what is under way ends in a while, graphs or not; the memory is not given back. Takes NULL. */
    void (*abort)(comm_nccl **self);

    /* In place, in device memory; sums. */
    base_status (*all_reduce)(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type);
    /* `share` elements a rank; rank r's lie at element r share. */
    base_status (*reduce_scatter)(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type);
    base_status (*all_gather)(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type);
    /* To and from rank `root`. Several of them between begin and end are one operation. */
    base_status (*reduce)(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root);
    base_status (*broadcast)(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root);
    base_status (*begin)(void);
    base_status (*end)(comm_nccl *self);
} comm_nccl_table;

#endif
