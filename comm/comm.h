/* comm.h: the ranks of a run and what they do together.
 *
 * A world is MPI as it was started (or one rank without it). A group is a way for its ranks to reduce: COMM_LOCAL
 * (one rank), COMM_SHM (one node: a shared window, each rank reduces its slice, futex barriers) or COMM_MPI (anything
 * else: non-blocking collectives, tested with naps). No wait spins, since ranks may outnumber cores, and every wait
 * has a bound after which it fails with BASE_PEER and says who is missing as far as the back end can know. Without one,
 * too, it ends when a rank says that it is lost.
 *
 * A group with a device has its slabs in the device's memory: COMM_LOCAL, COMM_NCCL (GPU to GPU) or COMM_STAGED
 * (through host memory and the ranks' host group, for ranks that share a GPU or have no NCCL). Its requests are ordered
 * by the device's stream: one takes what was given to the stream before it was started, and waiting for it makes the
 * stream wait. What is small travels between the hosts, in their memory, in every kind.
 *
 * Results are equal to the bit on all ranks and on repeats: sums associate in an order fixed by the group's size.
 * Functions marked Collective are called by all ranks of the group in the same order. After a failure the group is good
 * for comm_group_destroy alone. One thread of a rank uses a world and its groups.
 */
#ifndef COMM_H
#define COMM_H

#include "base_alarm.h"
#include "base_device.h"
#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

/* ---- world ---- */

typedef struct comm_world comm_world;

typedef struct comm_world_info {
    int rank, size;           /* MPI rank and size */
    int node_rank, node_size; /* among the ranks that share this node's memory */
    int nodes;                /* number of such nodes */
    char host[256];           /* this rank's host name */
    char library[256];        /* first line of the MPI library's version */
    char launcher[64];        /* "hydra", "srun", "Open MPI", ... or "none" */
} comm_world_info;

/* Collective. Initialises MPI (funneled) unless the caller did. Fails with BASE_ERROR when the launcher's count
 * (PMI_SIZE, OMPI_COMM_WORLD_SIZE, SLURM_STEP_NUM_TASKS, ...) differs from MPI's size: N copies of rank 0 of 1, because
 * mpiexec and the library belong to different MPIs. */
base_status comm_world_open(comm_world **self);
const comm_world_info *comm_world_get_info(const comm_world *self);

/* Collective, all ranks with the same `status`. Ends MPI if comm_world_open began it: MPI_Finalize on one node; on
 * several nodes, where finalize is known to hang, it does not return: a barrier, a flush of stdio and _exit(status). */
void comm_world_close(comm_world **self, int status);

/* Local. This rank cannot go on: ends the whole job with exit status `status`. Does not return. */
_Noreturn void comm_world_abort(comm_world *self, int status);

/* Local. This rank cannot go on, and the others would wait for it: every wait of theirs, on whatever group or on part
 * of this world, fails with BASE_PEER and the text `why`, a sentence that names this rank, within a quarter of a
 * second. Nothing happens where another's loss was heard before, or at a second call. A message to each other rank,
 * which moves as long as this rank stays. */
void comm_world_lose(comm_world *self, const char *why);

/* Local. What the first other rank that is lost has said, as far as it was heard: in a wait, or by comm_world_stay.
 * NULL: none. */
const char *comm_world_lost(const comm_world *self);

/* Local. Sleeps for so long, or not at all, while messages of lost ranks come and go. */
void comm_world_stay(comm_world *self, int ms);

/* Local. How long a wait in the world's own collectives may last from now on (COMM_FOREVER: no bound), and an alarm
 * that ends it before (NULL: none), as in comm_group_options. 0, as it is at first: 10 minutes, since in a set-up a
 * rank may be reading a data set. */
void comm_world_set_patience(comm_world *self, int timeout_ms, const base_alarm *alarm);

/* Collective. Ranks 0 .. count-1 get a world of their own, with the same numbers, the others NULL. It shares the MPI of
 * `self` and must be closed (Collective over it, with status 0) before that. */
base_status comm_world_split(comm_world *self, int count, comm_world **part);

/* Collective. Sleeps until all ranks have come: for ranks that have nothing to do while others work in a part of the
 * world, whose waits have bounds of their own. Each rank brings its own bound: those that come from work wait for ranks
 * that only sleep. */
typedef struct comm_rest {
    int timeout_ms;              /* COMM_FOREVER: no bound */
    int (*moves)(void *context); /* NULL, or asked now and then: 1: it got on since the last time, and the bound begins
                                    anew */
    void *context;
} comm_rest;
base_status comm_world_rest(comm_world *self, const comm_rest *rest);

/* Collective, for set-up phases. Every rank brings its status; all return the status of the lowest rank that failed,
 * with that rank's message recorded ("message" as it was, the rank appended when size > 1 and not all failed alike). */
base_status comm_world_agree(comm_world *self, base_status status);

/* Collective. `nbytes` from `root` to all. */
base_status comm_world_bcast(comm_world *self, void *data, size_t nbytes, int root);

/* Collective. Each rank's `nbytes` to `all` (size * nbytes) on every rank, in rank order. */
base_status comm_world_all_gather(comm_world *self, const void *mine, size_t nbytes, void *all);

/* Collective over the ranks of a node. One read-write block a node, zeroed, shared by its ranks; only its node-rank 0
 * should fill it. For data sets. comm_node_barrier orders the filling before the reading (naps). */
typedef struct comm_node_memory comm_node_memory;
base_status comm_node_memory_create(comm_world *self, size_t nbytes, comm_node_memory **memory);
void *comm_node_memory_data(const comm_node_memory *memory);
void comm_node_memory_destroy(comm_node_memory **memory);
base_status comm_node_barrier(comm_world *self);

/* ---- group ---- */

typedef struct comm_group comm_group;
typedef struct comm_request comm_request; /* owned by the group, drawn from a fixed pool: starting allocates nothing */
typedef struct comm_slab comm_slab;

typedef enum comm_kind { COMM_AUTO, COMM_LOCAL, COMM_SHM, COMM_MPI, COMM_NCCL, COMM_STAGED } comm_kind;
typedef enum comm_type { COMM_F32, COMM_F64, COMM_I64, COMM_U64 } comm_type;
typedef enum comm_op { COMM_SUM, COMM_MIN, COMM_MAX } comm_op;

enum { COMM_FOREVER = -1 }; /* no bound */

/* Where a group's slabs lie. `table` NULL: in host memory. Borrowed for the group's life. */
typedef struct comm_device {
    const base_device_table *table;
    base_device *device;
    base_stream *stream;                /* of the computation */
    const struct comm_nccl_table *nccl; /* comm_nccl.h; NULL where GPUs cannot reach each other without the hosts */
} comm_device;

typedef struct comm_group_options {
    comm_kind kind;          /* COMM_AUTO: local for one rank; on the host shared memory on one node, else MPI; on a
                                device NCCL where there is one, else staged */
    int timeout_ms;          /* bound of every wait; time in which this process was stopped does not count */
    const base_alarm *alarm; /* once it is raised, waits fail with BASE_PEER and its text; may be NULL; must outlive the
                                group */
    comm_device device;
} comm_group_options;

/* Collective over the world, all with a device or all without. Fails with BASE_USAGE when the kind cannot serve this
 * world (local with 2 ranks, shared memory over 2 nodes, NCCL without a device), on all ranks alike. */
base_status comm_group_create(comm_world *world, const comm_group_options *options, comm_group **self);
void comm_group_destroy(comm_group **self); /* Collective, waits for nobody; slabs must be destroyed before */
comm_kind comm_group_kind(const comm_group *self);
int comm_group_rank(const comm_group *self);
int comm_group_size(const comm_group *self);
const comm_device *comm_group_device(const comm_group *self); /* as it was created with; table NULL: the host */
const char *comm_kind_name(comm_kind kind);                   /* "auto", "local", "shm", "mpi", "nccl", "staged" */

/* Local. 1: requests on slabs put work on the device alone, so that they may be captured into a graph together with
 * what is computed. */
int comm_group_can_capture(const comm_group *self);

/* Local. The host waits for `event` of the group's device, of which it does not know whether a peer is behind it: with
 * the group's bound and alarm. Without a device there is nothing to wait for. After a failure the device is done with
 * the group's requests, whatever is in its memory. */
base_status comm_event_wait(comm_group *group, base_event *event);
/* The same for all that the device's stream was given so far. */
base_status comm_group_synchronize(comm_group *group);

/* `count` (0 is fine) elements that the group reduces where they lie, in the memory of its device. Zeroed, aligned to
 * 256 bytes, first touched by its rank. COMM_SLAB_OWN: each rank has its own. COMM_SLAB_ONE: a single copy where the
 * ranks share memory (comm_slab_is_one is 1: a write by one rank is seen by all after a collective that orders it);
 * elsewhere each rank has its own. Collective. */
typedef enum comm_slab_kind { COMM_SLAB_OWN, COMM_SLAB_ONE } comm_slab_kind;
base_status comm_slab_create(comm_group *group, comm_slab_kind kind, comm_type type, size_t count, comm_slab **self);
void comm_slab_destroy(comm_slab **self);
void *comm_slab_data(const comm_slab *self);
int comm_slab_is_one(const comm_slab *self);

/* The part of `count` elements that `rank` owns: [*begin, *end), cut at multiples of 64 elements, the same on all
 * ranks. */
void comm_slice(size_t count, int size, int rank, size_t *begin, size_t *end);

/* Start a reduction and return at once; Collective, requests in the same order on all ranks. The range must not be
 * touched until the request is done. Every started request must be waited for, before COMM_REQUEST_MAX newer ones are
 * started. */
enum { COMM_REQUEST_MAX = 256 };

/* `slab`[offset .. offset + count) becomes the sum over ranks, in place, on every rank (OWN slabs of floats or
 * doubles). Cost a rank: 2 count (size-1)/size elements over the wire (MPI); shm reads size * count / size, writes the
 * same. */
base_status comm_all_reduce_start(comm_group *group, comm_slab *slab, size_t offset, size_t count,
                                  comm_request **request);

/* After it is done, the caller's slice (comm_slice of count) of `slab`[offset .. offset + count) holds the sum over
 * ranks; what the rest holds is unspecified. OWN slabs of floats or doubles. */
base_status comm_reduce_scatter_start(comm_group *group, comm_slab *slab, size_t offset, size_t count,
                                      comm_request **request);

/* Every rank's part of `slab`[offset .. offset + count) reaches all ranks. Rank r's part is cuts[r] .. cuts[r + 1] - 1,
 * counted from offset; cuts (size + 1 numbers from 0 to count, the same on all ranks) must stay until the request is
 * done; NULL: comm_slice. On a ONE slab nothing moves: done means that all ranks have started it, so that what they
 * wrote before is visible. Any type. */
base_status comm_all_gather_start(comm_group *group, comm_slab *slab, size_t offset, size_t count, const size_t *cuts,
                                  comm_request **request);

/* Small vectors (nbytes <= COMM_SMALL_BYTES), in place, in the caller's host memory, which must stay until the wait.
 * The host waits for it, in every kind. */
enum { COMM_SMALL_BYTES = 64 * 1024 };
base_status comm_small_all_reduce_start(comm_group *group, void *data, size_t count, comm_type type, comm_op op,
                                        comm_request **request);

/* Local. Move whatever is under way a little and return; called between the kernels of the backward pass. */
base_status comm_group_progress(comm_group *group);

/* 1 when done (the request stays owned by the caller until waited for), 0 not yet. Progresses. */
int comm_request_test(comm_request *request);

/* Local. How many requests were started after it. */
int comm_request_age(const comm_request *request);

/* Wait (on a device: the stream waits), release, null. BASE_PEER after the group's bound; the message names the ranks
 * that did not arrive (shm) or says how long it waited in what (MPI). */
base_status comm_request_wait(comm_request **request);

/* Start and wait. */
base_status comm_slab_sum(comm_slab *slab, size_t offset, size_t count); /* a small all-reduce of an OWN slab's doubles,
                                                                            wherever they lie */
base_status comm_small_all_reduce(comm_group *group, void *data, size_t count, comm_type type, comm_op op);
base_status comm_barrier(comm_group *group);

#endif
