/* comm_gate.h: a number in shared memory that grows, and on which ranks sleep. Internal to comm. */
#ifndef COMM_GATE_H
#define COMM_GATE_H

#include <stdatomic.h>
#include <stdint.h>

enum { COMM_LINE = 64 }; /* bytes of a cache line: what different ranks write lies in different ones */

typedef struct comm_gate {
    _Alignas(COMM_LINE) _Atomic uint32_t number;
    _Atomic uint32_t sleepers;
} comm_gate;

/* Numbers wrap: is `number` at or behind `wanted`? */
static inline int comm_gate_reached(uint32_t number, uint32_t wanted)
{
    return (int32_t)(number - wanted) >= 0;
}

/* Whatever was written before the gate was opened to a number is seen by who reads that number. */
static inline uint32_t comm_gate_number(comm_gate *self)
{
    return atomic_load_explicit(&self->number, memory_order_acquire);
}

/* Move to `number` and wake who sleeps, if anybody does. */
void comm_gate_open(comm_gate *self, uint32_t number);

/* Sleep while the number is `seen`, at most `timeout_ms`; may return early. */
void comm_gate_sleep(comm_gate *self, uint32_t seen, int timeout_ms);

#endif
