#include "doctor_gpus.h"

#include "run_device.h"

#include <string.h>

static base_status describe_all(doctor_gpus *self, base_arena *arena)
{
    BASE_TRY(run_plugin_load(&self->plugin));
    self->plugin->libraries(self->libraries, sizeof self->libraries);
    BASE_TRY(self->plugin->count(&self->count));
    self->gpus = BASE_NEW_ARRAY(arena, run_plugin_gpu, self->count);
    if (!self->gpus)
        return BASE_ERROR;
    for (int i = 0; i < self->count; i++)
        BASE_TRY(self->plugin->describe(i, &self->gpus[i]));
    return BASE_OK;
}

static void find_nccl(doctor_gpus *self)
{
    const comm_nccl_table *nccl = self->plugin->nccl;
    if (!nccl)
        snprintf(self->nccl_missing, sizeof self->nccl_missing, "the back end \"%s\" has none", self->plugin->name);
    else if (nccl->load(&self->nccl) != BASE_OK)
        snprintf(self->nccl_missing, sizeof self->nccl_missing, "%s", base_status_message());
    if (*self->nccl_missing)
        self->nccl = 0;
    base_status_clear();
}

base_status doctor_gpus_probe(doctor_gpus *self, base_arena *arena)
{
    *self = (doctor_gpus){.expected = run_device_seems_to_be_there()};
    base_status status = describe_all(self, arena);
    if (status == BASE_DEVICE) {
        self->count = 0;
        snprintf(self->missing, sizeof self->missing, "%s", base_status_message());
        base_status_clear();
    }
    if (status == BASE_OK)
        find_nccl(self);
    return status == BASE_DEVICE ? BASE_OK : status;
}

static void print_links(const doctor_gpus *self, int gpu, FILE *to)
{
    int said = 0;
    for (int other = 0; other < self->count; other++)
        if (other != gpu && self->plugin->are_peers(gpu, other))
            fprintf(to, "%s%d", said++ ? ", " : "; linked to ", other);
}

static const char *nccl_text(const doctor_gpus *self, char text[32])
{
    snprintf(text, 32, "%d.%d.%d", self->nccl / 10000, self->nccl / 100 % 100, self->nccl % 100);
    return text;
}

void doctor_gpus_print(const doctor_gpus *self, FILE *to)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    fprintf(to, "\nGPUs\n");
    if (*self->missing)
        fprintf(to, "  none         %s\n", self->missing);
    for (int i = 0; i < self->count; i++) {
        const run_plugin_gpu *gpu = &self->gpus[i];
        fprintf(to, "  %-11d  %s, %.1f GiB (%.1f free), %d multiprocessors, architecture %d.%d, bus %s", i, gpu->name,
                (double)gpu->memory_bytes / gib, (double)gpu->memory_free / gib, gpu->processors, gpu->architecture[0],
                gpu->architecture[1], gpu->bus);
        print_links(self, i, to);
        fputc('\n', to);
    }
    if (self->count == 0)
        return;
    fprintf(to, "  back end     %s %d.%d, driver for up to %d.%d%s%s\n", self->plugin->name, self->gpus[0].runtime[0],
            self->gpus[0].runtime[1], self->gpus[0].driver[0], self->gpus[0].driver[1], *self->libraries ? ", " : "",
            self->libraries);
    char version[32];
    fprintf(to, "  NCCL         %s%s\n", self->nccl ? nccl_text(self, version) : "none: ", self->nccl_missing);
}

static json_t *gpu_json(const doctor_gpus *self, int index)
{
    const run_plugin_gpu *gpu = &self->gpus[index];
    json_t *json = json_object(), *peers = json_array();
    for (int other = 0; other < self->count; other++)
        if (other != index && self->plugin->are_peers(index, other))
            json_array_append_new(peers, json_integer(other));
    json_object_set_new(json, "name", json_string(gpu->name));
    json_object_set_new(json, "bus", json_string(gpu->bus));
    json_object_set_new(json, "memory_bytes", json_integer((json_int_t)gpu->memory_bytes));
    json_object_set_new(json, "memory_free_bytes", json_integer((json_int_t)gpu->memory_free));
    json_object_set_new(json, "processors", json_integer(gpu->processors));
    json_object_set_new(json, "architecture", json_sprintf("%d.%d", gpu->architecture[0], gpu->architecture[1]));
    json_object_set_new(json, "driver", json_sprintf("%d.%d", gpu->driver[0], gpu->driver[1]));
    json_object_set_new(json, "runtime", json_sprintf("%d.%d", gpu->runtime[0], gpu->runtime[1]));
    json_object_set_new(json, "peers", peers);
    return json;
}

json_t *doctor_gpus_json(const doctor_gpus *self)
{
    json_t *json = json_object(), *gpus = json_array();
    for (int i = 0; i < self->count; i++)
        json_array_append_new(gpus, gpu_json(self, i));
    json_object_set_new(json, "backend", self->plugin ? json_string(self->plugin->name) : json_null());
    json_object_set_new(json, "libraries", *self->libraries ? json_string(self->libraries) : json_null());
    json_object_set_new(json, "missing", *self->missing ? json_string(self->missing) : json_null());
    char version[32];
    json_object_set_new(json, "nccl", self->nccl ? json_string(nccl_text(self, version)) : json_null());
    json_object_set_new(json, "nccl_missing", *self->nccl_missing ? json_string(self->nccl_missing) : json_null());
    json_object_set_new(json, "gpus", gpus);
    return json;
}
