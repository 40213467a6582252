/* Ranks anywhere: MPI's non-blocking collectives, tested between naps. */
#include "comm_native.h"
#include "comm_reduce.h"
#include "comm_segment.h"
#include "comm_table.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A range of more elements than an int holds is sent in so many parts at most. */
enum { PARTS = 16 };

/* What MPI has under way for one request, and where its arrays of counts are kept until it is done. */
typedef struct operation {
    MPI_Request requests[PARTS];
    int n;
    int *counts, *begins; /* (size): every rank's slice, as MPI wants it */
} operation;

typedef struct mpi {
    MPI_Comm comm;
    uint32_t tested; /* requests up to this one are known to be done */
    int *ints;
    operation operations[COMM_REQUEST_MAX];
} mpi;

/* A reduce-scatter may not write into the range that it reads. Its result is put where the slice lies, in a second
 * block of the slab's size of which only the slices are ever touched, and copied when it is done. */
typedef struct mpi_slab {
    comm_segment data, results;
} mpi_slab;

static operation *operation_of(const comm_request *request)
{
    mpi *self = request->group->backend;
    return &self->operations[request->number % COMM_REQUEST_MAX];
}

/* Element `at` of the request's range. */
static void *range_of(const comm_request *request, const comm_segment *segment, size_t at)
{
    return (char *)segment->data + (request->offset + at) * comm_type_size(request->type);
}

static MPI_Datatype native_type(const comm_request *request)
{
    MPI_Datatype types[] = {
        [COMM_F32] = MPI_FLOAT, [COMM_F64] = MPI_DOUBLE, [COMM_I64] = MPI_INT64_T, [COMM_U64] = MPI_UINT64_T};
    return types[request->type];
}

static base_status all_reduce(comm_request *request, operation *op)
{
    mpi *self = request->group->backend;
    mpi_slab *slab = request->slab->backend;
    for (size_t at = 0, left = request->count; left;) {
        size_t part = left < INT_MAX ? left : INT_MAX;
        if (op->n == PARTS)
            return BASE_FAIL(BASE_ERROR, "an all-reduce of %zu elements is more than %d parts", request->count, PARTS);
        COMM_NATIVE_TRY(MPI_Iallreduce(MPI_IN_PLACE, range_of(request, &slab->data, at), (int)part,
                                       native_type(request), MPI_SUM, self->comm, &op->requests[op->n]),
                        "an all-reduce");
        op->n++;
        at += part;
        left -= part;
    }
    return BASE_OK;
}

static base_status fill_slices(const comm_request *request, operation *op)
{
    int whole;
    BASE_TRY(comm_native_count(request->count, &whole));
    for (int r = 0; r < request->group->size; r++) {
        size_t begin, end;
        comm_request_part(request, r, &begin, &end);
        BASE_TRY(comm_native_count(begin, &op->begins[r]));
        BASE_TRY(comm_native_count(end - begin, &op->counts[r]));
    }
    return BASE_OK;
}

static base_status reduce_scatter(comm_request *request, operation *op)
{
    mpi *self = request->group->backend;
    mpi_slab *slab = request->slab->backend;
    BASE_TRY(fill_slices(request, op));
    void *result = range_of(request, &slab->results, (size_t)op->begins[request->group->rank]);
    COMM_NATIVE_TRY(MPI_Ireduce_scatter(range_of(request, &slab->data, 0), result, op->counts, native_type(request),
                                        MPI_SUM, self->comm, &op->requests[0]),
                    "a reduce-scatter");
    op->n = 1;
    return BASE_OK;
}

static base_status all_gather(comm_request *request, operation *op)
{
    mpi *self = request->group->backend;
    mpi_slab *slab = request->slab->backend;
    BASE_TRY(fill_slices(request, op));
    COMM_NATIVE_TRY(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, range_of(request, &slab->data, 0), op->counts,
                                    op->begins, native_type(request), self->comm, &op->requests[0]),
                    "an all-gather");
    op->n = 1;
    return BASE_OK;
}

static base_status small(comm_request *request, operation *op)
{
    mpi *self = request->group->backend;
    MPI_Op ops[] = {[COMM_SUM] = MPI_SUM, [COMM_MIN] = MPI_MIN, [COMM_MAX] = MPI_MAX};
    int count;
    BASE_TRY(comm_native_count(request->count, &count));
    if (count)
        COMM_NATIVE_TRY(MPI_Iallreduce(MPI_IN_PLACE, request->data, count, native_type(request), ops[request->op],
                                       self->comm, &op->requests[0]),
                        "a small all-reduce");
    else
        COMM_NATIVE_TRY(MPI_Ibarrier(self->comm, &op->requests[0]), "a barrier");
    op->n = 1;
    return BASE_OK;
}

static base_status comm_start_mpi(comm_request *request)
{
    operation *op = operation_of(request);
    op->n = 0;
    switch (request->call) {
    case COMM_CALL_ALL_REDUCE: return all_reduce(request, op);
    case COMM_CALL_REDUCE_SCATTER: return reduce_scatter(request, op);
    case COMM_CALL_ALL_GATHER: return all_gather(request, op);
    case COMM_CALL_SMALL: return small(request, op);
    }
    return BASE_OK;
}

/* MPI is done: bring the result to where it belongs, once. */
static void finish(const comm_request *request, operation *op)
{
    if (request->call == COMM_CALL_REDUCE_SCATTER && op->n) {
        const mpi_slab *slab = request->slab->backend;
        size_t begin, end;
        comm_request_part(request, request->group->rank, &begin, &end);
        memcpy(range_of(request, &slab->data, begin), range_of(request, &slab->results, begin),
               (end - begin) * comm_type_size(request->type));
    }
    op->n = 0;
}

static base_status test(const comm_request *request)
{
    operation *op = operation_of(request);
    int done;
    BASE_TRY(comm_native_test(op->requests, op->n, comm_call_name(request->call), &done));
    if (done)
        finish(request, op);
    return BASE_OK;
}

/* Testing any request moves all of them, so the oldest one serves. */
static base_status comm_progress_mpi(comm_group *group)
{
    mpi *self = group->backend;
    while (self->tested != group->started) {
        const comm_request *oldest = comm_group_request(group, self->tested + 1);
        BASE_TRY(test(oldest));
        if (operation_of(oldest)->n)
            return BASE_OK;
        self->tested++;
    }
    return BASE_OK;
}

static int comm_done_mpi(const comm_request *request)
{
    return operation_of(request)->n == 0;
}

static base_status comm_wait_mpi(comm_request *request)
{
    operation *op = operation_of(request);
    comm_patience patience = comm_group_patience(request->group);
    if (op->n)
        BASE_TRY(comm_native_wait(op->requests, op->n, &patience, comm_call_name(request->call)));
    finish(request, op);
    return BASE_OK;
}

/* ---- memory ---- */

static base_status comm_open_mpi(comm_group *group)
{
    mpi *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(group->world);
    group->backend = self;
    self->comm = MPI_COMM_NULL;
    size_t size = (size_t)group->size;
    self->ints = calloc(2 * size * COMM_REQUEST_MAX, sizeof *self->ints);
    if (!self->ints)
        comm_world_no_memory(group->world);
    for (size_t i = 0; i < COMM_REQUEST_MAX; i++) {
        self->operations[i].counts = self->ints + 2 * i * size;
        self->operations[i].begins = self->operations[i].counts + size;
    }
    /* Its own communicator keeps its order of collectives apart from the world's. */
    MPI_Request request;
    COMM_NATIVE_TRY(MPI_Comm_idup(group->world->all, &self->comm, &request), "MPI_Comm_idup");
    BASE_TRY(comm_native_wait(&request, 1, &comm_patience_setup, "MPI_Comm_idup"));
    COMM_NATIVE_TRY(MPI_Comm_set_errhandler(self->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    return BASE_OK;
}

static void comm_close_mpi(comm_group *group)
{
    mpi *self = group->backend;
    /* After a failure something may be under way for ever, and so may the freeing. */
    if (self->comm != MPI_COMM_NULL && group->status == BASE_OK)
        MPI_Comm_free(&self->comm);
    free(self->ints);
    free(self);
}

static base_status comm_slab_open_mpi(comm_slab *slab)
{
    mpi_slab *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(slab->group->world);
    slab->backend = self;
    BASE_TRY(comm_segment_create_private(slab->nbytes, &self->data));
    BASE_TRY(comm_segment_create_private(slab->nbytes, &self->results));
    slab->data = self->data.data;
    comm_segment_touch(slab->data, slab->nbytes);
    return BASE_OK;
}

static void comm_slab_close_mpi(comm_slab *slab)
{
    mpi_slab *self = slab->backend;
    if (self) {
        comm_segment_destroy(&self->data);
        comm_segment_destroy(&self->results);
    }
    free(self);
}

const comm_table comm_table_mpi = {
    .open = comm_open_mpi,
    .close = comm_close_mpi,
    .slab_open = comm_slab_open_mpi,
    .slab_close = comm_slab_close_mpi,
    .start = comm_start_mpi,
    .progress = comm_progress_mpi,
    .done = comm_done_mpi,
    .wait = comm_wait_mpi,
};
