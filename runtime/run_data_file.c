#include "run_data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BUFFER_BYTES = 256 * 1024,
    DEFLATE_RATIO = 1032, /* a match of 258 bytes takes at least 2 bits */
    READ_MAX = 1 << 30    /* zlib counts in unsigned int */
};

struct run_data_file {
    const char *path;
    int fd;
    int gzip;
    int64_t nbytes; /* on disk */
    int64_t done;   /* bytes of content read */
    z_stream stream;
    int stream_open, member_ended;
    unsigned char *buffer; /* compressed bytes */
};

static base_status check_regular(run_data_file *self)
{
    struct stat st;
    if (fstat(self->fd, &st) != 0)
        return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot read %s", self->path);
    if (S_ISDIR(st.st_mode))
        return BASE_FAIL(BASE_DATA, "%s is a folder, a file is expected", self->path);
    if (!S_ISREG(st.st_mode))
        return BASE_FAIL(BASE_DATA, "%s is not a regular file", self->path);
    self->nbytes = (int64_t)st.st_size;
    if (self->nbytes == 0)
        return BASE_FAIL(BASE_DATA, "%s is empty (0 bytes)", self->path);
    return BASE_OK;
}

/* Up to `nbytes` from the disk; fewer at the end of the file alone. */
static base_status read_disk(run_data_file *self, void *to, size_t nbytes, size_t *got)
{
    *got = 0;
    while (*got < nbytes) {
        size_t want = nbytes - *got < READ_MAX ? nbytes - *got : READ_MAX;
        ssize_t n = read(self->fd, (char *)to + *got, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot read %s", self->path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return BASE_OK;
}

static base_status refill(run_data_file *self)
{
    size_t got;
    BASE_TRY(read_disk(self, self->buffer, BUFFER_BYTES, &got));
    self->stream.next_in = self->buffer;
    self->stream.avail_in = (uInt)got;
    return BASE_OK;
}

static base_status open_stream(run_data_file *self)
{
    self->buffer = malloc(BUFFER_BYTES);
    if (!self->buffer || inflateInit2(&self->stream, 16 + MAX_WBITS) != Z_OK)
        return BASE_FAIL(BASE_ERROR, "out of memory while opening %s", self->path);
    self->stream_open = 1;
    return BASE_OK;
}

base_status run_data_file_open(const char *path, run_data_file **out)
{
    run_data_file *self = calloc(1, sizeof *self);
    *out = self;
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory while opening %s", path);
    self->path = path;
    /* Without O_NONBLOCK a FIFO in the file's place would hang here. It does not matter for regular files. */
    self->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (self->fd < 0)
        return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot open %s", path);
    BASE_TRY(check_regular(self));

    unsigned char magic[2] = {0, 0};
    ssize_t n = pread(self->fd, magic, sizeof magic, 0);
    if (n < 0)
        return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot read %s", path);
    self->gzip = n == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    return self->gzip ? open_stream(self) : BASE_OK;
}

void run_data_file_close(run_data_file **out)
{
    run_data_file *self = *out;
    if (!self)
        return;
    if (self->stream_open)
        inflateEnd(&self->stream);
    if (self->fd >= 0)
        close(self->fd);
    free(self->buffer);
    free(self);
    *out = NULL;
}

int run_data_file_is_gzip(const run_data_file *self)
{
    return self->gzip;
}

int64_t run_data_file_bytes(const run_data_file *self)
{
    return self->nbytes;
}

int64_t run_data_file_bound(const run_data_file *self)
{
    if (!self->gzip)
        return self->nbytes;
    return self->nbytes > INT64_MAX / DEFLATE_RATIO ? INT64_MAX : self->nbytes * DEFLATE_RATIO;
}

base_status run_data_file_length(const run_data_file *self, int64_t *nbytes)
{
    *nbytes = self->nbytes;
    if (!self->gzip)
        return BASE_OK;
    unsigned char t[4];
    if (self->nbytes < 18 || pread(self->fd, t, sizeof t, (off_t)(self->nbytes - 4)) != 4)
        return BASE_FAIL(BASE_DATA, "%s is cut short: %lld bytes are no complete gzip file", self->path,
                         (long long)self->nbytes);
    *nbytes = (int64_t)((uint32_t)t[0] | (uint32_t)t[1] << 8 | (uint32_t)t[2] << 16 | (uint32_t)t[3] << 24);
    return BASE_OK;
}

/* A member has ended and more bytes follow: another member, or what does not belong there. */
static base_status next_member(run_data_file *self)
{
    if (self->stream.next_in[0] != 0x1f || inflateReset(&self->stream) != Z_OK)
        return BASE_FAIL(BASE_DATA, "%s: the gzip data is followed by bytes that are no gzip data", self->path);
    self->member_ended = 0;
    return BASE_OK;
}

static base_status inflate_failed(const run_data_file *self, int rc)
{
    if (rc == Z_MEM_ERROR)
        return BASE_FAIL(BASE_ERROR, "out of memory while reading %s", self->path);
    return BASE_FAIL(BASE_DATA, "%s is corrupt: gzip says \"%s\" after %lld bytes of content; get the file again",
                     self->path, self->stream.msg ? self->stream.msg : "invalid data", (long long)self->done);
}

/* Inflates up to `nbytes`; fewer at the end of the last member alone. */
static base_status read_gzip(run_data_file *self, void *to, size_t nbytes, size_t *got)
{
    z_stream *z = &self->stream;
    for (*got = 0;;) {
        if (z->avail_in == 0)
            BASE_TRY(refill(self));
        if (z->avail_in == 0 && self->member_ended)
            return BASE_OK;
        if (z->avail_in == 0)
            return BASE_FAIL(BASE_DATA,
                             "%s is cut short: the gzip data ends after %lld bytes of content; get the file again",
                             self->path, (long long)self->done);
        if (self->member_ended)
            BASE_TRY(next_member(self));
        uInt want = (uInt)(nbytes - *got < READ_MAX ? nbytes - *got : READ_MAX);
        z->next_out = (Bytef *)to + *got;
        z->avail_out = want;
        int rc = inflate(z, Z_NO_FLUSH);
        *got += want - z->avail_out;
        self->done += (int64_t)(want - z->avail_out);
        if (rc == Z_STREAM_END)
            self->member_ended = 1;
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return inflate_failed(self, rc);
        if (*got == nbytes && z->avail_out == 0 && !self->member_ended)
            return BASE_OK;
    }
}

base_status run_data_file_read(run_data_file *self, void *to, size_t nbytes)
{
    size_t got = 0;
    int64_t before = self->done;
    if (nbytes == 0)
        return BASE_OK;
    if (self->gzip) {
        BASE_TRY(read_gzip(self, to, nbytes, &got));
    } else {
        BASE_TRY(read_disk(self, to, nbytes, &got));
        self->done += (int64_t)got;
    }
    if (got < nbytes)
        return BASE_FAIL(BASE_DATA, "%s is truncated: it holds %lld bytes, at least %lld are expected", self->path,
                         (long long)self->done, (long long)(before + (int64_t)nbytes));
    return BASE_OK;
}

base_status run_data_file_count(run_data_file *self, int64_t *nbytes)
{
    char scratch[16 * 1024];
    size_t got;
    do {
        if (self->gzip)
            BASE_TRY(read_gzip(self, scratch, sizeof scratch, &got));
        else
            BASE_TRY(read_disk(self, scratch, sizeof scratch, &got));
    } while (got == sizeof scratch);
    *nbytes = self->gzip ? self->done : self->nbytes;
    return BASE_OK;
}

base_status run_data_file_end(run_data_file *self)
{
    char more;
    size_t got;
    int64_t before = self->done;
    if (self->gzip)
        BASE_TRY(read_gzip(self, &more, 1, &got));
    else
        BASE_TRY(read_disk(self, &more, 1, &got));
    if (got > 0)
        return BASE_FAIL(BASE_DATA, "%s holds more than the %lld bytes that are expected", self->path,
                         (long long)before);
    return BASE_OK;
}
