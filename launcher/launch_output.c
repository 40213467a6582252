#include "launch_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A pipe that is ready takes PIPE_BUF bytes at once, so that no line is longer, with its rank and its end. What one
 * read brings fits in READ_ROOM even if each byte is a line. */
enum { LINE_MAX_BYTES = PIPE_BUF - 32, READ_BYTES = 2048, READ_ROOM = 16 * READ_BYTES, SINK_BYTES = 4 * READ_ROOM };

/* Our stdout or stderr. */
typedef struct sink {
    int fd, waits; /* for its being ready */
    int full;      /* nothing is read for it */
    int lost;      /* errno, where something could not be written */
    size_t used;
    char bytes[SINK_BYTES];
} sink;

/* The stdout or stderr of a worker. */
typedef struct source {
    int fd, rank, open;
    size_t used;
    char line[LINE_MAX_BYTES];
} source;

struct launch_output {
    int epoll, count, prefix;
    unsigned tag;
    sink sinks[2];
    source *sources; /* (count) a worker's two behind each other */
};

base_status launch_output_create(int workers, int prefix, int epoll, unsigned tag, launch_output **out)
{
    launch_output *self = calloc(1, sizeof *self);
    *out = self;
    if (self)
        self->sources = calloc(2 * (size_t)workers, sizeof *self->sources);
    if (!self || !self->sources) {
        launch_output_destroy(out);
        return BASE_FAIL(BASE_ERROR, "out of memory for the output of %d workers", workers);
    }
    self->epoll = epoll;
    self->tag = tag;
    self->prefix = prefix;
    self->count = 2 * workers;
    self->sinks[0].fd = STDOUT_FILENO;
    self->sinks[1].fd = STDERR_FILENO;
    for (int i = 0; i < self->count; i++)
        self->sources[i].rank = -1;
    return BASE_OK;
}

static void close_source(source *from)
{
    if (from->open)
        close(from->fd);
    from->open = 0;
}

void launch_output_destroy(launch_output **out)
{
    launch_output *self = *out;
    if (!self)
        return;
    for (int i = 0; i < self->count; i++)
        close_source(&self->sources[i]);
    free(self->sources);
    free(self);
    *out = NULL;
}

/* ---- what to wait for ---- */

static void control(launch_output *self, int operation, int fd, unsigned which, unsigned events)
{
    struct epoll_event event = {.events = events, .data.u32 = self->tag + which};
    epoll_ctl(self->epoll, operation, fd, &event);
}

static int is_read(const launch_output *self, int i)
{
    return self->sources[i].open && self->sources[i].rank >= 0 && !self->sinks[i % 2].full;
}

static void set_full(launch_output *self, int which, int full)
{
    if (self->sinks[which].full == full)
        return;
    self->sinks[which].full = full;
    for (int i = which; i < self->count; i += 2)
        if (self->sources[i].open && self->sources[i].rank >= 0)
            control(self, full ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, self->sources[i].fd, (unsigned)i, EPOLLIN);
}

void launch_output_add(launch_output *self, int index, const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        source *from = &self->sources[2 * index + i];
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        from->fd = fds[i];
        from->open = 1;
    }
}

void launch_output_name(launch_output *self, int index, int rank)
{
    for (int i = 2 * index; i < 2 * index + 2; i++) {
        int was_read = is_read(self, i);
        self->sources[i].rank = rank;
        if (!was_read && is_read(self, i))
            control(self, EPOLL_CTL_ADD, self->sources[i].fd, (unsigned)i, EPOLLIN);
    }
}

/* ---- lines ---- */

/* `ends`: with the end of the line, which a rank before each makes one of what is too long, too. */
static void put_line(const launch_output *self, source *from, sink *to, int ends)
{
    char rank[16];
    int length = snprintf(rank, sizeof rank, "[%d] ", from->rank);
    /* The log's own lines may have it. */
    if (self->prefix && (from->used < (size_t)length || memcmp(from->line, rank, (size_t)length) != 0)) {
        memcpy(to->bytes + to->used, rank, (size_t)length);
        to->used += (size_t)length;
    }
    memcpy(to->bytes + to->used, from->line, from->used);
    to->used += from->used;
    if (ends || self->prefix)
        to->bytes[to->used++] = '\n';
    from->used = 0;
}

static void put_bytes(const launch_output *self, source *from, const char *bytes, size_t count, sink *to)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || from->used == sizeof from->line)
            put_line(self, from, to, bytes[i] == '\n');
        if (bytes[i] != '\n')
            from->line[from->used++] = bytes[i];
    }
}

/* As many whole lines as may be written at once; of one that is too long a part. */
static size_t lines_ready(const sink *self)
{
    size_t most = self->used < PIPE_BUF ? self->used : PIPE_BUF, length = most;
    while (length > 0 && self->bytes[length - 1] != '\n')
        length--;
    return length > 0 ? length : most;
}

/* 0: not all could be written now. A reader that is gone is no reason to stop the job. */
static int write_lines(sink *self, int timeout_ms, const sigset_t *mask)
{
    struct timespec bound = {0};
    while (self->used > 0) {
        struct pollfd ready = {.fd = self->fd, .events = POLLOUT};
        if (ppoll(&ready, 1, timeout_ms < 0 ? NULL : &bound, mask) <= 0)
            return 0;
        size_t length = lines_ready(self);
        ssize_t n = write(self->fd, self->bytes, length);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            return 0;
        if (n < 0)
            self->lost = errno;
        size_t done = n < 0 ? self->used : (size_t)n;
        memmove(self->bytes, self->bytes + done, self->used - done);
        self->used -= done;
    }
    return 1;
}

static void flush(launch_output *self, int which)
{
    sink *to = &self->sinks[which];
    int waits = !write_lines(to, 0, NULL);
    if (waits != to->waits)
        control(self, waits ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, to->fd, (unsigned)(self->count + which), EPOLLOUT);
    to->waits = waits;
    set_full(self, which, to->used + READ_ROOM + PIPE_BUF > sizeof to->bytes);
}

/* Who was killed while it wrote to stderr leaves a line without an end, and others write there too, we among them. */
static void end_source(launch_output *self, int i)
{
    if (self->sources[i].used > 0)
        put_line(self, &self->sources[i], &self->sinks[i % 2], i % 2 == 1);
    close_source(&self->sources[i]);
}

/* 0: there is nothing more now. */
static int read_source(launch_output *self, int i)
{
    source *from = &self->sources[i];
    sink *to = &self->sinks[i % 2];
    char bytes[READ_BYTES];
    ssize_t n = read(from->fd, bytes, sizeof bytes);
    if (n > 0) {
        put_bytes(self, from, bytes, (size_t)n, to);
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    end_source(self, i);
    return 0;
}

void launch_output_move(launch_output *self, unsigned which)
{
    int i = (int)which;
    if (i >= self->count) {
        flush(self, i - self->count);
    } else if (is_read(self, i)) {
        read_source(self, i);
        flush(self, i % 2);
    }
}

base_status launch_output_finish(launch_output *self, const sigset_t *mask)
{
    for (int i = 0; i < self->count; i++) {
        source *from = &self->sources[i];
        sink *to = &self->sinks[i % 2];
        while (from->open && read_source(self, i))
            while (to->used + READ_ROOM + PIPE_BUF > sizeof to->bytes && !write_lines(to, -1, mask))
                continue;
        end_source(self, i);
    }
    for (int i = 0; i < 2; i++)
        while (!write_lines(&self->sinks[i], -1, mask))
            continue;
    int lost = self->sinks[0].lost;
    return lost ? BASE_FAIL_ERRNO(BASE_ERROR, lost, "cannot write to stdout") : BASE_OK;
}
