/* coordinator_load [SECONDS [WORKERS]]: so many workers, each with a connection of its own, send a summary a second to
 * a coordinator in another process. None must get lost. Prints how much of a core the coordinator took meanwhile:
 *
 *     build/tests/coordinator_load 30
 *
 * coordinator_load --serve FILE: the other process; writes its key to FILE and ends when stdin does.
 */
#include "telemetry_test.h"

#include "base_time.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

typedef struct load {
    int seconds, workers;
    pid_t coordinator;
    int hold; /* the coordinator lives as long as this end of its stdin is open */
    coordinator_key key;
    void *context;
    void **sockets; /* (workers) */
} load;

static int failed(const char *what)
{
    fprintf(stderr, "coordinator_load: %s\n", what);
    return 1;
}

/* ---- the coordinator ---- */

static int serve(const char *file)
{
    coordinator_server *server;
    const coordinator_server_options options = {.bind = "tcp://127.0.0.1:*", .key_file = file};
    char byte;
    if (coordinator_server_create(&options, &server) != BASE_OK)
        return failed(base_status_message());
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    coordinator_server_destroy(&server);
    return 0;
}

static int start(load *self, const char *program, const char *file)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    self->coordinator = fork();
    if (self->coordinator == 0) {
        dup2(ends[0], STDIN_FILENO);
        execl(program, program, "--serve", file, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    self->hold = ends[1];
    for (int i = 0; i < 6000; i++) {
        if (coordinator_key_read(file, &self->key) == BASE_OK)
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return 0;
}

/* User and system time of a process so far, in seconds. */
static double cpu_of(pid_t process)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)process);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return NAN;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- the workers ---- */

static int connect_all(load *self)
{
    static const int one = 1, none = 0;
    self->context = zmq_ctx_new();
    self->sockets = calloc((size_t)self->workers, sizeof *self->sockets);
    zmq_ctx_set(self->context, ZMQ_MAX_SOCKETS, self->workers + 16);
    for (int i = 0; i < self->workers; i++) {
        void *socket = zmq_socket(self->context, ZMQ_DEALER);
        if (!socket || zmq_setsockopt(socket, ZMQ_IMMEDIATE, &one, sizeof one) != 0 ||
            zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
            zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, self->key.server_public, COORDINATOR_KEY_TEXT) != 0 ||
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, self->key.member_public, COORDINATOR_KEY_TEXT) != 0 ||
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->key.member_secret, COORDINATOR_KEY_TEXT) != 0 ||
            zmq_connect(socket, self->key.addresses[0]) != 0)
            return 0;
        self->sockets[i] = socket;
    }
    for (int i = 0; i < self->workers; i++) {
        zmq_pollitem_t item = {.socket = self->sockets[i], .events = ZMQ_POLLOUT};
        if (zmq_poll(&item, 1, 60000) != 1)
            return 0;
    }
    return 1;
}

static void disconnect_all(load *self)
{
    for (int i = 0; i < self->workers && self->sockets; i++)
        if (self->sockets[i])
            zmq_close(self->sockets[i]);
    if (self->context)
        zmq_ctx_term(self->context);
    free(self->sockets);
}

static int send_one(load *self, int worker, int second)
{
    size_t nbytes;
    telemetry_message message = {.kind = TELEMETRY_SUMMARY,
                                 .summary = telemetry_test_summary(1, worker, self->workers, 0, second)};
    uint8_t *bytes = telemetry_wire_pack(&message, &nbytes);
    int sent = bytes && zmq_send(self->sockets[worker], bytes, nbytes, ZMQ_DONTWAIT) == (int)nbytes;
    free(bytes);
    return sent;
}

/* Spread over each second, as those of separate processes are. */
static int send_all(load *self)
{
    double began = base_time_now();
    for (int second = 0; second < self->seconds; second++) {
        for (int i = 0; i < self->workers; i++) {
            double early = began + second + (double)i / self->workers - base_time_now();
            if (early > 0.0)
                nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * early)}, NULL);
            if (!send_one(self, i, second))
                return 0;
        }
    }
    return 1;
}

/* ---- what has come ---- */

static uint64_t lost_in(const coordinator_view *view)
{
    uint64_t lost = 0;
    for (int i = 0; i < view->run_count; i++)
        for (int r = 0; r < view->runs[i].rank_count; r++)
            lost += view->runs[i].ranks[r].lost_summaries;
    return lost;
}

static int check(load *self)
{
    coordinator_client *client;
    coordinator_view view = {0};
    uint64_t sent = (uint64_t)self->workers * (uint64_t)self->seconds;
    if (coordinator_client_open(&self->key, &client) != BASE_OK)
        return failed(base_status_message());
    for (int i = 0; i < 300 && view.counts.received < sent + view.counts.queries; i++)
        if (coordinator_client_query(client, &(coordinator_query){.ranks = 1}, 10000, &view) != BASE_OK)
            return failed(base_status_message());
    coordinator_client_close(&client);
    int good = view.counts.accepted == sent && view.counts.received == sent + view.counts.queries &&
               view.run_count == 1 && view.runs[0].rank_count == self->workers && lost_in(&view) == 0;
    printf("%d workers, %d s: %llu summaries sent, %llu accepted, %llu gaps\n", self->workers, self->seconds,
           (unsigned long long)sent, (unsigned long long)view.counts.accepted, (unsigned long long)lost_in(&view));
    coordinator_view_clear(&view);
    return good ? 0 : failed("summaries got lost");
}

static int run(load *self)
{
    if (!connect_all(self))
        return failed("cannot connect all workers");
    double cpu = cpu_of(self->coordinator), began = base_time_now();
    if (!send_all(self))
        return failed("a summary found no room");
    cpu = cpu_of(self->coordinator) - cpu;
    printf("coordinator: %.2f %% of a core\n", 100.0 * cpu / (base_time_now() - began));
    return check(self);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--serve") == 0)
        return serve(argv[2]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    load self = {.seconds = argc > 1 ? atoi(argv[1]) : 3, .workers = argc > 2 ? atoi(argv[2]) : 512, .hold = -1};
    telemetry_test_make_folder(NULL);
    int status = start(&self, argv[0], telemetry_test_path("key.json")) ? run(&self) : failed("no coordinator");
    disconnect_all(&self);
    close(self.hold);
    waitpid(self.coordinator, NULL, 0);
    telemetry_test_remove_folder(NULL);
    return status;
}
