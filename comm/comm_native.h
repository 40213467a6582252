/* comm_native.h: the only header of ours in which MPI types appear: the world's inside, errors, waits. Internal to
 * comm.
 *
 * No function here blocks inside MPI: MPI's own waits spin, and with more ranks than cores a spinning rank takes the
 * core from the one that it waits for. An operation is started, then tested between naps.
 */
#ifndef COMM_NATIVE_H
#define COMM_NATIVE_H

#include "comm.h"
#include "comm_pause.h"

#include <mpi.h>

struct comm_world {
    comm_world_info info;
    comm_patience patience; /* its roll is the world's own */
    int began;              /* MPI was initialised here, so it is ended here */
    MPI_Comm all;           /* a duplicate of MPI_COMM_WORLD whose errors are returned */
    MPI_Comm node;          /* the ranks of this node; the same as `all` when there is one node */
};

/* Pass on a failure of MPI: its text is recorded, its class decides between BASE_PEER and BASE_ERROR. */
#define COMM_NATIVE_TRY(call, what) BASE_TRY(comm_native_check((call), (what), __FILE__, __LINE__))
base_status comm_native_check(int code, const char *what, const char *file, int line);

/* Are all `n` requests done? `what` is for the message. */
base_status comm_native_test(MPI_Request *requests, int n, const char *what, int *done);

/* Test between naps until all `n` requests are done. BASE_PEER when the time is up or the alarm is raised. */
base_status comm_native_wait(MPI_Request *requests, int n, const comm_patience *patience, const char *what);

/* The one place where a count becomes an int: BASE_ERROR when it does not fit. */
base_status comm_native_count(size_t count, int *out);

/* Collective over `comm`. */
base_status comm_native_bcast(MPI_Comm comm, void *data, size_t nbytes, int root, const comm_patience *patience);
base_status comm_native_all_gather(MPI_Comm comm, const void *mine, size_t nbytes, void *all,
                                   const comm_patience *patience);
base_status comm_native_barrier(MPI_Comm comm, const comm_patience *patience);

/* comm_world_agree over the ranks of `comm`, which is world->all or world->node. */
base_status comm_native_agree(comm_world *world, MPI_Comm comm, base_status status);

#endif
