#include "telemetry_sender.h"

#include "base_log.h"
#include "coordinator_socket.h"
#include "telemetry_gather.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

/* A look at the rank's progress, and a new try where a summary could not leave. */
enum { LOOK_MS = 100 };

/* The step loop gets so long to leave by itself when a peer is lost, and rank 0 to write the record: the one that hangs
 * takes all with it. Longer than whoever else waits for rank 0 (run_train.c), and short enough for an end within two
 * seconds of the timeout. */
#define LEAVE_S 1.5

struct telemetry_sender {
    telemetry_gather gather;
    char run_id[33];
    double interval; /* between summaries */
    void *context, *socket;
    int wake; /* eventfd: written to when stopping */
    atomic_int stopping;
    pthread_t thread;

    double leave_by; /* 0: no peer is lost */

    base_status status; /* how the run ended; set before stopping */
    char message[TELEMETRY_REASON_TEXT];
    int linger_ms;
};

/* ---- to the coordinator ---- */

static int can_send(telemetry_sender *self)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT);
}

/* 0: it could not leave. */
static int send_summary(telemetry_sender *self)
{
    size_t nbytes = 0;
    if (!can_send(self))
        return 0;
    uint8_t *bytes = telemetry_wire_pack(telemetry_gather_take(&self->gather, base_time_now()), &nbytes);
    int sent = bytes && zmq_send(self->socket, bytes, nbytes, ZMQ_DONTWAIT) >= 0;
    free(bytes);
    if (sent)
        telemetry_gather_sent(&self->gather);
    return sent;
}

/* Not after linger_ms from now. */
static void send_last(telemetry_sender *self)
{
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLOUT};
    double end = base_time_now() + 1e-3 * self->linger_ms;
    telemetry_gather_look(&self->gather, base_time_now());
    telemetry_gather_end(&self->gather, self->status, self->message);
    zmq_poll(&item, 1, self->linger_ms);
    int linger = 0;
    if (send_summary(self))
        linger = (int)(1e3 * (end - base_time_now()));
    linger = linger > 0 ? linger : 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(self->socket);
    self->socket = NULL;
}

/* ---- from the coordinator ---- */

static void take_end(telemetry_sender *self, const telemetry_end *end)
{
    if (self->leave_by > 0.0 || strcmp(end->run_id, self->run_id) != 0)
        return;
    self->leave_by = base_time_now() + LEAVE_S;
    /* Not by way of the step loop, which may hang: the first rank that leaves takes all others with it. */
    if (end->speak)
        BASE_RANK_ERROR("%s", end->reason);
    base_alarm_raise(run_monitor_alarm(self->gather.monitor), end->reason);
}

static void receive(telemetry_sender *self)
{
    zmq_msg_t content;
    telemetry_message message;
    zmq_msg_init(&content);
    while (zmq_msg_recv(&content, self->socket, ZMQ_DONTWAIT) >= 0)
        if (telemetry_wire_unpack(zmq_msg_data(&content), zmq_msg_size(&content), &message) &&
            message.kind == TELEMETRY_END)
            take_end(self, &message.end);
    zmq_msg_close(&content);
}

/* ---- the thread ---- */

static void *work(void *argument)
{
    telemetry_sender *self = argument;
    zmq_pollitem_t items[] = {{.socket = self->socket, .events = ZMQ_POLLIN}, {.fd = self->wake, .events = ZMQ_POLLIN}};
    double due = 0.0;
    pthread_setname_np(pthread_self(), "ddpt-telemetry"); /* as top -H shows it */
    while (!atomic_load_explicit(&self->stopping, memory_order_acquire)) {
        double now = base_time_now();
        int urgent = telemetry_gather_look(&self->gather, now);
        if (urgent)
            due = now;
        if (now >= due && send_summary(self))
            due = urgent || now - due > self->interval ? now + self->interval : due + self->interval;
        if (self->leave_by > 0.0 && now >= self->leave_by)
            _exit(BASE_PEER); /* the step loop hangs in something that does not see the alarm */
        zmq_poll(items, sizeof items / sizeof *items, LOOK_MS);
        receive(self);
    }
    send_last(self);
    return NULL;
}

/* ---- start and stop ---- */

static base_status open_all(telemetry_sender *self, const telemetry_sender_options *options)
{
    uint64_t process;
    if (getrandom(&process, sizeof process, 0) != (ssize_t)sizeof process)
        return BASE_FAIL(BASE_ERROR, "the system gives no random numbers for a connection to the coordinator");
    telemetry_gather_start(&self->gather, options->run, options->run_id, options->monitor, process | 1,
                           base_time_now());
    self->wake = eventfd(0, EFD_CLOEXEC);
    if (self->wake < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot start the sender of telemetry");
    BASE_TRY(coordinator_context_create(&self->context));
    BASE_TRY(coordinator_socket_create_member(self->context, &self->socket));
    return coordinator_socket_join(self->socket, options->coordinator, NULL);
}

static base_status start_thread(telemetry_sender *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, NULL, work, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot start the sender of telemetry") : BASE_OK;
}

/* The thread has ended, or never was. */
static void close_all(telemetry_sender *self)
{
    coordinator_socket_close(&self->socket);
    coordinator_context_destroy(&self->context);
    if (self->wake >= 0)
        close(self->wake);
    free(self);
}

base_status telemetry_sender_start(const telemetry_sender_options *options, telemetry_sender **out)
{
    *out = NULL;
    telemetry_sender *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the sender of telemetry");
    self->wake = -1;
    self->interval = telemetry_interval(options->run->stall_timeout);
    snprintf(self->run_id, sizeof self->run_id, "%s", options->run_id);
    base_status status = open_all(self, options);
    if (status == BASE_OK)
        status = start_thread(self);
    if (status != BASE_OK) {
        close_all(self);
        return status;
    }
    *out = self;
    return BASE_OK;
}

void telemetry_sender_stop(telemetry_sender **out, base_status status, int linger_ms)
{
    telemetry_sender *self = *out;
    uint64_t one = 1;
    if (!self)
        return;
    self->status = status;
    self->linger_ms = linger_ms;
    snprintf(self->message, sizeof self->message, "%s", status == BASE_OK ? "" : base_status_message());
    atomic_store_explicit(&self->stopping, 1, memory_order_release);
    if (write(self->wake, &one, sizeof one) < 0)
        one = 0; /* the thread sees `stopping` when it looks next */
    pthread_join(self->thread, NULL);
    close_all(self);
    *out = NULL;
}
