/* comm_table.h: what a back end of a group is, and what a group, a slab and a request are made of. Internal to comm.
 *
 * A back end is a const table of functions; slot `start` of back end shm is comm_start_shm. comm_group.c checks
 * arguments, numbers the requests and keeps the group's failure, so that a back end sees requests that are in order and
 * in range only.
 */
#ifndef COMM_TABLE_H
#define COMM_TABLE_H

#include "comm.h"
#include "comm_pause.h"

typedef enum comm_call {
    COMM_CALL_ALL_REDUCE,
    COMM_CALL_REDUCE_SCATTER,
    COMM_CALL_ALL_GATHER,
    COMM_CALL_SMALL
} comm_call;

/* Requests are numbered from 1 in the order in which they were started, which is the same on all ranks. Numbers wrap,
 * so they are compared by their difference; request n lives in slot n % COMM_REQUEST_MAX, which divides 2^32. */
struct comm_request {
    comm_group *group;
    uint32_t number;
    int busy; /* from its start until its wait has returned */
    comm_call call;
    comm_slab *slab; /* of all calls but the small one */
    size_t offset, count;
    const size_t *cuts; /* of an all-gather, or NULL */
    void *data;         /* of the small call */
    comm_type type;     /* of the elements */
    comm_op op;
};

struct comm_slab {
    comm_group *group;
    comm_slab_kind kind;
    comm_type type;
    int one;
    size_t nbytes;
    void *data;
    void *backend;
};

typedef struct comm_table {
    base_status (*open)(comm_group *group); /* Collective; sets group->backend; a half-built one is closed by close */
    void (*close)(comm_group *group);       /* waits for nobody: a rank may be lost */
    base_status (*slab_open)(comm_slab *slab); /* Collective; sets data, one, backend */
    void (*slab_close)(comm_slab *slab);       /* Local; takes a half-built one */
    base_status (*start)(comm_request *request);
    base_status (*progress)(comm_group *group);
    int (*done)(const comm_request *request); /* after a progress */
    base_status (*wait)(comm_request *request);
    /* The last three may be empty: there is nothing to look at. */
    base_status (*check)(comm_group *group); /* while the host waits for the device: does what is under way still go? */
    void (*give_up)(comm_group *group);      /* such a wait has failed: end what is under way on the device */
    int captures;                            /* comm_group_can_capture */
} comm_table;

extern const comm_table comm_table_local, comm_table_shm, comm_table_mpi, comm_table_nccl, comm_table_staged;

struct comm_group {
    const comm_table *table;
    comm_world *world;
    comm_kind kind;
    int rank, size;
    int timeout_ms;
    const base_alarm *alarm;
    comm_device device;
    base_event *event;  /* of comm_group_synchronize; NULL without a device */
    base_status status; /* of the first failure; nothing but destroy works after it */
    uint32_t started;   /* number of the newest request */
    void *backend;
    comm_request requests[COMM_REQUEST_MAX];
};

static inline comm_request *comm_group_request(comm_group *group, uint32_t number)
{
    return &group->requests[number % COMM_REQUEST_MAX];
}

/* A rank that cannot take part in a collective of set-up for lack of a few bytes: the others would wait, so the job
 * ends. */
_Noreturn void comm_world_no_memory(comm_world *world);

/* [*begin, *end): `rank`'s part of the request's range, counted from its offset. */
static inline void comm_request_part(const comm_request *request, int rank, size_t *begin, size_t *end)
{
    if (request->cuts) {
        *begin = request->cuts[rank];
        *end = request->cuts[rank + 1];
    } else {
        comm_slice(request->count, request->group->size, rank, begin, end);
    }
}

/* A group of the hosts of `group`'s ranks, for what does not travel between devices. Collective. */
base_status comm_group_create_host(comm_group *group, comm_group **host);

/* Of the group's waits. */
comm_patience comm_group_patience(const comm_group *group);

/* The failure of a wait that an alarm has ended. */
base_status comm_alarm_failure(const base_alarm *alarm);

/* "all-reduce", "reduce-scatter", ... for messages. */
const char *comm_call_name(comm_call call);

#endif
