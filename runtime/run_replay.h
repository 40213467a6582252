/* run_replay.h: the work of a step as one graph of the device.
 *
 * What a step gives to the device is the same in every step of the same shape but for numbers that lie in device
 * memory. The first step of a shape is given piece by piece, which also lets libraries make themselves ready; the
 * second is captured; from then on the graph is launched. Where the device has no graphs, or the ranks' group cannot be
 * captured, every step is given piece by piece. Collective as the work is: the ranks see the same shapes in the same
 * order.
 */
#ifndef RUN_REPLAY_H
#define RUN_REPLAY_H

#include "base_device.h"

#include <stdint.h>

typedef struct run_replay run_replay;

/* `captures` 0: never. */
base_status run_replay_create(const base_device_table *table, base_device *device, base_stream *stream, int captures,
                              run_replay **self);
void run_replay_destroy(run_replay **self);

/* Gives the work of a step over `count` samples of this rank, `global_count` of all: by `give`, or as it was captured.
 */
base_status run_replay_step(run_replay *self, int64_t count, int64_t global_count, base_status (*give)(void *context),
                            void *context);

int run_replay_captured(const run_replay *self); /* graphs that there are */

#endif
