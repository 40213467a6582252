#include "ckpt_test.h"

#include "base_file.h"
#include "ckpt_folder.h"
#include "ckpt_reader.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

static char folder[64];

/* ---- elements ---- */

static const ckpt_tensor shapes[TEST_TENSORS] = {
    {.name = "dense1/weight", .role = CKPT_ROLE_PARAMETER, .dim_count = 2, .dims = {33, 50}},
    {.name = "dense1/bias", .role = CKPT_ROLE_PARAMETER, .dim_count = 1, .dims = {1}},
    {.name = "dense1/weight/momentum", .role = CKPT_ROLE_OPTIMIZER_STATE, .dim_count = 2, .dims = {33, 50}},
    {.name = "dense1/bias/momentum", .role = CKPT_ROLE_OPTIMIZER_STATE, .dim_count = 1, .dims = {1}},
    {.name = "batch_norm1/running_mean", .role = CKPT_ROLE_RUNNING_STATISTIC, .dim_count = 4, .dims = {1, 7, 1, 1}},
};

/* A fraction of 2^-8 is exact in a float; the run is in the lowest bits. */
float ckpt_test_element(int run, int tensor, uint64_t i)
{
    return (float)(tensor * 4096 + (int)i) + (float)run / 256;
}

static void fill_range(int run, int tensor, uint64_t first, uint64_t count, float *to)
{
    for (uint64_t i = 0; i < count; i++)
        to[i] = ckpt_test_element(run, tensor, first + i);
}

static uint64_t hash_range(int run, int tensor, uint64_t first, uint64_t count)
{
    float *elements = malloc(count * sizeof *elements);
    assert_non_null(elements);
    fill_range(run, tensor, first, count, elements);
    uint64_t hash = XXH64(elements, count * sizeof *elements, 0);
    free(elements);
    return hash;
}

/* ---- manifests ---- */

static void fill_tensor(ckpt_test *self, int number, int shards)
{
    ckpt_tensor *tensor = &self->tensors[number];
    *tensor = shapes[number];
    tensor->dtype = CKPT_DTYPE_F32;
    tensor->elements = 1;
    for (int i = 0; i < tensor->dim_count; i++)
        tensor->elements *= tensor->dims[i];
    tensor->pieces = self->pieces[number];
    for (uint64_t s = 0; s < (uint64_t)shards; s++) {
        uint64_t first = tensor->elements * s / (uint64_t)shards;
        uint64_t count = tensor->elements * (s + 1) / (uint64_t)shards - first;
        if (count == 0)
            continue;
        self->pieces[number][tensor->piece_count++] =
            (ckpt_piece){.shard = (uint32_t)s,
                         .offset = self->shard_bytes[s],
                         .nbytes = count * sizeof(float),
                         .first = first,
                         .xxh64 = hash_range(self->run, number, first, count)};
        self->shard_bytes[s] += count * sizeof(float);
    }
}

void ckpt_test_fill(ckpt_test *self, int64_t step, int shards, int run)
{
    *self = (ckpt_test){.run = run};
    for (int t = 0; t < TEST_TENSORS; t++)
        fill_tensor(self, t, shards);
    self->scalars[0] = (ckpt_scalar){.name = "learning_rate", .value = 0.1};
    self->scalars[1] = (ckpt_scalar){.name = "momentum", .value = 0.9};
    self->manifest = (ckpt_manifest){.ddpt_version = "0.1.0",
                                     .saved_at = 1790000000,
                                     .config_json = "{\"name\": \"test\"}",
                                     .config_digest = "0123456789abcdef",
                                     .graph_digest = "fedcba9876543210",
                                     .position = {.step = step,
                                                  .epoch = step / 100,
                                                  .step_in_epoch = step % 100,
                                                  .steps_per_epoch = 100,
                                                  .global_batch = 32,
                                                  .epoch_samples = 3200,
                                                  .loss = 0.5,
                                                  .epoch_loss_sum = 12.25,
                                                  .epoch_correct_sum = 31},
                                     .seed = 42,
                                     .optimizer = "sgd",
                                     .scalar_count = TEST_SCALARS,
                                     .scalars = self->scalars,
                                     .world_size = shards,
                                     .shard_count = shards,
                                     .shard_bytes = self->shard_bytes,
                                     .tensor_count = TEST_TENSORS,
                                     .tensors = self->tensors};
}

/* ---- manifests in memory ---- */

static base_arena *arena;

int ckpt_test_make_arena(void **state)
{
    (void)state;
    return base_arena_create(&arena, "test") != BASE_OK;
}

int ckpt_test_drop_arena(void **state)
{
    (void)state;
    base_arena_destroy(&arena);
    return 0;
}

const ckpt_manifest *ckpt_test_unpack(const void *bytes, size_t nbytes)
{
    const ckpt_manifest *found = NULL;
    if (ckpt_manifest_unpack("x/manifest.pb", bytes, nbytes, arena, &found) != BASE_OK)
        fail_msg("%s", base_status_message());
    assert_non_null(found);
    return found;
}

void ckpt_test_assert_refused(const void *bytes, size_t nbytes, const char *text)
{
    const ckpt_manifest *found = NULL;
    base_status status = ckpt_manifest_unpack("x/manifest.pb", bytes, nbytes, arena, &found);
    const char *message = base_status_message();
    if (status != BASE_CKPT || strncmp(message, "x/manifest.pb is ", 17) != 0 || !strstr(message, text))
        fail_msg("status %d: '%s' where '%s' is expected", status, message, text);
    assert_null(found);
}

static void assert_same_tensor(const ckpt_tensor *a, const ckpt_tensor *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->role, b->role);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->dim_count, b->dim_count);
    assert_memory_equal(a->dims, b->dims, sizeof a->dims);
    assert_int_equal(a->elements, b->elements);
    assert_int_equal(a->piece_count, b->piece_count);
    for (int i = 0; i < a->piece_count; i++) {
        assert_int_equal(a->pieces[i].shard, b->pieces[i].shard);
        assert_int_equal(a->pieces[i].offset, b->pieces[i].offset);
        assert_int_equal(a->pieces[i].nbytes, b->pieces[i].nbytes);
        assert_int_equal(a->pieces[i].first, b->pieces[i].first);
        assert_int_equal(a->pieces[i].xxh64, b->pieces[i].xxh64);
    }
}

void ckpt_test_assert_same(const ckpt_manifest *a, const ckpt_manifest *b)
{
    assert_string_equal(a->ddpt_version, b->ddpt_version);
    assert_int_equal(a->saved_at, b->saved_at);
    assert_string_equal(a->config_json, b->config_json);
    assert_string_equal(a->config_digest, b->config_digest);
    assert_string_equal(a->graph_digest, b->graph_digest);
    assert_memory_equal(&a->position, &b->position, sizeof a->position); /* it has no padding */
    assert_int_equal(a->seed, b->seed);
    assert_string_equal(a->optimizer, b->optimizer);
    assert_int_equal(a->world_size, b->world_size);
    assert_int_equal(a->scalar_count, b->scalar_count);
    for (int i = 0; i < a->scalar_count; i++) {
        assert_string_equal(a->scalars[i].name, b->scalars[i].name);
        assert_memory_equal(&a->scalars[i].value, &b->scalars[i].value, sizeof(double));
    }
    assert_int_equal(a->shard_count, b->shard_count);
    assert_memory_equal(a->shard_bytes, b->shard_bytes, (size_t)a->shard_count * sizeof(uint64_t));
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (int i = 0; i < a->tensor_count; i++)
        assert_same_tensor(&a->tensors[i], &b->tensors[i]);
}

/* ---- files ---- */

void *ckpt_test_shard(const ckpt_test *self, int shard)
{
    uint8_t *bytes = malloc(self->shard_bytes[shard] + 1);
    assert_non_null(bytes);
    for (int t = 0; t < TEST_TENSORS; t++)
        for (int p = 0; p < self->tensors[t].piece_count; p++) {
            const ckpt_piece *piece = &self->pieces[t][p];
            if (piece->shard == (uint32_t)shard)
                fill_range(self->run, t, piece->first, piece->nbytes / sizeof(float),
                           (float *)(void *)(bytes + piece->offset));
        }
    return bytes;
}

void ckpt_test_write_shards(const ckpt_test *self, const char *ckpt)
{
    base_arena *paths;
    assert_int_equal(base_arena_create(&paths, "test"), BASE_OK);
    const char *step = ckpt_folder_step_path(ckpt, self->manifest.position.step, paths);
    assert_int_equal(base_file_make_folder(step), BASE_OK);
    for (int i = 0; i < self->manifest.shard_count; i++) {
        void *bytes = ckpt_test_shard(self, i);
        ckpt_test_put(ckpt_folder_shard_path(step, i, paths), bytes, self->shard_bytes[i]);
        free(bytes);
    }
    base_arena_destroy(&paths);
}

void ckpt_test_save(const char *ckpt, int64_t step, int shards, int run)
{
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    char path[PATH_MAX];
    ckpt_test_fill(&made, step, shards, run);
    ckpt_test_write_shards(&made, ckpt);
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    snprintf(path, sizeof path, "%s/step-%08lld/manifest.pb", ckpt, (long long)step);
    ckpt_test_put(path, bytes, nbytes);
    free(bytes);
}

int ckpt_test_save_one(void **state)
{
    (void)state;
    ckpt_test_save(ckpt_test_path("ckpt"), TEST_STEP, TEST_SHARDS, 0);
    return 0;
}

int ckpt_test_clear(void **state)
{
    (void)state;
    ckpt_test_empty_folder();
    return 0;
}

const char *ckpt_test_step_path(void)
{
    return ckpt_test_path("ckpt/step-%08d", TEST_STEP);
}

const char *ckpt_test_file(const char *name)
{
    return ckpt_test_path("ckpt/step-%08d/%s", TEST_STEP, name);
}

base_status ckpt_test_verify(const char *path)
{
    ckpt_reader *reader;
    base_status status = ckpt_reader_open(path, NULL, 0, &reader);
    if (status == BASE_OK)
        status = ckpt_reader_verify(reader);
    else
        assert_null(reader);
    ckpt_reader_close(&reader);
    return status;
}

int ckpt_test_make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/ddpt-ckpt-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type;
    return where->level == 0 ? 0 : remove(path);
}

void ckpt_test_empty_folder(void)
{
    assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int ckpt_test_remove_folder(void **state)
{
    (void)state;
    ckpt_test_empty_folder();
    return rmdir(folder);
}

const char *ckpt_test_path(const char *fmt, ...)
{
    static char paths[32][PATH_MAX];
    static int at;
    at = (at + 1) % 32;
    int n = snprintf(paths[at], PATH_MAX, "%s/", folder);
    va_list args;
    va_start(args, fmt);
    vsnprintf(paths[at] + n, PATH_MAX - (size_t)n, fmt, args);
    va_end(args);
    return paths[at];
}

void ckpt_test_put(const char *path, const void *bytes, size_t nbytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, nbytes, f), nbytes);
    assert_int_equal(fclose(f), 0);
}

uint8_t *ckpt_test_get(const char *path, size_t *nbytes)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    *nbytes = (size_t)info.st_size;
    uint8_t *bytes = malloc(*nbytes + 1);
    FILE *f = fopen(path, "rb");
    assert_non_null(bytes);
    assert_non_null(f);
    assert_int_equal(fread(bytes, 1, *nbytes, f), *nbytes);
    fclose(f);
    return bytes;
}

int ckpt_test_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int ckpt_test_in_child(const char *failpoint, int (*body)(void *context), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (failpoint)
            setenv("DDPT_FAILPOINT", failpoint, 1);
        _exit(body(context));
    }
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
