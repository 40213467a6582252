/* run_flight.h: the losses of steps on their way back from the device.
 *
 * A device computes behind the host's back. It leaves each step's loss in memory of the host; the host adds up what has
 * come whenever it needs the place, and waits only to be at most RUN_FLIGHT_MAX steps ahead. So memory that the host
 * filled for a step is free again RUN_FLIGHT_MAX steps later. On the host everything has come when it was given. Local;
 * waits have the bound of the group.
 */
#ifndef RUN_FLIGHT_H
#define RUN_FLIGHT_H

#include "base_device.h"
#include "comm.h"

#include <stdint.h>

enum { RUN_FLIGHT_MAX = 8 };

typedef struct run_flight run_flight;

typedef struct run_flight_options {
    const base_device_table *device_table;
    base_device *device;
    base_stream *stream;
    comm_group *group;
} run_flight_options;

/* What came back since the last time. */
typedef struct run_flight_sums {
    int64_t steps, samples;
    double loss, correct; /* sums over this rank's samples of all those steps */
    double last_loss;     /* of the last of them alone */
    int64_t bad_step;     /* the first whose loss is not finite; INT64_MAX: none */
} run_flight_sums;

base_status run_flight_create(const run_flight_options *options, run_flight **self);
void run_flight_destroy(run_flight **self);

/* Where the next step leaves {sum of losses, right answers}: memory of the host that the device can write. */
double *run_flight_result(const run_flight *self);

/* Before a step is given: room for it. */
base_status run_flight_room(run_flight *self);

/* All that makes the result of a step over `samples` has been given to the stream. */
base_status run_flight_depart(run_flight *self, int64_t step, int64_t samples);

/* Steps that have departed since the last landing. */
int64_t run_flight_steps(const run_flight *self);

/* Wait for all; what they brought is handed out once. */
base_status run_flight_land(run_flight *self, run_flight_sums *sums);

#endif
