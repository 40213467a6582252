#include "run_steps.h"

#include "base_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A disk may be full for a while: lines wait in memory until they can be written. */
enum { TEXT_BYTES = 1024 * 1024, LINE_BYTES = 512, WRITE_BYTES = 4096 };

struct run_steps {
    char path[PATH_MAX], partial[PATH_MAX];
    int fd;                    /* the partial file */
    char text[TEXT_BYTES];     /* what is not written yet */
    size_t used, next_attempt; /* bytes of it; at how many it is tried to write them */
    int refused;               /* errno of the last attempt; 0: all was written */
    int lost;                  /* errno for which lines were dropped; none follows, so that none is missing between */
    int64_t steps;             /* since the line before */
    int64_t samples;
    double phases[BASE_PHASE_COUNT];
};

/* ---- to the system ---- */

static void write_text(run_steps *self)
{
    size_t done = 0;
    self->refused = 0;
    while (done < self->used && !self->refused) {
        ssize_t n = write(self->fd, self->text + done, self->used - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            self->refused = n == 0 ? EIO : errno;
    }
    self->used -= done;
    memmove(self->text, self->text + done, self->used);
    self->next_attempt = self->used + WRITE_BYTES;
}

static base_status cannot_write(const run_steps *self, int error)
{
    return BASE_FAIL_ERRNO(BASE_ERROR, error, "cannot write %s", self->path);
}

/* ---- what the run wrote before it was resumed ---- */

/* The lines up to a step that a file has; all zero where there is no such file or it has other columns. */
typedef struct old_lines {
    off_t nbytes; /* the header's among them */
    int64_t last; /* step */
} old_lines;

static old_lines lines_until(const char *path, const char *header, int64_t step)
{
    char line[LINE_BYTES];
    old_lines found = {0};
    FILE *csv = fopen(path, "re");
    if (csv && fgets(line, sizeof line, csv) && strcmp(line, header) == 0)
        found.nbytes = ftello(csv);
    while (found.nbytes && fgets(line, sizeof line, csv) && strchr(line, '\n')) {
        int64_t at = strtoll(line, NULL, 10);
        if (at <= found.last || at > step)
            break;
        found = (old_lines){ftello(csv), at};
    }
    if (csv)
        fclose(csv);
    return found;
}

static base_status copy_lines(run_steps *self, off_t nbytes)
{
    int old = open(self->path, O_RDONLY | O_CLOEXEC);
    if (old < 0)
        return cannot_write(self, errno);
    while (nbytes > 0) {
        ssize_t n = read(old, self->text, nbytes < TEXT_BYTES ? (size_t)nbytes : TEXT_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        nbytes -= n;
        self->used = (size_t)n;
        write_text(self);
        if (self->refused)
            break;
    }
    int error = self->refused ? self->refused : errno;
    close(old);
    return nbytes == 0 && !self->refused ? BASE_OK : cannot_write(self, error);
}

/* A run that was killed left the partial file, one that ended gave it its name; one that was killed while it did this
 * left both. */
static base_status take_old_lines(run_steps *self, const char *header, int64_t kept)
{
    old_lines partial = lines_until(self->partial, header, kept), ended = lines_until(self->path, header, kept);
    int copies = ended.nbytes && (!partial.nbytes || partial.last < ended.last);
    if (ftruncate(self->fd, copies ? 0 : partial.nbytes) != 0)
        return cannot_write(self, errno);
    if (copies)
        return copy_lines(self, ended.nbytes);
    if (partial.nbytes)
        return BASE_OK;
    self->used = (size_t)snprintf(self->text, sizeof self->text, "%s", header);
    write_text(self);
    return self->refused ? cannot_write(self, self->refused) : BASE_OK;
}

/* ---- opening ---- */

/* 1 if this run alone writes `path`, open as fd: not locked by another run, nor just renamed by one that ended. A file
 * system without locks has none to say so. */
static int lock(int fd, const char *path)
{
    struct stat opened, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return 0;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino;
}

static void make_header(char header[LINE_BYTES])
{
    int used = snprintf(header, LINE_BYTES, "step,epoch,loss,lr,samples_per_second");
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (base_phase_recorded((base_phase)i) == (base_phase)i)
            used += snprintf(header + used, LINE_BYTES - (size_t)used, ",%s_ms", base_phase_name((base_phase)i));
    snprintf(header + used, LINE_BYTES - (size_t)used, "\n");
}

/* With 0 lines kept there are none to take from either file. */
static base_status begin(run_steps *self, int64_t kept)
{
    char header[LINE_BYTES];
    make_header(header);
    if (kept == 0 && (ftruncate(self->fd, 0) != 0 || (unlink(self->path) != 0 && errno != ENOENT)))
        return cannot_write(self, errno);
    BASE_TRY(take_old_lines(self, header, kept));
    if (fsync(self->fd) != 0 && errno != EINVAL)
        return cannot_write(self, errno);
    unlink(self->path);
    return BASE_OK;
}

static base_status open_partial(run_steps *self, const char *folder, int64_t kept)
{
    snprintf(self->path, sizeof self->path, "%s/steps.csv", folder);
    if ((size_t)snprintf(self->partial, sizeof self->partial, "%s.partial", self->path) >= sizeof self->partial)
        return BASE_FAIL(BASE_ERROR, "the folder name %s is too long", folder);
    self->fd = open(self->partial, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (self->fd < 0)
        return cannot_write(self, errno);
    if (!lock(self->fd, self->partial))
        return BASE_FAIL(BASE_ERROR,
                         "another run is writing to the folder %s; wait for it, or choose another with --out", folder);
    base_status status = begin(self, kept);
    if (status != BASE_OK && kept == 0)
        unlink(self->partial);
    return status;
}

base_status run_steps_open(const char *folder, int64_t kept, run_steps **out)
{
    run_steps *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for steps.csv");
    self->fd = -1;
    base_status status = open_partial(self, folder, kept);
    if (status != BASE_OK)
        run_steps_close(&self);
    *out = self;
    return status;
}

void run_steps_close(run_steps **out)
{
    run_steps *self = *out;
    if (!self)
        return;
    if (self->fd >= 0) {
        write_text(self);
        close(self->fd);
    }
    free(self);
    *out = NULL;
}

/* ---- lines ---- */

static void add_line(run_steps *self, const run_steps_line *line)
{
    char text[LINE_BYTES];
    double seconds = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        seconds += self->phases[i];
    double rate = seconds > 0.0 ? (double)self->samples / seconds : 0.0;
    int n = snprintf(text, sizeof text, "%" PRId64 ",%" PRId64 ",%.9g,%.9g,%.6g", line->step, line->epoch, line->loss,
                     line->lr, rate);
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (base_phase_recorded((base_phase)i) == (base_phase)i)
            n += snprintf(text + n, sizeof text - (size_t)n, ",%.6g", 1e3 * self->phases[i] / (double)self->steps);
    n += snprintf(text + n, sizeof text - (size_t)n, "\n");
    if (self->used + (size_t)n > sizeof self->text) {
        self->lost = self->refused;
        return;
    }
    memcpy(self->text + self->used, text, (size_t)n);
    self->used += (size_t)n;
}

void run_steps_add(run_steps *self, const run_steps_line *line)
{
    self->steps += line->steps;
    self->samples += line->samples;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        self->phases[base_phase_recorded((base_phase)i)] += line->phases->seconds[i];
    if (!line->due)
        return;
    if (!self->lost)
        add_line(self, line);
    if (self->used >= self->next_attempt)
        write_text(self);
    self->steps = self->samples = 0;
    memset(self->phases, 0, sizeof self->phases);
}

void run_steps_flush(run_steps *self)
{
    write_text(self);
}

base_status run_steps_commit(run_steps *self, int resumable)
{
    if (self->fd < 0) /* a run that was done, but for a peer that was lost at its end */
        return BASE_OK;
    write_text(self);
    int fd = self->fd;
    self->fd = -1;
    if (!self->lost && !self->refused)
        return base_file_commit(self->path, fd);
    close(fd);
    if (!resumable)
        unlink(self->partial);
    return cannot_write(self, self->lost ? self->lost : self->refused);
}
