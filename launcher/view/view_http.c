#include "view_http.h"

#include "view_http_listen.h"
#include "view_json.h"
#include "view_metrics.h"
#include "view_page.h"

#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum { CONNECTIONS = 64, IDLE_S = 15 };
#define FRESH_S 0.2 /* as long an answer is given again */

/* One thread uses all of it. It is ours: a daemon with a thread of its own is stopped while that thread works, and
 * libmicrohttpd (0.9.75) then reads a response that is not there if it is just answering a bad request. */
struct view_http {
    view_source source;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int end; /* eventfd: the thread shall end; -1: there is none */
    view_http_place place;
    coordinator_view view;
    double taken;                         /* when; before the first 0 */
    struct MHD_Response *state, *metrics; /* of this view, made when first asked for */
};

#define NOTHING_ELSE "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const char *const headers[][2] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

/* ---- responses ---- */

/* Takes `body`, which malloc made; NULL where memory is short. */
static struct MHD_Response *make_response(char *body, size_t nbytes, const char *type, const char *policy)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(nbytes, body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(body);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    return response;
}

static struct MHD_Response *make_text(const char *text)
{
    char *body = strdup(text);
    return body ? make_response(body, strlen(body), "text/plain; charset=utf-8", NOTHING_ELSE) : NULL;
}

/* A browser takes no script and no style into the page but those that carry a number which nobody could know before. */
static struct MHD_Response *make_page(void)
{
    unsigned char random[(sizeof VIEW_PAGE_NONCE - 1) / 2];
    char nonce[sizeof VIEW_PAGE_NONCE], policy[512];
    char *body = malloc(view_page_size);
    if (!body || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        free(body);
        return NULL;
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    memcpy(body, view_page, view_page_size);
    for (char *at = body; (at = memmem(at, (size_t)(body + view_page_size - at), VIEW_PAGE_NONCE, sizeof nonce - 1));)
        memcpy(at, nonce, sizeof nonce - 1);
    snprintf(policy, sizeof policy,
             NOTHING_ELSE "; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; img-src data:; "
                          "require-trusted-types-for 'script'; trusted-types 'none'",
             nonce, nonce);
    return make_response(body, view_page_size, "text/html; charset=utf-8", policy);
}

/* ---- the view ---- */

static void forget(struct MHD_Response **response)
{
    if (*response)
        MHD_destroy_response(*response);
    *response = NULL;
}

static base_status renew(view_http *self)
{
    double now = base_time_now();
    if (self->taken > 0.0 && now - self->taken < FRESH_S)
        return BASE_OK;
    forget(&self->state);
    forget(&self->metrics);
    self->taken = 0.0;
    BASE_TRY(self->source.get(self->source.context, &self->view));
    self->taken = now;
    return BASE_OK;
}

static struct MHD_Response *get_state(view_http *self)
{
    if (self->state)
        return self->state;
    json_t *json = view_json(&self->view);
    char *body = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (body)
        self->state = make_response(body, strlen(body), "application/json", NOTHING_ELSE);
    return self->state;
}

static struct MHD_Response *get_metrics(view_http *self)
{
    char *body;
    size_t nbytes;
    if (!self->metrics && view_metrics(&self->view, &body, &nbytes) == BASE_OK)
        self->metrics = make_response(body, nbytes, VIEW_METRICS_TYPE, NOTHING_ELSE);
    return self->metrics;
}

/* ---- requests ---- */

/* Queues the response and, unless it is kept, gives it away. A connection without a response is closed. */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response,
                             int keep)
{
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    if (!keep)
        MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse_method(struct MHD_Connection *connection)
{
    struct MHD_Response *response = make_text("GET and HEAD only\n");
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, response, 0);
}

static enum MHD_Result serve(view_http *self, struct MHD_Connection *connection, const char *path)
{
    int page = strcmp(path, "/") == 0, state = strcmp(path, "/state.json") == 0;
    int metrics = strcmp(path, "/metrics") == 0, health = strcmp(path, "/healthz") == 0;
    if (page)
        return reply(connection, MHD_HTTP_OK, make_page(), 0);
    if (!state && !metrics && !health)
        return reply(connection, MHD_HTTP_NOT_FOUND, make_text("there is /, /state.json, /metrics and /healthz\n"), 0);
    if (renew(self) != BASE_OK) {
        char text[1024];
        snprintf(text, sizeof text, "%s\n", base_status_message());
        return reply(connection, MHD_HTTP_SERVICE_UNAVAILABLE, make_text(text), 0);
    }
    if (health)
        return reply(connection, MHD_HTTP_OK, make_text("ok\n"), 0);
    return reply(connection, MHD_HTTP_OK, state ? get_state(self) : get_metrics(self), 1);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *body, size_t *body_size, void **request)
{
    view_http *self = context;
    (void)version, (void)body;
    if (self->place.loopback &&
        !view_http_host_is_local(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return reply(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                     make_text("this page is for localhost alone: ask for it by that name\n"), 0);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse_method(connection);
    /* The first call is for the head alone: who replies to it closes the connection. */
    if (!*request || *body_size > 0) {
        *request = self;
        *body_size = 0;
        return MHD_YES;
    }
    return serve(self, connection, url);
}

/* ---- the server ---- */

static int next_timeout_ms(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void *run(void *context)
{
    view_http *self = context;
    struct pollfd ready[] = {
        {.fd = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN},
        {.fd = self->end, .events = POLLIN},
    };
    while (ready[1].revents == 0 && (poll(ready, 2, next_timeout_ms(self->daemon)) >= 0 || errno == EINTR))
        MHD_run(self->daemon);
    return NULL;
}

static int start_thread(view_http *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread takes the mask over */
    int good = pthread_create(&self->thread, NULL, run, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

/* All but the thread. */
static void release(view_http *self)
{
    if (self->daemon)
        MHD_stop_daemon(self->daemon); /* closes the socket */
    else if (self->place.fd >= 0)
        close(self->place.fd);
    if (self->end >= 0)
        close(self->end);
    forget(&self->state);
    forget(&self->metrics);
    coordinator_view_clear(&self->view);
    free(self);
}

base_status view_http_start(const view_http_options *options, view_http **out)
{
    *out = NULL;
    view_http *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "not enough memory to serve the page");
    self->source = options->source;
    self->place.fd = self->end = -1;
    base_status status = view_http_listen(options->bind ? options->bind : VIEW_HTTP_BIND, options->port, &self->place);
    if (status == BASE_OK) {
        self->end = eventfd(0, EFD_CLOEXEC);
        self->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, self, MHD_OPTION_LISTEN_SOCKET,
                                        self->place.fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
                                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
        if (self->end < 0 || !self->daemon || !start_thread(self))
            status = BASE_FAIL(BASE_ERROR, "cannot start the server of %s", self->place.url);
    }
    if (status == BASE_OK)
        *out = self;
    else
        release(self);
    return status;
}

void view_http_stop(view_http **self)
{
    if (!*self)
        return;
    eventfd_write((*self)->end, 1);
    pthread_join((*self)->thread, NULL);
    release(*self);
    *self = NULL;
}

const char *view_http_url(const view_http *self)
{
    return self->place.url;
}

int view_http_is_loopback(const view_http *self)
{
    return self->place.loopback;
}
