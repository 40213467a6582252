#include "ckpt_test.h"

#include "base_file.h"
#include "ckpt_folder.h"

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
    base_arena *arena;
    assert_int_equal(base_arena_create(&arena, "test"), BASE_OK);
    const char *step = ckpt_folder_step_path(ckpt, self->manifest.position.step, arena);
    assert_int_equal(base_file_make_folder(step), BASE_OK);
    for (int i = 0; i < self->manifest.shard_count; i++) {
        void *bytes = ckpt_test_shard(self, i);
        ckpt_test_put(ckpt_folder_shard_path(step, i, arena), bytes, self->shard_bytes[i]);
        free(bytes);
    }
    base_arena_destroy(&arena);
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
