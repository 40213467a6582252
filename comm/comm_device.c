#include "comm_device.h"

#include "comm_pause.h"

base_status comm_device_slab_open(comm_slab *slab)
{
    const comm_device *device = &slab->group->device;
    return device->table->memory_alloc(device->device, slab->nbytes, &slab->data);
}

void comm_device_slab_close(comm_slab *slab)
{
    const comm_device *device = &slab->group->device;
    device->table->memory_free(device->device, &slab->data);
}

base_status comm_device_order(const comm_device *device, base_event *event, base_stream *before, base_stream *after)
{
    BASE_TRY(device->table->event_record(device->device, event, before));
    return device->table->event_wait(device->device, event, after);
}

static base_status wait_for(comm_group *group, base_event *event)
{
    const comm_device *device = &group->device;
    comm_patience patience = comm_group_patience(group);
    if (group->size == 1) /* there is nobody who could be lost */
        patience.timeout_ms = COMM_FOREVER;
    for (comm_pause pause = {0};;) {
        int done = 0;
        BASE_TRY(device->table->event_done(device->device, event, &done));
        if (done)
            return BASE_OK;
        if (group->table->check)
            BASE_TRY(group->table->check(group));
        BASE_TRY(comm_pause_take(&pause, &patience, "what the GPU is doing"));
    }
}

base_status comm_device_wait(comm_group *group, base_event *event)
{
    base_status status = wait_for(group, event);
    if (status != BASE_OK && group->table->give_up)
        group->table->give_up(group);
    return status;
}

void comm_device_close(comm_group *group)
{
    const comm_device *device = &group->device;
    if (device->table && group->event)
        device->table->event_destroy(device->device, &group->event);
}
