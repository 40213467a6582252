#include "comm_native.h"
#include "comm_table.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

base_status comm_native_check(int code, const char *what, const char *file, int line)
{
    if (code == MPI_SUCCESS)
        return BASE_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0, class = MPI_ERR_OTHER;
    MPI_Error_string(code, text, &length);
    MPI_Error_class(code, &class);
    int ours = class == MPI_ERR_BUFFER || class == MPI_ERR_COUNT || class == MPI_ERR_TYPE || class == MPI_ERR_COMM ||
               class == MPI_ERR_OP || class == MPI_ERR_ARG || class == MPI_ERR_ROOT || class == MPI_ERR_NO_MEM;
    /* Anything else that goes wrong in a collective of valid arguments is a peer or the way to it. */
    return base_status_fail(ours ? BASE_ERROR : BASE_PEER, file, line, "MPI failed in %s: %s (code %d)", what, text,
                            code);
}

base_status comm_native_test(MPI_Request *requests, int n, const char *what, int *done)
{
    *done = 1;
    for (int i = 0; i < n && *done; i++) /* one that was done before is null and tests as done */
        COMM_NATIVE_TRY(MPI_Test(&requests[i], done, MPI_STATUS_IGNORE), what);
    return BASE_OK;
}

base_status comm_native_wait(MPI_Request *requests, int n, const comm_patience *patience, const char *what)
{
    for (comm_pause pause = {0};;) {
        int done = 0;
        BASE_TRY(comm_native_test(requests, n, what, &done));
        if (done)
            return BASE_OK;
        BASE_TRY(comm_pause_take(&pause, patience, what));
    }
}

base_status comm_native_count(size_t count, int *out)
{
    if (count > INT_MAX)
        return BASE_FAIL(BASE_ERROR, "%zu elements are more than MPI takes at once (%d)", count, INT_MAX);
    *out = (int)count;
    return BASE_OK;
}

base_status comm_native_bcast(MPI_Comm comm, void *data, size_t nbytes, int root, const comm_patience *patience)
{
    for (size_t at = 0; at < nbytes;) {
        size_t part = nbytes - at < INT_MAX ? nbytes - at : INT_MAX;
        MPI_Request request;
        COMM_NATIVE_TRY(MPI_Ibcast((char *)data + at, (int)part, MPI_BYTE, root, comm, &request), "a broadcast");
        BASE_TRY(comm_native_wait(&request, 1, patience, "a broadcast"));
        at += part;
    }
    return BASE_OK;
}

base_status comm_native_all_gather(MPI_Comm comm, const void *mine, size_t nbytes, void *all,
                                   const comm_patience *patience)
{
    int count = 0;
    BASE_TRY(comm_native_count(nbytes, &count));
    MPI_Request request;
    COMM_NATIVE_TRY(MPI_Iallgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, comm, &request), "a gather");
    return comm_native_wait(&request, 1, patience, "a gather");
}

base_status comm_native_barrier(MPI_Comm comm, const comm_patience *patience)
{
    MPI_Request request;
    COMM_NATIVE_TRY(MPI_Ibarrier(comm, &request), "a barrier");
    return comm_native_wait(&request, 1, patience, "a barrier");
}

/* ---- agreement ---- */

enum { MESSAGE_MAX = 1024 };

typedef struct verdict {
    int32_t status, rank;
    uint64_t text; /* hash of the message: do all fail alike? */
} verdict;

static uint64_t hash_text(const char *text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

/* Index of the first that failed, or -1. */
static int first_failure(const verdict *all, int size, int *alike)
{
    int first = -1;
    *alike = 1;
    for (int i = 0; i < size; i++) {
        if (first < 0 && all[i].status != BASE_OK)
            first = i;
        if (all[i].status != all[0].status || all[i].text != all[0].text)
            *alike = 0;
    }
    return first;
}

base_status comm_native_agree(comm_world *world, MPI_Comm comm, base_status status)
{
    int size, rank;
    COMM_NATIVE_TRY(MPI_Comm_size(comm, &size), "an agreement");
    COMM_NATIVE_TRY(MPI_Comm_rank(comm, &rank), "an agreement");
    if (size == 1)
        return status;
    verdict mine = {.status = (int32_t)status, .rank = world->info.rank};
    if (status != BASE_OK)
        mine.text = hash_text(base_status_message());
    verdict *all = calloc((size_t)size, sizeof *all);
    if (!all)
        comm_world_no_memory(world);
    int alike = 1, first = -1;
    base_status gathered = comm_native_all_gather(comm, &mine, sizeof mine, all, &world->patience);
    if (gathered == BASE_OK)
        first = first_failure(all, size, &alike);
    verdict culprit = first < 0 ? (verdict){.status = BASE_OK} : all[first];
    BASE_TRY(gathered); /* else `all` stays: MPI may still write to it */
    free(all);
    if (first < 0)
        return BASE_OK;
    if (alike) /* everybody has the message and its own trace already */
        return status;
    char text[MESSAGE_MAX] = "";
    if (rank == first)
        strncpy(text, base_status_message(), sizeof text - 1);
    BASE_TRY(comm_native_bcast(comm, text, sizeof text, first, &world->patience));
    return BASE_FAIL((base_status)culprit.status, "%s (on rank %d)", text, (int)culprit.rank);
}
