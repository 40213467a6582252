/* base_device.h: where tensors live. One const table a kind of device; chosen once at start.
 *
 * Order: work given to a stream runs in the order given; different streams are ordered by events alone. On the host
 * every call has finished when it returns, so streams and events cost nothing there.
 * All calls are Local. A failure leaves the device usable only for close. A thread other than the one that opened the
 * device calls thread_attach first.
 */
#ifndef BASE_DEVICE_H
#define BASE_DEVICE_H

#include "base_status.h"

#include <stddef.h>

typedef struct base_device base_device;
typedef struct base_stream base_stream;
typedef struct base_event base_event;
typedef struct base_graph base_graph; /* work of a stream that can be given again as one */

typedef enum base_device_kind { BASE_DEVICE_HOST, BASE_DEVICE_GPU } base_device_kind;

typedef struct base_device_info {
    base_device_kind kind;
    char name[128];      /* "AMD EPYC 9454" */
    size_t memory_bytes; /* 0: unknown */
    int index;           /* of a GPU on its node */
} base_device_info;

typedef struct base_device_table {
    const char *name; /* "cpu", "cuda", "hip" */

    base_status (*open)(base_device **self, int index);
    void (*close)(base_device **self);
    void (*info)(const base_device *self, base_device_info *info);
    base_status (*thread_attach)(base_device *self);

    /* Device memory, zeroed, aligned to 256 bytes. */
    base_status (*memory_alloc)(base_device *self, size_t nbytes, void **memory);
    void (*memory_free)(base_device *self, void **memory);
    /* Host memory from which copies run beside the host (pinned); plain memory on the host. */
    base_status (*host_alloc)(base_device *self, size_t nbytes, void **memory);
    void (*host_free)(base_device *self, void **memory);
    /* The same for memory that is somebody else's, until host_unregister. Copies work without it too, only slower. */
    base_status (*host_register)(base_device *self, void *memory, size_t nbytes);
    void (*host_unregister)(base_device *self, void *memory);

    /* Any direction; the addresses tell. */
    base_status (*copy)(base_device *self, base_stream *stream, void *to, const void *from, size_t nbytes);
    base_status (*zero)(base_device *self, base_stream *stream, void *memory, size_t nbytes);

    base_status (*stream_create)(base_device *self, base_stream **stream);
    void (*stream_destroy)(base_device *self, base_stream **stream);
    base_status (*stream_wait)(base_device *self, base_stream *stream); /* the host waits for all work given so far */
    base_status (*event_create)(base_device *self, base_event **event);
    void (*event_destroy)(base_device *self, base_event **event);
    base_status (*event_record)(base_device *self, base_event *event, base_stream *stream);
    base_status (*event_wait)(base_device *self, base_event *event, base_stream *stream); /* the stream waits */
    /* *done: 1 when what was given to the stream before the event was recorded is done. */
    base_status (*event_done)(base_device *self, base_event *event, int *done);

    /* Work given to `stream`, and to streams that wait for its events, between begin and end is not done but kept as a
     * graph; launched, it runs as if given anew, with the same addresses and numbers. Meanwhile this thread calls
     * nothing that waits or allocates. All four are empty on the host: there is nothing to gain, callers give the work
     * itself. */
    base_status (*capture_begin)(base_device *self, base_stream *stream);
    base_status (*capture_end)(base_device *self, base_stream *stream, base_graph **graph);
    base_status (*graph_launch)(base_device *self, base_graph *graph, base_stream *stream);
    void (*graph_destroy)(base_device *self, base_graph **graph); /* when its launches have been done */
} base_device_table;

/* The host: built in, always available. */
extern const base_device_table base_device_host;

#endif
