/* train_observer.h: joins a training to a coordinator: its own, a thread of rank 0, or one that stands alone.
 *
 * Rank 0 finds or starts the coordinator and hands its address and key to the ranks through MPI; every rank starts a
 * sender. coordinator.json in the run's folder lets viewers in while the run lasts. What goes wrong here is a warning:
 * the training goes on unobserved.
 */
#ifndef TRAIN_OBSERVER_H
#define TRAIN_OBSERVER_H

#include "coordinator_key.h"
#include "run_step.h"

typedef struct train_observer train_observer;

/* Collective. `address`: of a coordinator that stands alone (coordinator_key_find), NULL: start one of our own.
 * BASE_USAGE on all ranks when nothing is found under `address`. */
base_status train_observer_create(comm_world *world, const char *address, train_observer **self);
void train_observer_destroy(train_observer **self);

/* For run_train_options. */
run_observer train_observer_hooks(train_observer *self);

#endif
