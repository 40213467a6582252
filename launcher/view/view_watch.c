#include "view_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PERIOD_MS = 1000 };

struct view_watch {
    const view_source *source;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;  /* to stop */
    int stop, fds[2];
    coordinator_view newest;
    int fresh; /* newest was not yet taken */
    double since;
    view_watch_state state; /* silent_s is made on demand */
};

static void wait_period(view_watch *self)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PERIOD_MS / 1000;
    while (!self->stop && pthread_cond_timedwait(&self->wake, &self->lock, &until) != ETIMEDOUT)
        ;
}

static void note(view_watch *self, base_status status, coordinator_view *answer)
{
    if (status == BASE_OK) {
        coordinator_view_clear(&self->newest);
        self->newest = *answer;
        *answer = (coordinator_view){0};
        self->fresh = 1;
        self->since = base_time_now();
        self->state.since = time(NULL);
        self->state.answered++;
        self->state.failure[0] = '\0';
    } else {
        snprintf(self->state.failure, sizeof self->state.failure, "%s", base_status_message());
    }
    if (write(self->fds[1], "", 1) < 0) /* the pipe is full: whoever reads it has something to read */
        return;
}

static void *ask(void *context)
{
    view_watch *self = context;
    coordinator_view answer = {0};
    pthread_mutex_lock(&self->lock);
    while (!self->stop) {
        pthread_mutex_unlock(&self->lock);
        base_status status = self->source->get(self->source->context, &answer);
        pthread_mutex_lock(&self->lock);
        note(self, status, &answer);
        wait_period(self);
    }
    pthread_mutex_unlock(&self->lock);
    coordinator_view_clear(&answer);
    return NULL;
}

static int start_thread(view_watch *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, NULL, ask, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void destroy(view_watch **self)
{
    close((*self)->fds[0]);
    close((*self)->fds[1]);
    pthread_cond_destroy(&(*self)->wake);
    pthread_mutex_destroy(&(*self)->lock);
    coordinator_view_clear(&(*self)->newest);
    free(*self);
    *self = NULL;
}

base_status view_watch_start(const view_source *source, view_watch **self)
{
    pthread_condattr_t monotonic;
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "not enough memory to watch a run");
    if (pipe2((*self)->fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        int why = errno;
        free(*self);
        *self = NULL;
        return BASE_FAIL_ERRNO(BASE_ERROR, why, "cannot make a pipe");
    }
    (*self)->source = source;
    (*self)->since = base_time_now();
    (*self)->state.since = time(NULL);
    pthread_mutex_init(&(*self)->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&(*self)->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = start_thread(*self);
    if (!failed)
        return BASE_OK;
    destroy(self);
    return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot start a thread that asks the coordinator");
}

void view_watch_stop(view_watch **self)
{
    if (!*self)
        return;
    pthread_mutex_lock(&(*self)->lock);
    (*self)->stop = 1;
    pthread_cond_signal(&(*self)->wake);
    pthread_mutex_unlock(&(*self)->lock);
    pthread_join((*self)->thread, NULL);
    destroy(self);
}

int view_watch_fd(const view_watch *self)
{
    return self->fds[0];
}

int view_watch_take(view_watch *self, coordinator_view *view, view_watch_state *state)
{
    char bytes[64];
    while (read(self->fds[0], bytes, sizeof bytes) > 0)
        ;
    pthread_mutex_lock(&self->lock);
    int fresh = self->fresh;
    if (fresh) {
        coordinator_view_clear(view);
        *view = self->newest;
        self->newest = (coordinator_view){0};
        self->fresh = 0;
    }
    *state = self->state;
    state->silent_s = base_time_now() - self->since;
    pthread_mutex_unlock(&self->lock);
    return fresh;
}
