/* base_worker.h: a background thread that runs one job at a time for one owner.
 *
 * The thread blocks all signals and sleeps on a futex between jobs. All functions are called by the owner's thread.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include "base_status.h"

typedef struct base_worker base_worker;

base_status base_worker_create(base_worker **self);
/* Waits for the job under way. */
void base_worker_destroy(base_worker **self);

typedef base_status (*base_worker_job)(void *context);

/* Start `job(context)`; the worker must be idle. Orders what the owner wrote before the job. */
void base_worker_start(base_worker *self, base_worker_job job, void *context);

/* 1: no job is under way; what the last one wrote is visible. */
int base_worker_idle(base_worker *self);

/* Sleep until idle, at most `timeout_ms` (negative: no bound); returns base_worker_idle. */
int base_worker_wait(base_worker *self, int timeout_ms);

/* The status of the last job, its failure recorded as if it had been the caller's. The worker must be idle. */
base_status base_worker_result(base_worker *self);

#endif
