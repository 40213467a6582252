#include "gpu_nccl.h"

#include "gpu_device.h"
#include "gpu_library.h"
#include "gpu_nccl_api.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct comm_nccl {
    ncclComm_t comm;
    int rank;
};

_Static_assert(sizeof(ncclUniqueId) == sizeof(comm_nccl_id), "an id is passed on as it is");

/* ---- the library ---- */

#define FUNCTIONS(X)                                                                                                   \
    X(GetVersion)                                                                                                      \
    X(GetUniqueId)                                                                                                     \
    X(CommInitRankConfig)                                                                                              \
    X(CommAbort)                                                                                                       \
    X(CommGetAsyncError)                                                                                               \
    X(GetErrorString)                                                                                                  \
    X(GetLastError)                                                                                                    \
    X(AllReduce)                                                                                                       \
    X(ReduceScatter)                                                                                                   \
    X(AllGather)                                                                                                       \
    X(Reduce)                                                                                                          \
    X(Broadcast)                                                                                                       \
    X(GroupStart)                                                                                                      \
    X(GroupEnd)

#define DECLARE(name) __typeof__(nccl##name) *name;
static struct {
    void *library;
    FUNCTIONS(DECLARE)
} api;

#define DESCRIBE(name) {"nccl" #name, &api.name},
static const gpu_symbol symbols[] = {FUNCTIONS(DESCRIBE)};

static base_status check(ncclResult_t result, ncclComm_t comm, const char *what)
{
    if (result == ncclSuccess || result == ncclInProgress)
        return BASE_OK;
    const char *more = api.GetLastError(comm);
    base_status code = result == ncclRemoteError || result == ncclSystemError ? BASE_PEER : BASE_DEVICE;
    return BASE_FAIL(code, GPU_NCCL_NAME " cannot %s: %s%s%s", what, api.GetErrorString(result),
                     more && *more ? ": " : "", more ? more : "");
}

static base_status load(int *version)
{
    if (!api.library) {
        void *library = gpu_library_open(&(const char *){GPU_NCCL_LIBRARY}, 1);
        if (!library)
            return BASE_FAIL(BASE_DEVICE,
                             GPU_NCCL_NAME " is not there (%s): install it, or use train.comm = \"staged\"", dlerror());
        const char *missing = gpu_library_take(library, symbols, sizeof symbols / sizeof *symbols);
        if (missing)
            return BASE_FAIL(BASE_DEVICE, GPU_NCCL_LIBRARY " is too old: it has no %s; version 2.14 has", missing);
        api.library = library;
    }
    return check(api.GetVersion(version), NULL, "say its version");
}

/* ---- communicators ---- */

static base_status make_id(comm_nccl_id *id)
{
    ncclUniqueId made;
    BASE_TRY(check(api.GetUniqueId(&made), NULL, "make an id"));
    memcpy(id, &made, sizeof made);
    return BASE_OK;
}

static base_status open(const comm_nccl_id *id, int size, int rank, comm_nccl **self)
{
    ncclUniqueId made;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    memcpy(&made, id, sizeof made);
    config.blocking = 0;
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for a communicator");
    (*self)->rank = rank;
    return check(api.CommInitRankConfig(&(*self)->comm, size, made, rank, &config), NULL, "bring the ranks together");
}

static base_status poll(comm_nccl *self, int *busy)
{
    ncclResult_t state = ncclSuccess;
    BASE_TRY(check(api.CommGetAsyncError(self->comm, &state), self->comm, "say how it is"));
    *busy = state == ncclInProgress;
    return check(state, self->comm, "go on");
}

/* An abort waits for no other rank, a destruction may. */
static void close_communicator(comm_nccl **self)
{
    if (!*self)
        return;
    if ((*self)->comm)
        api.CommAbort((*self)->comm);
    free(*self);
    *self = NULL;
}

static void *abort_alone(void *comm)
{
    api.CommAbort(comm);
    return NULL;
}

static void abort_communicator(comm_nccl **self)
{
    pthread_t thread;
    if (!*self)
        return;
    if ((*self)->comm && pthread_create(&thread, NULL, abort_alone, (*self)->comm) == 0)
        pthread_detach(thread);
    free(*self);
    *self = NULL;
}

/* ---- collectives ---- */

static ncclDataType_t native_type(comm_type type)
{
    static const ncclDataType_t types[] = {
        [COMM_F32] = ncclFloat32, [COMM_F64] = ncclFloat64, [COMM_I64] = ncclInt64, [COMM_U64] = ncclUint64};
    return types[type];
}

static size_t type_size(comm_type type)
{
    return type == COMM_F32 ? sizeof(float) : sizeof(double);
}

static base_status all_reduce(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type)
{
    return check(api.AllReduce(data, data, count, native_type(type), ncclSum, self->comm, gpu_stream_of(stream)),
                 self->comm, "start an all-reduce");
}

static char *own_share(const comm_nccl *self, void *data, size_t share, comm_type type)
{
    return (char *)data + (size_t)self->rank * share * type_size(type);
}

static base_status reduce_scatter(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type)
{
    return check(api.ReduceScatter(data, own_share(self, data, share, type), share, native_type(type), ncclSum,
                                   self->comm, gpu_stream_of(stream)),
                 self->comm, "start a reduce-scatter");
}

static base_status all_gather(comm_nccl *self, base_stream *stream, void *data, size_t share, comm_type type)
{
    return check(api.AllGather(own_share(self, data, share, type), data, share, native_type(type), self->comm,
                               gpu_stream_of(stream)),
                 self->comm, "start an all-gather");
}

static base_status reduce(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root)
{
    return check(api.Reduce(data, data, count, native_type(type), ncclSum, root, self->comm, gpu_stream_of(stream)),
                 self->comm, "start a reduction");
}

static base_status broadcast(comm_nccl *self, base_stream *stream, void *data, size_t count, comm_type type, int root)
{
    return check(api.Broadcast(data, data, count, native_type(type), root, self->comm, gpu_stream_of(stream)),
                 self->comm, "start a broadcast");
}

static base_status begin(void)
{
    return check(api.GroupStart(), NULL, "begin an operation of several parts");
}

static base_status end(comm_nccl *self)
{
    return check(api.GroupEnd(), self->comm, "start an operation of several parts");
}

const comm_nccl_table gpu_nccl_table = {.load = load,
                                        .make_id = make_id,
                                        .open = open,
                                        .poll = poll,
                                        .close = close_communicator,
                                        .abort = abort_communicator,
                                        .all_reduce = all_reduce,
                                        .reduce_scatter = reduce_scatter,
                                        .all_gather = all_gather,
                                        .reduce = reduce,
                                        .broadcast = broadcast,
                                        .begin = begin,
                                        .end = end};
