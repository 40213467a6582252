#include "base_device.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGNMENT = 256 };

struct base_device {
    int index;
};

/* Streams and events carry no state on the host; callers still hold one of each, so there must be an address. */
struct base_stream {
    int unused;
};
struct base_event {
    int unused;
};

static base_stream host_stream;
static base_event host_event;

static base_status open_host(base_device **self, int index)
{
    *self = calloc(1, sizeof **self);
    if (!*self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the host device");
    (*self)->index = index;
    return BASE_OK;
}

static void close_host(base_device **self)
{
    free(*self);
    *self = NULL;
}

static void info_host(const base_device *self, base_device_info *info)
{
    *info = (base_device_info){.kind = BASE_DEVICE_HOST, .name = "cpu", .index = self->index};
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        info->memory_bytes = (size_t)pages * (size_t)page;

    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(info->name, sizeof info->name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

static base_status attach_host(base_device *self)
{
    (void)self;
    return BASE_OK;
}

static base_status alloc_host(base_device *self, size_t nbytes, void **memory)
{
    (void)self;
    size_t rounded = nbytes < SIZE_MAX - ALIGNMENT ? (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : 0;
    *memory = rounded || nbytes == 0 ? aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT) : NULL;
    if (!*memory)
        return BASE_FAIL(BASE_ERROR, "out of memory: %zu bytes of host memory", nbytes);
    memset(*memory, 0, rounded);
    return BASE_OK;
}

static void free_host(base_device *self, void **memory)
{
    (void)self;
    free(*memory);
    *memory = NULL;
}

static base_status register_host(base_device *self, void *memory, size_t nbytes)
{
    (void)self;
    (void)memory;
    (void)nbytes;
    return BASE_OK;
}

static void unregister_host(base_device *self, void *memory)
{
    (void)self;
    (void)memory;
}

static base_status copy_host(base_device *self, base_stream *stream, void *to, const void *from, size_t nbytes)
{
    (void)self;
    (void)stream;
    memcpy(to, from, nbytes);
    return BASE_OK;
}

static base_status zero_host(base_device *self, base_stream *stream, void *memory, size_t nbytes)
{
    (void)self;
    (void)stream;
    memset(memory, 0, nbytes);
    return BASE_OK;
}

static base_status stream_create_host(base_device *self, base_stream **stream)
{
    (void)self;
    *stream = &host_stream;
    return BASE_OK;
}

static void stream_destroy_host(base_device *self, base_stream **stream)
{
    (void)self;
    *stream = NULL;
}

static base_status stream_wait_host(base_device *self, base_stream *stream)
{
    (void)self;
    (void)stream;
    return BASE_OK;
}

static base_status event_create_host(base_device *self, base_event **event)
{
    (void)self;
    *event = &host_event;
    return BASE_OK;
}

static void event_destroy_host(base_device *self, base_event **event)
{
    (void)self;
    *event = NULL;
}

static base_status event_order_host(base_device *self, base_event *event, base_stream *stream)
{
    (void)self;
    (void)event;
    (void)stream;
    return BASE_OK;
}

static base_status event_done_host(base_device *self, base_event *event, int *done)
{
    (void)self;
    (void)event;
    *done = 1;
    return BASE_OK;
}

const base_device_table base_device_host = {
    .name = "cpu",
    .open = open_host,
    .close = close_host,
    .info = info_host,
    .thread_attach = attach_host,
    .memory_alloc = alloc_host,
    .memory_free = free_host,
    .host_alloc = alloc_host,
    .host_free = free_host,
    .host_register = register_host,
    .host_unregister = unregister_host,
    .copy = copy_host,
    .zero = zero_host,
    .stream_create = stream_create_host,
    .stream_destroy = stream_destroy_host,
    .stream_wait = stream_wait_host,
    .event_create = event_create_host,
    .event_destroy = event_destroy_host,
    .event_record = event_order_host,
    .event_wait = event_order_host,
    .event_done = event_done_host,
};
