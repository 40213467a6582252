#include "base_pool.h"

#include "base_futex.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct base_pool {
    int nthreads;
    pthread_t *threads; /* nthreads - 1 */
    int started;

    base_pool_task *task;
    void *context;
    int ntasks;
    _Atomic int next;            /* next task to hand out */
    _Atomic uint32_t generation; /* a new one is work */
    _Atomic uint32_t busy;       /* workers that have not finished this generation */
    _Atomic int stop;
};

typedef struct worker_start {
    base_pool *pool;
    int thread;
} worker_start;

static void take_tasks(base_pool *self, int thread)
{
    for (;;) {
        int task = atomic_fetch_add_explicit(&self->next, 1, memory_order_relaxed);
        if (task >= self->ntasks)
            return;
        self->task(self->context, task, self->ntasks, thread);
    }
}

static void *worker_main(void *argument)
{
    worker_start start = *(worker_start *)argument;
    free(argument);
    base_pool *self = start.pool;
    uint32_t seen = 0;
    for (;;) {
        uint32_t now;
        while ((now = atomic_load_explicit(&self->generation, memory_order_acquire)) == seen)
            base_futex_wait(&self->generation, seen, -1);
        seen = now;
        if (atomic_load(&self->stop))
            return NULL;
        take_tasks(self, start.thread);
        if (atomic_fetch_sub_explicit(&self->busy, 1, memory_order_acq_rel) == 1)
            base_futex_wake(&self->busy);
    }
}

base_status base_pool_create(base_pool **out, int nthreads)
{
    base_pool *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for a pool of %d threads", nthreads);
    self->nthreads = nthreads < 1 ? 1 : nthreads;
    self->threads = calloc((size_t)self->nthreads, sizeof *self->threads);
    *out = self;
    if (!self->threads)
        return BASE_FAIL(BASE_ERROR, "out of memory for a pool of %d threads", nthreads);

    /* Signals are the main thread's business. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    for (int i = 0; i + 1 < self->nthreads && rc == 0; i++) {
        worker_start *start = malloc(sizeof *start);
        if (!start) {
            rc = 12; /* ENOMEM */
            break;
        }
        *start = (worker_start){.pool = self, .thread = i + 1};
        rc = pthread_create(&self->threads[i], NULL, worker_main, start);
        if (rc == 0)
            self->started++;
        else
            free(start);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, rc, "cannot start thread %d of %d", self->started + 2, self->nthreads);
    return BASE_OK;
}

void base_pool_destroy(base_pool **out)
{
    base_pool *self = *out;
    if (!self)
        return;
    atomic_store(&self->stop, 1);
    atomic_fetch_add(&self->generation, 1);
    base_futex_wake(&self->generation);
    for (int i = 0; i < self->started; i++)
        pthread_join(self->threads[i], NULL);
    free(self->threads);
    free(self);
    *out = NULL;
}

int base_pool_size(const base_pool *self)
{
    return self->nthreads;
}

void base_pool_run(base_pool *self, int ntasks, base_pool_task *task, void *context)
{
    if (self->started == 0 || ntasks <= 1) {
        for (int i = 0; i < ntasks; i++)
            task(context, i, ntasks, 0);
        return;
    }
    self->task = task;
    self->context = context;
    self->ntasks = ntasks;
    atomic_store_explicit(&self->next, 0, memory_order_relaxed);
    atomic_store_explicit(&self->busy, (uint32_t)self->started, memory_order_relaxed);
    atomic_fetch_add_explicit(&self->generation, 1, memory_order_release);
    base_futex_wake(&self->generation);
    take_tasks(self, 0);
    uint32_t left;
    while ((left = atomic_load_explicit(&self->busy, memory_order_acquire)) != 0)
        base_futex_wait(&self->busy, left, -1);
}

void base_pool_range(int64_t count, int64_t grain, int part, int parts, int64_t *begin, int64_t *end)
{
    int64_t grains = (count + grain - 1) / grain;
    int64_t first = grains * part / parts * grain;
    int64_t last = grains * (part + 1) / parts * grain;
    *begin = first < count ? first : count;
    *end = last < count ? last : count;
}
