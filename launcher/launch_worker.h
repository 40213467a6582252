/* launch_worker.h: a worker's side of `ddpt launch` (launch_message.h). All functions do nothing, and the last returns
 * 0, in a process that was not started so. */
#ifndef LAUNCH_WORKER_H
#define LAUNCH_WORKER_H

#include "comm.h"

/* First of all in main. BASE_PEER: the launcher is gone. From here on the process ends when the launcher does. */
base_status launch_worker_begin(void);

/* The MPI job is open: takes the cores that the launcher has for this worker, for all threads that there are and will
 * be. */
void launch_worker_join(const comm_world_info *info);

/* Rank 0: where the run keeps its checkpoints. */
void launch_worker_tell_folder(const char *folder);

/* 1: the launcher knows how this process ends, and prints its message. */
int launch_worker_tell_end(base_status status, const char *message);

#endif
