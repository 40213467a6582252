/* run_data.h: data sets in memory. A set is pixels (or features) as bytes, channels last, and a label a sample.
 *
 * Sources: mnist (any idx pair, gzip or raw), cifar10 (binary batches, gzip or raw, up to 64), digits (built in),
 * synthetic. The ranks of a node share one copy: raw idx files are mapped, everything else is filled into node memory
 * by the ranks of the node, each its part. Sharding and order are run_sampler's, batches in float run_loader's.
 */
#ifndef RUN_DATA_H
#define RUN_DATA_H

#include "base_status.h"
#include "base_tensor.h"
#include "comm.h"
#include "run_config.h"

typedef struct run_data run_data; /* one split: training or test */

typedef enum run_data_split { RUN_DATA_TRAIN, RUN_DATA_TEST } run_data_split;

typedef struct run_data_info {
    base_shape shape; /* of a sample in the data; the model's input is the same, or flat with as many elements */
    int64_t samples;
    int64_t classes;
    const uint8_t *pixels;      /* (samples, H, W, C) */
    const uint8_t *labels;      /* (samples), each < classes */
    const float *scale, *shift; /* (C): x = pixel * scale + shift, from the mean and deviation in force */
    const char *source;         /* for people: the file of the pixels, or "digits (built in)" */
} run_data_info;

/* Collective. Opens one split as the config says. A relative data.path is looked up under $DDPT_DATA, then beside the
 * config file, then in the current folder, then in ./data (where examples/get-data.sh puts it); the first place that
 * has the files wins. Every label and size is checked here. All ranks fail alike, with one line: BASE_DATA (which file,
 * which value, what is allowed, how to get the data when it is missing) or BASE_USAGE (model.input or data.mean do not
 * fit the data). After a failure *self is NULL. Costs: the split's size once a node. */
base_status run_data_open(comm_world *world, const run_config *config, run_data_split split, run_data **self);
void run_data_close(run_data **self); /* Collective over a node */
const run_data_info *run_data_get_info(const run_data *self);

/* Local. XXH64 of shape, all labels, and the pixels of up to 1024 samples spread evenly over the set, 16 hexadecimal
 * digits: tells data sets apart, whatever their files are called, in about a millisecond. */
base_status run_data_digest(const run_data *self, char digest[17]);

#endif
