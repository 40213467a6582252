/* Ranks that compute on GPUs which cannot reach each other: they share one, or there is no NCCL.
 *
 * A slab has a twin in host memory, which a group of the hosts reduces. A request's course: its part of the slab is
 * copied to the twin, on a stream of its own, once the computation has come to it; when the copy is there the hosts'
 * request is started, in the order in which requests were started here; who waits for the request waits for that one
 * and puts the copy back on the stream of the computation. Small requests have a group of hosts of their own: ranks
 * come to the copies' ends at different times, which must not change the order among what the hosts start.
 */
#include "comm_device.h"
#include "comm_reduce.h"

#include "base_log.h"

#include <stdlib.h>

typedef struct operation {
    base_event *copied;    /* this rank's part is in the twin */
    comm_request *request; /* of the hosts */
} operation;

typedef struct staged {
    comm_group *bulk, *small; /* of the hosts */
    base_stream *down;        /* of the copies to the host */
    base_event *ready;
    uint32_t moved; /* requests up to this one are with the hosts */
    operation operations[COMM_REQUEST_MAX];
} staged;

typedef struct staged_slab {
    comm_slab *twin;
    int registered;
} staged_slab;

static operation *operation_of(const comm_request *request)
{
    staged *self = request->group->backend;
    return &self->operations[request->number % COMM_REQUEST_MAX];
}

/* ---- copies ---- */

typedef struct range {
    size_t begin, end; /* elements of the request's range */
} range;

static range own_part(const comm_request *request)
{
    range part;
    comm_request_part(request, request->group->rank, &part.begin, &part.end);
    return part;
}

static range part_to_host(const comm_request *request)
{
    return request->call == COMM_CALL_ALL_GATHER ? own_part(request) : (range){0, request->count};
}

static range part_to_device(const comm_request *request)
{
    return request->call == COMM_CALL_REDUCE_SCATTER ? own_part(request) : (range){0, request->count};
}

static void *range_at(const comm_request *request, const comm_slab *slab, size_t at)
{
    return (char *)comm_slab_data(slab) + (request->offset + at) * comm_type_size(request->type);
}

static base_status copy_to_host(const comm_request *request)
{
    const comm_device *device = &request->group->device;
    staged *self = request->group->backend;
    const staged_slab *slab = request->slab->backend;
    operation *op = operation_of(request);
    range part = part_to_host(request);
    BASE_TRY(comm_device_order(device, self->ready, device->stream, self->down));
    BASE_TRY(device->table->copy(device->device, self->down, range_at(request, slab->twin, part.begin),
                                 range_at(request, request->slab, part.begin),
                                 (part.end - part.begin) * comm_type_size(request->type)));
    return device->table->event_record(device->device, op->copied, self->down);
}

static base_status copy_to_device(const comm_request *request)
{
    const comm_device *device = &request->group->device;
    const staged_slab *slab = request->slab->backend;
    range part = part_to_device(request);
    return device->table->copy(device->device, device->stream, range_at(request, request->slab, part.begin),
                               range_at(request, slab->twin, part.begin),
                               (part.end - part.begin) * comm_type_size(request->type));
}

/* ---- requests ---- */

static base_status comm_start_staged(comm_request *request)
{
    staged *self = request->group->backend;
    if (request->call == COMM_CALL_SMALL)
        return comm_small_all_reduce_start(self->small, request->data, request->count, request->type, request->op,
                                           &operation_of(request)->request);
    return copy_to_host(request);
}

static base_status start_hosts(const comm_request *request)
{
    staged *self = request->group->backend;
    const staged_slab *slab = request->slab->backend;
    comm_request **hosts = &operation_of(request)->request;
    switch (request->call) {
    case COMM_CALL_ALL_REDUCE:
        return comm_all_reduce_start(self->bulk, slab->twin, request->offset, request->count, hosts);
    case COMM_CALL_REDUCE_SCATTER:
        return comm_reduce_scatter_start(self->bulk, slab->twin, request->offset, request->count, hosts);
    case COMM_CALL_ALL_GATHER:
        return comm_all_gather_start(self->bulk, slab->twin, request->offset, request->count, request->cuts, hosts);
    case COMM_CALL_SMALL: break;
    }
    return BASE_OK;
}

static base_status comm_progress_staged(comm_group *group)
{
    const comm_device *device = &group->device;
    staged *self = group->backend;
    for (; self->moved != group->started; self->moved++) {
        const comm_request *next = comm_group_request(group, self->moved + 1);
        int copied = 0;
        if (next->call == COMM_CALL_SMALL)
            continue;
        BASE_TRY(device->table->event_done(device->device, operation_of(next)->copied, &copied));
        if (!copied)
            break;
        BASE_TRY(start_hosts(next));
    }
    return comm_group_progress(self->bulk);
}

static int is_with_hosts(const comm_request *request)
{
    const staged *self = request->group->backend;
    return request->call == COMM_CALL_SMALL || (int32_t)(self->moved - request->number) >= 0;
}

static int comm_done_staged(const comm_request *request)
{
    return is_with_hosts(request) && comm_request_test(operation_of(request)->request);
}

static base_status comm_wait_staged(comm_request *request)
{
    const comm_group *group = request->group;
    comm_patience patience = comm_group_patience(group);
    for (comm_pause pause = {0}; !is_with_hosts(request);) {
        BASE_TRY(comm_progress_staged(request->group));
        if (!is_with_hosts(request))
            BASE_TRY(comm_pause_take(&pause, &patience, comm_call_name(request->call)));
    }
    BASE_TRY(comm_request_wait(&operation_of(request)->request));
    return request->call == COMM_CALL_SMALL ? BASE_OK : copy_to_device(request);
}

/* ---- memory ---- */

static base_status create_events(comm_group *group)
{
    const comm_device *device = &group->device;
    staged *self = group->backend;
    BASE_TRY(device->table->stream_create(device->device, &self->down));
    BASE_TRY(device->table->event_create(device->device, &self->ready));
    for (int i = 0; i < COMM_REQUEST_MAX; i++)
        BASE_TRY(device->table->event_create(device->device, &self->operations[i].copied));
    return BASE_OK;
}

static base_status comm_open_staged(comm_group *group)
{
    staged *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(group->world);
    group->backend = self;
    BASE_TRY(comm_group_create_host(group, &self->bulk));
    BASE_TRY(comm_group_create_host(group, &self->small));
    return create_events(group);
}

static void comm_close_staged(comm_group *group)
{
    const comm_device *device = &group->device;
    staged *self = group->backend;
    for (int i = 0; i < COMM_REQUEST_MAX; i++)
        device->table->event_destroy(device->device, &self->operations[i].copied);
    device->table->event_destroy(device->device, &self->ready);
    device->table->stream_destroy(device->device, &self->down);
    comm_group_destroy(&self->small);
    comm_group_destroy(&self->bulk);
    free(self);
}

static base_status comm_slab_open_staged(comm_slab *slab)
{
    const comm_device *device = &slab->group->device;
    const staged *group = slab->group->backend;
    staged_slab *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(slab->group->world);
    slab->backend = self;
    BASE_TRY(comm_slab_create(group->bulk, COMM_SLAB_OWN, slab->type, slab->nbytes / comm_type_size(slab->type),
                              &self->twin));
    BASE_TRY(comm_device_slab_open(slab));
    if (slab->nbytes == 0)
        return BASE_OK;
    self->registered =
        device->table->host_register(device->device, comm_slab_data(self->twin), slab->nbytes) == BASE_OK;
    if (!self->registered) {
        BASE_DEBUG("%s: copies of gradients will be slow", base_status_message());
        base_status_clear();
    }
    return BASE_OK;
}

static void comm_slab_close_staged(comm_slab *slab)
{
    const comm_device *device = &slab->group->device;
    staged_slab *self = slab->backend;
    if (self && self->registered)
        device->table->host_unregister(device->device, comm_slab_data(self->twin));
    comm_device_slab_close(slab);
    if (self)
        comm_slab_destroy(&self->twin);
    free(self);
}

const comm_table comm_table_staged = {
    .open = comm_open_staged,
    .close = comm_close_staged,
    .slab_open = comm_slab_open_staged,
    .slab_close = comm_slab_close_staged,
    .start = comm_start_staged,
    .progress = comm_progress_staged,
    .done = comm_done_staged,
    .wait = comm_wait_staged,
};
