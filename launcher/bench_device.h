/* bench_device.h: a GPU to compute on, without a model: what `bench` measures on. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include "run_config.h"
#include "run_measure.h"
#include "run_plugin.h"

typedef struct bench_device {
    run_measure_device on;
    run_plugin_gpu gpu;
} bench_device;

/* "gpu" as opposed to "cpu"; BASE_USAGE for anything else. */
base_status bench_device_parse(const char *text, int *on_gpu);
base_status bench_device_parse_precision(const char *text, ops_precision *precision);
const char *bench_device_precision_name(ops_precision precision);

/* The first GPU of this process. Local. On failure `self` may be closed. BASE_DEVICE where there is none. */
base_status bench_device_open(bench_device *self, ops_precision precision);
void bench_device_close(bench_device *self);

#endif
