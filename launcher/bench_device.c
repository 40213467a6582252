#include "bench_device.h"

#include <string.h>

static const char *const precisions[] = {[OPS_FP32] = "fp32", [OPS_TF32] = "tf32", [OPS_BF16] = "bf16"};

base_status bench_device_parse(const char *text, int *on_gpu)
{
    *on_gpu = strcmp(text, "gpu") == 0;
    if (!*on_gpu && strcmp(text, "cpu") != 0)
        return BASE_FAIL(BASE_USAGE, "--device is cpu or gpu, not '%s'", text);
    return BASE_OK;
}

base_status bench_device_parse_precision(const char *text, ops_precision *precision)
{
    for (ops_precision p = OPS_FP32; p <= OPS_BF16; p++)
        if (strcmp(text, precisions[p]) == 0) {
            *precision = p;
            return BASE_OK;
        }
    return BASE_FAIL(BASE_USAGE, "--precision is fp32, tf32 or bf16, not '%s'", text);
}

const char *bench_device_precision_name(ops_precision precision)
{
    return precisions[precision];
}

base_status bench_device_open(bench_device *self, ops_precision precision)
{
    const run_plugin *plugin;
    int count;
    *self = (bench_device){0};
    BASE_TRY(run_plugin_load(&plugin));
    BASE_TRY(plugin->count(&count));
    BASE_TRY(plugin->describe(0, &self->gpu));
    run_measure_device *on = &self->on;
    on->table = plugin->device;
    on->ops = plugin->ops;
    BASE_TRY(on->table->open(&on->device, 0));
    BASE_TRY(on->table->stream_create(on->device, &on->stream));
    const ops_options options = {.device = on->device, .stream = on->stream, .precision = precision};
    return on->ops->open(&options, &on->context);
}

void bench_device_close(bench_device *self)
{
    run_measure_device *on = &self->on;
    if (on->context)
        on->ops->close(&on->context);
    if (!on->device)
        return;
    if (on->stream)
        on->table->stream_destroy(on->device, &on->stream);
    on->table->close(&on->device);
}
