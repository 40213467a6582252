#include "base_worker.h"

#include "base_futex.h"
#include "base_time.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE, BUSY, ENDING };

struct base_worker {
    pthread_t thread;
    _Atomic uint32_t state;
    base_worker_job job;
    void *context;
    base_status status;
    char message[2048]; /* of the job's failure, as long as base_status keeps one */
};

static void set_state(base_worker *self, uint32_t state)
{
    atomic_store_explicit(&self->state, state, memory_order_release);
    base_futex_wake(&self->state);
}

static void *work(void *argument)
{
    base_worker *self = argument;
    for (;;) {
        switch (atomic_load_explicit(&self->state, memory_order_acquire)) {
        case IDLE: base_futex_wait(&self->state, IDLE, -1); break;
        case ENDING: return NULL;
        default:
            base_status_clear();
            self->status = self->job(self->context);
            snprintf(self->message, sizeof self->message, "%s", base_status_message());
            set_state(self, IDLE);
        }
    }
}

base_status base_worker_create(base_worker **out)
{
    base_worker *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for a background thread");
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, NULL, work, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(self);
        return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot start a background thread");
    }
    *out = self;
    return BASE_OK;
}

void base_worker_destroy(base_worker **out)
{
    base_worker *self = *out;
    if (!self)
        return;
    base_worker_wait(self, -1);
    set_state(self, ENDING);
    pthread_join(self->thread, NULL);
    free(self);
    *out = NULL;
}

void base_worker_start(base_worker *self, base_worker_job job, void *context)
{
    self->job = job;
    self->context = context;
    set_state(self, BUSY);
}

int base_worker_idle(base_worker *self)
{
    return atomic_load_explicit(&self->state, memory_order_acquire) == IDLE;
}

int base_worker_wait(base_worker *self, int timeout_ms)
{
    double end = base_time_now() + 1e-3 * timeout_ms;
    while (!base_worker_idle(self)) {
        double left = timeout_ms < 0 ? 1.0 : end - base_time_now();
        if (left <= 0.0)
            return 0;
        base_futex_wait(&self->state, BUSY, timeout_ms < 0 ? -1 : (int)(1e3 * left) + 1);
    }
    return 1;
}

base_status base_worker_result(base_worker *self)
{
    return self->status == BASE_OK ? BASE_OK : BASE_FAIL(self->status, "%s", self->message);
}
