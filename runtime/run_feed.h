/* run_feed.h: batches where the computation wants them.
 *
 * On the host that is where the loader has put them. A device with slot gather_samples has the data set in its own
 * memory where it fits, and makes a batch of it by the samples' numbers, which is all that travels; otherwise the bytes
 * of the batch travel on a stream of their own, to one of two places, while the step before computes. Local.
 */
#ifndef RUN_FEED_H
#define RUN_FEED_H

#include "base_device.h"
#include "ops.h"
#include "run_loader.h"
#include "run_net.h"

typedef struct run_feed run_feed;

typedef struct run_feed_options {
    const run_data *data;
    run_sampler sampler;
    int background;        /* run_loader.h */
    int keep;              /* batches that the device may be behind */
    size_t resident_bytes; /* a data set of at most so many is kept on the device */
    const base_device_table *device_table;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
} run_feed_options;

base_status run_feed_create(const run_feed_options *options, run_feed **self);
void run_feed_destroy(run_feed **self);

/* The next batch: what has to be brought for it is on its way. */
base_status run_feed_next(run_feed *self, run_net_batch *batch);

/* The work that makes `batch` of what was brought, at the same addresses in every step, so that it may be captured. */
base_status run_feed_gather(run_feed *self, const run_net_batch *batch);

/* As run_loader_seek. */
base_status run_feed_seek(run_feed *self, int64_t epoch, int64_t step_in_epoch);

int run_feed_is_resident(const run_feed *self);

#endif
