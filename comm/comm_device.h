/* comm_device.h: a group's slabs in the memory of its device, and the host's waits for the device. Internal to comm. */
#ifndef COMM_DEVICE_H
#define COMM_DEVICE_H

#include "comm_table.h"

/* Local. The slab's data in the memory of the group's device. */
base_status comm_device_slab_open(comm_slab *slab);
void comm_device_slab_close(comm_slab *slab); /* takes a half-built one */

/* Local. Order: `after` takes up what it is given from now on when `before` has done what it was given so far, with
 * `event` as the means. */
base_status comm_device_order(const comm_device *device, base_event *event, base_stream *before, base_stream *after);

/* Local. comm_event_wait. */
base_status comm_device_wait(comm_group *group, base_event *event);

void comm_device_close(comm_group *group); /* of a group without a device: nothing */

#endif
