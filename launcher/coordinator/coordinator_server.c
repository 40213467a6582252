#include "coordinator_server.h"

#include "base_log.h"
#include "base_time.h"
#include "coordinator_address.h"
#include "coordinator_gate.h"
#include "coordinator_state.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

/* Between two looks at who is lost. */
enum { TICK_MS = 100 };

/* Messages that are taken before the rest gets its turn. */
enum { BURST = 512, LAST_BURSTS = 16 /* when stopping */ };

struct coordinator_server {
    coordinator_secret secret;
    char key_file[PATH_MAX];
    coordinator_gate gate;
    int wake; /* eventfd: written to when stopping */
    atomic_int stopping;
    int has_thread;
    pthread_t thread;

    pthread_mutex_t lock; /* over what follows */
    coordinator_state *state;
    int is_full; /* and has said so */
    coordinator_counts counts;
    double clock, looked, began; /* awake time; base_time_now() at its last advance, and at the start */
};

/* ---- messages ---- */

static double advance_clock(coordinator_server *self)
{
    self->clock += base_time_awake(&self->looked, base_time_now());
    return self->clock;
}

/* Nobody waits for it: where it finds no room it is dropped. */
static void reply(coordinator_server *self, const coordinator_route *to, const uint8_t *bytes, size_t nbytes)
{
    if (bytes && to->nbytes > 0 && zmq_send(self->gate.router, to->bytes, to->nbytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(self->gate.router, bytes, nbytes, ZMQ_DONTWAIT);
}

static void tell_end(void *context, const coordinator_route *to, const telemetry_end *end)
{
    size_t nbytes = 0;
    telemetry_message message = {.kind = TELEMETRY_END, .end = *end};
    uint8_t *bytes = telemetry_wire_pack(&message, &nbytes);
    reply(context, to, bytes, nbytes);
    free(bytes);
}

static base_status fill_view(coordinator_server *self, const char *run_id, int ranks, coordinator_view *view)
{
    BASE_TRY(coordinator_state_view(self->state, advance_clock(self), run_id, ranks, view));
    snprintf(view->version, sizeof view->version, "%s", DDPT_VERSION);
    snprintf(view->address, sizeof view->address, "%s", self->secret.key.addresses[0]);
    view->uptime_s = base_time_now() - self->began;
    view->counts = self->counts;
    return BASE_OK;
}

static void answer_query(coordinator_server *self, const coordinator_route *to, const telemetry_query *query)
{
    size_t nbytes = 0;
    coordinator_view view = {0};
    if (fill_view(self, query->run_id, query->ranks, &view) != BASE_OK)
        return;
    uint8_t *bytes = telemetry_wire_pack_state(query->id, &view, &nbytes);
    reply(self, to, bytes, nbytes);
    free(bytes);
    coordinator_view_clear(&view);
}

/* Once: whoever sends for nothing goes on sending. */
static void warn_full(coordinator_server *self, const telemetry_summary *summary)
{
    if (!self->is_full)
        BASE_WARN("this coordinator has %d runs or %d ranks and takes no more, so that run %.8s is not watched: start "
                  "another coordinator",
                  COORDINATOR_RUNS_MAX, COORDINATOR_RANKS_MAX, summary->run.id);
    self->is_full = 1;
}

static void take_summary(coordinator_server *self, const coordinator_route *from, const telemetry_summary *summary)
{
    switch (coordinator_state_take(self->state, summary, from, self->clock)) {
    case COORDINATOR_ACCEPTED: self->counts.accepted++; break;
    case COORDINATOR_REPLAYED: self->counts.replayed++; break;
    case COORDINATOR_FOREIGN: self->counts.foreign++; break;
    case COORDINATOR_FULL:
        self->counts.foreign++;
        warn_full(self, summary);
        break;
    }
}

static void take_message(coordinator_server *self, const coordinator_route *from, const uint8_t *bytes, size_t nbytes)
{
    telemetry_message message;
    self->counts.received++;
    if (nbytes > TELEMETRY_MESSAGE_BYTES) {
        self->counts.oversized++;
    } else if (!telemetry_wire_unpack(bytes, nbytes, &message) || message.kind == TELEMETRY_END) {
        self->counts.malformed++;
    } else if (message.kind == TELEMETRY_QUERY) {
        self->counts.queries++;
        answer_query(self, from, &message.query);
    } else {
        take_summary(self, from, &message.summary);
    }
}

/* What follows the second frame is not ours, and neither is then the message. */
static int drop_rest(void *router)
{
    int dropped = 0, more;
    size_t size = sizeof more;
    while (zmq_getsockopt(router, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_recv(router, NULL, 0, 0);
        dropped++;
    }
    return dropped;
}

/* 0: there is none. */
static int receive(coordinator_server *self)
{
    void *router = self->gate.router;
    uint8_t route[256];
    coordinator_route from = {0};
    zmq_msg_t content;
    int n = zmq_recv(router, route, sizeof route, ZMQ_DONTWAIT);
    if (n < 0)
        return 0;
    if (n <= COORDINATOR_ROUTE_BYTES) {
        from.nbytes = (uint8_t)n;
        memcpy(from.bytes, route, from.nbytes);
    }
    zmq_msg_init(&content);
    if (zmq_msg_recv(&content, router, 0) >= 0) {
        if (drop_rest(router) == 0) {
            take_message(self, &from, zmq_msg_data(&content), zmq_msg_size(&content));
        } else {
            self->counts.received++;
            self->counts.malformed++;
        }
    }
    zmq_msg_close(&content);
    return 1;
}

/* ---- the thread ---- */

/* Returns whether there may be more. */
static int take_burst(coordinator_server *self)
{
    int count = 0;
    pthread_mutex_lock(&self->lock);
    advance_clock(self);
    coordinator_gate_serve(&self->gate);
    self->counts.refused = self->gate.handshakes.refused;
    while (count < BURST && receive(self))
        count++;
    pthread_mutex_unlock(&self->lock);
    return count == BURST;
}

static void tick(coordinator_server *self)
{
    pthread_mutex_lock(&self->lock);
    coordinator_state_tick(self->state, advance_clock(self), tell_end, self);
    pthread_mutex_unlock(&self->lock);
}

static void *serve(void *argument)
{
    coordinator_server *self = argument;
    zmq_pollitem_t items[] = {{.socket = self->gate.router, .events = ZMQ_POLLIN},
                              {.socket = self->gate.zap, .events = ZMQ_POLLIN},
                              {.socket = self->gate.monitor, .events = ZMQ_POLLIN},
                              {.fd = self->wake, .events = ZMQ_POLLIN}};
    double due = 0.0;
    int more = 0;
    pthread_setname_np(pthread_self(), "ddpt-coordinate"); /* as top -H shows it */
    while (!atomic_load_explicit(&self->stopping, memory_order_acquire)) {
        double left = due - base_time_now();
        zmq_poll(items, sizeof items / sizeof *items, more || left <= 0.0 ? 0 : (long)(1e3 * left) + 1);
        more = take_burst(self);
        if (base_time_now() >= due) {
            tick(self);
            due = base_time_now() + 1e-3 * TICK_MS;
        }
    }
    for (int i = 0; i < LAST_BURSTS && take_burst(self); i++)
        continue;
    return NULL;
}

static base_status start_thread(coordinator_server *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, NULL, serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return BASE_FAIL_ERRNO(BASE_ERROR, failed, "cannot start the coordinator's thread");
    self->has_thread = 1;
    return BASE_OK;
}

/* ---- creation ---- */

/* Every connection takes a file. */
static void raise_file_limit(int peers)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)peers + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || (peers > 0 && limit.rlim_cur >= wanted))
        return;
    limit.rlim_cur = peers > 0 && wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static base_status bind_within_run(coordinator_server *self, int tcp)
{
    unsigned char bytes[16];
    char address[COORDINATOR_ADDRESS_TEXT] = "ipc://@ddpt-";
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return BASE_FAIL(BASE_ERROR, "the system gives no random numbers for the coordinator's address");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(address + strlen(address), 3, "%02x", bytes[i]);
    BASE_TRY(coordinator_gate_bind(&self->gate, address, &self->secret.key));
    return tcp ? coordinator_gate_bind(&self->gate, "tcp://*:*", &self->secret.key) : BASE_OK;
}

static base_status name_key_file(coordinator_server *self, const char *given, const char *address)
{
    if (!given)
        return coordinator_secret_name(address, self->key_file, sizeof self->key_file);
    if ((size_t)snprintf(self->key_file, sizeof self->key_file, "%s", given) >= sizeof self->key_file)
        return BASE_FAIL(BASE_USAGE, "the name %s is too long", given);
    return BASE_OK;
}

/* The file's name is known only after binding where the system chooses the port. */
static int has_free_port(const char *bind)
{
    char host[COORDINATOR_HOST_TEXT], port[8];
    return coordinator_address_split(bind, host, port) && (strcmp(port, "*") == 0 || atoi(port) == 0);
}

static base_status open_keys(coordinator_server *self, const coordinator_server_options *options)
{
    char address[COORDINATOR_ADDRESS_TEXT];
    if (!options->key_file && (!options->bind || has_free_port(options->bind)))
        return coordinator_secret_make(&self->secret);
    coordinator_address_normalize(options->bind ? options->bind : "", address);
    BASE_TRY(name_key_file(self, options->key_file, address));
    BASE_TRY(coordinator_secret_take(self->key_file, &self->secret));
    self->secret.key.address_count = 0;
    return BASE_OK;
}

/* The one under which a later start at the port that was chosen looks for it. */
static base_status write_keys(coordinator_server *self, const char *bind)
{
    char address[COORDINATOR_ADDRESS_TEXT], host[COORDINATOR_HOST_TEXT], port[8];
    if (bind && !self->key_file[0]) {
        coordinator_address_split(self->secret.key.addresses[0], host, port);
        coordinator_address_normalize(bind, address);
        *strrchr(address, ':') = '\0';
        snprintf(address + strlen(address), sizeof address - strlen(address), ":%s", port);
        BASE_TRY(name_key_file(self, NULL, address));
    }
    return self->key_file[0] ? coordinator_secret_write(self->key_file, &self->secret) : BASE_OK;
}

static base_status open_all(coordinator_server *self, const coordinator_server_options *options)
{
    BASE_TRY(open_keys(self, options));
    BASE_TRY(coordinator_state_create(&self->state));
    self->wake = eventfd(0, EFD_CLOEXEC);
    if (self->wake < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot start the coordinator");
    BASE_TRY(coordinator_gate_open(&self->gate, &self->secret));
    BASE_TRY(options->bind ? coordinator_gate_bind(&self->gate, options->bind, &self->secret.key)
                           : bind_within_run(self, options->tcp));
    BASE_TRY(write_keys(self, options->bind));
    return start_thread(self);
}

base_status coordinator_server_create(const coordinator_server_options *options, coordinator_server **out)
{
    coordinator_server *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the coordinator");
    self->wake = -1;
    self->began = self->looked = base_time_now();
    pthread_mutex_init(&self->lock, NULL);
    raise_file_limit(options->peers);
    base_status status = open_all(self, options);
    if (status != BASE_OK)
        coordinator_server_destroy(&self);
    *out = self;
    return status;
}

void coordinator_server_destroy(coordinator_server **out)
{
    coordinator_server *self = *out;
    if (!self)
        return;
    if (self->has_thread) {
        uint64_t one = 1;
        atomic_store_explicit(&self->stopping, 1, memory_order_release);
        if (write(self->wake, &one, sizeof one) < 0)
            one = 0; /* the thread sees `stopping` at its next tick */
        pthread_join(self->thread, NULL);
    }
    coordinator_gate_close(&self->gate);
    coordinator_state_destroy(&self->state);
    if (self->wake >= 0)
        close(self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *out = NULL;
}

/* ---- what it tells ---- */

const coordinator_key *coordinator_server_key(const coordinator_server *self)
{
    return &self->secret.key;
}

const char *coordinator_server_key_file(const coordinator_server *self)
{
    return self->key_file;
}

base_status coordinator_server_view(coordinator_server *self, coordinator_view *view)
{
    coordinator_view_clear(view);
    pthread_mutex_lock(&self->lock);
    base_status status = fill_view(self, "", 1, view);
    pthread_mutex_unlock(&self->lock);
    return status;
}
