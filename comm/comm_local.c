/* One rank: every request is done when it is started. */
#include "comm_device.h"
#include "comm_segment.h"
#include "comm_table.h"

static base_status comm_open_local(comm_group *group)
{
    (void)group;
    return BASE_OK;
}

static void comm_close_local(comm_group *group)
{
    (void)group;
}

static base_status comm_slab_open_local(comm_slab *slab)
{
    comm_segment segment;
    if (slab->group->device.table)
        return comm_device_slab_open(slab);
    BASE_TRY(comm_segment_create_private(slab->nbytes, &segment));
    comm_segment_touch(segment.data, slab->nbytes);
    slab->data = segment.data;
    return BASE_OK;
}

static void comm_slab_close_local(comm_slab *slab)
{
    if (slab->group->device.table) {
        comm_device_slab_close(slab);
        return;
    }
    comm_segment segment = {.data = slab->data, .nbytes = slab->nbytes};
    comm_segment_destroy(&segment);
}

static base_status comm_start_local(comm_request *request)
{
    (void)request;
    return BASE_OK;
}

static base_status comm_progress_local(comm_group *group)
{
    (void)group;
    return BASE_OK;
}

static int comm_done_local(const comm_request *request)
{
    (void)request;
    return 1;
}

static base_status comm_wait_local(comm_request *request)
{
    (void)request;
    return BASE_OK;
}

const comm_table comm_table_local = {
    .open = comm_open_local,
    .close = comm_close_local,
    .slab_open = comm_slab_open_local,
    .slab_close = comm_slab_close_local,
    .start = comm_start_local,
    .progress = comm_progress_local,
    .done = comm_done_local,
    .wait = comm_wait_local,
    .captures = 1,
};
