#include "telemetry_test.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { RATE = 10 }; /* steps a second */

static const double phase_seconds[BASE_PHASE_COUNT] = {
    [BASE_PHASE_DATA] = 0.002,   [BASE_PHASE_FORWARD] = 0.040, [BASE_PHASE_BACKWARD] = 0.030, [BASE_PHASE_WAIT] = 0.010,
    [BASE_PHASE_REDUCE] = 0.005, [BASE_PHASE_UPDATE] = 0.008,  [BASE_PHASE_OTHER] = 0.005};

const char *telemetry_test_run_id(unsigned run)
{
    static char ids[8][33];
    static unsigned next;
    char *id = ids[next++ % 8];
    snprintf(id, 33, "%032x", run);
    return id;
}

static double losses(int64_t from, int64_t to)
{
    double sum = 0.0;
    for (int64_t step = from + 1; step <= to; step++)
        sum += 1.0 / (double)step;
    return sum;
}

static telemetry_window window_of(int64_t from, int64_t to)
{
    telemetry_window window = {.steps = to - from};
    if (window.steps == 0)
        return window;
    window.samples = TEST_BATCH * window.steps;
    window.seconds = (double)window.steps / RATE;
    window.loss_sum = losses(from, to);
    window.longest_step = 1.0 / RATE;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        window.phases[i] = phase_seconds[i] * (double)window.steps;
    return window;
}

telemetry_summary telemetry_test_summary(unsigned run, int rank, int size, uint64_t process, int seconds)
{
    int64_t steps = (int64_t)RATE * seconds;
    telemetry_summary summary = {.rank = rank,
                                 .run = {.name = "test",
                                         .folder = "runs/test",
                                         .size = size,
                                         .parameters = 1000,
                                         .global_batch = TEST_BATCH,
                                         .total_steps = TEST_STEPS,
                                         .steps_per_epoch = TEST_STEPS_PER_EPOCH,
                                         .epochs = TEST_STEPS / TEST_STEPS_PER_EPOCH,
                                         .stall_timeout = 30.0},
                                 .at = {.process = process ? process : 1000 + (uint64_t)rank,
                                        .sequence = (uint64_t)seconds + 1,
                                        .elapsed = seconds,
                                        .step = steps,
                                        .phase = BASE_PHASE_FORWARD,
                                        .progress = 7 * (uint64_t)steps,
                                        .samples = TEST_BATCH * steps,
                                        .loss_sum = losses(0, steps),
                                        .loss = steps ? 1.0 / (double)steps : NAN,
                                        .test_loss = NAN,
                                        .test_accuracy = NAN}};
    memcpy(summary.run.id, telemetry_test_run_id(run), sizeof summary.run.id);
    snprintf(summary.host, sizeof summary.host, "node%d", rank);
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        summary.at.total[i] = phase_seconds[i] * (double)steps;
    summary.at.window = window_of(steps > RATE ? steps - RATE : 0, steps);
    return summary;
}

uint8_t *telemetry_test_pack(const telemetry_summary *summary, size_t *nbytes)
{
    telemetry_message message = {.kind = TELEMETRY_SUMMARY, .summary = *summary};
    uint8_t *bytes = telemetry_wire_pack(&message, nbytes);
    assert_non_null(bytes);
    return bytes;
}

run_monitor_run telemetry_test_monitor_run(int rank, int size)
{
    static char hosts[8][16];
    char *host = hosts[rank % 8];
    snprintf(host, sizeof hosts[0], "node%d", rank);
    return (run_monitor_run){.name = "test",
                             .folder = rank == 0 ? "runs/test" : "",
                             .host = host,
                             .rank = rank,
                             .size = size,
                             .parameters = 1000,
                             .global_batch = TEST_BATCH,
                             .total_steps = TEST_STEPS,
                             .steps_per_epoch = TEST_STEPS_PER_EPOCH,
                             .epochs = TEST_STEPS / TEST_STEPS_PER_EPOCH,
                             .stall_timeout = 30.0};
}

void telemetry_test_step(run_monitor *monitor, run_monitor_record *record)
{
    record->step++;
    record->clock += 1.0 / RATE;
    record->loss = 1.0 / (double)record->step;
    record->loss_sum += record->loss;
    record->samples += TEST_BATCH;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        record->seconds[i] += phase_seconds[i];
    atomic_fetch_add(&run_monitor_watch(monitor)->progress, 7);
    run_monitor_add(monitor, record);
}

void telemetry_test_near(double found, double wanted, double tolerance, const char *file, int line)
{
    if (fabs(found - wanted) <= tolerance)
        return;
    print_error("%.9g is not %.9g within %.3g\n", found, wanted, tolerance);
    _fail(file, line);
}

void telemetry_test_wait(int (*holds)(void *context), void *context, const char *what)
{
    for (int i = 0; i < 12000; i++) {
        if (holds(context))
            return;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fail_msg("in a minute it has not come true that %s", what);
}

/* ---- a folder ---- */

static char folder[64];

int telemetry_test_make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/ddpt-coordinator-XXXXXX");
    return mkdtemp(folder) ? setenv("DDPT_STATE", folder, 1) : -1;
}

int telemetry_test_remove_folder(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

const char *telemetry_test_path(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* ---- peers ---- */

telemetry_peer telemetry_peer_open(const coordinator_key *key, const char *address)
{
    static const int linger = 0;
    telemetry_peer self = {.context = zmq_ctx_new()};
    self.socket = zmq_socket(self.context, ZMQ_DEALER);
    assert_non_null(self.socket);
    assert_int_equal(zmq_setsockopt(self.socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    if (key) {
        assert_int_equal(zmq_setsockopt(self.socket, ZMQ_CURVE_SERVERKEY, key->server_public, 41), 0);
        assert_int_equal(zmq_setsockopt(self.socket, ZMQ_CURVE_PUBLICKEY, key->member_public, 41), 0);
        assert_int_equal(zmq_setsockopt(self.socket, ZMQ_CURVE_SECRETKEY, key->member_secret, 41), 0);
    }
    assert_int_equal(zmq_connect(self.socket, address), 0);
    return self;
}

void telemetry_peer_close(telemetry_peer *self)
{
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
}

void telemetry_peer_send(telemetry_peer *self, const void *bytes, size_t nbytes)
{
    assert_int_equal(zmq_send(self->socket, bytes, nbytes, 0), nbytes);
}

void telemetry_peer_send_summary(telemetry_peer *self, const telemetry_summary *summary)
{
    size_t nbytes;
    uint8_t *bytes = telemetry_test_pack(summary, &nbytes);
    telemetry_peer_send(self, bytes, nbytes);
    free(bytes);
}

coordinator_counts telemetry_test_counts(coordinator_server *server)
{
    coordinator_view view = {0};
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    coordinator_counts counts = view.counts;
    coordinator_view_clear(&view);
    return counts;
}
