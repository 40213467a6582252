/* base_pool.h: the host threads of one rank. A call splits work into tasks and returns when all are done.
 *
 * Idle threads sleep on a futex: ranks may outnumber cores, so nobody spins. One caller at a time.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base_status.h"

#include <stdint.h>

typedef struct base_pool base_pool;

/* Task `task` of `ntasks`; run by some thread of the pool. `thread` < base_pool_size: for per-thread scratch. */
typedef void base_pool_task(void *context, int task, int ntasks, int thread);

/* `nthreads` >= 1 counts the caller, so 1 starts no thread and every run is a plain loop. */
base_status base_pool_create(base_pool **self, int nthreads);
void base_pool_destroy(base_pool **self);
int base_pool_size(const base_pool *self);

/* Run tasks 0 .. ntasks - 1; the caller takes part. Tasks are handed out one by one, in order. */
void base_pool_run(base_pool *self, int ntasks, base_pool_task *task, void *context);

/* Part `part` of `parts` of 0 .. count - 1, cut at multiples of `grain`: [*begin, *end), empty for surplus parts. */
void base_pool_range(int64_t count, int64_t grain, int part, int parts, int64_t *begin, int64_t *end);

#endif
