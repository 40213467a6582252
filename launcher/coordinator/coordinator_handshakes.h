/* coordinator_handshakes.h: how many connections ended before they had shown the key, from libzmq's monitor events.
 * Private to coordinator_gate.
 *
 * libzmq tells of a connection that was accepted and closed by its file, of a handshake that succeeded or failed
 * without it, and of some handshakes, as those with programs that do not speak ZMTP at all, nothing. So a connection
 * that closes without a word may have been a member's; what is not clear at once is as soon as all connections that
 * were open then are older than a handshake may take.
 */
#ifndef COORDINATOR_HANDSHAKES_H
#define COORDINATOR_HANDSHAKES_H

#include <stddef.h>
#include <stdint.h>

/* Those that are needed here. */
extern const int coordinator_handshakes_events;

typedef struct coordinator_handshake {
    int file;
    double since;
} coordinator_handshake;

/* Starts as {.longest = ...}. */
typedef struct coordinator_handshakes {
    double longest; /* s: a handshake that takes longer fails */
    uint64_t refused;
    int64_t successes; /* whose connection is not known: of `open` and `closed` ... */
    int64_t closed;    /* ... and connections that closed without a word, one of which each may have been */
    int failed;        /* the next that closes is one that has been counted */
    size_t count, room;
    coordinator_handshake *open; /* younger than `longest`, in the order of their coming */
} coordinator_handshakes;

/* An event as of zmq_socket_monitor at the time `now`, in s. */
void coordinator_handshakes_take(coordinator_handshakes *self, int event, int value, double now);

/* Time has passed. */
void coordinator_handshakes_settle(coordinator_handshakes *self, double now);

void coordinator_handshakes_clear(coordinator_handshakes *self);

#endif
