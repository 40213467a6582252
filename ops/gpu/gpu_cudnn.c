/* gpu_cudnn.c: which engine of cuDNN computes a pass, and its runs. */
#include "gpu_cudnn.h"

#include "base_log.h"
#include "base_switch.h"
#include "gpu_cudnn_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIGS_MAX = 64, NOTES_MAX = 32 }; /* that are looked at; an engine's */

struct gpu_cudnn {
    gpudnnHandle_t handle; /* NULL: `device` is only described */
    gpudnnDescriptor_t device;
    ops_precision precision;
};

struct gpu_cudnn_plan {
    gpu_cudnn_parts parts;
    gpudnnDescriptor_t execution; /* one of them */
    int has_bias;
    int64_t workspace_bytes;
};

/* ---- the library ---- */

static int is_wanted(void)
{
    return base_switch_index(BASE_SWITCH_GPU_CUDNN) != 0;
}

void gpu_cudnn_describe(char *text, size_t nbytes)
{
    size_t version = is_wanted() && gpudnn_find() ? gpudnn.GetVersion() : 0; /* 8907, 91900 */
    size_t major = version < 90000 ? 1000 : 10000;
    if (version)
        snprintf(text, nbytes, "cuDNN %zu.%zu", version / major, version % major / 100);
    else
        snprintf(text, nbytes, "%s", "");
}

/* ---- choice of an engine ---- */

static int note_is_fine(ops_precision precision, unsigned note)
{
    switch (note) {
    case GPUDNN_NUMERICAL_NOTE_TENSOR_CORE: return precision != OPS_FP32;
    case GPUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
    case GPUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case GPUDNN_NUMERICAL_NOTE_FFT:
    case GPUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
    case GPUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case GPUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13: return 0;
    default: return 1;
    }
}

static int config_is_fine(const gpu_cudnn *self, gpudnnDescriptor_t config)
{
    unsigned notes[NOTES_MAX];
    int64_t count = 0;
    gpudnnDescriptor_t engine = NULL;
    int fine = gpudnn.BackendCreateDescriptor(GPUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) == GPUDNN_STATUS_SUCCESS &&
               gpudnn.BackendGetAttribute(config, GPUDNN_ATTR_ENGINECFG_ENGINE, GPUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                          &count, &engine) == GPUDNN_STATUS_SUCCESS &&
               gpudnn.BackendGetAttribute(engine, GPUDNN_ATTR_ENGINE_NUMERICAL_NOTE, GPUDNN_TYPE_NUMERICAL_NOTE,
                                          NOTES_MAX, &count, notes) == GPUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; fine && i < count; i++)
        fine = note_is_fine(self->precision, notes[i]);
    if (engine)
        gpudnn.BackendDestroyDescriptor(engine);
    return fine;
}

/* 1 if the configuration makes a plan that has room; its descriptor is kept then. */
static int take_config(gpu_cudnn *self, gpu_cudnn_plan *plan, gpudnnDescriptor_t config, size_t workspace_most)
{
    const int before = plan->parts.count;
    int64_t count = 0, nbytes = 0;
    gpudnnDescriptor_t d = gpu_cudnn_make(&plan->parts, GPUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (self->handle)
        gpu_cudnn_set(&plan->parts, d, GPUDNN_ATTR_EXECUTION_PLAN_HANDLE, GPUDNN_TYPE_HANDLE, 1, &self->handle);
    else
        gpu_cudnn_set_part(&plan->parts, d, GPUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, self->device);
    gpu_cudnn_set_part(&plan->parts, d, GPUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    gpu_cudnn_finish(&plan->parts, d);
    if (!plan->parts.failed)
        gpu_cudnn_check(&plan->parts, gpudnn.BackendGetAttribute(d, GPUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                                 GPUDNN_TYPE_INT64, 1, &count, &nbytes));
    const int taken = !plan->parts.failed && nbytes >= 0 && (size_t)nbytes <= workspace_most;
    if (taken) {
        plan->execution = d;
        plan->workspace_bytes = nbytes;
        return 1;
    }
    plan->parts.failed = 0; /* this configuration alone */
    gpu_cudnn_unmake(&plan->parts, before);
    return 0;
}

/* The first that suits of those that `mode` of the heuristics gives, best first. */
static void choose(gpu_cudnn *self, gpu_cudnn_plan *plan, gpudnnDescriptor_t graph, unsigned mode,
                   size_t workspace_most)
{
    gpudnnDescriptor_t configs[CONFIGS_MAX] = {NULL};
    int64_t count = 0;
    gpudnnDescriptor_t heuristics = gpu_cudnn_make(&plan->parts, GPUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    gpu_cudnn_set_part(&plan->parts, heuristics, GPUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    gpu_cudnn_set_kind(&plan->parts, heuristics, GPUDNN_ATTR_ENGINEHEUR_MODE, GPUDNN_TYPE_HEUR_MODE, mode);
    if (!self->handle)
        gpu_cudnn_set_part(&plan->parts, heuristics, GPUDNN_ATTR_ENGINEHEUR_DEVICEPROP, self->device);
    gpu_cudnn_finish(&plan->parts, heuristics);
    for (int i = 0; i < CONFIGS_MAX && !plan->parts.failed; i++)
        gpu_cudnn_check(&plan->parts, gpudnn.BackendCreateDescriptor(GPUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]));
    if (!plan->parts.failed)
        gpu_cudnn_check(&plan->parts,
                        gpudnn.BackendGetAttribute(heuristics, GPUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                   GPUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS_MAX, &count, configs));
    if (plan->parts.failed)
        count = 0;
    plan->parts.failed = 0; /* heuristics that have no answer */
    for (int64_t i = 0; i < count && i < CONFIGS_MAX && !plan->execution; i++)
        if (config_is_fine(self, configs[i]) && plan->parts.count < GPU_CUDNN_PARTS_MAX - 1 &&
            take_config(self, plan, configs[i], workspace_most)) {
            plan->parts.made[plan->parts.count++] = configs[i];
            configs[i] = NULL;
        }
    for (int i = 0; i < CONFIGS_MAX; i++)
        if (configs[i])
            gpudnn.BackendDestroyDescriptor(configs[i]);
}

gpu_cudnn_plan *gpu_cudnn_plan_create(gpu_cudnn *self, const ops_conv2d *op, gpu_cudnn_pass pass, int64_t batch,
                                      size_t workspace_most)
{
    gpu_cudnn_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return NULL;
    plan->has_bias = gpu_cudnn_has_bias(pass);
    const unsigned type = self->precision == OPS_BF16 ? GPUDNN_DATA_BFLOAT16 : GPUDNN_DATA_FLOAT;
    gpudnnDescriptor_t graph = gpu_cudnn_graph(&plan->parts, self->handle, type, op, pass, batch);
    if (!plan->parts.failed)
        choose(self, plan, graph, GPUDNN_HEUR_MODE_A, workspace_most);
    if (!plan->parts.failed && !plan->execution)
        choose(self, plan, graph, GPUDNN_HEUR_MODE_FALLBACK, workspace_most);
    if (!plan->execution)
        gpu_cudnn_plan_destroy(&plan);
    return plan;
}

void gpu_cudnn_plan_destroy(gpu_cudnn_plan **plan)
{
    if (!*plan)
        return;
    gpu_cudnn_unmake(&(*plan)->parts, 0);
    free(*plan);
    *plan = NULL;
}

size_t gpu_cudnn_plan_bytes(const gpu_cudnn_plan *plan)
{
    return (size_t)plan->workspace_bytes;
}

/* ---- work ---- */

int gpu_cudnn_run(gpu_cudnn *self, const gpu_cudnn_plan *plan, const gpu_cudnn_tensors *tensors, void *workspace)
{
    const int64_t ids[] = {GPU_CUDNN_X, GPU_CUDNN_W, GPU_CUDNN_Y, GPU_CUDNN_B}, count = plan->has_bias ? 4 : 3;
    const void *addresses[] = {tensors->x, tensors->w, tensors->y, tensors->b};
    gpu_cudnn_parts run = {.count = 0};
    gpudnnDescriptor_t pack = gpu_cudnn_make(&run, GPUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    gpu_cudnn_set_integers(&run, pack, GPUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, count, ids);
    gpu_cudnn_set(&run, pack, GPUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, GPUDNN_TYPE_VOID_PTR, count, addresses);
    gpu_cudnn_set(&run, pack, GPUDNN_ATTR_VARIANT_PACK_WORKSPACE, GPUDNN_TYPE_VOID_PTR, 1, &workspace);
    gpu_cudnn_finish(&run, pack);
    if (!run.failed)
        gpu_cudnn_check(&run, gpudnn.BackendExecute(self->handle, plan->execution, pack));
    gpu_cudnn_unmake(&run, 0);
    return !run.failed;
}

/* ---- life ---- */

static gpudnnStatus_t describe_device(gpu_cudnn *self, const char *text)
{
    gpudnnStatus_t status = gpudnn.BackendCreateDescriptor(GPUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &self->device);
    if (status == GPUDNN_STATUS_SUCCESS)
        status = gpudnn.BackendSetAttribute(self->device, GPUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, GPUDNN_TYPE_CHAR,
                                            (int64_t)strlen(text), text);
    return status == GPUDNN_STATUS_SUCCESS ? gpudnn.BackendFinalize(self->device) : status;
}

static gpudnnStatus_t start(gpu_cudnn *self, gpuStream_t stream)
{
    gpudnnStatus_t status = gpudnn.Create(&self->handle);
    return status == GPUDNN_STATUS_SUCCESS ? gpudnn.SetStream(self->handle, stream) : status;
}

gpu_cudnn *gpu_cudnn_open(ops_precision precision, gpuStream_t stream, const char *device)
{
    gpu_cudnn *self = is_wanted() && gpudnn_find() ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    self->precision = precision;
    const gpudnnStatus_t status = device ? describe_device(self, device) : start(self, stream);
    if (status != GPUDNN_STATUS_SUCCESS) {
        BASE_WARN("cuDNN does not start (status %u): convolutions go without it", status);
        gpu_cudnn_close(&self);
    }
    return self;
}

void gpu_cudnn_close(gpu_cudnn **self)
{
    if (!*self)
        return;
    if ((*self)->handle)
        gpudnn.Destroy((*self)->handle);
    if ((*self)->device)
        gpudnn.BackendDestroyDescriptor((*self)->device);
    free(*self);
    *self = NULL;
}
