/* base_futex.h: sleep until a word changes. Words may lie in memory shared between processes. */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleep while *word == seen, at most `timeout_ms` (negative: no bound). Returns 0 when woken or the word had changed
 * already (spurious returns happen: test the word again), 1 when the time was up. */
int base_futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms);

/* Wake all who sleep on `word`. Store the new value first. */
void base_futex_wake(_Atomic uint32_t *word);

#endif
