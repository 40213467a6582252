/* cudnn_emulated.cu: the interface, what attributes descriptors have, and the engines that there are. */
#include "cudnn_emulated.h"

#include "cudnn_emulated_graph.h"

using namespace cudnn_emulation;

cudnn_emulated_runs cudnn_emulated;
int cudnn_emulated_descriptors;

struct cudnnContext {
    gpuStream_t stream;
};

namespace
{

enum { FINE = 0, BAD = 2000, UNSUPPORTED = 3000, FAILED = 5000 };

constexpr int NONE = -1;
const engine engines[] = {
    {{GPUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, NONE}, 0, true, false},
    {{GPUDNN_NUMERICAL_NOTE_TENSOR_CORE, GPUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, 0, true, true},
    {{NONE, NONE}, 1 << 30, true, false},
    {{GPUDNN_NUMERICAL_NOTE_TENSOR_CORE, NONE}, 64, false, true},
    {{NONE, NONE}, 1000, false, false}};
constexpr int ENGINES = sizeof engines / sizeof *engines;

/* ---- what attributes there are ---- */

struct rule {
    unsigned descriptor, name, type, most; /* most: elements */
    unsigned part;                         /* the type of descriptors that it takes */
    bool needed;
};

#define PART(d, name, part)                                                                                            \
    {                                                                                                                  \
        GPUDNN_BACKEND_##d, GPUDNN_ATTR_##name, GPUDNN_TYPE_BACKEND_DESCRIPTOR, 1, GPUDNN_BACKEND_##part, true         \
    }
#define VALUE(d, name, type, most)                                                                                     \
    {                                                                                                                  \
        GPUDNN_BACKEND_##d, GPUDNN_ATTR_##name, GPUDNN_TYPE_##type, most, 0, true                                      \
    }
#define CONVOLUTION(d, pass, x, w, y)                                                                                  \
    VALUE(d, OPERATION_CONVOLUTION_##pass##_ALPHA, FLOAT, 1), VALUE(d, OPERATION_CONVOLUTION_##pass##_BETA, FLOAT, 1), \
        PART(d, OPERATION_CONVOLUTION_##pass##_CONV_DESC, CONVOLUTION_DESCRIPTOR),                                     \
        PART(d, OPERATION_CONVOLUTION_##pass##_##x, TENSOR_DESCRIPTOR),                                                \
        PART(d, OPERATION_CONVOLUTION_##pass##_##w, TENSOR_DESCRIPTOR),                                                \
        PART(d, OPERATION_CONVOLUTION_##pass##_##y, TENSOR_DESCRIPTOR)

const rule rules[] = {
    VALUE(TENSOR_DESCRIPTOR, TENSOR_DATA_TYPE, DATA_TYPE, 1),
    VALUE(TENSOR_DESCRIPTOR, TENSOR_DIMENSIONS, INT64, 4),
    VALUE(TENSOR_DESCRIPTOR, TENSOR_STRIDES, INT64, 4),
    VALUE(TENSOR_DESCRIPTOR, TENSOR_UNIQUE_ID, INT64, 1),
    VALUE(TENSOR_DESCRIPTOR, TENSOR_BYTE_ALIGNMENT, INT64, 1),
    VALUE(TENSOR_DESCRIPTOR, TENSOR_IS_VIRTUAL, BOOLEAN, 1),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_SPATIAL_DIMS, INT64, 1),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_COMP_TYPE, DATA_TYPE, 1),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_PRE_PADDINGS, INT64, 2),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_POST_PADDINGS, INT64, 2),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_DILATIONS, INT64, 2),
    VALUE(CONVOLUTION_DESCRIPTOR, CONVOLUTION_FILTER_STRIDES, INT64, 2),
    CONVOLUTION(OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, FORWARD, X, W, Y),
    CONVOLUTION(OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, BWD_DATA, DX, W, DY),
    CONVOLUTION(OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, BWD_FILTER, X, DW, DY),
    VALUE(POINTWISE_DESCRIPTOR, POINTWISE_MODE, POINTWISE_MODE, 1),
    VALUE(POINTWISE_DESCRIPTOR, POINTWISE_MATH_PREC, DATA_TYPE, 1),
    PART(OPERATION_POINTWISE_DESCRIPTOR, OPERATION_POINTWISE_PW_DESCRIPTOR, POINTWISE_DESCRIPTOR),
    PART(OPERATION_POINTWISE_DESCRIPTOR, OPERATION_POINTWISE_XDESC, TENSOR_DESCRIPTOR),
    {GPUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, GPUDNN_ATTR_OPERATION_POINTWISE_BDESC,
     GPUDNN_TYPE_BACKEND_DESCRIPTOR, 1, GPUDNN_BACKEND_TENSOR_DESCRIPTOR, false},
    PART(OPERATION_POINTWISE_DESCRIPTOR, OPERATION_POINTWISE_YDESC, TENSOR_DESCRIPTOR),
    VALUE(OPERATIONGRAPH_DESCRIPTOR, OPERATIONGRAPH_HANDLE, HANDLE, 1),
    VALUE(OPERATIONGRAPH_DESCRIPTOR, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, 3),
    PART(ENGINEHEUR_DESCRIPTOR, ENGINEHEUR_OPERATION_GRAPH, OPERATIONGRAPH_DESCRIPTOR),
    VALUE(ENGINEHEUR_DESCRIPTOR, ENGINEHEUR_MODE, HEUR_MODE, 1),
    VALUE(EXECUTION_PLAN_DESCRIPTOR, EXECUTION_PLAN_HANDLE, HANDLE, 1),
    PART(EXECUTION_PLAN_DESCRIPTOR, EXECUTION_PLAN_ENGINE_CONFIG, ENGINECFG_DESCRIPTOR),
    VALUE(VARIANT_PACK_DESCRIPTOR, VARIANT_PACK_UNIQUE_IDS, INT64, TENSORS),
    VALUE(VARIANT_PACK_DESCRIPTOR, VARIANT_PACK_DATA_POINTERS, VOID_PTR, TENSORS),
    VALUE(VARIANT_PACK_DESCRIPTOR, VARIANT_PACK_WORKSPACE, VOID_PTR, 1),
};

size_t size_of(unsigned type)
{
    switch (type) {
    case GPUDNN_TYPE_INT64:
    case GPUDNN_TYPE_VOID_PTR:
    case GPUDNN_TYPE_HANDLE:
    case GPUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    case GPUDNN_TYPE_BOOLEAN: return 1;
    default: return 4;
    }
}

/* cudnn_emulated.h says what is not there. */
bool has_engines(const problem *p)
{
    const int64_t n = p->w[0], c = p->w[3];
    switch (p->kind) {
    case FORWARD: return c != 2 && (p->operations == 1 || n % 2 == 0);
    case DATA: return !(p->add && c == 4);
    default: return !p->narrow || (p->w_narrow ? p->x[1] % 2 == 0 : n % 8 == 0);
    }
}

void count_run(const problem *p)
{
    cudnn_emulated.forward[p->operations] += p->kind == FORWARD;
    cudnn_emulated.data += p->kind == DATA && !p->add;
    cudnn_emulated.data_added += p->kind == DATA && p->add;
    cudnn_emulated.weights += p->kind == WEIGHTS && !p->w_narrow;
    cudnn_emulated.weights_narrow += p->kind == WEIGHTS && p->w_narrow;
}

/* ---- descriptors ---- */

const rule *rule_of(const object *o, unsigned name)
{
    for (const rule &r : rules)
        if (r.descriptor == o->type && r.name == name)
            return &r;
    return nullptr;
}

bool is_complete(const object *o)
{
    for (const rule &r : rules)
        if (r.descriptor == o->type && r.needed && !o->has.count(r.name))
            return false;
    return true;
}

/* All engines there are, the ones that must not be taken first. */
unsigned give_results(const object *o, int64_t wanted, int64_t *count, object **configs)
{
    const object *graph = part_of(o, GPUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    const bool best = get<unsigned>(o, GPUDNN_ATTR_ENGINEHEUR_MODE) == GPUDNN_HEUR_MODE_A;
    *count = 0;
    if (!has_engines(&graph->described))
        return FINE;
    /* Lines of odd width are for the mode that is asked last. */
    if (best && graph->described.x[2] % 2 != 0)
        return UNSUPPORTED;
    for (int i = 0; i < ENGINES && *count < wanted; i++) {
        object *config = configs[(*count)++];
        if (config->type != GPUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
            return BAD;
        config->finished = true;
        config->engine = i;
        config->described = graph->described;
    }
    return FINE;
}

unsigned give_notes(const object *o, int64_t wanted, int64_t *count, unsigned *notes)
{
    *count = 0;
    for (int note : engines[o->engine].notes)
        if (note != NONE && *count < wanted)
            notes[(*count)++] = (unsigned)note;
    return FINE;
}

unsigned finish(object *o)
{
    if (o->type == GPUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !read_graph(o))
        return BAD;
    if (o->type == GPUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const object *config = part_of(o, GPUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        o->engine = config->engine;
        o->described = config->described;
    }
    if (o->type == GPUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR &&
        o->has.at(GPUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).count != o->has.at(GPUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).count)
        return BAD;
    o->finished = true;
    return FINE;
}

bool find_memory(const problem *p, const object *pack, memory *m)
{
    const int64_t given = pack->has.at(GPUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).count;
    const int wanted = p->operations > 1 ? TENSORS : B;
    for (int t = 0; t < wanted; t++) {
        m->at[t] = nullptr;
        for (int64_t i = 0; i < given; i++)
            if (get<int64_t>(pack, GPUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, (size_t)i) == p->id[t])
                m->at[t] = get<void *>(pack, GPUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, (size_t)i);
        if (!m->at[t] || (uintptr_t)m->at[t] % 16 != 0)
            return false;
    }
    return given == wanted;
}

} // namespace

/* ---- the interface ---- */

size_t cudnnGetVersion(void)
{
    return 91900;
}

gpudnnStatus_t cudnnCreate(gpudnnHandle_t *handle)
{
    *handle = new cudnnContext();
    return FINE;
}

gpudnnStatus_t cudnnDestroy(gpudnnHandle_t handle)
{
    delete handle;
    return FINE;
}

gpudnnStatus_t cudnnSetStream(gpudnnHandle_t handle, gpuStream_t stream)
{
    handle->stream = stream;
    return FINE;
}

gpudnnStatus_t cudnnBackendCreateDescriptor(unsigned type, gpudnnDescriptor_t *descriptor)
{
    object *o = new object();
    o->type = type;
    *descriptor = o;
    cudnn_emulated_descriptors++;
    return FINE;
}

gpudnnStatus_t cudnnBackendDestroyDescriptor(gpudnnDescriptor_t descriptor)
{
    delete (object *)descriptor;
    cudnn_emulated_descriptors--;
    return FINE;
}

gpudnnStatus_t cudnnBackendSetAttribute(gpudnnDescriptor_t descriptor, unsigned name, unsigned type, int64_t count,
                                        const void *elements)
{
    object *o = (object *)descriptor;
    const rule *r = rule_of(o, name);
    if (!r || o->finished || type != r->type || count < 1 || count > r->most)
        return BAD;
    const size_t nbytes = (size_t)count * size_of(type);
    o->has[name] = attribute{type, count, std::vector<char>((const char *)elements, (const char *)elements + nbytes)};
    if (r->part && (part_of(o, name)->type != r->part || !part_of(o, name)->finished))
        return BAD;
    return FINE;
}

gpudnnStatus_t cudnnBackendGetAttribute(gpudnnDescriptor_t descriptor, unsigned name, unsigned type, int64_t wanted,
                                        int64_t *count, void *elements)
{
    object *o = (object *)descriptor;
    if (!o->finished)
        return BAD;
    if (name == GPUDNN_ATTR_ENGINEHEUR_RESULTS && type == GPUDNN_TYPE_BACKEND_DESCRIPTOR)
        return give_results(o, wanted, count, (object **)elements);
    if (name == GPUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == GPUDNN_TYPE_NUMERICAL_NOTE)
        return give_notes(o, wanted, count, (unsigned *)elements);
    if (name == GPUDNN_ATTR_ENGINECFG_ENGINE && type == GPUDNN_TYPE_BACKEND_DESCRIPTOR) {
        object *engine = *(object **)elements;
        engine->finished = true;
        engine->engine = o->engine;
        return engine->type == GPUDNN_BACKEND_ENGINE_DESCRIPTOR ? FINE : BAD;
    }
    if (name != GPUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE || type != GPUDNN_TYPE_INT64)
        return BAD;
    *(int64_t *)elements = engines[o->engine].workspace;
    return FINE;
}

gpudnnStatus_t cudnnBackendFinalize(gpudnnDescriptor_t descriptor)
{
    object *o = (object *)descriptor;
    return !o->finished && is_complete(o) ? finish(o) : (gpudnnStatus_t)BAD;
}

gpudnnStatus_t cudnnBackendExecute(gpudnnHandle_t handle, gpudnnDescriptor_t plan, gpudnnDescriptor_t pack)
{
    const object *o = (const object *)plan, *given = (const object *)pack;
    const engine *e = &engines[o->engine];
    memory m = {};
    if (!o->finished || !given->finished || !find_memory(&o->described, given, &m))
        return BAD;
    if (o->described.w[0] == 6) {
        cudnn_emulated.failed++;
        return FAILED;
    }
    count_run(&o->described);
    void *workspace = get<void *>(given, GPUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    gpuError_t error = run_problem(handle->stream, o->described, m, *e);
    if (error == gpuSuccess)
        error = gpuMemsetAsync(workspace, 0xff, (size_t)e->workspace, handle->stream);
    return error == gpuSuccess ? FINE : FAILED;
}
