#include "run_feed.h"

#include <stdlib.h>

enum { PLACES = 2 };

/* Where the bytes of a batch arrive. */
typedef struct place {
    void *pixels, *labels;
    base_event *arrived; /* they are there */
    base_event *used;    /* they may be overwritten */
} place;

struct run_feed {
    run_feed_options o;
    run_loader *loader;
    const run_data_info *info;
    int gathers, resident;
    int64_t sample_count; /* elements of a sample */
    void *scale, *shift;  /* (C) floats */
    void *x;              /* (B, H, W, C) */
    void *labels;         /* (B) int32 */

    /* The data set ... */
    void *all_pixels, *all_labels; /* bytes, int32 */

    /* ... or the bytes of batches. */
    base_stream *stream;
    place places[PLACES];
    int turn;
};

/* ---- creation ---- */

static base_status send(run_feed *self, void *to, const void *from, size_t nbytes)
{
    return self->o.device_table->copy(self->o.device, self->o.stream, to, from, nbytes);
}

static base_status alloc(run_feed *self, size_t nbytes, void **address)
{
    return self->o.device_table->memory_alloc(self->o.device, nbytes, address);
}

static base_status send_labels(run_feed *self)
{
    int32_t *labels = malloc((size_t)self->info->samples * sizeof *labels);
    if (!labels)
        return BASE_FAIL(BASE_ERROR, "out of memory for %lld labels", (long long)self->info->samples);
    for (int64_t i = 0; i < self->info->samples; i++)
        labels[i] = self->info->labels[i];
    base_status status = send(self, self->all_labels, labels, (size_t)self->info->samples * sizeof *labels);
    if (status == BASE_OK)
        status = self->o.device_table->stream_wait(self->o.device, self->o.stream);
    free(labels);
    return status;
}

static base_status create_resident(run_feed *self)
{
    size_t samples = (size_t)self->info->samples, pixels = samples * (size_t)self->sample_count;
    BASE_TRY(alloc(self, pixels, &self->all_pixels));
    BASE_TRY(alloc(self, samples * sizeof(int32_t), &self->all_labels));
    BASE_TRY(send(self, self->all_pixels, self->info->pixels, pixels));
    return send_labels(self);
}

static base_status create_places(run_feed *self, int64_t batch)
{
    const base_device_table *table = self->o.device_table;
    BASE_TRY(table->stream_create(self->o.device, &self->stream));
    for (int i = 0; i < PLACES; i++) {
        place *p = &self->places[i];
        BASE_TRY(alloc(self, (size_t)(batch * self->sample_count), &p->pixels));
        BASE_TRY(alloc(self, (size_t)batch * sizeof(int32_t), &p->labels));
        BASE_TRY(table->event_create(self->o.device, &p->arrived));
        BASE_TRY(table->event_create(self->o.device, &p->used));
    }
    return BASE_OK;
}

static base_status create_on_device(run_feed *self, int64_t batch)
{
    size_t channels = (size_t)self->info->shape.c * sizeof(float);
    BASE_TRY(alloc(self, channels, &self->scale));
    BASE_TRY(alloc(self, channels, &self->shift));
    BASE_TRY(alloc(self, (size_t)(batch * self->sample_count) * self->o.ops->element_bytes(self->o.context), &self->x));
    BASE_TRY(alloc(self, (size_t)batch * sizeof(int32_t), &self->labels));
    BASE_TRY(send(self, self->scale, self->info->scale, channels));
    BASE_TRY(send(self, self->shift, self->info->shift, channels));
    return self->resident ? create_resident(self) : create_places(self, batch);
}

base_status run_feed_create(const run_feed_options *options, run_feed **out)
{
    run_feed *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the way of batches");
    *out = self;
    self->o = *options;
    self->info = run_data_get_info(options->data);
    self->sample_count = base_shape_count(self->info->shape);
    self->gathers = options->ops->gather_samples != NULL;
    size_t nbytes = (size_t)self->info->samples * ((size_t)self->sample_count + sizeof(int32_t));
    self->resident = self->gathers && nbytes <= options->resident_bytes;
    run_loader_options loader = {.data = options->data,
                                 .ops = options->ops,
                                 .sampler = options->sampler,
                                 .content = self->resident  ? RUN_LOADER_INDICES
                                            : self->gathers ? RUN_LOADER_BYTES
                                                            : RUN_LOADER_FLOATS,
                                 .background = options->background,
                                 .keep = options->keep,
                                 .device_table = options->device_table,
                                 .device = options->device};
    BASE_TRY(run_loader_create(&loader, &self->loader));
    return self->gathers ? create_on_device(self, run_sampler_share_max(&options->sampler)) : BASE_OK;
}

void run_feed_destroy(run_feed **out)
{
    run_feed *self = *out;
    if (!self)
        return;
    const base_device_table *table = self->o.device_table;
    void **memory[] = {&self->scale, &self->shift, &self->x, &self->labels, &self->all_pixels, &self->all_labels};
    run_loader_destroy(&self->loader);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        table->memory_free(self->o.device, memory[i]);
    for (int i = 0; self->stream && i < PLACES; i++) {
        table->memory_free(self->o.device, &self->places[i].pixels);
        table->memory_free(self->o.device, &self->places[i].labels);
        table->event_destroy(self->o.device, &self->places[i].arrived);
        table->event_destroy(self->o.device, &self->places[i].used);
    }
    table->stream_destroy(self->o.device, &self->stream);
    free(self);
    *out = NULL;
}

int run_feed_is_resident(const run_feed *self)
{
    return self->resident;
}

/* ---- batches ---- */

static base_status gather(run_feed *self, int64_t count, const void *pixels, const void *labels, int chosen)
{
    return self->o.ops->gather_samples(self->o.context, count, self->sample_count, self->info->shape.c, pixels, labels,
                                       chosen, self->scale, self->shift, self->x, self->labels);
}

/* The copy waits for the batch before last to be read, and the computation for the copy. */
static base_status bring_bytes(run_feed *self, const run_batch *batch)
{
    const base_device_table *table = self->o.device_table;
    size_t count = (size_t)batch->share.share_count;
    place *p = &self->places[self->turn];
    self->turn = (self->turn + 1) % PLACES;
    BASE_TRY(table->event_wait(self->o.device, p->used, self->stream));
    BASE_TRY(table->copy(self->o.device, self->stream, p->pixels, batch->pixels, count * (size_t)self->sample_count));
    BASE_TRY(table->copy(self->o.device, self->stream, p->labels, batch->labels, count * sizeof(int32_t)));
    BASE_TRY(table->event_record(self->o.device, p->arrived, self->stream));
    BASE_TRY(table->event_wait(self->o.device, p->arrived, self->o.stream));
    BASE_TRY(gather(self, batch->share.share_count, p->pixels, p->labels, 0));
    return table->event_record(self->o.device, p->used, self->o.stream);
}

base_status run_feed_next(run_feed *self, run_net_batch *out)
{
    run_batch batch;
    BASE_TRY(run_loader_next(self->loader, &batch));
    *out = (run_net_batch){.x = self->gathers ? self->x : batch.x,
                           .labels = self->gathers ? self->labels : batch.labels,
                           .count = batch.share.share_count,
                           .first_sample = batch.share.share_begin,
                           .global_count = batch.share.count};
    if (self->resident)
        out->samples = batch.indices;
    return self->gathers && !self->resident ? bring_bytes(self, &batch) : BASE_OK;
}

base_status run_feed_gather(run_feed *self, const run_net_batch *batch)
{
    return self->resident ? gather(self, batch->count, self->all_pixels, self->all_labels, 1) : BASE_OK;
}

base_status run_feed_seek(run_feed *self, int64_t epoch, int64_t step_in_epoch)
{
    return run_loader_seek(self->loader, epoch, step_in_epoch);
}
