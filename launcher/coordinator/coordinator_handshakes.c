#include "coordinator_handshakes.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

const int coordinator_handshakes_events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                                          ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                          ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

static void open_one(coordinator_handshakes *self, int file, double now)
{
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 16;
        coordinator_handshake *open = realloc(self->open, room * sizeof *open);
        if (!open)
            return; /* then it counts as old */
        self->open = open;
        self->room = room;
    }
    self->open[self->count++] = (coordinator_handshake){.file = file, .since = now};
}

static void remove_first(coordinator_handshakes *self, size_t index, size_t count)
{
    self->count -= count;
    memmove(&self->open[index], &self->open[index + count], (self->count - index) * sizeof *self->open);
}

static void close_one(coordinator_handshakes *self, int file)
{
    int failed = self->failed;
    self->failed = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (self->open[i].file != file)
            continue;
        remove_first(self, i, 1);
        self->closed += !failed;
        return;
    }
}

/* More have closed than can have succeeded. When none is open, those that closed have had all successes there were. */
static void count_refused(coordinator_handshakes *self)
{
    if (self->closed > self->successes) {
        self->refused += (uint64_t)(self->closed - (self->successes > 0 ? self->successes : 0));
        self->closed = self->successes > 0 ? self->successes : 0;
    }
    if (self->count == 0)
        self->closed = self->successes = 0;
}

void coordinator_handshakes_settle(coordinator_handshakes *self, double now)
{
    size_t old = 0;
    while (old < self->count && now - self->open[old].since > self->longest)
        old++;
    if (old > 0) {
        remove_first(self, 0, old);
        self->successes -= (int64_t)old;
    }
    count_refused(self);
}

void coordinator_handshakes_take(coordinator_handshakes *self, int event, int value, double now)
{
    switch (event) {
    case ZMQ_EVENT_ACCEPTED: open_one(self, value, now); break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: self->successes++; break;
    case ZMQ_EVENT_DISCONNECTED: close_one(self, value); break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        self->refused++;
        self->failed = 1;
        break;
    default: break;
    }
    coordinator_handshakes_settle(self, now);
}

void coordinator_handshakes_clear(coordinator_handshakes *self)
{
    free(self->open);
    *self = (coordinator_handshakes){.longest = self->longest};
}
