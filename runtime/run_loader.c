#include "run_loader.h"

#include "base_futex.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { BUFFERS = 2, MESSAGE_BYTES = 512 };

typedef struct buffer {
    run_batch batch; /* set when posted; x and labels point to the memory below */
    float *x;
    int32_t *labels;
    base_status status; /* of preparing it */
    char message[MESSAGE_BYTES];
} buffer;

/* Batches are numbered from 0 in the order in which they are asked for; number n uses buffer n % BUFFERS. The main
 * thread posts numbers, the background thread works them off in order: done <= posted <= taken + BUFFERS. */
struct run_loader {
    base_arena *arena;
    const run_data_info *info;
    const ops_table *ops;
    run_sampler sampler;
    int64_t steps;        /* an epoch */
    int64_t sample_count; /* elements of a sample */

    buffer buffers[BUFFERS];
    int64_t *indices; /* (share_max), with `pixels` used by whoever prepares */
    uint8_t *pixels;  /* (share_max, H, W, C) */

    int64_t epoch, step; /* of the next batch to post */
    uint32_t taken;      /* batches handed out, the one in hand included */
    int in_hand;

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
    run_sampler_indices(&self->sampler, b->batch.epoch, share->position + share->share_begin, share->share_count,
                        self->indices);
    for (int64_t i = 0; i < share->share_count; i++) {
        b->labels[i] = info->labels[self->indices[i]];
        memcpy(self->pixels + i * count, info->pixels + self->indices[i] * count, (size_t)count);
    }
    return self->ops->normalize(NULL, share->share_count * count, info->shape.c, self->pixels, info->scale, info->shift,
                                b->x);
}

/* A failure's text belongs to the thread in which it arose: it is carried over in the buffer. */
static void prepare_recorded(run_loader *self, buffer *b)
{
    b->status = prepare(self, b);
    if (b->status != BASE_OK)
        snprintf(b->message, sizeof b->message, "%s", base_status_message());
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
        prepare_recorded(self, &self->buffers[done % BUFFERS]);
        atomic_store_explicit(&self->done, ++done, memory_order_release);
        base_futex_wake(&self->done);
    }
}

/* Ask for the next batch in order. Its buffer must be free. */
static void post(run_loader *self)
{
    uint32_t number = atomic_load_explicit(&self->posted, memory_order_relaxed);
    buffer *b = &self->buffers[number % BUFFERS];
    b->batch = (run_batch){.epoch = self->epoch,
                           .step_in_epoch = self->step,
                           .share = run_sampler_share(&self->sampler, self->step),
                           .x = b->x,
                           .labels = b->labels,
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

static base_status allocate(run_loader *self, int64_t share_max)
{
    int64_t elements;
    if (__builtin_mul_overflow(share_max, self->sample_count, &elements))
        return BASE_FAIL(BASE_USAGE, "a batch of %lld samples of %lld values does not fit into memory",
                         (long long)share_max, (long long)self->sample_count);
    self->indices = BASE_NEW_ARRAY(self->arena, int64_t, share_max);
    self->pixels = BASE_NEW_ARRAY(self->arena, uint8_t, elements);
    if (!self->indices || !self->pixels)
        return BASE_ERROR;
    for (int i = 0; i < (self->background ? BUFFERS : 1); i++) {
        self->buffers[i].x = BASE_NEW_ARRAY(self->arena, float, elements);
        self->buffers[i].labels = BASE_NEW_ARRAY(self->arena, int32_t, share_max);
        if (!self->buffers[i].x || !self->buffers[i].labels)
            return BASE_ERROR;
    }
    if (!self->background)
        self->buffers[1] = self->buffers[0];
    return BASE_OK;
}

base_status run_loader_create(const run_data *data, const ops_table *ops, const run_sampler *sampler, int64_t epoch,
                              int64_t step_in_epoch, int background, run_loader **out)
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
    self->arena = arena;
    self->info = run_data_get_info(data);
    self->ops = ops;
    self->sampler = *sampler;
    self->steps = run_sampler_steps(sampler);
    self->sample_count = base_shape_count(self->info->shape);
    self->background = background != 0;
    BASE_TRY(allocate(self, run_sampler_share_max(sampler)));
    if (self->background)
        BASE_TRY(start_thread(self));
    return run_loader_seek(self, epoch, step_in_epoch);
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
    base_arena *arena = self->arena; /* holds *self */
    base_arena_destroy(&arena);
    *out = NULL;
}

base_status run_loader_next(run_loader *self, run_batch *batch)
{
    /* Without a thread the only buffer is filled when it is asked for; with one, giving a buffer back asks for more. */
    if (!self->background || self->in_hand)
        post(self);
    wait_done(self, self->taken + 1);
    const buffer *b = &self->buffers[self->taken % BUFFERS];
    self->taken++;
    self->in_hand = 1;
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
    for (int i = 0; self->background && i < BUFFERS; i++)
        post(self);
    return BASE_OK;
}
