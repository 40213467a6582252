#include "ckpt_shard.h"

#include "base_failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* Direct transfers want memory, offset and length aligned; 4096 is enough for every disk of today. The system cuts a
 * large write up and has all parts of it under way at once; beside busy cores, each return costs a wait for one of
 * them. */
enum { ALIGNMENT = 4096, WRITE_BYTES = 16 * 1024 * 1024, READ_BYTES = 1024 * 1024 };

/* ---- checksums of pieces that follow each other ---- */

typedef struct hasher {
    XXH64_state_t *state;
    int piece_count, at;
    const size_t *piece_nbytes;
    size_t left; /* of piece `at` */
    uint64_t *xxh64;
} hasher;

/* Close the pieces that are complete, among them those without bytes. */
static void close_pieces(hasher *self)
{
    while (self->at < self->piece_count && self->left == 0) {
        self->xxh64[self->at++] = XXH64_digest(self->state);
        XXH64_reset(self->state, 0);
        if (self->at < self->piece_count)
            self->left = self->piece_nbytes[self->at];
    }
}

static int hasher_create(hasher *self, int piece_count, const size_t *piece_nbytes, uint64_t *xxh64)
{
    *self = (hasher){.state = XXH64_createState(),
                     .piece_count = piece_count,
                     .piece_nbytes = piece_nbytes,
                     .left = piece_count ? piece_nbytes[0] : 0,
                     .xxh64 = xxh64};
    if (!self->state)
        return ENOMEM;
    XXH64_reset(self->state, 0);
    close_pieces(self);
    return 0;
}

static void hasher_add(hasher *self, const uint8_t *bytes, size_t nbytes)
{
    while (nbytes > 0) {
        size_t n = nbytes < self->left ? nbytes : self->left;
        XXH64_update(self->state, bytes, n);
        bytes += n;
        nbytes -= n;
        self->left -= n;
        close_pieces(self);
    }
}

/* ---- writing: what fails returns its errno ---- */

typedef struct writer {
    int fd;
    const char *path;
    int direct; /* O_DIRECT is set */
} writer;

/* EINVAL is how a file system says that it knows no O_DIRECT; some have made the file by then. */
static int writer_open(writer *self, const void *data)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    self->fd = -1;
    self->direct = (uintptr_t)data % ALIGNMENT == 0;
    if (self->direct)
        self->fd = open(self->path, flags | O_DIRECT, 0666);
    if (self->fd < 0 && (!self->direct || errno == EINVAL)) {
        self->direct = 0;
        self->fd = open(self->path, flags, 0666);
    }
    if (self->fd < 0 || base_failpoint(self->path, "opened"))
        return errno;
    return 0;
}

static int leave_direct(writer *self)
{
    int flags = fcntl(self->fd, F_GETFL);
    if (flags < 0 || fcntl(self->fd, F_SETFL, flags & ~O_DIRECT) != 0)
        return errno;
    self->direct = 0;
    return 0;
}

/* Write data[begin, end) to the same place in the file. */
static int write_range(writer *self, const uint8_t *data, size_t begin, size_t end)
{
    while (begin < end) {
        size_t n = end - begin;
        if (self->direct && (begin % ALIGNMENT != 0 || n < ALIGNMENT)) { /* the file's tail, or a write cut short */
            int failed = leave_direct(self);
            if (failed)
                return failed;
        }
        if (self->direct)
            n -= n % ALIGNMENT;
        ssize_t written = pwrite(self->fd, data + begin, n, (off_t)begin);
        if (written > 0) {
            begin += (size_t)written;
        } else if (written == 0) {
            return EIO;
        } else if (errno == EINVAL && self->direct) { /* opened, but does not do it */
            int failed = leave_direct(self);
            if (failed)
                return failed;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* A disk that is too full says so now; one extent is faster to write than a growing file. Not all file systems can. */
static int reserve(const writer *self, size_t total)
{
    if (total == 0 || fallocate(self->fd, 0, 0, (off_t)total) == 0)
        return 0;
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? errno : 0;
}

static int write_chunks(writer *self, const uint8_t *data, size_t total, hasher *hash)
{
    for (size_t at = 0; at < total; at += WRITE_BYTES) {
        size_t n = total - at < WRITE_BYTES ? total - at : WRITE_BYTES;
        int failed = write_range(self, data, at, at + n);
        if (failed)
            return failed;
        hasher_add(hash, data + at, n);
        if (base_failpoint(self->path, "chunk"))
            return errno;
    }
    return 0;
}

static int writer_close(writer *self, int failed)
{
    if (!failed && (base_failpoint(self->path, "before-fsync") || fsync(self->fd) != 0))
        failed = errno;
    if (!failed && base_failpoint(self->path, "after-fsync"))
        failed = errno;
    if (self->fd >= 0 && close(self->fd) != 0 && !failed)
        failed = errno;
    return failed;
}

base_status ckpt_shard_write(const char *path, const void *data, int piece_count, const size_t *piece_nbytes,
                             uint64_t *xxh64)
{
    size_t total = 0;
    for (int i = 0; i < piece_count; i++)
        total += piece_nbytes[i];
    writer file = {.fd = -1, .path = path};
    hasher hash;
    int failed = hasher_create(&hash, piece_count, piece_nbytes, xxh64);
    if (!failed)
        failed = writer_open(&file, data);
    if (!failed)
        failed = reserve(&file, total);
    if (!failed)
        failed = write_chunks(&file, data, total, &hash);
    failed = writer_close(&file, failed);
    XXH64_freeState(hash.state);
    if (!failed)
        return BASE_OK;
    unlink(path);
    return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot write %s", path);
}

/* ---- reading ---- */

struct ckpt_shard {
    int fd;
    char *path;
    XXH64_state_t *state;
    uint8_t *buffer;
    size_t buffer_bytes;
};

static base_status check_file(const ckpt_shard *self, uint64_t nbytes)
{
    struct stat info;
    if (fstat(self->fd, &info) != 0)
        return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s", self->path);
    if (!S_ISREG(info.st_mode))
        return BASE_FAIL(BASE_CKPT, "%s is no plain file", self->path);
    if ((uint64_t)info.st_size != nbytes)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: it has %lld bytes, the manifest says %llu", self->path,
                         (long long)info.st_size, (unsigned long long)nbytes);
    return BASE_OK;
}

/* O_NONBLOCK: a pipe in the file's place would wait for a writer. It means nothing to a plain file. */
static base_status open_file(ckpt_shard *self, const char *path, uint64_t nbytes)
{
    self->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (self->fd < 0 && errno == ENOENT)
        return BASE_FAIL(BASE_CKPT, "%s is missing", path);
    if (self->fd < 0)
        return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s", path);
    self->path = strdup(path);
    self->state = XXH64_createState();
    self->buffer_bytes = nbytes < READ_BYTES ? ((size_t)nbytes / ALIGNMENT + 1) * ALIGNMENT : READ_BYTES;
    self->buffer = aligned_alloc(ALIGNMENT, self->buffer_bytes);
    if (!self->path || !self->state || !self->buffer)
        return BASE_FAIL(BASE_ERROR, "out of memory for reading %s", path);
    BASE_TRY(check_file(self, nbytes));
    posix_fadvise(self->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return BASE_OK;
}

base_status ckpt_shard_open(const char *path, uint64_t nbytes, ckpt_shard **self)
{
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for reading %s", path);
    base_status status = open_file(*self, path, nbytes);
    if (status != BASE_OK)
        ckpt_shard_close(self);
    return status;
}

void ckpt_shard_close(ckpt_shard **self)
{
    ckpt_shard *shard = *self;
    if (!shard)
        return;
    if (shard->fd >= 0)
        close(shard->fd);
    XXH64_freeState(shard->state);
    free(shard->buffer);
    free(shard->path);
    free(shard);
    *self = NULL;
}

/* Fill the buffer with `nbytes` bytes from `offset` on. */
static base_status fill(ckpt_shard *self, uint64_t offset, size_t nbytes)
{
    for (size_t done = 0; done < nbytes;) {
        ssize_t n = pread(self->fd, self->buffer + done, nbytes - done, (off_t)(offset + done));
        if (n > 0)
            done += (size_t)n;
        else if (n == 0) /* it had its size when it was opened */
            return BASE_FAIL(BASE_CKPT, "%s is damaged: it ends at byte %llu", self->path,
                             (unsigned long long)(offset + done));
        else if (errno != EINTR)
            return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s at byte %llu", self->path,
                                   (unsigned long long)(offset + done));
    }
    return BASE_OK;
}

base_status ckpt_shard_read(ckpt_shard *self, uint64_t offset, uint64_t nbytes, uint64_t xxh64, ckpt_sink sink,
                            void *context)
{
    XXH64_reset(self->state, 0);
    for (uint64_t at = 0; at < nbytes; at += self->buffer_bytes) {
        size_t n = nbytes - at < self->buffer_bytes ? (size_t)(nbytes - at) : self->buffer_bytes;
        BASE_TRY(fill(self, offset + at, n));
        XXH64_update(self->state, self->buffer, n);
        if (sink)
            BASE_TRY(sink(context, at, self->buffer, n));
    }
    if (XXH64_digest(self->state) != xxh64)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: bytes %llu to %llu do not have the checksum that the manifest says",
                         self->path, (unsigned long long)offset, (unsigned long long)(offset + nbytes - 1));
    return BASE_OK;
}
