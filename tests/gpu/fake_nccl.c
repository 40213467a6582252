#include "fake_nccl.h"

#include <stdlib.h>
#include <string.h>

enum { BUSY_POLLS = 3 };

struct comm_nccl {
    int rank, size;
    int busy; /* polls until it is not */
};

fake_nccl fake;

static base_status load(int *version)
{
    *version = 22809;
    return BASE_OK;
}

static base_status make_id(comm_nccl_id *id)
{
    memset(id, 7, sizeof *id);
    return BASE_OK;
}

static base_status open(const comm_nccl_id *id, int size, int rank, comm_nccl **self)
{
    for (size_t i = 0; i < sizeof id->bytes; i++)
        if (id->bytes[i] != 7)
            return BASE_FAIL(BASE_ERROR, "another id came than was sent");
    *self = malloc(sizeof **self);
    **self = (comm_nccl){.rank = rank, .size = size, .busy = BUSY_POLLS};
    fake.opened++;
    return BASE_OK;
}

static base_status poll(comm_nccl *self, int *busy)
{
    if (fake.lost)
        return BASE_FAIL(BASE_PEER, "a peer is lost");
    *busy = fake.stuck || self->busy > 0;
    self->busy -= self->busy > 0;
    return BASE_OK;
}

static void close_fake(comm_nccl **self)
{
    fake.closed += *self != NULL;
    free(*self);
    *self = NULL;
}

static void abort_fake(comm_nccl **self)
{
    fake.aborted += *self != NULL;
    free(*self);
    *self = NULL;
}

/* What lies in `data` when the stream has come here, summed; only [begin, end) of it goes in, [0, count) comes out. */
static base_status sum(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, size_t begin,
                       size_t end)
{
    const comm_device *device = &fake.device;
    size_t size = type == COMM_F32 ? sizeof(float) : sizeof(double);
    char *host = calloc(count + 1, size);
    self->busy = BUSY_POLLS;
    BASE_TRY(device->table->copy(device->device, stream, host + begin * size, (char *)data + begin * size,
                                 (end - begin) * size));
    BASE_TRY(device->table->stream_wait(device->device, stream));
    BASE_TRY(comm_small_all_reduce(fake.hosts, host, count, type, COMM_SUM));
    base_status status = device->table->copy(device->device, stream, data, host, count * size);
    free(host);
    return status;
}

static base_status all_reduce(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type)
{
    return sum(self, stream, data, count, type, 0, count);
}

static base_status reduce_scatter(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type)
{
    size_t count = share * (size_t)self->size;
    return sum(self, stream, data, count, type, 0, count);
}

static base_status all_gather(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type)
{
    size_t begin = share * (size_t)self->rank;
    return sum(self, stream, data, share * (size_t)self->size, type, begin, begin + share);
}

static base_status reduce(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root)
{
    (void)root;
    fake.in_pieces++;
    return sum(self, stream, data, count, type, 0, count);
}

static base_status broadcast(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root)
{
    fake.in_pieces++;
    return sum(self, stream, data, count, type, 0, self->rank == root ? count : 0);
}

static base_status begin(void)
{
    return BASE_OK;
}

static base_status end(comm_nccl *self)
{
    self->busy = BUSY_POLLS;
    return BASE_OK;
}

const comm_nccl_table fake_nccl_table = {.load = load,
                                         .make_id = make_id,
                                         .open = open,
                                         .poll = poll,
                                         .close = close_fake,
                                         .abort = abort_fake,
                                         .all_reduce = all_reduce,
                                         .reduce_scatter = reduce_scatter,
                                         .all_gather = all_gather,
                                         .reduce = reduce,
                                         .broadcast = broadcast,
                                         .begin = begin,
                                         .end = end};
