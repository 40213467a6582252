/* coordinator_gate.h: who gets in to a coordinator: a ROUTER under CURVE, whose ZAP handler knows one public key, and
 * the count of those that did not. Private to coordinator_server.
 *
 * Not safe for use by two threads at once; one may make it and another use it.
 */
#ifndef COORDINATOR_GATE_H
#define COORDINATOR_GATE_H

#include "coordinator_handshakes.h"
#include "coordinator_secret.h"

#include <stdint.h>

typedef struct coordinator_gate {
    void *context;
    void *router;  /* messages: route, content */
    void *zap;     /* libzmq's questions: may this key come in? */
    void *monitor; /* what became of handshakes */
    uint8_t member[32];
    coordinator_handshakes handshakes;
} coordinator_gate;

/* Nothing is bound yet; the ZAP handler is there before anything can be. BASE_ERROR on failure. */
base_status coordinator_gate_open(coordinator_gate *self, const coordinator_secret *secret);

/* Its addresses are free then. */
void coordinator_gate_close(coordinator_gate *self);

/* May be called more than once: listen at tcp://HOST:PORT (HOST: a number, a name, * for all interfaces; PORT * for
 * a free one) or ipc://PATH, and add the addresses that this gives to the key's. BASE_USAGE for what is no such
 * address, BASE_ERROR for one that is taken. */
base_status coordinator_gate_bind(coordinator_gate *self, const char *address, coordinator_key *key);

/* Answer what libzmq asks, and count. To be called whenever `zap` or `monitor` has something to read, and now and then
 * else. */
void coordinator_gate_serve(coordinator_gate *self);

#endif
