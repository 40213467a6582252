#include "run_replay.h"

#include <stdlib.h>

/* A whole batch and the short one at the end of an epoch. */
enum { SHAPES_MAX = 4 };

typedef struct shape {
    int64_t count, global_count;
    base_graph *graph; /* NULL: seen once */
} shape;

struct run_replay {
    const base_device_table *table;
    base_device *device;
    base_stream *stream;
    int captures;
    shape shapes[SHAPES_MAX];
    int known;
};

base_status run_replay_create(const base_device_table *table, base_device *device, base_stream *stream, int captures,
                              run_replay **out)
{
    run_replay *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the graphs of steps");
    *self = (run_replay){
        .table = table, .device = device, .stream = stream, .captures = captures && table->capture_begin != NULL};
    *out = self;
    return BASE_OK;
}

void run_replay_destroy(run_replay **out)
{
    run_replay *self = *out;
    for (int i = 0; self && i < self->known; i++)
        if (self->shapes[i].graph)
            self->table->graph_destroy(self->device, &self->shapes[i].graph);
    free(self);
    *out = NULL;
}

static shape *find(run_replay *self, int64_t count, int64_t global_count)
{
    for (int i = 0; i < self->known; i++)
        if (self->shapes[i].count == count && self->shapes[i].global_count == global_count)
            return &self->shapes[i];
    return NULL;
}

static base_status capture(run_replay *self, base_status (*give)(void *context), void *context, base_graph **graph)
{
    BASE_TRY(self->table->capture_begin(self->device, self->stream));
    BASE_TRY(give(context)); /* after a failure the device is good for nothing more */
    return self->table->capture_end(self->device, self->stream, graph);
}

base_status run_replay_step(run_replay *self, int64_t count, int64_t global_count, base_status (*give)(void *context),
                            void *context)
{
    shape *seen = find(self, count, global_count);
    if (!self->captures || (!seen && self->known == SHAPES_MAX))
        return give(context);
    if (!seen) {
        self->shapes[self->known++] = (shape){.count = count, .global_count = global_count};
        return give(context);
    }
    if (!seen->graph)
        BASE_TRY(capture(self, give, context, &seen->graph));
    return self->table->graph_launch(self->device, seen->graph, self->stream);
}

int run_replay_captured(const run_replay *self)
{
    int count = 0;
    for (int i = 0; i < self->known; i++)
        count += self->shapes[i].graph != NULL;
    return count;
}
