#include "run_steps.h"

#include "base_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct run_steps {
    char path[PATH_MAX], partial[PATH_MAX];
    int64_t log_every;
    FILE *file;
    int failed;    /* errno of the first failure of a write */
    int64_t steps; /* since the line before */
    int64_t samples;
    double phases[BASE_PHASE_COUNT];
};

/* 1 if this run alone writes `path`, open as fd: not locked by another run, nor just renamed by one that ended. A file
 * system without locks has none to say so. */
static int lock(int fd, const char *path)
{
    struct stat opened, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return 0;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino;
}

/* Bytes of steps.csv up to the line of step `step`; 0 where there is no such file or it has other columns. */
static off_t lines_until(FILE *csv, const char *header, int64_t step)
{
    char line[1024];
    off_t end = 0;
    rewind(csv);
    if (!fgets(line, sizeof line, csv) || strcmp(line, header) != 0)
        return 0;
    do {
        end = ftello(csv);
    } while (fgets(line, sizeof line, csv) && strchr(line, '\n') && strtoll(line, NULL, 10) <= step);
    rewind(csv); /* C wants a seek between reading and writing */
    return end;
}

/* What the run wrote before it was resumed. A run that was killed left the partial file, one that ended gave it its
 * name. */
static base_status take_old_lines(run_steps *self, const char *header, int64_t kept)
{
    char text[64 * 1024];
    off_t keep = lines_until(self->file, header, kept);
    if (keep > 0)
        return ftruncate(fileno(self->file), keep) == 0 ? BASE_OK : BASE_ERROR;
    if (ftruncate(fileno(self->file), 0) != 0)
        return BASE_ERROR;
    FILE *old = fopen(self->path, "re");
    keep = old ? lines_until(old, header, kept) : 0;
    if (keep == 0)
        fputs(header, self->file);
    else
        rewind(old);
    for (size_t n; keep > 0; keep -= (off_t)n) {
        n = fread(text, 1, keep < (off_t)sizeof text ? (size_t)keep : sizeof text, old);
        if (n == 0 || fwrite(text, 1, n, self->file) != n)
            break;
    }
    if (old)
        fclose(old);
    return keep == 0 ? BASE_OK : BASE_ERROR;
}

static base_status begin(run_steps *self, int64_t kept)
{
    char header[512];
    int used = snprintf(header, sizeof header, "step,epoch,loss,lr,samples_per_second");
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        used += snprintf(header + used, sizeof header - (size_t)used, ",%s_ms", base_phase_name((base_phase)i));
    snprintf(header + used, sizeof header - (size_t)used, "\n");
    if (kept > 0)
        BASE_TRY(take_old_lines(self, header, kept));
    else if (ftruncate(fileno(self->file), 0) != 0 || fputs(header, self->file) == EOF)
        return BASE_ERROR;
    return fflush(self->file) == 0 ? BASE_OK : BASE_ERROR;
}

static base_status open_partial(run_steps *self, const char *folder, int64_t kept)
{
    snprintf(self->path, sizeof self->path, "%s/steps.csv", folder);
    if ((size_t)snprintf(self->partial, sizeof self->partial, "%s.partial", self->path) >= sizeof self->partial)
        return BASE_FAIL(BASE_ERROR, "the folder name %s is too long", folder);
    self->file = fopen(self->partial, "a+e");
    if (!self->file)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", self->path);
    if (!lock(fileno(self->file), self->partial))
        return BASE_FAIL(BASE_ERROR,
                         "another run is writing to the folder %s; wait for it, or choose another with --out", folder);
    if (begin(self, kept) == BASE_OK)
        return BASE_OK;
    int failed = errno;
    if (kept == 0)
        unlink(self->partial);
    return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot write %s", self->path);
}

base_status run_steps_open(const char *folder, int64_t log_every, int64_t kept, run_steps **out)
{
    run_steps *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for steps.csv");
    self->log_every = log_every;
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
    if (self->file)
        fclose(self->file);
    free(self);
    *out = NULL;
}

static void write_line(run_steps *self, const run_steps_line *line)
{
    double seconds = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        seconds += self->phases[i];
    double rate = seconds > 0.0 ? (double)self->samples / seconds : 0.0;
    int bad = fprintf(self->file, "%" PRId64 ",%" PRId64 ",%.9g,%.9g,%.6g", line->step, line->epoch, line->loss,
                      line->lr, rate) < 0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        bad |= fprintf(self->file, ",%.6g", 1e3 * self->phases[i] / (double)self->steps) < 0;
    bad |= fputc('\n', self->file) == EOF;
    if (bad && self->failed == 0)
        self->failed = errno;
}

void run_steps_add(run_steps *self, const run_steps_line *line)
{
    self->steps++;
    self->samples += line->samples;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        self->phases[i] += line->phases->seconds[i];
    if (line->step % self->log_every != 0)
        return;
    if (self->failed == 0)
        write_line(self, line);
    self->steps = self->samples = 0;
    memset(self->phases, 0, sizeof self->phases);
}

void run_steps_flush(run_steps *self)
{
    if (self->failed == 0 && fflush(self->file) != 0)
        self->failed = errno;
}

base_status run_steps_commit(run_steps *self)
{
    run_steps_flush(self);
    int fd = self->failed == 0 ? dup(fileno(self->file)) : -1;
    int failed = self->failed ? self->failed : errno;
    fclose(self->file);
    self->file = NULL;
    if (fd >= 0)
        return base_file_commit(self->path, fd);
    unlink(self->partial);
    return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot write %s", self->path);
}
