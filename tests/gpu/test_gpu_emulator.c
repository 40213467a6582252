/* The emulator itself: what it must do as a GPU does, and what it must not let pass. */
#include "emulator_kernels.h"
#include "gpu_test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 1000, THREADS = 64, BLOCKS = 3 };

/* The signal that ends a child in which `run` is called, 0 if it ends by itself. */
static int signal_of(void (*run)(void *argument), void *argument)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        close(STDERR_FILENO); /* the emulator says what is wrong */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        run(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void read_it(void *memory)
{
    (void)*(volatile char *)memory;
}

static void write_it(void *memory)
{
    *(volatile char *)memory = 1;
}

static void the_host_cannot_touch_device_memory(void **state)
{
    (void)state;
    void *device = gpu_test_memory(N), *pinned = NULL;
    assert_int_equal(signal_of(read_it, device), SIGSEGV);
    assert_int_equal(signal_of(write_it, device), SIGSEGV);
    GPU_TEST(gpuMemsetAsync(device, 0, N, gpu_test_stream));
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    assert_int_equal(signal_of(read_it, device), SIGSEGV);
    GPU_TEST(gpuMallocHost(&pinned, N));
    assert_int_equal(signal_of(write_it, pinned), 0);
    GPU_TEST(gpuFreeHost(pinned));
}

static void threads_meet(void **state)
{
    (void)state;
    int *reversed = gpu_test_memory(BLOCKS * THREADS * sizeof(int));
    int *fifth = gpu_test_memory(BLOCKS * THREADS * sizeof(int));
    for (int run = 0; run < 2; run++) { /* forwards and backwards */
        GPU_TEST(emulator_exchange(gpu_test_stream, BLOCKS, reversed, fifth));
        const int *r = gpu_test_download(reversed, BLOCKS * THREADS * sizeof(int));
        const int *f = gpu_test_download(fifth, BLOCKS * THREADS * sizeof(int));
        for (int i = 0; i < BLOCKS * THREADS; i++) {
            assert_int_equal(r[i], i / THREADS * THREADS + THREADS - 1 - i % THREADS);
            assert_int_equal(f[i], i ^ 5);
        }
    }
}

static void two_runs_show_a_race(void **state)
{
    (void)state;
    int *last = gpu_test_memory(sizeof *last), first, second;
    GPU_TEST(emulator_race(gpu_test_stream, BLOCKS, THREADS, last));
    first = *(int *)gpu_test_download(last, sizeof *last);
    GPU_TEST(emulator_race(gpu_test_stream, BLOCKS, THREADS, last));
    second = *(int *)gpu_test_download(last, sizeof *last);
    assert_int_equal(first + second, BLOCKS * THREADS - 1);
    assert_int_not_equal(first, second);
}

static void copies_come_when_they_are_waited_for(void **state)
{
    (void)state;
    float x[64];
    for (int i = 0; i < 64; i++)
        x[i] = (float)i;
    const float *from = gpu_test_upload(x, sizeof x);
    float *to = gpu_test_tensor(GPU_F32, 64);
    GPU_TEST(emulator_copies(gpu_test_stream, from, to));
    const float *got = gpu_test_download(to, sizeof x);
    for (int i = 0; i < 32; i++) {
        assert_true(got[i] != got[i]);
        assert_true(got[63 - i] == (i % 2 ? x[i] : 0.0f));
    }
}

static void launches_have_limits(void **state)
{
    (void)state;
    int *last = gpu_test_memory(sizeof *last);
    assert_int_equal(emulator_race(gpu_test_stream, 0, 32, last), gpuErrorInvalidConfiguration);
    assert_int_equal(emulator_race(gpu_test_stream, 1, 0, last), gpuErrorInvalidConfiguration);
    assert_int_equal(emulator_race(gpu_test_stream, 1, 1025, last), gpuErrorInvalidConfiguration);
}

static void run_uneven(void *unused)
{
    (void)unused;
    emulator_uneven(gpu_test_stream);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_elsewhere(void *unused)
{
    (void)unused;
    emulator_elsewhere(gpu_test_stream);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_lanes(void *x)
{
    emulator_lanes(gpu_test_stream, x);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_beyond(void *x)
{
    emulator_beyond(gpu_test_stream, x, 4096);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_wide_copies(void *x)
{
    emulator_wide_copies(gpu_test_stream, x, 0);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_on_the_hosts(void *x)
{
    float own[64] = {0};
    emulator_copies(gpu_test_stream, own, x);
    gpuStreamSynchronize(gpu_test_stream);
}

static void run_crooked_copies(void *x)
{
    emulator_wide_copies(gpu_test_stream, x, 1);
    gpuStreamSynchronize(gpu_test_stream);
}

static void bad_kernels_end_the_program(void **state)
{
    (void)state;
    int *x = gpu_test_memory(THREADS * sizeof *x);
    assert_int_equal(signal_of(run_uneven, NULL), SIGABRT);
    assert_int_equal(signal_of(run_elsewhere, NULL), SIGABRT);
    assert_int_equal(signal_of(run_lanes, x), SIGABRT);
    assert_int_equal(signal_of(run_wide_copies, x), 0);
    assert_int_equal(signal_of(run_crooked_copies, x), SIGABRT);
    assert_int_equal(signal_of(run_on_the_hosts, x), SIGABRT);
    assert_int_equal(signal_of(run_beyond, x), SIGSEGV);
}

static void work_waits_for_the_host(void **state)
{
    (void)state;
    char *pinned = NULL, source[N];
    void *device = gpu_test_memory(N), *other = gpu_test_memory(N);
    GPU_TEST(gpuMallocHost(&pinned, N));
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    memset(pinned, 1, N);
    memset(source, 2, N);
    GPU_TEST(gpuMemcpyAsync(device, source, N, gpuMemcpyDefault, gpu_test_stream)); /* pageable: read now */
    GPU_TEST(gpuMemcpyAsync(other, pinned, N, gpuMemcpyDefault, gpu_test_stream));  /* pinned: read later */
    GPU_TEST(gpuMemcpyAsync(pinned, device, N, gpuMemcpyDefault, gpu_test_stream));
    memset(source, 3, N);
    assert_int_equal(pinned[0], 1);
    memset(pinned, 4, N);
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    assert_int_equal(pinned[N - 1], 2);
    assert_int_equal(((char *)gpu_test_download(other, N))[0], 4);
    GPU_TEST(gpuFreeHost(pinned));
}

static void queries_let_work_go_on(void **state)
{
    (void)state;
    void *device = gpu_test_memory(N);
    gpuEvent_t event;
    GPU_TEST(gpuEventCreateWithFlags(&event, gpuEventDisableTiming));
    GPU_TEST(gpuEventQuery(event)); /* never recorded */
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    GPU_TEST(gpuStreamQuery(gpu_test_stream));
    GPU_TEST(gpuMemsetAsync(device, 0, N, gpu_test_stream));
    GPU_TEST(gpuEventRecord(event, gpu_test_stream));
    int queries = 0;
    while (gpuEventQuery(event) == gpuErrorNotReady)
        queries++;
    assert_int_equal(queries, 2);
    GPU_TEST(gpuStreamQuery(gpu_test_stream));
    GPU_TEST(gpuEventDestroy(event));
}

/* Two streams: `to` gets `from`, which the other stream writes. Returns its first float. */
static float across_streams(int with_event)
{
    gpuStream_t other;
    gpuEvent_t event;
    float one = 1.0f, got;
    void *from = gpu_test_memory(sizeof one), *to = gpu_test_memory(sizeof one);
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    GPU_TEST(gpuStreamCreateWithFlags(&other, gpuStreamNonBlocking));
    GPU_TEST(gpuEventCreateWithFlags(&event, gpuEventDisableTiming));
    GPU_TEST(gpuMemcpyAsync(from, &one, sizeof one, gpuMemcpyDefault, other));
    GPU_TEST(gpuEventRecord(event, other));
    if (with_event)
        GPU_TEST(gpuStreamWaitEvent(gpu_test_stream, event, 0));
    GPU_TEST(gpu_copy(gpu_test_stream, GPU_F32, 1, from, to, 0));
    got = *(float *)gpu_test_download(to, sizeof got);
    GPU_TEST(gpuEventDestroy(event));
    GPU_TEST(gpuStreamDestroy(other));
    return got;
}

static void streams_are_ordered_by_events_alone(void **state)
{
    (void)state;
    assert_true(across_streams(1) == 1.0f);
    float got = across_streams(0);
    assert_true(got != got);
}

static void a_graph_does_its_work_each_time(void **state)
{
    (void)state;
    float x[N], zero[N] = {0};
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    void *from = gpu_test_upload(x, sizeof x), *sum = gpu_test_upload(zero, sizeof zero);
    gpuGraph_t graph;
    gpuGraphExec_t exec;
    GPU_TEST(gpuStreamBeginCapture(gpu_test_stream, gpuStreamCaptureModeThreadLocal));
    GPU_TEST(gpu_copy(gpu_test_stream, GPU_F32, N, from, sum, 1));
    GPU_TEST(gpuStreamEndCapture(gpu_test_stream, &graph));
    GPU_TEST(gpuGraphInstantiate(&exec, graph, 0));
    GPU_TEST(gpuGraphDestroy(graph));
    gpu_test_same("sum before", sum, zero, sizeof zero);
    for (int launch = 1; launch <= 3; launch++) {
        GPU_TEST(gpuGraphLaunch(exec, gpu_test_stream));
        const float *got = gpu_test_download(sum, sizeof x);
        for (int i = 0; i < N; i++)
            assert_true(got[i] == (float)launch * x[i]);
    }
    GPU_TEST(gpuGraphExecDestroy(exec));
}

/* A capture that goes over to a second stream and, if `join`, back: sum = 2 x there, then 4 x. */
static gpuError_t capture_two_streams(gpuStream_t other, gpuEvent_t event, int join, const void *x, void *sum,
                                      gpuGraph_t *graph)
{
    GPU_TEST(gpuStreamBeginCapture(gpu_test_stream, gpuStreamCaptureModeThreadLocal));
    GPU_TEST(gpu_copy(gpu_test_stream, GPU_F32, N, x, sum, 0));
    GPU_TEST(gpuEventRecord(event, gpu_test_stream));
    GPU_TEST(gpuStreamWaitEvent(other, event, 0));
    GPU_TEST(gpu_copy(other, GPU_F32, N, x, sum, 1));
    GPU_TEST(gpuEventRecord(event, other));
    if (join) {
        GPU_TEST(gpuStreamWaitEvent(gpu_test_stream, event, 0));
        GPU_TEST(gpu_copy(gpu_test_stream, GPU_F32, N, sum, sum, 1));
    }
    return gpuStreamEndCapture(gpu_test_stream, graph);
}

static void a_capture_spans_streams(void **state)
{
    (void)state;
    uint64_t random = 3;
    float *x;
    void *from = gpu_test_random(GPU_F32, &random, N, -1.0, 1.0, &x), *sum = gpu_test_tensor(GPU_F32, N);
    gpuStream_t other;
    gpuEvent_t event;
    gpuGraph_t graph;
    gpuGraphExec_t exec;
    GPU_TEST(gpuStreamSynchronize(gpu_test_stream));
    GPU_TEST(gpuStreamCreateWithFlags(&other, gpuStreamNonBlocking));
    GPU_TEST(gpuEventCreateWithFlags(&event, gpuEventDisableTiming));
    assert_int_equal(capture_two_streams(other, event, 0, from, sum, &graph), gpuErrorStreamCaptureUnjoined);
    GPU_TEST(capture_two_streams(other, event, 1, from, sum, &graph));
    GPU_TEST(gpuGraphInstantiate(&exec, graph, 0));
    for (int launch = 0; launch < 2; launch++) {
        GPU_TEST(gpuGraphLaunch(exec, gpu_test_stream));
        const float *got = gpu_test_download(sum, N * sizeof(float));
        for (int i = 0; i < N; i++)
            assert_true(got[i] == 4.0f * x[i]);
    }
    GPU_TEST(gpuStreamSynchronize(other)); /* not captured any more */
    GPU_TEST(gpuGraphExecDestroy(exec));
    GPU_TEST(gpuGraphDestroy(graph));
    GPU_TEST(gpuEventDestroy(event));
    GPU_TEST(gpuStreamDestroy(other));
}

static void a_capture_neither_waits_nor_allocates(void **state)
{
    (void)state;
    void *memory;
    gpuGraph_t graph;
    GPU_TEST(gpuStreamBeginCapture(gpu_test_stream, gpuStreamCaptureModeThreadLocal));
    assert_int_equal(gpuMalloc(&memory, N), gpuErrorStreamCaptureUnsupported);
    assert_int_equal(gpuStreamEndCapture(gpu_test_stream, &graph), gpuErrorStreamCaptureUnsupported);
    GPU_TEST(gpuStreamBeginCapture(gpu_test_stream, gpuStreamCaptureModeThreadLocal));
    assert_int_equal(gpuStreamSynchronize(gpu_test_stream), gpuErrorStreamCaptureUnsupported);
    assert_int_equal(gpuStreamEndCapture(gpu_test_stream, &graph), gpuErrorStreamCaptureUnsupported);
}

static void device_memory_runs_out(void **state)
{
    (void)state;
    size_t available, total, after;
    void *memory;
    GPU_TEST(gpuMemGetInfo(&available, &total));
    assert_true(available <= total);
    assert_int_equal(gpuMalloc(&memory, total + 1), gpuErrorMemoryAllocation);
    GPU_TEST(gpuMalloc(&memory, N));
    GPU_TEST(gpuMemGetInfo(&after, &total));
    assert_true(after == available - N);
    GPU_TEST(gpuFree(memory));
    assert_int_equal(gpuFree(memory), gpuErrorInvalidValue);
    GPU_TEST(gpuFree(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_host_cannot_touch_device_memory, gpu_test_end),
        cmocka_unit_test_teardown(threads_meet, gpu_test_end),
        cmocka_unit_test_teardown(two_runs_show_a_race, gpu_test_end),
        cmocka_unit_test_teardown(copies_come_when_they_are_waited_for, gpu_test_end),
        cmocka_unit_test_teardown(launches_have_limits, gpu_test_end),
        cmocka_unit_test_teardown(bad_kernels_end_the_program, gpu_test_end),
        cmocka_unit_test_teardown(work_waits_for_the_host, gpu_test_end),
        cmocka_unit_test_teardown(queries_let_work_go_on, gpu_test_end),
        cmocka_unit_test_teardown(streams_are_ordered_by_events_alone, gpu_test_end),
        cmocka_unit_test_teardown(a_graph_does_its_work_each_time, gpu_test_end),
        cmocka_unit_test_teardown(a_capture_spans_streams, gpu_test_end),
        cmocka_unit_test_teardown(a_capture_neither_waits_nor_allocates, gpu_test_end),
        cmocka_unit_test_teardown(device_memory_runs_out, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
