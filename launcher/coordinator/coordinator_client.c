#include "coordinator_client.h"

#include "base_time.h"
#include "coordinator_socket.h"
#include "telemetry_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

struct coordinator_client {
    void *context, *socket, *monitor;
    char address[COORDINATOR_ADDRESS_TEXT];
    uint64_t asked; /* queries so far, which are numbered from 1 */
    int refused;    /* the last handshake failed */
};

/* Watched from before it connects: one that is refused does not try again. */
static base_status open_sockets(coordinator_client *self, const coordinator_key *key)
{
    const char *address;
    BASE_TRY(coordinator_context_create(&self->context));
    BASE_TRY(coordinator_socket_create_member(self->context, &self->socket));
    BASE_TRY(coordinator_socket_watch(self->context, self->socket,
                                      ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                          ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
                                      &self->monitor));
    BASE_TRY(coordinator_socket_join(self->socket, key, &address));
    snprintf(self->address, sizeof self->address, "%s", address);
    return BASE_OK;
}

base_status coordinator_client_open(const coordinator_key *key, coordinator_client **out)
{
    coordinator_client *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the connection to the coordinator");
    base_status status = open_sockets(self, key);
    if (status != BASE_OK)
        coordinator_client_close(&self);
    *out = self;
    return status;
}

void coordinator_client_close(coordinator_client **out)
{
    coordinator_client *self = *out;
    if (!self)
        return;
    if (self->monitor)
        coordinator_socket_unwatch(self->socket);
    coordinator_socket_close(&self->socket);
    coordinator_socket_close(&self->monitor);
    coordinator_context_destroy(&self->context);
    free(self);
    *out = NULL;
}

const char *coordinator_client_address(const coordinator_client *self)
{
    return self->address;
}

/* 1 as soon as the socket is ready for `events`, 0 when the time is up. A signal is no reason to stop. */
static int wait_for(coordinator_client *self, short events, double end)
{
    for (;;) {
        zmq_pollitem_t item = {.socket = self->socket, .events = events};
        double left = end - base_time_now();
        if (zmq_poll(&item, 1, left > 0.0 ? (long)(1e3 * left) + 1 : 0) > 0)
            return 1;
        if (left <= 0.0)
            return 0;
    }
}

static base_status send_query(coordinator_client *self, const coordinator_query *query, double end, int *sent)
{
    telemetry_message message = {.kind = TELEMETRY_QUERY, .query = {.id = ++self->asked, .ranks = query->ranks}};
    size_t nbytes = 0;
    if (query->run_id && (strlen(query->run_id) != 32 || strspn(query->run_id, "0123456789abcdef") != 32))
        return BASE_FAIL(BASE_USAGE, "'%s' is no run: it must be 32 hexadecimal digits", query->run_id);
    snprintf(message.query.run_id, sizeof message.query.run_id, "%s", query->run_id ? query->run_id : "");
    uint8_t *bytes = telemetry_wire_pack(&message, &nbytes);
    if (!bytes)
        return BASE_FAIL(BASE_ERROR, "out of memory for a question to the coordinator");
    *sent = wait_for(self, ZMQ_POLLOUT, end) && zmq_send(self->socket, bytes, nbytes, ZMQ_DONTWAIT) == (int)nbytes;
    free(bytes);
    return BASE_OK;
}

/* 1 with the answer to the last question; those to earlier ones came too late. */
static int receive(coordinator_client *self, coordinator_view *view)
{
    zmq_msg_t content;
    uint64_t id = 0;
    int good = 0;
    zmq_msg_init(&content);
    if (zmq_msg_recv(&content, self->socket, ZMQ_DONTWAIT) >= 0)
        good = telemetry_wire_unpack_state(zmq_msg_data(&content), zmq_msg_size(&content), &id, view);
    zmq_msg_close(&content);
    if (good && id == self->asked)
        return 1;
    coordinator_view_clear(view);
    return 0;
}

static base_status no_answer(coordinator_client *self, int timeout_ms)
{
    int value;
    while (coordinator_socket_event(self->monitor, &value))
        self->refused = 1;
    if (self->refused)
        return BASE_FAIL(
            BASE_PEER,
            "whoever listens at %s does not take our key: the coordinator has been started anew with other "
            "keys, or another program is there",
            self->address);
    return BASE_FAIL(BASE_PEER,
                     "no answer from a coordinator at %s within %.1f s: is the run, or `ddpt coordinator`, "
                     "still there, and can this host reach it?",
                     self->address, 1e-3 * timeout_ms);
}

base_status coordinator_client_query(coordinator_client *self, const coordinator_query *query, int timeout_ms,
                                     coordinator_view *view)
{
    double end = base_time_now() + 1e-3 * timeout_ms;
    int sent = 0;
    coordinator_view_clear(view);
    BASE_TRY(send_query(self, query, end, &sent));
    while (sent && wait_for(self, ZMQ_POLLIN, end)) {
        if (!receive(self, view))
            continue;
        self->refused = 0;
        return BASE_OK;
    }
    return no_answer(self, timeout_ms);
}
