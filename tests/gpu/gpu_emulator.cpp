/* gpu_emulator.cpp: streams, events, capture and graphs. Work is a closure; a stream is a queue of them. */
#include "gpu_emulator_internal.h"

#include <climits>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace
{

typedef std::function<void()> work;

struct node {
    work run;
    std::vector<size_t> after; /* nodes before it, by number */
};

struct recording {
    gpuStream_t origin;
    std::vector<node> nodes;
    std::set<gpuStream_t> streams; /* that take part */
    std::thread::id thread;        /* that began it */
    bool broken, ended;
};

/* What an event stands for: a place in a stream's queue, or nodes of a recording. */
struct mark {
    bool reached;
    gpuStream_t stream;
    std::shared_ptr<recording> capture;
    std::vector<size_t> nodes;
};

struct step {
    work run;                   /* may be empty */
    std::shared_ptr<mark> wait; /* until it is reached */
};

std::set<gpuStream_t> streams;
bool backwards;

} // namespace

struct gpu_emulator_stream {
    std::deque<step> queue;
    std::shared_ptr<recording> capture;
    std::vector<size_t> tail; /* in a capture: nodes that the next one comes after */
};

struct gpu_emulator_event {
    std::shared_ptr<mark> place;
};

struct gpu_emulator_graph {
    std::vector<node> nodes;
};

struct gpu_emulator_exec {
    std::shared_ptr<std::vector<node>> nodes;
};

namespace
{

gpuStream_t stream_of(gpuStream_t stream)
{
    static gpuStream_t main_stream = nullptr;
    if (stream)
        return stream;
    if (!main_stream)
        streams.insert(main_stream = new gpu_emulator_stream());
    return main_stream;
}

/* Memory stays open for a whole drain: to open it for every kernel would cost more than most kernels. */
struct open_memory {
    open_memory()
    {
        gpu_emulator_open_memory();
    }
    ~open_memory()
    {
        gpu_emulator_close_memory();
    }
};

void reach(const std::shared_ptr<mark> &place);

void run_step(gpuStream_t stream)
{
    step s = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (s.wait)
        reach(s.wait);
    if (s.run)
        s.run();
}

void reach(const std::shared_ptr<mark> &place)
{
    while (!place->reached && !place->stream->queue.empty())
        run_step(place->stream);
}

void drain(gpuStream_t stream)
{
    if (stream->queue.empty())
        return;
    open_memory open;
    while (!stream->queue.empty())
        run_step(stream);
}

gpuError_t submit(gpuStream_t stream, work run)
{
    if (stream->capture) {
        stream->capture->nodes.push_back(node{std::move(run), stream->tail});
        stream->tail.assign(1, stream->capture->nodes.size() - 1);
    } else {
        stream->queue.push_back(step{std::move(run), nullptr});
    }
    return gpuSuccess;
}

/* Of the nodes that may run the last recorded runs first, so that an order that only the recording had is lost. */
void run_nodes(const std::vector<node> &nodes)
{
    std::vector<bool> done(nodes.size());
    for (size_t left = nodes.size(); left > 0; left--) {
        size_t pick = nodes.size();
        for (size_t i = 0; i < nodes.size(); i++) {
            bool free = !done[i];
            for (size_t before : nodes[i].after)
                free = free && done[before];
            pick = free ? i : pick;
        }
        nodes[pick].run();
        done[pick] = true;
    }
}

/* Everything recorded must come before the tail of the stream that began. */
bool joined(const recording &r)
{
    std::vector<bool> seen(r.nodes.size());
    std::vector<size_t> todo = r.origin->tail;
    while (!todo.empty()) {
        size_t i = todo.back();
        todo.pop_back();
        if (seen[i])
            continue;
        seen[i] = true;
        todo.insert(todo.end(), r.nodes[i].after.begin(), r.nodes[i].after.end());
    }
    for (bool s : seen)
        if (!s)
            return false;
    return true;
}

} // namespace

std::recursive_mutex gpu_emulator_lock;

void gpu_emulator_drain_all()
{
    for (gpuStream_t stream : std::set<gpuStream_t>(streams))
        drain(stream);
}

bool gpu_emulator_refused()
{
    bool found = false;
    for (gpuStream_t stream : streams)
        if (stream->capture && stream->capture->thread == std::this_thread::get_id())
            found = stream->capture->broken = true;
    return found;
}

gpuError_t gpu_emulator_launch(dim3 blocks, dim3 threads, gpuStream_t stream, std::function<void()> thread)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    uint64_t count = (uint64_t)threads.x * threads.y * threads.z;
    if (count == 0 || count > 1024 || blocks.x == 0 || blocks.x > 0x7fffffffu || blocks.y == 0 || blocks.y > 65535 ||
        blocks.z == 0 || blocks.z > 65535)
        return gpuErrorInvalidConfiguration;
    return submit(stream_of(stream), [blocks, threads, thread] {
        backwards = !backwards;
        gpu_emulator_run(blocks, threads, backwards, thread);
    });
}

gpuError_t gpuDeviceSynchronize(void)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (gpu_emulator_refused())
        return gpuErrorStreamCaptureUnsupported;
    gpu_emulator_drain_all();
    return gpuSuccess;
}

gpuError_t gpuMemcpyAsync(void *to, const void *from, size_t nbytes, int, gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    stream = stream_of(stream);
    if (nbytes == 0)
        return gpuSuccess;
    if (stream->capture || !gpu_emulator_pageable(from)) {
        submit(stream, [=] { memmove(to, from, nbytes); });
    } else {
        auto taken = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + nbytes);
        submit(stream, [=] { memmove(to, taken->data(), nbytes); });
    }
    if (!stream->capture && gpu_emulator_pageable(to))
        drain(stream);
    return gpuSuccess;
}

gpuError_t gpuMemsetAsync(void *at, int byte, size_t nbytes, gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    return submit(stream_of(stream), [=] { memset(at, byte, nbytes); });
}

/* Queries of events left until the device fails; none: it never does. */
static long queries_left()
{
    const char *text = getenv("DDPT_EMULATED_FAULT");
    return text ? atol(text) : LONG_MAX;
}

static long until_fault = queries_left();

gpuError_t gpuStreamCreateWithFlags(gpuStream_t *stream, unsigned)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    streams.insert(*stream = new gpu_emulator_stream());
    return gpuSuccess;
}

gpuError_t gpuStreamDestroy(gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (streams.count(stream) == 0 || stream->capture)
        return gpuErrorInvalidValue;
    drain(stream);
    streams.erase(stream);
    delete stream;
    return gpuSuccess;
}

gpuError_t gpuStreamSynchronize(gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    stream = stream_of(stream);
    if (stream->capture) {
        stream->capture->broken = true;
        return gpuErrorStreamCaptureUnsupported;
    }
    drain(stream);
    return gpuSuccess;
}

gpuError_t gpuStreamQuery(gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    stream = stream_of(stream);
    if (stream->capture) {
        stream->capture->broken = true;
        return gpuErrorStreamCaptureUnsupported;
    }
    if (stream->queue.empty())
        return gpuSuccess;
    open_memory open;
    run_step(stream);
    return gpuErrorNotReady;
}

gpuError_t gpuStreamWaitEvent(gpuStream_t stream, gpuEvent_t event, unsigned)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    stream = stream_of(stream);
    if (!event->place)
        return gpuSuccess;
    if (event->place->capture && event->place->capture->ended)
        return gpuErrorInvalidValue;
    if (event->place->capture) {
        stream->capture = event->place->capture;
        stream->capture->streams.insert(stream);
        stream->tail.insert(stream->tail.end(), event->place->nodes.begin(), event->place->nodes.end());
    } else if (stream->capture) {
        stream->capture->broken = true; /* of work outside the capture */
        return gpuErrorStreamCaptureUnsupported;
    } else if (!event->place->reached) {
        stream->queue.push_back(step{nullptr, event->place});
    }
    return gpuSuccess;
}

gpuError_t gpuEventCreateWithFlags(gpuEvent_t *event, unsigned)
{
    *event = new gpu_emulator_event();
    return gpuSuccess;
}

gpuError_t gpuEventDestroy(gpuEvent_t event)
{
    delete event;
    return gpuSuccess;
}

gpuError_t gpuEventRecord(gpuEvent_t event, gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    stream = stream_of(stream);
    auto place = std::make_shared<mark>(mark{false, stream, stream->capture, stream->tail});
    event->place = place;
    if (!stream->capture)
        stream->queue.push_back(step{[place] { place->reached = true; }, nullptr});
    return gpuSuccess;
}

gpuError_t gpuEventQuery(gpuEvent_t event)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (until_fault <= 0 || --until_fault == 0)
        return gpuErrorIllegalAddress;
    if (!event->place || event->place->reached)
        return gpuSuccess;
    if (event->place->capture)
        return gpuErrorStreamCaptureUnsupported;
    open_memory open;
    run_step(event->place->stream);
    return gpuErrorNotReady;
}

gpuError_t gpuEventSynchronize(gpuEvent_t event)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (!event->place)
        return gpuSuccess;
    if (event->place->capture)
        return gpuErrorStreamCaptureUnsupported;
    open_memory open;
    reach(event->place);
    return gpuSuccess;
}

gpuError_t gpuStreamBeginCapture(gpuStream_t stream, int)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (!stream || stream->capture)
        return gpuErrorStreamCaptureUnsupported;
    stream->capture = std::make_shared<recording>();
    stream->capture->origin = stream;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->streams.insert(stream);
    stream->tail.clear();
    return gpuSuccess;
}

gpuError_t gpuStreamEndCapture(gpuStream_t stream, gpuGraph_t *graph)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    *graph = nullptr;
    if (!stream || !stream->capture || stream->capture->origin != stream)
        return gpuErrorInvalidValue;
    std::shared_ptr<recording> taken = stream->capture;
    bool whole = joined(*taken);
    taken->ended = true;
    for (gpuStream_t s : taken->streams) {
        s->capture = nullptr;
        s->tail.clear();
    }
    if (taken->broken)
        return gpuErrorStreamCaptureUnsupported;
    if (!whole)
        return gpuErrorStreamCaptureUnjoined;
    *graph = new gpu_emulator_graph{taken->nodes};
    return gpuSuccess;
}

gpuError_t gpuGraphInstantiate(gpuGraphExec_t *exec, gpuGraph_t graph, unsigned long long)
{
    *exec = new gpu_emulator_exec{std::make_shared<std::vector<node>>(graph->nodes)};
    return gpuSuccess;
}

gpuError_t gpuGraphLaunch(gpuGraphExec_t exec, gpuStream_t stream)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (until_fault <= 0)
        return gpuErrorIllegalAddress;
    auto nodes = exec->nodes;
    return submit(stream_of(stream), [nodes] { run_nodes(*nodes); });
}

gpuError_t gpuGraphDestroy(gpuGraph_t graph)
{
    delete graph;
    return gpuSuccess;
}

gpuError_t gpuGraphExecDestroy(gpuGraphExec_t exec)
{
    delete exec;
    return gpuSuccess;
}
