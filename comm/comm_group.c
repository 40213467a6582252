#include "comm_device.h"
#include "comm_reduce.h"
#include "comm_table.h"

#include <assert.h>
#include <stdlib.h>

enum { SLICE_GRAIN = 64 };

const char *comm_kind_name(comm_kind kind)
{
    static const char *const names[] = {"auto", "local", "shm", "mpi", "nccl", "staged"};
    return names[kind];
}

const char *comm_call_name(comm_call call)
{
    static const char *const names[] = {"all-reduce", "reduce-scatter", "all-gather", "small all-reduce"};
    return names[call];
}

void comm_slice(size_t count, int size, int rank, size_t *begin, size_t *end)
{
    size_t grains = (count + SLICE_GRAIN - 1) / SLICE_GRAIN;
    size_t share = grains / (size_t)size, more = grains % (size_t)size, r = (size_t)rank;
    size_t first = r * share + (r < more ? r : more);
    size_t last = first + share + (r < more);
    *begin = first * SLICE_GRAIN < count ? first * SLICE_GRAIN : count;
    *end = last * SLICE_GRAIN < count ? last * SLICE_GRAIN : count;
}

comm_patience comm_group_patience(const comm_group *group)
{
    return (comm_patience){.timeout_ms = group->timeout_ms,
                           .nap_max_ms = COMM_NAP_MS,
                           .alarm = group->alarm,
                           .roll = comm_world_roll(group->world)};
}

static base_status check_device(const comm_device *device, comm_kind kind)
{
    if (!device->table && (kind == COMM_NCCL || kind == COMM_STAGED))
        return BASE_FAIL(BASE_USAGE, "comm = \"%s\" is for ranks that compute on GPUs: use auto, shm or mpi",
                         comm_kind_name(kind));
    if (device->table && (kind == COMM_SHM || kind == COMM_MPI))
        return BASE_FAIL(BASE_USAGE,
                         "comm = \"%s\" reduces in host memory, and these ranks compute on GPUs: use auto, nccl, or "
                         "staged, which takes the way through host memory",
                         comm_kind_name(kind));
    if (kind == COMM_NCCL && !device->nccl)
        return BASE_FAIL(BASE_USAGE, "comm = \"nccl\" needs NCCL and a GPU for each rank: use auto or staged");
    return BASE_OK;
}

static base_status choose_kind(const comm_world_info *world, const comm_group_options *options, comm_kind *kind)
{
    comm_kind wanted = options->kind;
    BASE_TRY(check_device(&options->device, wanted));
    if (wanted == COMM_AUTO && options->device.table)
        *kind = world->size == 1 ? COMM_LOCAL : options->device.nccl ? COMM_NCCL : COMM_STAGED;
    else if (wanted == COMM_AUTO)
        *kind = world->size == 1 ? COMM_LOCAL : world->nodes == 1 ? COMM_SHM : COMM_MPI;
    if (*kind == COMM_LOCAL && world->size > 1)
        return BASE_FAIL(BASE_USAGE, "comm = \"local\" serves one rank, and there are %d: use %s", world->size,
                         options->device.table ? "auto, nccl or staged" : "auto, shm or mpi");
    if (*kind == COMM_SHM && world->nodes > 1)
        return BASE_FAIL(BASE_USAGE,
                         "comm = \"shm\" serves the ranks of one node, and there are %d nodes: use auto or mpi",
                         world->nodes);
    return BASE_OK;
}

static base_status open_group(comm_group *group)
{
    const comm_device *device = &group->device;
    BASE_TRY(group->table->open(group));
    return device->table ? device->table->event_create(device->device, &group->event) : BASE_OK;
}

base_status comm_group_create(comm_world *world, const comm_group_options *options, comm_group **self)
{
    const comm_world_info *info = comm_world_get_info(world);
    comm_kind kind = options->kind;
    BASE_TRY(choose_kind(info, options, &kind));

    comm_group *group = calloc(1, sizeof *group);
    base_status status = group ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a group of ranks");
    BASE_TRY(comm_world_agree(world, status));
    static const comm_table *const tables[] = {[COMM_LOCAL] = &comm_table_local,
                                               [COMM_SHM] = &comm_table_shm,
                                               [COMM_MPI] = &comm_table_mpi,
                                               [COMM_NCCL] = &comm_table_nccl,
                                               [COMM_STAGED] = &comm_table_staged};
    group->table = tables[kind];
    group->world = world;
    group->kind = kind;
    group->rank = info->rank;
    group->size = info->size;
    group->timeout_ms = options->timeout_ms;
    group->alarm = options->alarm;
    group->device = options->device;
    status = comm_world_agree(world, open_group(group));
    if (status != BASE_OK) {
        group->status = status;
        comm_group_destroy(&group);
        return base_status_frame(status, __FILE__, __LINE__);
    }
    *self = group;
    return BASE_OK;
}

base_status comm_group_create_host(comm_group *group, comm_group **host)
{
    comm_group_options options = {.timeout_ms = group->timeout_ms, .alarm = group->alarm};
    return comm_group_create(group->world, &options, host);
}

base_status comm_alarm_failure(const base_alarm *alarm)
{
    return BASE_FAIL(BASE_PEER, "%s", alarm->text);
}

void comm_group_destroy(comm_group **self)
{
    if (!*self)
        return;
    (*self)->table->close(*self);
    comm_device_close(*self);
    free(*self);
    *self = NULL;
}

const comm_device *comm_group_device(const comm_group *self)
{
    return &self->device;
}

int comm_group_can_capture(const comm_group *self)
{
    return self->table->captures;
}

comm_kind comm_group_kind(const comm_group *self)
{
    return self->kind;
}

int comm_group_rank(const comm_group *self)
{
    return self->rank;
}

int comm_group_size(const comm_group *self)
{
    return self->size;
}

base_status comm_slab_create(comm_group *group, comm_slab_kind kind, comm_type type, size_t count, comm_slab **self)
{
    comm_slab *slab = calloc(1, sizeof *slab);
    size_t nbytes = 0;
    int fits = !__builtin_mul_overflow(count, comm_type_size(type), &nbytes);
    base_status status =
        slab && fits ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a slab of %zu elements", count);
    status = comm_world_agree(group->world, status);
    if (status != BASE_OK) {
        free(slab);
        return base_status_frame(status, __FILE__, __LINE__);
    }
    slab->type = type;
    slab->group = group;
    slab->kind = kind;
    slab->nbytes = nbytes;
    status = comm_world_agree(group->world, group->table->slab_open(slab));
    if (status != BASE_OK) {
        comm_slab_destroy(&slab);
        return base_status_frame(status, __FILE__, __LINE__);
    }
    *self = slab;
    return BASE_OK;
}

void comm_slab_destroy(comm_slab **self)
{
    if (!*self)
        return;
    (*self)->group->table->slab_close(*self);
    free(*self);
    *self = NULL;
}

void *comm_slab_data(const comm_slab *self)
{
    return self->data;
}

int comm_slab_is_one(const comm_slab *self)
{
    return self->one;
}

static base_status failed_before(const comm_group *group)
{
    return BASE_FAIL(group->status, "the group of ranks has failed before and is good for nothing more: %s",
                     base_status_message());
}

/* Keep the first failure, so that nothing is started on a group whose ranks no longer agree on the order. */
static base_status keep(comm_group *group, base_status status)
{
    if (status != BASE_OK && group->status == BASE_OK)
        group->status = status;
    return status;
}

static base_status start(comm_group *group, const comm_request *wanted, comm_request **self)
{
    if (group->status != BASE_OK)
        return failed_before(group);
    comm_request *request = comm_group_request(group, group->started + 1);
    if (request->busy)
        return BASE_FAIL(BASE_ERROR, "more than %d requests were started before the oldest was waited for",
                         (int)COMM_REQUEST_MAX);
    *request = *wanted;
    request->group = group;
    request->number = ++group->started;
    request->busy = 1;
    *self = request;
    BASE_TRY(keep(group, group->table->start(request)));
    return BASE_OK;
}

static base_status start_range(comm_group *group, comm_call call, comm_slab *slab, size_t offset, size_t count,
                               const size_t *cuts, comm_request **self)
{
    assert(slab->group == group && offset <= slab->nbytes / comm_type_size(slab->type));
    assert(count <= slab->nbytes / comm_type_size(slab->type) - offset);
    comm_request wanted = {
        .call = call, .slab = slab, .offset = offset, .count = count, .cuts = cuts, .type = slab->type};
    return start(group, &wanted, self);
}

base_status comm_all_reduce_start(comm_group *group, comm_slab *slab, size_t offset, size_t count,
                                  comm_request **request)
{
    assert(!slab->one);
    return start_range(group, COMM_CALL_ALL_REDUCE, slab, offset, count, NULL, request);
}

base_status comm_reduce_scatter_start(comm_group *group, comm_slab *slab, size_t offset, size_t count,
                                      comm_request **request)
{
    assert(!slab->one);
    return start_range(group, COMM_CALL_REDUCE_SCATTER, slab, offset, count, NULL, request);
}

base_status comm_all_gather_start(comm_group *group, comm_slab *slab, size_t offset, size_t count, const size_t *cuts,
                                  comm_request **request)
{
    return start_range(group, COMM_CALL_ALL_GATHER, slab, offset, count, cuts, request);
}

base_status comm_small_all_reduce_start(comm_group *group, void *data, size_t count, comm_type type, comm_op op,
                                        comm_request **request)
{
    assert(count <= COMM_SMALL_BYTES / (type == COMM_F32 ? sizeof(float) : sizeof(double)));
    return start(group, &(comm_request){.call = COMM_CALL_SMALL, .count = count, .data = data, .type = type, .op = op},
                 request);
}

base_status comm_event_wait(comm_group *group, base_event *event)
{
    if (group->status != BASE_OK)
        return failed_before(group);
    if (group->device.table)
        BASE_TRY(keep(group, comm_device_wait(group, event)));
    return BASE_OK;
}

base_status comm_group_synchronize(comm_group *group)
{
    const comm_device *device = &group->device;
    if (device->table)
        BASE_TRY(device->table->event_record(device->device, group->event, device->stream));
    return comm_event_wait(group, group->event);
}

base_status comm_group_progress(comm_group *group)
{
    if (group->status != BASE_OK)
        return failed_before(group);
    BASE_TRY(keep(group, group->table->progress(group)));
    return BASE_OK;
}

int comm_request_test(comm_request *request)
{
    comm_group *group = request->group;
    /* A failure counts as done: the wait reports it. */
    if (group->status != BASE_OK || keep(group, group->table->progress(group)) != BASE_OK)
        return 1;
    return group->table->done(request);
}

int comm_request_age(const comm_request *request)
{
    return (int)(request->group->started - request->number);
}

base_status comm_request_wait(comm_request **self)
{
    comm_request *request = *self;
    comm_group *group = request->group;
    *self = NULL;
    request->busy = 0;
    if (group->status != BASE_OK)
        return failed_before(group);
    BASE_TRY(keep(group, group->table->wait(request)));
    return BASE_OK;
}

base_status comm_small_all_reduce(comm_group *group, void *data, size_t count, comm_type type, comm_op op)
{
    comm_request *request = NULL;
    BASE_TRY(comm_small_all_reduce_start(group, data, count, type, op, &request));
    return comm_request_wait(&request);
}

base_status comm_slab_sum(comm_slab *slab, size_t offset, size_t count)
{
    comm_request *request = NULL;
    assert(slab->type == COMM_F64 && !slab->one);
    if (!slab->group->device.table)
        return comm_small_all_reduce(slab->group, (double *)slab->data + offset, count, COMM_F64, COMM_SUM);
    BASE_TRY(comm_all_reduce_start(slab->group, slab, offset, count, &request));
    return comm_request_wait(&request);
}

base_status comm_barrier(comm_group *group)
{
    return comm_small_all_reduce(group, NULL, 0, COMM_F32, COMM_SUM);
}
