/* cudnn_emulated_graph.h: a descriptor of the emulator's cuDNN, and the pass that a graph of them describes. */
#ifndef CUDNN_EMULATED_GRAPH_H
#define CUDNN_EMULATED_GRAPH_H

#include "gpu_kernel.cuh"
extern "C" {
#include "gpu_cudnn_api.h"
}

#include <map>
#include <vector>

namespace cudnn_emulation
{

enum { X, W, Y, B, TENSORS };
enum pass { FORWARD, DATA, WEIGHTS };

/* A pass over tensors of these shapes, (outer, h, w, c). */
struct problem {
    pass kind;
    int operations, add;
    int64_t x[4], w[4], y[4], stride[2], pad[2];
    int narrow, w_narrow; /* bfloat16: x, y and b; w */
    int64_t id[TENSORS];
};

/* What its heuristics know, the best first. */
struct engine {
    int notes[2];
    int64_t workspace;
    bool doubles, rounds;
};
struct memory {
    void *at[TENSORS];
};

struct attribute {
    unsigned type;
    int64_t count;
    std::vector<char> bytes;
};

struct object {
    unsigned type;
    bool finished = false;
    std::map<unsigned, attribute> has;
    problem described = {}; /* a graph's, and what is made of one */
    int engine = 0;         /* an engine's, a configuration's, a plan's */
};

template <typename T> T get(const object *o, unsigned name, size_t index = 0)
{
    T value;
    memcpy(&value, o->has.at(name).bytes.data() + index * sizeof value, sizeof value);
    return value;
}

inline const object *part_of(const object *o, unsigned name, size_t index = 0)
{
    return get<const object *>(o, name, index);
}

/* The pass of a graph's operations; false where they are none. */
bool read_graph(object *graph);

/* Puts it on the stream. */
gpuError_t run_problem(gpuStream_t stream, const problem &p, const memory &m, const engine &e);

} // namespace cudnn_emulation

#endif
