#include "run_loader.h"

#include "base_futex.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { BUFFERS = 2, MESSAGE_BYTES = 512, ALIGNMENT = 256 };

typedef struct buffer {
    run_batch batch; /* set when posted; points to the memory below */
    float *x;
    int32_t *labels;
    uint8_t *pixels;
    int64_t *indices;
    base_status status; /* of preparing it */
    char message[MESSAGE_BYTES];
} buffer;

/* Batches are numbered from 0 in the order in which they are asked for; number n uses buffer n % buffer_count. The main
 * thread posts numbers, the background thread works them off in order: done <= posted <= taken - in_hand +
 * buffer_count. */
struct run_loader {
    run_loader_options o;
    base_arena *arena;
    const run_data_info *info;
    const run_sampler *sampler;
    int64_t steps;        /* an epoch */
    int64_t sample_count; /* elements of a sample */

    int buffer_count;
    buffer *buffers;
    void *memory;    /* of the buffers */
    uint8_t *pixels; /* (share_max, H, W, C): where batches are floats, used by whoever prepares */

    int64_t epoch, step; /* of the next batch to post */
    uint32_t taken;      /* batches handed out */
    int in_hand;         /* of them: not given back yet */

    int background, started;
    pthread_t thread;
    _Atomic uint32_t posted, done;
    _Atomic int stop;
};

/* The samples are brought together as bytes first: one call of the kernel instead of one a sample. */
static base_status prepare(run_loader *self, buffer *b)
{
    const run_data_info *info = self->info;
    const run_share *share = &b->batch.share;
    const int64_t count = self->sample_count;
    uint8_t *pixels = b->pixels ? b->pixels : self->pixels;
    run_sampler_indices(self->sampler, b->batch.epoch, share->position + share->share_begin, share->share_count,
                        b->indices);
    if (self->o.content == RUN_LOADER_INDICES)
        return BASE_OK;
    for (int64_t i = 0; i < share->share_count; i++) {
        b->labels[i] = info->labels[b->indices[i]];
        memcpy(pixels + i * count, info->pixels + b->indices[i] * count, (size_t)count);
    }
    if (self->o.content == RUN_LOADER_BYTES)
        return BASE_OK;
    return self->o.ops->normalize(NULL, share->share_count * count, info->shape.c, pixels, info->scale, info->shift,
                                  b->x);
}

/* A failure's text belongs to the thread in which it arose: it is carried over in the buffer. */
static void prepare_recorded(run_loader *self, buffer *b)
{
    b->status = prepare(self, b);
    if (b->status != BASE_OK)
        snprintf(b->message, sizeof b->message, "%s", base_status_message());
}

static buffer *buffer_of(run_loader *self, uint32_t number)
{
    return &self->buffers[number % (uint32_t)self->buffer_count];
}

static void *loader_main(void *argument)
{
    run_loader *self = argument;
    uint32_t done = 0;
    for (;;) {
        uint32_t posted;
        while ((posted = atomic_load_explicit(&self->posted, memory_order_acquire)) == done &&
               !atomic_load(&self->stop))
            base_futex_wait(&self->posted, posted, -1);
        if (atomic_load(&self->stop))
            return NULL;
        prepare_recorded(self, buffer_of(self, done));
        atomic_store_explicit(&self->done, ++done, memory_order_release);
        base_futex_wake(&self->done);
    }
}

/* Ask for the next batch in order. Its buffer must be free. */
static void post(run_loader *self)
{
    uint32_t number = atomic_load_explicit(&self->posted, memory_order_relaxed);
    buffer *b = buffer_of(self, number);
    b->batch = (run_batch){.epoch = self->epoch,
                           .step_in_epoch = self->step,
                           .share = run_sampler_share(self->sampler, self->step),
                           .x = b->x,
                           .labels = b->labels,
                           .pixels = b->pixels,
                           .indices = b->indices,
                           .last_in_epoch = self->step + 1 == self->steps};
    if (++self->step == self->steps) {
        self->step = 0;
        self->epoch++;
    }
    if (self->background) {
        atomic_store_explicit(&self->posted, number + 1, memory_order_release);
        base_futex_wake(&self->posted);
    } else {
        atomic_store_explicit(&self->posted, number + 1, memory_order_relaxed);
        prepare_recorded(self, b);
        atomic_store_explicit(&self->done, number + 1, memory_order_relaxed);
    }
}

static void wait_done(run_loader *self, uint32_t number)
{
    uint32_t done;
    while ((int32_t)((done = atomic_load_explicit(&self->done, memory_order_acquire)) - number) < 0)
        base_futex_wait(&self->done, done, -1);
}

static base_status start_thread(run_loader *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&self->thread, NULL, loader_main, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, rc, "cannot start the thread that loads data");
    self->started = 1;
    return BASE_OK;
}

/* ---- memory ---- */

/* The parts of a buffer in its memory; an absent one has no bytes. */
typedef struct parts {
    size_t x, labels, pixels, indices, all; /* bytes */
} parts;

static size_t part(int wanted, int64_t elements, size_t size)
{
    size_t nbytes = wanted ? (size_t)elements * size : 0;
    return (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static parts measure(run_loader_content content, int64_t samples, int64_t elements)
{
    parts p = {.x = part(content == RUN_LOADER_FLOATS, elements, sizeof(float)),
               .labels = part(content != RUN_LOADER_INDICES, samples, sizeof(int32_t)),
               .pixels = part(content == RUN_LOADER_BYTES, elements, 1),
               .indices = part(1, samples, sizeof(int64_t))};
    p.all = p.x + p.labels + p.pixels + p.indices;
    return p;
}

static void *cut(char **at, size_t nbytes)
{
    void *here = nbytes ? *at : NULL;
    *at += nbytes;
    return here;
}

static base_status allocate(run_loader *self, int64_t share_max)
{
    int64_t elements;
    if (__builtin_mul_overflow(share_max, self->sample_count, &elements) || elements > INT64_MAX / 1024)
        return BASE_FAIL(BASE_USAGE, "a batch of %lld samples of %lld values does not fit into memory",
                         (long long)share_max, (long long)self->sample_count);
    self->buffers = BASE_NEW_ARRAY(self->arena, buffer, self->buffer_count);
    if (self->o.content == RUN_LOADER_FLOATS)
        self->pixels = BASE_NEW_ARRAY(self->arena, uint8_t, elements);
    if (!self->buffers || (self->o.content == RUN_LOADER_FLOATS && !self->pixels))
        return BASE_ERROR;
    parts p = measure(self->o.content, share_max, elements);
    BASE_TRY(self->o.device_table->host_alloc(self->o.device, (size_t)self->buffer_count * p.all, &self->memory));
    char *at = self->memory;
    for (int i = 0; i < self->buffer_count; i++) {
        buffer *b = &self->buffers[i];
        b->x = cut(&at, p.x);
        b->labels = cut(&at, p.labels);
        b->pixels = cut(&at, p.pixels);
        b->indices = cut(&at, p.indices);
    }
    return BASE_OK;
}

base_status run_loader_create(const run_loader_options *options, run_loader **out)
{
    base_arena *arena;
    *out = NULL;
    BASE_TRY(base_arena_create(&arena, "data loader"));
    run_loader *self = BASE_NEW(arena, run_loader);
    if (!self) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    *out = self;
    self->o = *options;
    self->arena = arena;
    self->info = run_data_get_info(options->data);
    self->sampler = &self->o.sampler;
    self->steps = run_sampler_steps(self->sampler);
    self->sample_count = base_shape_count(self->info->shape);
    self->background = options->background != 0;
    if (!self->o.device_table)
        self->o.device_table = &base_device_host;
    if (self->o.keep < 1)
        self->o.keep = 1;
    self->buffer_count = self->o.keep + (self->background ? BUFFERS - 1 : 0);
    BASE_TRY(allocate(self, run_sampler_share_max(self->sampler)));
    if (self->background)
        BASE_TRY(start_thread(self));
    return run_loader_seek(self, 0, 0);
}

void run_loader_destroy(run_loader **out)
{
    run_loader *self = *out;
    if (!self)
        return;
    if (self->started) {
        atomic_store(&self->stop, 1);
        atomic_fetch_add(&self->posted, 1); /* changes the word on which the thread sleeps */
        base_futex_wake(&self->posted);
        pthread_join(self->thread, NULL);
    }
    if (self->memory)
        self->o.device_table->host_free(self->o.device, &self->memory);
    base_arena *arena = self->arena; /* holds *self */
    base_arena_destroy(&arena);
    *out = NULL;
}

base_status run_loader_next(run_loader *self, run_batch *batch)
{
    /* Without a thread a buffer is filled when it is asked for; with one, giving a buffer back asks for more. */
    if (!self->background || self->in_hand == self->o.keep)
        post(self);
    else
        self->in_hand++;
    wait_done(self, self->taken + 1);
    const buffer *b = buffer_of(self, self->taken);
    self->taken++;
    *batch = b->batch;
    if (b->status != BASE_OK)
        return BASE_FAIL(b->status, "%s", b->message);
    return BASE_OK;
}

base_status run_loader_seek(run_loader *self, int64_t epoch, int64_t step_in_epoch)
{
    if (epoch < 0 || step_in_epoch < 0 || step_in_epoch >= self->steps)
        return BASE_FAIL(BASE_ERROR, "cannot load step %lld of epoch %lld: an epoch has %lld steps",
                         (long long)step_in_epoch, (long long)epoch, (long long)self->steps);
    uint32_t posted = atomic_load_explicit(&self->posted, memory_order_relaxed);
    wait_done(self, posted);
    self->taken = posted;
    self->in_hand = 0;
    self->epoch = epoch;
    self->step = step_in_epoch;
    for (int i = 0; self->background && i < self->buffer_count; i++)
        post(self);
    return BASE_OK;
}
