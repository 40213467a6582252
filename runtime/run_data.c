#include "run_data.h"

#include "base_arena.h"
#include "run_data_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct mapping {
    void *base;
    size_t nbytes;
} mapping;

struct run_data {
    base_arena *arena;
    run_data_info info;
    run_data_plan *plan;
    comm_node_memory *memory; /* what was filled, or NULL where the files are mapped */
    mapping maps[2];          /* pixels, labels */
};

static const run_data_source *source_of(run_data_format format)
{
    static const run_data_source *const sources[] = {[RUN_DATA_MNIST] = &run_data_source_idx,
                                                     [RUN_DATA_CIFAR10] = &run_data_source_cifar,
                                                     [RUN_DATA_DIGITS] = &run_data_source_digits,
                                                     [RUN_DATA_SYNTHETIC] = &run_data_source_synthetic};
    return sources[format];
}

const char *run_data_where(const run_config *config)
{
    return config->path[0] ? config->path : "built-in configuration";
}

/* ---- checks ---- */

base_status run_data_check_labels(const char *path, const uint8_t *labels, int64_t count, int64_t classes)
{
    uint8_t largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = labels[i] > largest ? labels[i] : largest;
    if (largest < classes)
        return BASE_OK;
    int64_t at = 0;
    while (labels[at] < classes)
        at++;
    return BASE_FAIL(BASE_DATA, "%s: label %lld is %d, labels 0 to %lld are expected (data.classes)", path,
                     (long long)at, labels[at], (long long)classes - 1);
}

base_status run_data_check_size(base_status code, const char *what, int64_t samples, base_shape shape)
{
    char text[64];
    int64_t count, nbytes; /* a sample's bytes with its label, all bytes */
    int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    if (__builtin_mul_overflow(shape.h, shape.w, &count) || __builtin_mul_overflow(count, shape.c, &count) ||
        __builtin_add_overflow(count, 1, &count) || __builtin_mul_overflow(samples, count, &nbytes))
        return BASE_FAIL(code, "%s: %lld samples of %s bytes are more than can be counted", what, (long long)samples,
                         base_shape_text(shape, text));
    if (memory > 0 && nbytes > memory)
        return BASE_FAIL(code, "%s: %lld samples of %s bytes need %.1f GiB, this machine has %.1f GiB of memory", what,
                         (long long)samples, base_shape_text(shape, text), (double)nbytes * 0x1p-30,
                         (double)memory * 0x1p-30);
    return BASE_OK;
}

static void input_text(base_shape s, char text[96])
{
    if (s.flat)
        snprintf(text, 96, "[%lld]", (long long)s.c);
    else
        snprintf(text, 96, "[%lld, %lld, %lld]", (long long)s.c, (long long)s.h, (long long)s.w);
}

static base_status check_input(const run_config *config, const run_data_plan *plan)
{
    base_shape want = config->model.input, have = plan->shape;
    if (base_shape_equal(want, have) || (want.flat && base_shape_count(want) == base_shape_count(have)))
        return BASE_OK;
    char input[96], shape[64];
    input_text(want, input);
    return BASE_FAIL(BASE_USAGE, "%s: model.input = %s, but %s has samples of %s", run_data_where(config), input,
                     plan->source, base_shape_text(have, shape));
}

/* ---- mean and deviation ---- */

static base_status set_normalisation(run_data *self, const run_config *config, const run_data_source *source)
{
    const run_config_data *data = &config->data;
    int64_t c = self->plan->shape.c;
    int given = data->mean || data->deviation;
    int channels = given ? data->channels_given : source->channels;
    if (channels != 1 && channels != c)
        return BASE_FAIL(BASE_USAGE,
                         "%s: data.mean and data.deviation have %d values, %s has %lld channels (1 value serves all)",
                         run_data_where(config), channels, self->plan->source, (long long)c);
    float *scale = BASE_NEW_ARRAY(self->arena, float, c), *shift = BASE_NEW_ARRAY(self->arena, float, c);
    if (!scale || !shift)
        return BASE_ERROR;
    for (int64_t i = 0; i < c; i++) {
        int64_t at = channels == 1 ? 0 : i, own = source->channels == 1 ? 0 : i;
        float mean = data->mean ? data->mean[at] : source->mean[own];
        float deviation = data->deviation ? data->deviation[at] : source->deviation[own];
        if (!(deviation > 0))
            return BASE_FAIL(BASE_USAGE, "%s: data.deviation is %g, more than 0 is expected", run_data_where(config),
                             (double)deviation);
        scale[i] = 1.0f / (255.0f * deviation);
        shift[i] = -mean / deviation;
    }
    self->info.scale = scale;
    self->info.shift = shift;
    return BASE_OK;
}

/* ---- the node's single copy ---- */

static size_t labels_offset(const run_data_plan *plan)
{
    return ((size_t)(plan->samples * base_shape_count(plan->shape)) + 63) / 64 * 64;
}

static base_status map_file(const run_data_plan_file *f, mapping *m)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot open %s", f->path);
    struct stat st;
    base_status status = BASE_OK;
    if (fstat(fd, &st) != 0 || (int64_t)st.st_size != f->nbytes) {
        status = BASE_FAIL(BASE_DATA, "%s has changed while it was being opened", f->path);
    } else {
        m->nbytes = (size_t)f->nbytes;
        m->base = mmap(NULL, m->nbytes, PROT_READ, MAP_SHARED, fd, 0);
        if (m->base == MAP_FAILED) {
            m->base = NULL;
            status = BASE_FAIL_ERRNO(BASE_DATA, errno, "cannot map %s", f->path);
        } else {
            madvise(m->base, m->nbytes, MADV_WILLNEED);
        }
    }
    close(fd);
    return status;
}

static base_status map_files(run_data *self)
{
    const run_data_plan *plan = self->plan;
    for (int i = 0; i < 2; i++)
        BASE_TRY(map_file(&plan->files[i], &self->maps[i]));
    self->info.pixels = (const uint8_t *)self->maps[0].base + plan->files[0].offset;
    self->info.labels = (const uint8_t *)self->maps[1].base + plan->files[1].offset;
    return run_data_check_labels(plan->files[1].path, self->info.labels, plan->samples, plan->classes);
}

static base_status fill_memory(run_data *self, comm_world *world, const run_config *config, run_data_split split)
{
    const comm_world_info *info = comm_world_get_info(world);
    uint8_t *memory = comm_node_memory_data(self->memory);
    self->info.pixels = memory;
    self->info.labels = memory + labels_offset(self->plan);
    /* The two splits begin with different ranks, so that their reading is spread. */
    run_data_part part = {.part = (info->node_rank + (split == RUN_DATA_TEST)) % info->node_size,
                          .parts = info->node_size,
                          .pixels = memory,
                          .labels = memory + labels_offset(self->plan)};
    return source_of(config->data.format)->fill(config, split, self->plan, &part);
}

/* One rank a node looks at the files, the others copy what it found. */
static base_status share_plan(run_data *self, comm_world *world, const run_config *config, run_data_split split)
{
    const comm_world_info *info = comm_world_get_info(world);
    base_status status = BASE_OK;
    if (info->node_rank == 0) {
        status = source_of(config->data.format)->probe(config, split, self->plan);
        if (status == BASE_OK)
            status = check_input(config, self->plan);
    }
    BASE_TRY(comm_world_agree(world, status));
    if (info->size == 1)
        return BASE_OK;
    comm_node_memory *memory = NULL;
    status = comm_world_agree(world, comm_node_memory_create(world, sizeof *self->plan, &memory));
    if (status == BASE_OK && info->node_rank == 0)
        memcpy(comm_node_memory_data(memory), self->plan, sizeof *self->plan);
    if (status == BASE_OK)
        status = comm_node_barrier(world);
    if (status == BASE_OK && info->node_rank != 0)
        memcpy(self->plan, comm_node_memory_data(memory), sizeof *self->plan);
    comm_node_memory_destroy(&memory);
    return status;
}

/* Nodes read their own files: they must hold the same set. */
static base_status check_nodes(const run_data *self, comm_world *world)
{
    const comm_world_info *info = comm_world_get_info(world);
    if (info->nodes == 1)
        return BASE_OK;
    struct {
        int64_t samples, count;
        uint64_t labels;
    } mine = {self->info.samples, base_shape_count(self->info.shape),
              XXH64(self->info.labels, (size_t)self->info.samples, 0)},
      first = mine;
    BASE_TRY(comm_world_bcast(world, &first, sizeof first, 0));
    base_status status = BASE_OK;
    if (memcmp(&first, &mine, sizeof mine) != 0)
        status = BASE_FAIL(BASE_DATA,
                           "%s on %s differs from the file on the node of rank 0: %lld samples there, %lld here%s",
                           self->info.source, info->host, (long long)first.samples, (long long)mine.samples,
                           first.samples == mine.samples ? ", other labels" : "");
    return comm_world_agree(world, status);
}

/* ---- open and close ---- */

/* Files may be raw on one node and gzip on another: what is agreed upon by all does not depend on plan->mapped. */
static base_status open_split(run_data *self, comm_world *world, const run_config *config, run_data_split split)
{
    BASE_TRY(share_plan(self, world, config, split));
    const run_data_plan *plan = self->plan;
    self->info.shape = plan->shape;
    self->info.samples = plan->samples;
    self->info.classes = plan->classes;
    self->info.source = plan->source;
    BASE_TRY(comm_world_agree(world, set_normalisation(self, config, source_of(config->data.format))));

    base_status status = BASE_OK;
    if (!plan->mapped)
        status = comm_node_memory_create(world, labels_offset(plan) + (size_t)plan->samples, &self->memory);
    BASE_TRY(comm_world_agree(world, status));
    status = plan->mapped ? map_files(self) : fill_memory(self, world, config, split);
    BASE_TRY(comm_node_barrier(world)); /* the parts of all ranks are there */
    BASE_TRY(comm_world_agree(world, status));
    return check_nodes(self, world);
}

static base_status create(run_data **out)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "data set"));
    run_data *self = BASE_NEW(arena, run_data);
    if (self)
        self->plan = BASE_NEW(arena, run_data_plan);
    if (!self || !self->plan) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    self->arena = arena;
    *out = self;
    return BASE_OK;
}

base_status run_data_open(comm_world *world, const run_config *config, run_data_split split, run_data **self)
{
    *self = NULL;
    base_status status = comm_world_agree(world, create(self));
    if (*self && status == BASE_OK)
        status = open_split(*self, world, config, split);
    if (status != BASE_OK)
        run_data_close(self);
    return status;
}

void run_data_close(run_data **out)
{
    run_data *self = *out;
    if (!self)
        return;
    for (int i = 0; i < 2; i++)
        if (self->maps[i].base)
            munmap(self->maps[i].base, self->maps[i].nbytes);
    comm_node_memory_destroy(&self->memory);
    base_arena *arena = self->arena; /* holds *self */
    base_arena_destroy(&arena);
    *out = NULL;
}

const run_data_info *run_data_get_info(const run_data *self)
{
    return &self->info;
}

base_status run_data_digest(const run_data *self, char digest[17])
{
    enum { SAMPLES_MAX = 1024 };
    const run_data_info *info = &self->info;
    const int64_t numbers[] = {info->shape.h, info->shape.w, info->shape.c, info->samples, info->classes};
    size_t nbytes = (size_t)base_shape_count(info->shape);
    int64_t count = info->samples < SAMPLES_MAX ? info->samples : SAMPLES_MAX;
    int64_t gaps = count > 1 ? count - 1 : 1;
    XXH64_state_t *state = XXH64_createState();
    if (!state)
        return BASE_FAIL(BASE_ERROR, "out of memory for a digest");
    XXH64_reset(state, 0);
    XXH64_update(state, numbers, sizeof numbers);
    XXH64_update(state, info->labels, (size_t)info->samples);
    for (int64_t i = 0; i < count; i++)
        XXH64_update(state, info->pixels + (size_t)(i * (info->samples - 1) / gaps) * nbytes, nbytes);
    snprintf(digest, 17, "%016" PRIx64, (uint64_t)XXH64_digest(state));
    XXH64_freeState(state);
    return BASE_OK;
}
