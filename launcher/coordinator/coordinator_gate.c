#include "coordinator_gate.h"

#include "base_time.h"
#include "coordinator_address.h"
#include "coordinator_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

/* A peer may queue so many messages of at most MESSAGE_BYTES_MAX here before it has to wait; answers to one that does
 * not read are dropped. One that connects and says nothing is gone after HANDSHAKE_MS. */
enum { QUEUE = 64, ANSWERS = 16, MESSAGE_BYTES_MAX = 1024 * 1024, HANDSHAKE_MS = 5000, LINGER_MS = 200 };

static const coordinator_socket_option router_options[] = {{ZMQ_CURVE_SERVER, 1},
                                                           {ZMQ_RCVHWM, QUEUE},
                                                           {ZMQ_SNDHWM, ANSWERS},
                                                           {ZMQ_LINGER, LINGER_MS},
                                                           {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
                                                           {ZMQ_BACKLOG, 1024}};

/* ---- creation ---- */

static base_status open_router(coordinator_gate *self, const coordinator_secret *secret)
{
    static const int64_t longest = MESSAGE_BYTES_MAX;
    BASE_TRY(coordinator_socket_create(self->context, ZMQ_ROUTER, router_options,
                                       sizeof router_options / sizeof *router_options, &self->router));
    if (zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &longest, sizeof longest) != 0 ||
        zmq_setsockopt(self->router, ZMQ_ZAP_DOMAIN, "ddpt", 4) != 0 ||
        zmq_setsockopt(self->router, ZMQ_CURVE_SECRETKEY, secret->server_secret, COORDINATOR_KEY_TEXT) != 0)
        return BASE_FAIL(BASE_ERROR, "cannot set up the coordinator's socket: %s", zmq_strerror(zmq_errno()));
    return coordinator_socket_watch(self->context, self->router, coordinator_handshakes_events, &self->monitor);
}

static base_status open_zap(coordinator_gate *self)
{
    BASE_TRY(coordinator_socket_create(self->context, ZMQ_REP, NULL, 0, &self->zap));
    if (zmq_bind(self->zap, "inproc://zeromq.zap.01") != 0)
        return BASE_FAIL(BASE_ERROR, "cannot ask who may speak to the coordinator: %s", zmq_strerror(zmq_errno()));
    return BASE_OK;
}

base_status coordinator_gate_open(coordinator_gate *self, const coordinator_secret *secret)
{
    *self = (coordinator_gate){.handshakes = {.longest = 1.5e-3 * HANDSHAKE_MS}};
    zmq_z85_decode(self->member, secret->key.member_public);
    BASE_TRY(coordinator_context_create(&self->context));
    base_status status = open_zap(self);
    if (status == BASE_OK)
        status = open_router(self, secret);
    if (status != BASE_OK)
        coordinator_gate_close(self);
    return status;
}

void coordinator_gate_close(coordinator_gate *self)
{
    if (!self->context)
        return;
    if (self->monitor)
        coordinator_socket_unwatch(self->router);
    if (self->router)
        zmq_close(self->router); /* lingers over the last answers */
    coordinator_socket_close(&self->monitor);
    coordinator_socket_close(&self->zap);
    coordinator_context_destroy(&self->context);
    coordinator_handshakes_clear(&self->handshakes);
    *self = (coordinator_gate){0};
}

/* ---- addresses ---- */

static void add_address(coordinator_key *key, const char *address)
{
    if (key->address_count < COORDINATOR_ADDRESSES)
        snprintf(key->addresses[key->address_count++], COORDINATOR_ADDRESS_TEXT, "%s", address);
}

/* Bound to all interfaces: those that others can reach, then the loopback. */
static void add_interfaces(coordinator_key *key, const char *port)
{
    coordinator_interface interfaces[COORDINATOR_INTERFACES];
    char address[COORDINATOR_ADDRESS_TEXT];
    int count = coordinator_address_interfaces(interfaces);
    for (int i = 0; i < count; i++) {
        int last = key->address_count == COORDINATOR_ADDRESSES - 1;
        if (last && !interfaces[i].loopback)
            continue;
        coordinator_address_write(address, interfaces[i].address, port);
        add_address(key, address);
    }
}

static base_status bind_to(coordinator_gate *self, const char *address, char bound[COORDINATOR_ADDRESS_TEXT])
{
    size_t size = COORDINATOR_ADDRESS_TEXT;
    if (zmq_bind(self->router, address) != 0) {
        int error = zmq_errno();
        return BASE_FAIL(error == EINVAL || error == ENODEV || error == EPROTONOSUPPORT || error == EADDRNOTAVAIL
                             ? BASE_USAGE
                             : BASE_ERROR,
                         "cannot listen at %s: %s%s", address, zmq_strerror(error),
                         error == EADDRINUSE ? "; another coordinator may be there already" : "");
    }
    if (zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, bound, &size) != 0)
        return BASE_FAIL(BASE_ERROR, "cannot tell where the coordinator listens: %s", zmq_strerror(zmq_errno()));
    return BASE_OK;
}

static base_status bind_tcp(coordinator_gate *self, const char *host, const char *port, coordinator_key *key)
{
    char address[COORDINATOR_ADDRESS_TEXT], bound[COORDINATOR_ADDRESS_TEXT], bound_host[COORDINATOR_HOST_TEXT];
    char bound_port[8];
    uint32_t number;
    int all = strcmp(host, "*") == 0;
    if (all)
        snprintf(address, sizeof address, "tcp://*:%s", port);
    else if (coordinator_address_resolve(host, &number))
        coordinator_address_write(address, number, port);
    else
        return BASE_FAIL(BASE_USAGE, "cannot listen at %s: this host does not know an IPv4 address of that name", host);
    BASE_TRY(bind_to(self, address, bound));
    if (!coordinator_address_split(bound, bound_host, bound_port))
        return BASE_FAIL(BASE_ERROR, "the coordinator listens at %s, which is no address", bound);
    if (all)
        add_interfaces(key, bound_port);
    else
        add_address(key, bound);
    return BASE_OK;
}

/* libzmq takes away what lies at the path: only a socket that nobody listens at may go. */
static base_status check_path(const char *address)
{
    struct stat found;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + strlen("ipc://");
    if (*path == '@')
        return BASE_OK;
    if (*path != '/' || strlen(path) >= sizeof name.sun_path)
        return BASE_FAIL(BASE_USAGE, "cannot listen at %s: it needs a path from the root, of at most %zu characters",
                         address, sizeof name.sun_path - 1);
    if (lstat(path, &found) != 0)
        return BASE_OK;
    if (!S_ISSOCK(found.st_mode))
        return BASE_FAIL(BASE_USAGE, "cannot listen at %s: there is a file that is no socket", address);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(name.sun_path, path, strlen(path));
    int taken = probe >= 0 && connect(probe, (const struct sockaddr *)&name, sizeof name) == 0;
    if (probe >= 0)
        close(probe);
    return taken ? BASE_FAIL(BASE_ERROR, "cannot listen at %s: another coordinator is there already", address)
                 : BASE_OK;
}

base_status coordinator_gate_bind(coordinator_gate *self, const char *address, coordinator_key *key)
{
    char host[COORDINATOR_HOST_TEXT], port[8], bound[COORDINATOR_ADDRESS_TEXT];
    if (coordinator_address_split(address, host, port))
        return bind_tcp(self, host, port, key);
    if (strncmp(address, "ipc://", 6) != 0 || strlen(address) < 7 || strlen(address) >= COORDINATOR_ADDRESS_TEXT)
        return BASE_FAIL(
            BASE_USAGE,
            "'%s' is no address to listen at: it must be tcp://HOST:PORT (HOST * for all interfaces, PORT * "
            "for any free one) or ipc://PATH",
            address);
    BASE_TRY(check_path(address));
    BASE_TRY(bind_to(self, address, bound));
    add_address(key, bound);
    return BASE_OK;
}

/* ---- questions and counts ---- */

enum { VERSION, REQUEST, DOMAIN, ADDRESS, ROUTE, MECHANISM, KEY, PARTS };

static void answer(void *zap, const char *request, size_t nbytes, int may)
{
    zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(zap, request, nbytes, ZMQ_SNDMORE);
    zmq_send(zap, may ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(zap, may ? "OK" : "not a member", may ? 2 : 12, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

/* Keys are public: no need for a comparison that takes constant time. */
static int serve_zap(coordinator_gate *self)
{
    char parts[PARTS][256];
    size_t lengths[PARTS] = {0};
    int count = 0, more = 1;
    for (size_t size = sizeof more; more; count++) {
        char *to = parts[count < PARTS ? count : PARTS - 1];
        int n = zmq_recv(self->zap, to, sizeof parts[0], ZMQ_DONTWAIT);
        if (n < 0)
            return 0;
        if (count < PARTS)
            lengths[count] = (size_t)n < sizeof parts[0] ? (size_t)n : sizeof parts[0];
        zmq_getsockopt(self->zap, ZMQ_RCVMORE, &more, &size);
    }
    int may = count == PARTS && lengths[MECHANISM] == 5 && memcmp(parts[MECHANISM], "CURVE", 5) == 0 &&
              lengths[KEY] == sizeof self->member && memcmp(parts[KEY], self->member, sizeof self->member) == 0;
    answer(self->zap, parts[REQUEST], lengths[REQUEST], may);
    return 1;
}

void coordinator_gate_serve(coordinator_gate *self)
{
    int event, value;
    double now = base_time_now();
    while (serve_zap(self))
        continue;
    while ((event = coordinator_socket_event(self->monitor, &value)) != 0)
        coordinator_handshakes_take(&self->handshakes, event, value, now);
    coordinator_handshakes_settle(&self->handshakes, now);
}
