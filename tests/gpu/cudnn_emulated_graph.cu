/* cudnn_emulated_graph.cu: the graph of a pass, taken apart. */
#include "cudnn_emulated_graph.h"

using namespace cudnn_emulation;

namespace
{

/* 1: a dense tensor whose channels lie innermost. */
bool read_tensor(const object *t, int64_t shape[4], int *narrow, int64_t *id, bool between)
{
    int64_t size[4], stride[4];
    for (size_t i = 0; i < 4; i++) {
        size[i] = get<int64_t>(t, GPUDNN_ATTR_TENSOR_DIMENSIONS, i);
        stride[i] = get<int64_t>(t, GPUDNN_ATTR_TENSOR_STRIDES, i);
        if (size[i] < 1)
            return false;
    }
    const int64_t order[4] = {size[0], size[2], size[3], size[1]}; /* (outer, c, h, w) */
    memcpy(shape, order, sizeof order);
    *narrow = get<unsigned>(t, GPUDNN_ATTR_TENSOR_DATA_TYPE) == GPUDNN_DATA_BFLOAT16;
    *id = get<int64_t>(t, GPUDNN_ATTR_TENSOR_UNIQUE_ID);
    return stride[1] == 1 && stride[3] == size[1] && stride[2] == size[1] * size[3] &&
           stride[0] == size[1] * size[2] * size[3] &&
           (get<unsigned char>(t, GPUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0) == between;
}

bool read_window(const object *o, problem *p)
{
    for (size_t i = 0; i < 2; i++) {
        p->stride[i] = get<int64_t>(o, GPUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        p->pad[i] = get<int64_t>(o, GPUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        if (get<int64_t>(o, GPUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i) != p->pad[i] ||
            get<int64_t>(o, GPUDNN_ATTR_CONVOLUTION_DILATIONS, i) != 1)
            return false;
    }
    return get<int64_t>(o, GPUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2 &&
           get<unsigned>(o, GPUDNN_ATTR_CONVOLUTION_COMP_TYPE) == GPUDNN_DATA_FLOAT &&
           get<unsigned>(o, GPUDNN_ATTR_CONVOLUTION_CONV_MODE) == GPUDNN_CROSS_CORRELATION;
}

struct names {
    unsigned type, beta, window, x, w, y;
    pass kind;
};
const names convolutions[] = {
    {GPUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, GPUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, FORWARD},
    {GPUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, DATA},
    {GPUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, GPUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, WEIGHTS}};

bool shapes_fit(const problem *p)
{
    for (int i = 0; i < 2; i++)
        if (p->y[1 + i] != (p->x[1 + i] + 2 * p->pad[i] - p->w[1 + i]) / p->stride[i] + 1)
            return false;
    return p->x[0] == p->y[0] && p->x[3] == p->w[3] && p->w[0] == p->y[3];
}

/* The convolution; *out becomes the tensor that it writes as y. */
bool read_convolution(const object *o, problem *p, const object **out)
{
    int y_narrow;
    const names *n = convolutions;
    while (n < convolutions + 3 && n->type != o->type)
        n++;
    if (n == convolutions + 3)
        return false;
    *out = part_of(o, n->y);
    p->kind = n->kind;
    p->add = get<float>(o, n->beta) == 1.0f;
    return read_window(part_of(o, n->window), p) && read_tensor(part_of(o, n->x), p->x, &p->narrow, &p->id[X], false) &&
           read_tensor(part_of(o, n->w), p->w, &p->w_narrow, &p->id[W], false) &&
           read_tensor(*out, p->y, &y_narrow, &p->id[Y], p->operations > 1) && shapes_fit(p) &&
           y_narrow == (p->operations > 1 ? 0 : p->narrow) && (p->w_narrow == p->narrow || p->kind == WEIGHTS);
}

/* An operation behind it, bias or the activation, that reads *out and writes the next. */
bool read_pointwise(const object *o, int number, problem *p, const object **out)
{
    int64_t shape[4];
    int narrow;
    const bool last = number == p->operations - 1, bias = number == 1;
    const object *y;
    if (o->type != GPUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR ||
        part_of(o, GPUDNN_ATTR_OPERATION_POINTWISE_XDESC) != *out ||
        get<unsigned>(part_of(o, GPUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR), GPUDNN_ATTR_POINTWISE_MODE) !=
            (unsigned)(bias ? GPUDNN_POINTWISE_ADD : GPUDNN_POINTWISE_RELU_FWD) ||
        bias != (o->has.count(GPUDNN_ATTR_OPERATION_POINTWISE_BDESC) == 1))
        return false;
    if (bias && (!read_tensor(part_of(o, GPUDNN_ATTR_OPERATION_POINTWISE_BDESC), shape, &narrow, &p->id[B], false) ||
                 narrow != p->narrow || shape[0] * shape[1] * shape[2] != 1 || shape[3] != p->y[3]))
        return false;
    *out = y = part_of(o, GPUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    return read_tensor(y, shape, &narrow, &p->id[Y], !last) && memcmp(shape, p->y, sizeof shape) == 0 &&
           narrow == (last ? p->narrow : 0);
}

} // namespace

bool cudnn_emulation::read_graph(object *graph)
{
    problem *p = &graph->described;
    const object *out = nullptr;
    p->operations = (int)graph->has.at(GPUDNN_ATTR_OPERATIONGRAPH_OPS).count;
    for (int i = 0; i < p->operations; i++) {
        const object *o = part_of(graph, GPUDNN_ATTR_OPERATIONGRAPH_OPS, (size_t)i);
        if (!o->finished || !(i == 0 ? read_convolution(o, p, &out) : read_pointwise(o, i, p, &out)))
            return false;
    }
    return true;
}
