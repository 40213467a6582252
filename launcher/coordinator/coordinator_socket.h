/* coordinator_socket.h: libzmq as this folder uses it: a context for each side, CURVE on every socket. Private to
 * launcher/coordinator.
 */
#ifndef COORDINATOR_SOCKET_H
#define COORDINATOR_SOCKET_H

#include "coordinator_key.h"

/* A context with all signals blocked in its threads. Destroyed after its sockets: that waits for what sockets that
 * linger still have to send, and when it returns every address is free again. BASE_ERROR where libzmq was built without
 * CURVE. Takes NULL. */
base_status coordinator_context_create(void **context);
void coordinator_context_destroy(void **context);

typedef struct coordinator_socket_option {
    int name, value;
} coordinator_socket_option;

/* BASE_ERROR on failure. */
base_status coordinator_socket_create(void *context, int type, const coordinator_socket_option *options, int count,
                                      void **socket);

/* A member's socket (DEALER). It queues messages only while it is connected, and few of them. */
base_status coordinator_socket_create_member(void *context, void **socket);

/* Connects it to the address that coordinator_key_choose names, which goes to *address if that is not NULL. Does not
 * wait for the connection. BASE_USAGE for an address or a key that is none. */
base_status coordinator_socket_join(void *socket, const coordinator_key *key, const char **address);

/* Drops what was not sent. Takes NULL. */
void coordinator_socket_close(void **socket);

/* Report `events` (zmq_socket_monitor) of `socket` to *monitor, a new socket. One a context. BASE_ERROR on failure. */
base_status coordinator_socket_watch(void *context, void *socket, int events, void **monitor);

/* Before `socket` is closed: libzmq loses the memory of events that it reports to a monitor that is gone. */
void coordinator_socket_unwatch(void *socket);

/* The next event, 0 if there is none; *value as of zmq_socket_monitor. Does not wait. */
int coordinator_socket_event(void *monitor, int *value);

#endif
