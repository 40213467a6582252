/* The worker's thread against a coordinator: what comes, what happens when the coordinator goes and comes back, and how
 * a run ends that has lost a rank.
 */
#include "telemetry_test.h"

#include "telemetry_sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One rank that trains, seemingly. */
typedef struct worker {
    run_monitor *monitor;
    run_monitor_record record;
    telemetry_sender *sender;
} worker;

static coordinator_server *server;
static coordinator_key key;

static int start_server(void **state)
{
    (void)state;
    if (coordinator_server_create(&(coordinator_server_options){.bind = "tcp://127.0.0.1:*"}, &server) != BASE_OK)
        return -1;
    key = *coordinator_server_key(server);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    coordinator_server_destroy(&server);
    return 0;
}

static worker begin(int rank, int size, double stall_timeout)
{
    worker self = {.record = {.clock = base_time_now()}};
    run_monitor_run run = telemetry_test_monitor_run(rank, size);
    run.stall_timeout = stall_timeout;
    assert_int_equal(run_monitor_create(&self.monitor), BASE_OK);
    telemetry_sender_options options = {
        .coordinator = &key, .run_id = telemetry_test_run_id(1), .run = &run, .monitor = self.monitor};
    assert_int_equal(telemetry_sender_start(&options, &self.sender), BASE_OK);
    return self;
}

static void end(worker *self, base_status status, int linger_ms)
{
    telemetry_sender_stop(&self->sender, status, linger_ms);
    assert_null(self->sender);
    run_monitor_destroy(&self->monitor);
}

/* ---- what a coordinator has heard ---- */

typedef struct wish {
    int64_t step;
    int ranks;
    coordinator_run_state state;
    worker *worker; /* who makes a step whenever it is looked */
} wish;

static int is_heard(void *context)
{
    const wish *wanted = context;
    coordinator_view view = {0};
    if (wanted->worker)
        telemetry_test_step(wanted->worker->monitor, &wanted->worker->record);
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    int heard = view.run_count == 1 && view.runs[0].step >= wanted->step && view.runs[0].state == wanted->state &&
                view.runs[0].rank_count >= wanted->ranks;
    coordinator_view_clear(&view);
    return heard;
}

static void hear(wish wanted, const char *what)
{
    telemetry_test_wait(is_heard, &wanted, what);
}

static void steps_and_end_are_heard(void **state)
{
    (void)state;
    worker workers[2] = {begin(0, 2, 30.0), begin(1, 2, 30.0)};
    hear((wish){.ranks = 2}, "both ranks have spoken");
    for (int i = 0; i < 100; i++)
        for (int rank = 0; rank < 2; rank++)
            telemetry_test_step(workers[rank].monitor, &workers[rank].record);
    hear((wish){.step = 100}, "their steps are known");
    for (int rank = 0; rank < 2; rank++)
        end(&workers[rank], BASE_OK, 60000);
    hear((wish){.step = 100, .state = COORDINATOR_DONE}, "the run is done");
    coordinator_view view = {0};
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    assert_string_equal(view.runs[0].folder, "runs/test");
    assert_int_equal(view.runs[0].ranks[1].lost_summaries, 0);
    assert_int_equal(view.counts.received, view.counts.accepted);
    coordinator_view_clear(&view);
}

static void reason_of_a_failure_is_heard(void **state)
{
    (void)state;
    worker self = begin(0, 1, 30.0);
    hear((wish){.ranks = 1}, "the rank has spoken");
    end(&self, BASE_FAIL(BASE_DATA, "no such data"), 60000);
    hear((wish){.state = COORDINATOR_FAILED}, "the run has failed");
    coordinator_view view = {0};
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    assert_string_equal(view.runs[0].reason, "no such data");
    coordinator_view_clear(&view);
}

/* The coordinator goes, training goes on, the coordinator comes back: so does what it knows of steps. */
static void restarted_coordinator_hears_the_run_again(void **state)
{
    (void)state;
    worker self = begin(0, 1, 30.0);
    hear((wish){.step = 50, .worker = &self}, "the run is heard");
    coordinator_server_destroy(&server);
    for (int i = 0; i < 1000; i++)
        telemetry_test_step(self.monitor, &self.record);
    int64_t step = self.record.step;
    const coordinator_server_options again = {.bind = key.addresses[0]};
    assert_int_equal(coordinator_server_create(&again, &server), BASE_OK);
    hear((wish){.step = step, .worker = &self}, "the run is heard again");
    hear((wish){.step = step + 100, .worker = &self}, "its steps go on");
    coordinator_view view = {0};
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    assert_int_equal(view.counts.received, view.counts.accepted); /* none is old or comes twice */
    assert_near(view.runs[0].ranks[0].total_s[BASE_PHASE_FORWARD], 0.040 * (double)view.runs[0].step, 1e-6);
    coordinator_view_clear(&view);
    end(&self, BASE_STOPPED, 60000);
    hear((wish){.step = step, .state = COORDINATOR_STOPPED}, "it was stopped");
}

/* Neither start nor stop waits for a coordinator that is not there, beyond what it was given. */
static void absent_coordinator_is_not_waited_for(void **state)
{
    (void)state;
    coordinator_server_destroy(&server);
    worker self = begin(0, 1, 30.0);
    telemetry_test_step(self.monitor, &self.record);
    end(&self, BASE_OK, 10);
}

static void stop_without_start_is_nothing(void **state)
{
    (void)state;
    telemetry_sender *none = NULL;
    telemetry_sender_stop(&none, BASE_OK, 1000);
}

/* ---- a rank is lost ---- */

static int is_raised(void *alarm)
{
    return base_alarm_raised(alarm);
}

/* Rank 1 is stuck in forward; both are told why. */
static void lost_rank_raises_the_alarm(void **state)
{
    (void)state;
    worker workers[2] = {begin(0, 2, 0.5), begin(1, 2, 0.5)};
    for (int rank = 0; rank < 2; rank++)
        atomic_store(&run_monitor_watch(workers[rank].monitor)->phase, rank ? BASE_PHASE_FORWARD : BASE_PHASE_WAIT);
    for (int rank = 0; rank < 2; rank++)
        telemetry_test_wait(is_raised, run_monitor_alarm(workers[rank].monitor), "the alarm is raised");
    for (int rank = 0; rank < 2; rank++) {
        const char *told = run_monitor_alarm(workers[rank].monitor)->text;
        if (!strstr(told, "rank 1 (node1) has not got anywhere for 0."))
            fail_msg("%s", told);
        end(&workers[rank], BASE_FAIL(BASE_PEER, "%s", told), 60000);
    }
    hear((wish){.state = COORDINATOR_FAILED}, "the run has failed");
    coordinator_view view = {0};
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    const char *reason = view.runs[0].reason;
    if (!strstr(reason, "rank 1 (node1) has not got anywhere for 0.") || !strstr(reason, "last seen in forward"))
        fail_msg("%s", reason);
    coordinator_view_clear(&view);
}

/* The step loop hangs where it does not see the alarm: the process ends all the same. A process of its own, since one
 * that has used ZeroMQ cannot be copied. */
static int run_hanging_worker(const char *key_file)
{
    if (coordinator_key_read(key_file, &key) != BASE_OK)
        return 1;
    begin(0, 1, 0.2);
    for (;;)
        pause();
}

static const char *program;

static void worker_that_hangs_is_ended(void **state)
{
    (void)state;
    int pipe_ends[2], status;
    char said[1024] = "";
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        execl(program, program, coordinator_server_key_file(server), (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read(pipe_ends[0], said, sizeof said - 1) > 0);
    close(pipe_ends[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), BASE_PEER);
    if (!strstr(said, "error: rank 0 (node0) has not got anywhere for 0."))
        fail_msg("%s", said);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_server, stop_server)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_and_end_are_heard),
        TEST(reason_of_a_failure_is_heard),
        TEST(restarted_coordinator_hears_the_run_again),
        TEST(absent_coordinator_is_not_waited_for),
        TEST(stop_without_start_is_nothing),
        TEST(lost_rank_raises_the_alarm),
        TEST(worker_that_hangs_is_ended),
    };
    program = argv[0];
    if (argc > 1)
        return run_hanging_worker(argv[1]);
    return cmocka_run_group_tests(tests, telemetry_test_make_folder, telemetry_test_remove_folder);
}
