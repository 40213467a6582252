#include "ckpt_reader.h"

#include "ckpt_folder.h"
#include "ckpt_layout.h"
#include "ckpt_shard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct ckpt_reader {
    base_arena *arena;
    const char *path;
    const ckpt_manifest *manifest;
    const char **shard_paths; /* (shard_count), made when needed */
    ckpt_shard *shard;        /* the one that was read last, or NULL: most tensors lie in one or two */
    uint32_t shard_number;
};

/* ---- the manifest's bytes ---- */

static base_status cannot_open(const char *step_path, const char *file)
{
    int error = errno;
    struct stat info;
    if (stat(step_path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return BASE_FAIL(BASE_CKPT, "%s is no checkpoint: no such folder", step_path);
    if (error == ENOTDIR)
        return BASE_FAIL(BASE_CKPT, "%s is no checkpoint: it is a file, a checkpoint is a folder", step_path);
    if (error == ENOENT)
        return BASE_FAIL(BASE_CKPT, "%s is no checkpoint: it has no " CKPT_MANIFEST_NAME, step_path);
    return BASE_FAIL_ERRNO(BASE_CKPT, error, "cannot read %s", file);
}

static base_status read_all(int fd, const char *file, uint8_t *bytes, size_t nbytes)
{
    for (size_t done = 0; done < nbytes;) {
        ssize_t n = read(fd, bytes + done, nbytes - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            return BASE_FAIL(BASE_CKPT, "%s is damaged: it ends at byte %zu of %zu", file, done, nbytes);
        else if (errno != EINTR)
            return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s", file);
    }
    return BASE_OK;
}

static base_status load(int fd, const char *file, uint8_t **bytes, size_t *nbytes)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return BASE_FAIL_ERRNO(BASE_CKPT, errno, "cannot read %s", file);
    if (!S_ISREG(info.st_mode))
        return BASE_FAIL(BASE_CKPT, "%s is no plain file", file);
    if ((uint64_t)info.st_size > CKPT_MANIFEST_BYTES_MAX)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: it has %lld bytes, at most %zu are possible", file,
                         (long long)info.st_size, CKPT_MANIFEST_BYTES_MAX);
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data)
        return BASE_FAIL(BASE_ERROR, "out of memory for the %zu bytes of %s", size, file);
    base_status status = read_all(fd, file, data, size);
    if (status != BASE_OK) {
        free(data);
        return status;
    }
    *bytes = data;
    *nbytes = size;
    return BASE_OK;
}

base_status ckpt_reader_load_manifest(const char *step_path, uint8_t **bytes, size_t *nbytes)
{
    char file[PATH_MAX];
    if ((size_t)snprintf(file, sizeof file, "%s/" CKPT_MANIFEST_NAME, step_path) >= sizeof file)
        return BASE_FAIL(BASE_CKPT, "the name %s is too long", step_path);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in its place would wait for a writer */
    if (fd < 0)
        return cannot_open(step_path, file);
    base_status status = load(fd, file, bytes, nbytes);
    close(fd);
    return status;
}

/* ---- opening ---- */

static base_status unpack(ckpt_reader *self, const uint8_t *bytes, size_t nbytes)
{
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/" CKPT_MANIFEST_NAME, self->path);
    BASE_TRY(ckpt_manifest_unpack(file, bytes, nbytes, self->arena, &self->manifest));
    int64_t named = ckpt_folder_step_of(self->path), step = self->manifest->position.step;
    if (named >= 0 && named != step)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: it is the manifest of step %lld, not of the folder's", file,
                         (long long)step);
    self->shard_paths = BASE_NEW_ARRAY(self->arena, const char *, self->manifest->shard_count);
    return self->shard_paths ? BASE_OK : BASE_ERROR;
}

static base_status open_checkpoint(ckpt_reader *self, const char *step_path, const uint8_t *manifest, size_t nbytes)
{
    BASE_TRY(base_arena_create(&self->arena, "checkpoint"));
    self->path = base_arena_string(self->arena, step_path);
    if (!self->path)
        return BASE_ERROR;
    if (manifest)
        return unpack(self, manifest, nbytes);
    uint8_t *bytes = NULL;
    BASE_TRY(ckpt_reader_load_manifest(step_path, &bytes, &nbytes));
    base_status status = unpack(self, bytes, nbytes);
    free(bytes);
    return status;
}

base_status ckpt_reader_open(const char *step_path, const uint8_t *manifest, size_t nbytes, ckpt_reader **self)
{
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for reading %s", step_path);
    base_status status = open_checkpoint(*self, step_path, manifest, nbytes);
    if (status != BASE_OK)
        ckpt_reader_close(self);
    return status;
}

void ckpt_reader_close(ckpt_reader **self)
{
    if (!*self)
        return;
    ckpt_shard_close(&(*self)->shard);
    base_arena_destroy(&(*self)->arena);
    free(*self);
    *self = NULL;
}

const ckpt_manifest *ckpt_reader_manifest(const ckpt_reader *self)
{
    return self->manifest;
}

const char *ckpt_reader_path(const ckpt_reader *self)
{
    return self->path;
}

/* ---- reading ---- */

/* Make self->shard shard `number`, its size checked. */
static base_status turn_to_shard(ckpt_reader *self, uint32_t number)
{
    if (self->shard && self->shard_number == number)
        return BASE_OK;
    ckpt_shard_close(&self->shard);
    if (!self->shard_paths[number])
        self->shard_paths[number] = ckpt_folder_shard_path(self->path, (int)number, self->arena);
    if (!self->shard_paths[number])
        return BASE_ERROR;
    self->shard_number = number;
    return ckpt_shard_open(self->shard_paths[number], self->manifest->shard_bytes[number], &self->shard);
}

/* What the sink must know of the piece that is being read and of the elements that were asked for. */
typedef struct taking {
    const ckpt_tensor *tensor;
    uint64_t piece_first;
    uint64_t first, end; /* asked for */
    ckpt_take take;
    void *context;
} taking;

static base_status take_chunk(void *context, uint64_t at, const void *bytes, size_t nbytes)
{
    const taking *self = context;
    size_t size = ckpt_dtype_size(self->tensor->dtype);
    uint64_t begin = self->piece_first + at / size, end = begin + nbytes / size;
    uint64_t from = begin > self->first ? begin : self->first, to = end < self->end ? end : self->end;
    if (from >= to)
        return BASE_OK;
    const uint8_t *elements = bytes;
    return self->take(self->context, self->tensor, from, to - from, elements + (from - begin) * size);
}

/* The index of the piece that holds `element`. */
static int piece_of(const ckpt_tensor *tensor, uint64_t element)
{
    int low = 0, high = tensor->piece_count; /* pieces[low].first <= element; pieces[high] begins behind it */
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (tensor->pieces[middle].first <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

base_status ckpt_reader_read(ckpt_reader *self, const ckpt_tensor *tensor, uint64_t first, uint64_t count,
                             ckpt_take take, void *context)
{
    assert(first <= tensor->elements && count <= tensor->elements - first);
    if (count == 0)
        return BASE_OK;
    taking asked = {.tensor = tensor, .first = first, .end = first + count, .take = take, .context = context};
    for (int i = piece_of(tensor, first); i < tensor->piece_count && tensor->pieces[i].first < asked.end; i++) {
        const ckpt_piece *piece = &tensor->pieces[i];
        asked.piece_first = piece->first;
        BASE_TRY(turn_to_shard(self, piece->shard));
        BASE_TRY(
            ckpt_shard_read(self->shard, piece->offset, piece->nbytes, piece->xxh64, take ? take_chunk : NULL, &asked));
    }
    return BASE_OK;
}

/* By shard, so that each is opened once (also one without bytes) and read from its begin to its end. */
static base_status verify_shards(ckpt_reader *self, const ckpt_placed *placed, size_t count)
{
    size_t at = 0;
    for (int shard = 0; shard < self->manifest->shard_count; shard++) {
        BASE_TRY(turn_to_shard(self, (uint32_t)shard));
        for (; at < count && placed[at].piece->shard == (uint32_t)shard; at++) {
            const ckpt_piece *piece = placed[at].piece;
            BASE_TRY(ckpt_shard_read(self->shard, piece->offset, piece->nbytes, piece->xxh64, NULL, NULL));
        }
    }
    return BASE_OK;
}

base_status ckpt_reader_verify(ckpt_reader *self)
{
    ckpt_placed *placed;
    size_t count;
    BASE_TRY(ckpt_layout_sort(self->manifest, &placed, &count));
    ckpt_shard_close(&self->shard); /* a file may have changed its size since */
    base_status status = verify_shards(self, placed, count);
    free(placed);
    return status;
}
