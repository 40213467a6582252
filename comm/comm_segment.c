#include "comm_segment.h"

#include "comm_native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, HUGE_PAGE = 2 * 1024 * 1024 };

/* Where the node's first rank keeps its memory file. The inode tells that it is that file and not another process's. */
typedef struct offer {
    int64_t pid, fd;
    uint64_t device, inode;
} offer;

/* Address space begins at a multiple of a huge page where that pays, since only then are huge pages given. */
static void *reserve(size_t nbytes)
{
    size_t slack = nbytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *at = mmap(NULL, nbytes + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || !slack)
        return at;
    size_t skip = (HUGE_PAGE - (uintptr_t)at % HUGE_PAGE) % HUGE_PAGE;
    if (skip)
        munmap(at, skip);
    if (slack - skip)
        munmap(at + skip + nbytes, slack - skip);
    return at + skip;
}

/* fd -1: private memory. */
static base_status map(int fd, comm_segment *segment)
{
    void *at = reserve(segment->nbytes);
    int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    if (at == MAP_FAILED || mmap(at, segment->nbytes, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot map %zu bytes of memory", segment->nbytes);
    if (segment->nbytes >= HUGE_PAGE)
        madvise(at, segment->nbytes, MADV_HUGEPAGE); /* advice: memory without huge pages serves as well */
    segment->data = at;
    return BASE_OK;
}

static size_t whole_pages(size_t nbytes)
{
    return nbytes ? (nbytes + PAGE - 1) / PAGE * PAGE : PAGE;
}

static base_status check_size(size_t nbytes)
{
    if (nbytes > SIZE_MAX / 4)
        return BASE_FAIL(BASE_ERROR, "%zu bytes of memory are more than there can be", nbytes);
    return BASE_OK;
}

base_status comm_segment_create_private(size_t nbytes, comm_segment *segment)
{
    *segment = (comm_segment){.nbytes = whole_pages(nbytes)};
    BASE_TRY(check_size(nbytes));
    return map(-1, segment);
}

static base_status create_file(size_t nbytes, int *fd, offer *mine)
{
    *fd = memfd_create("ddpt", MFD_CLOEXEC);
    if (*fd < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot create shared memory");
    if (ftruncate(*fd, (off_t)nbytes) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot get %zu bytes of shared memory", nbytes);
    struct stat file;
    if (fstat(*fd, &file) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot examine shared memory");
    *mine = (offer){.pid = getpid(), .fd = *fd, .device = file.st_dev, .inode = file.st_ino};
    return BASE_OK;
}

static base_status open_file(const offer *from, int *fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)from->pid, (long long)from->fd);
    *fd = open(path, O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot open the shared memory of this node's first rank, %s", path);
    struct stat file;
    if (fstat(*fd, &file) != 0 || file.st_dev != from->device || file.st_ino != from->inode)
        return BASE_FAIL(BASE_ERROR,
                         "%s is not the shared memory of this node's first rank: the ranks have different "
                         "process namespaces",
                         path);
    return BASE_OK;
}

/* The first rank's failure travels as an empty offer; the agreement that follows carries its message. */
static base_status create_shared(comm_world *world, comm_segment *segment, int *fd)
{
    offer from = {.pid = 0};
    base_status status = BASE_OK;
    int first = comm_world_get_info(world)->node_rank == 0;
    if (first)
        status = create_file(segment->nbytes, fd, &from);
    BASE_TRY(comm_native_bcast(world->node, &from, sizeof from, 0, &world->patience));
    if (status == BASE_OK && !first && from.pid)
        status = open_file(&from, fd);
    if (status == BASE_OK && from.pid)
        status = map(*fd, segment);
    /* The file stays open until all have opened it: the agreement says so. */
    return comm_native_agree(world, world->node, status);
}

base_status comm_segment_create(comm_world *world, size_t nbytes, comm_segment *segment)
{
    if (comm_world_get_info(world)->node_size == 1)
        return comm_segment_create_private(nbytes, segment);
    *segment = (comm_segment){.nbytes = whole_pages(nbytes)};
    BASE_TRY(check_size(nbytes));
    int fd = -1;
    base_status status = create_shared(world, segment, &fd);
    if (fd >= 0)
        close(fd);
    if (status != BASE_OK)
        comm_segment_destroy(segment);
    BASE_TRY(status);
    return BASE_OK;
}

void comm_segment_destroy(comm_segment *segment)
{
    if (segment->data)
        munmap(segment->data, whole_pages(segment->nbytes));
    segment->data = NULL;
}

void comm_segment_touch(void *data, size_t nbytes)
{
    volatile char *at = data;
    for (size_t i = 0; i < nbytes; i += PAGE)
        at[i] = 0;
    if (nbytes)
        at[nbytes - 1] = 0; /* the range may begin inside a page */
}
