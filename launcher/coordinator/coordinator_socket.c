#include "coordinator_socket.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <zmq.h>

/* ---- the context ---- */

/* Its threads start with the first socket, and inherit the mask of the thread that makes that. */
base_status coordinator_context_create(void **context)
{
    sigset_t all, before;
    *context = NULL;
    if (!zmq_has("curve"))
        return BASE_FAIL(BASE_ERROR, "libzmq was built without CURVE (libsodium), without which a coordinator lets "
                                     "nobody in; train --no-coordinator does without");
    void *created = zmq_ctx_new();
    if (!created)
        return BASE_FAIL(BASE_ERROR, "cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    void *first = zmq_socket(created, ZMQ_PAIR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!first) {
        base_status status = BASE_FAIL(BASE_ERROR, "cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
        zmq_ctx_term(created);
        return status;
    }
    zmq_close(first);
    *context = created;
    return BASE_OK;
}

void coordinator_context_destroy(void **context)
{
    if (!*context)
        return;
    while (zmq_ctx_term(*context) != 0 && zmq_errno() == EINTR)
        continue;
    *context = NULL;
}

/* ---- sockets ---- */

static base_status set_text(void *socket, int option, const char *text, const char *what)
{
    if (zmq_setsockopt(socket, option, text, strlen(text)) != 0)
        return BASE_FAIL(BASE_USAGE, "the coordinator's %s is no CURVE key", what);
    return BASE_OK;
}

base_status coordinator_socket_create(void *context, int type, const coordinator_socket_option *options, int count,
                                      void **out)
{
    void *socket = zmq_socket(context, type);
    if (!socket)
        return BASE_FAIL(BASE_ERROR, "cannot make a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    for (int i = 0; i < count; i++) {
        if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof options[i].value) == 0)
            continue;
        base_status status = BASE_FAIL(BASE_ERROR, "cannot set option %d of a ZeroMQ socket to %d: %s", options[i].name,
                                       options[i].value, zmq_strerror(zmq_errno()));
        zmq_close(socket);
        return status;
    }
    *out = socket;
    return BASE_OK;
}

void coordinator_socket_close(void **socket)
{
    static const int none = 0;
    if (!*socket)
        return;
    zmq_setsockopt(*socket, ZMQ_LINGER, &none, sizeof none);
    zmq_close(*socket);
    *socket = NULL;
}

/* A summary that cannot leave soon is worth less than the next one. A connection whose other end is gone without a word
 * is given up after HEARTBEAT_MS and HEARTBEAT_WAIT_MS. */
enum { QUEUE = 4, RECONNECT_MS = 100, RECONNECT_MAX_MS = 2000, HEARTBEAT_MS = 5000, HEARTBEAT_WAIT_MS = 15000 };

static const coordinator_socket_option member_options[] = {{ZMQ_LINGER, 0},
                                                           {ZMQ_SNDHWM, QUEUE},
                                                           {ZMQ_RCVHWM, QUEUE},
                                                           {ZMQ_IMMEDIATE, 1},
                                                           {ZMQ_RECONNECT_IVL, RECONNECT_MS},
                                                           {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
                                                           {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
                                                           {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_WAIT_MS}};

base_status coordinator_socket_create_member(void *context, void **socket)
{
    return coordinator_socket_create(context, ZMQ_DEALER, member_options,
                                     sizeof member_options / sizeof *member_options, socket);
}

base_status coordinator_socket_join(void *socket, const coordinator_key *key, const char **address)
{
    const char *chosen = coordinator_key_choose(key);
    if (!chosen)
        return BASE_FAIL(BASE_USAGE, "the coordinator has no address");
    BASE_TRY(set_text(socket, ZMQ_CURVE_SERVERKEY, key->server_public, "server_public"));
    BASE_TRY(set_text(socket, ZMQ_CURVE_PUBLICKEY, key->member_public, "member_public"));
    BASE_TRY(set_text(socket, ZMQ_CURVE_SECRETKEY, key->member_secret, "member_secret"));
    if (zmq_connect(socket, chosen) != 0)
        return BASE_FAIL(BASE_USAGE, "'%s' is no address of a coordinator: %s", chosen, zmq_strerror(zmq_errno()));
    if (address)
        *address = chosen;
    return BASE_OK;
}

/* ---- events ---- */

#define MONITOR "inproc://monitor"

base_status coordinator_socket_watch(void *context, void *socket, int events, void **monitor)
{
    static const coordinator_socket_option unbounded = {ZMQ_RCVHWM, 0}; /* else the I/O thread would wait for us */
    BASE_TRY(coordinator_socket_create(context, ZMQ_PAIR, &unbounded, 1, monitor));
    if (zmq_socket_monitor(socket, MONITOR, events) == 0 && zmq_connect(*monitor, MONITOR) == 0)
        return BASE_OK;
    base_status status = BASE_FAIL(BASE_ERROR, "cannot watch a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    coordinator_socket_close(monitor);
    return status;
}

void coordinator_socket_unwatch(void *socket)
{
    zmq_socket_monitor(socket, NULL, 0);
}

int coordinator_socket_event(void *monitor, int *value)
{
    uint8_t bytes[6], address[1];
    uint16_t event = 0;
    uint32_t number = 0;
    if (zmq_recv(monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) != sizeof bytes)
        return 0;
    zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT); /* cut: nobody needs it */
    memcpy(&event, bytes, sizeof event);
    memcpy(&number, bytes + sizeof event, sizeof number);
    *value = (int)number;
    return event;
}
