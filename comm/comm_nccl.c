/* Ranks with a GPU each: NCCL, GPU to GPU.
 *
 * Collectives run on a stream of their own, one after the other. A request makes that stream wait for what the
 * computation was given so far, and who waits for the request makes the computation's stream wait for it: the host
 * waits for neither, so that all of it can be captured into a graph. A rank that is lost shows when the host waits for
 * the device (comm_event_wait), where it asks NCCL how things are; then the communicator is aborted, which frees the
 * device. Small requests are the hosts' own.
 *
 * Communicators do not block (ncclConfig_t.blocking = 0), since only those can be aborted while their set-up or a
 * connection hangs. What that asks for, with graphs (NCCL's sources 2.14 to 2.29, src/group.cc and src/init.cc; its
 * user guide, "Using NCCL with CUDA Graphs"; PyTorch's ProcessGroupNCCL, pull requests 142291 and 191528):
 * - A call may return before its kernel is on the stream: a thread of NCCL launches it, where it has to connect ranks
 *   first, and since some version always. So every call is settled, by polling ncclCommGetAsyncError until it is no
 *   longer ncclInProgress, before an event is recorded behind it or the communicator is used again. Polling asks
 * nothing of CUDA and is allowed while a stream is captured.
 * - That thread calls what a global capture forbids, so steps are captured with cudaStreamCaptureModeThreadLocal
 *   (gpu_device.c); the launch itself goes into the capture whichever thread makes it.
 * - The first step of a shape is not captured (run_replay.h), so that ranks are connected before. Captured or not is
 * the same on all ranks, as the sizes of a step are the same.
 * - Destroying and aborting a communicator wait for the graphs that hold its work (commDestroySync: "keep polling until
 *   all graphs referencing us die"). A job destroys its graphs before its group. When a rank is lost they are still
 * there and under way, so the abort, whose flag ends the kernels, is left to a thread, and nobody waits for it.
 */
#include "comm_nccl.h"

#include "comm_device.h"
#include "comm_reduce.h"

#include <stdlib.h>

typedef struct operation {
    base_event *done;
    comm_request *small; /* of the hosts */
} operation;

typedef struct nccl {
    const comm_nccl_table *table;
    comm_nccl *comm;
    comm_group *small; /* of the hosts */
    base_stream *stream;
    base_event *ready;
    operation operations[COMM_REQUEST_MAX];
} nccl;

/* The ranks come to it together. */
static const int OPEN_TIMEOUT_MS = 2 * 60 * 1000;

static operation *operation_of(const comm_request *request)
{
    nccl *self = request->group->backend;
    return &self->operations[request->number % COMM_REQUEST_MAX];
}

static base_status comm_check_nccl(comm_group *group)
{
    nccl *self = group->backend;
    int busy;
    return self->table->poll(self->comm, &busy);
}

static void comm_give_up_nccl(comm_group *group)
{
    nccl *self = group->backend;
    self->table->abort(&self->comm);
}

static base_status wait_until_idle(comm_group *group, int timeout_ms, const char *what)
{
    nccl *self = group->backend;
    comm_patience patience = comm_group_patience(group);
    patience.timeout_ms = timeout_ms;
    for (comm_pause pause = {0};;) {
        int busy = 0;
        BASE_TRY(self->table->poll(self->comm, &busy));
        if (!busy)
            return BASE_OK;
        BASE_TRY(comm_pause_take(&pause, &patience, what));
    }
}

/* The call before has reached its stream. */
static base_status settle(comm_group *group, int timeout_ms, const char *what)
{
    base_status status = wait_until_idle(group, timeout_ms, what);
    if (status != BASE_OK)
        comm_give_up_nccl(group);
    return status;
}

/* ---- collectives ---- */

static void *range_at(const comm_request *request, size_t at)
{
    return (char *)request->slab->data + (request->offset + at) * comm_type_size(request->type);
}

/* Do all ranks have a part of the same size? */
static int even_parts(const comm_request *request, size_t *share)
{
    int size = request->group->size;
    *share = request->count / (size_t)size;
    for (int r = 0; r < size; r++) {
        size_t begin, end;
        comm_request_part(request, r, &begin, &end);
        if (begin != (size_t)r * *share || end != begin + *share)
            return 0;
    }
    return 1;
}

/* Parts of different sizes: each rank's as an operation to or from it. */
static base_status each_part(const comm_request *request,
                             base_status (*move)(comm_nccl *self, base_stream *stream, void *data, size_t count,
                                                 comm_type type, int root))
{
    const nccl *self = request->group->backend;
    BASE_TRY(self->table->begin());
    for (int r = 0; r < request->group->size; r++) {
        size_t begin, end;
        comm_request_part(request, r, &begin, &end);
        if (begin < end)
            BASE_TRY(move(self->comm, self->stream, range_at(request, begin), end - begin, request->type, r));
    }
    return self->table->end(self->comm);
}

static base_status call(const comm_request *request)
{
    const nccl *self = request->group->backend;
    const comm_nccl_table *table = self->table;
    void *data = range_at(request, 0);
    size_t share;
    if (request->call == COMM_CALL_ALL_REDUCE)
        return table->all_reduce(self->comm, self->stream, data, request->count, request->type);
    int scatters = request->call == COMM_CALL_REDUCE_SCATTER;
    if (even_parts(request, &share))
        return (scatters ? table->reduce_scatter : table->all_gather)(self->comm, self->stream, data, share,
                                                                      request->type);
    return each_part(request, scatters ? table->reduce : table->broadcast);
}

static base_status comm_start_nccl(comm_request *request)
{
    comm_group *group = request->group;
    const comm_device *device = &group->device;
    nccl *self = group->backend;
    operation *op = operation_of(request);
    if (request->call == COMM_CALL_SMALL)
        return comm_small_all_reduce_start(self->small, request->data, request->count, request->type, request->op,
                                           &op->small);
    BASE_TRY(comm_device_order(device, self->ready, device->stream, self->stream));
    if (request->count > 0) {
        BASE_TRY(call(request));
        BASE_TRY(settle(group, group->timeout_ms, comm_call_name(request->call)));
    }
    return device->table->event_record(device->device, op->done, self->stream);
}

static base_status comm_progress_nccl(comm_group *group)
{
    (void)group; /* the devices need no help */
    return BASE_OK;
}

static int comm_done_nccl(const comm_request *request)
{
    const comm_device *device = &request->group->device;
    operation *op = operation_of(request);
    int done = 0;
    if (request->call == COMM_CALL_SMALL)
        return comm_request_test(op->small);
    /* A failure counts as done: who waits for the device hears of it. */
    return device->table->event_done(device->device, op->done, &done) != BASE_OK || done;
}

static base_status comm_wait_nccl(comm_request *request)
{
    const comm_device *device = &request->group->device;
    operation *op = operation_of(request);
    if (request->call == COMM_CALL_SMALL)
        return comm_request_wait(&op->small);
    return device->table->event_wait(device->device, op->done, device->stream);
}

/* ---- memory ---- */

static base_status create_streams(comm_group *group)
{
    const comm_device *device = &group->device;
    nccl *self = group->backend;
    BASE_TRY(device->table->stream_create(device->device, &self->stream));
    BASE_TRY(device->table->event_create(device->device, &self->ready));
    for (int i = 0; i < COMM_REQUEST_MAX; i++)
        BASE_TRY(device->table->event_create(device->device, &self->operations[i].done));
    return BASE_OK;
}

static base_status comm_open_nccl(comm_group *group)
{
    comm_nccl_id id;
    nccl *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(group->world);
    group->backend = self;
    self->table = group->device.nccl;
    BASE_TRY(comm_group_create_host(group, &self->small));
    int version;
    base_status status = self->table->load(&version);
    if (status == BASE_OK)
        status = create_streams(group);
    if (status == BASE_OK && group->rank == 0)
        status = self->table->make_id(&id);
    BASE_TRY(comm_world_agree(group->world, status));
    BASE_TRY(comm_world_bcast(group->world, &id, sizeof id, 0));
    BASE_TRY(self->table->open(&id, group->size, group->rank, &self->comm));
    return settle(group, OPEN_TIMEOUT_MS, "the set-up of NCCL");
}

/* A communicator that was given up is no longer here. */
static void comm_close_nccl(comm_group *group)
{
    const comm_device *device = &group->device;
    nccl *self = group->backend;
    self->table->close(&self->comm);
    for (int i = 0; i < COMM_REQUEST_MAX; i++)
        device->table->event_destroy(device->device, &self->operations[i].done);
    device->table->event_destroy(device->device, &self->ready);
    device->table->stream_destroy(device->device, &self->stream);
    comm_group_destroy(&self->small);
    free(self);
}

const comm_table comm_table_nccl = {
    .open = comm_open_nccl,
    .close = comm_close_nccl,
    .slab_open = comm_device_slab_open,
    .slab_close = comm_device_slab_close,
    .start = comm_start_nccl,
    .progress = comm_progress_nccl,
    .done = comm_done_nccl,
    .wait = comm_wait_nccl,
    .check = comm_check_nccl,
    .give_up = comm_give_up_nccl,
    .captures = 1,
};
