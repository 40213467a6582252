#include "comm_gate.h"

#include "base_futex.h"

/* Either the sleeper is seen here, or it sees the new number: both sides store before they load, sequentially
 * consistent. */
void comm_gate_open(comm_gate *self, uint32_t number)
{
    atomic_store(&self->number, number);
    if (atomic_load(&self->sleepers))
        base_futex_wake(&self->number);
}

void comm_gate_sleep(comm_gate *self, uint32_t seen, int timeout_ms)
{
    atomic_fetch_add(&self->sleepers, 1);
    if (atomic_load(&self->number) == seen)
        base_futex_wait(&self->number, seen, timeout_ms);
    atomic_fetch_sub(&self->sleepers, 1);
}
