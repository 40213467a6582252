#include "view_fixture.h"
#include "view_http.h"
#include "view_http_listen.h"
#include "view_page.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <jansson.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a server of a fixture, and a client ---- */

static view_http *http;
static int port;
static const char *fixture = "eight";
static volatile int asked, silent; /* written by the server's thread while the client waits for it */
static char reply[1 << 20];        /* head and body of the last answer */
static const char *body;

static base_status get(void *context, coordinator_view *view)
{
    (void)context;
    asked++;
    return silent ? BASE_FAIL(BASE_ERROR, "the source is dry") : view_fixture_fill(fixture, 0.0, view);
}

static void start(const char *address)
{
    asked = silent = 0;
    assert_int_equal(view_http_start(&(view_http_options){.source = {get, NULL}, .bind = address}, &http), BASE_OK);
    const char *colon = strrchr(view_http_url(http), ':');
    port = (int)strtol(colon + 1, NULL, 10);
    assert_in_range(port, 1, 65535);
}

static int setup(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    view_http_stop(&http);
    fixture = "eight";
    return 0;
}

static int connect_to(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval bound = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    return fd;
}

/* Sends the request and reads until the server closes; returns the status. */
static int request(const char *text)
{
    size_t used = 0;
    int fd = connect_to();
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    for (ssize_t n; (n = recv(fd, reply + used, sizeof reply - 1 - used, 0)) > 0;)
        used += (size_t)n;
    close(fd);
    reply[used] = '\0';
    body = strstr(reply, "\r\n\r\n");
    body = body ? body + 4 : "";
    int status = 0;
    assert_int_equal(sscanf(reply, "HTTP/1.%*d %d ", &status), 1);
    return status;
}

static int ask(const char *method, const char *path, const char *host)
{
    char text[512];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, path, host);
    return request(text);
}

static void assert_header(const char *line)
{
    const char *at = strstr(reply, line);
    if (!at || at > body)
        fail_msg("no '%s' in %.*s", line, (int)(body - reply), reply);
}

/* ---- tests ---- */

static void state_is_json(void **state)
{
    (void)state;
    assert_int_equal(ask("GET", "/state.json", "localhost"), 200);
    assert_header("Content-Type: application/json\r\n");
    json_error_t error;
    json_t *json = json_loads(body, 0, &error);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "schema")), "ddpt.state.v1");
    json_decref(json);
}

static void metrics_and_health(void **state)
{
    (void)state;
    assert_int_equal(ask("GET", "/metrics", "localhost"), 200);
    assert_header("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_non_null(strstr(body, "\nddpt_coordinator_runs 1\n"));
    assert_int_equal(ask("GET", "/healthz?x=1", "localhost"), 200);
    assert_string_equal(body, "ok\n");
}

static void page_has_a_new_number_each_time(void **state)
{
    (void)state;
    char first[sizeof VIEW_PAGE_NONCE], style[80], script[80];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask("GET", "/", "localhost"), 200);
        assert_header("Content-Type: text/html; charset=utf-8\r\n");
        assert_null(strstr(reply, VIEW_PAGE_NONCE));
        const char *nonce = strstr(reply, "script-src 'nonce-");
        assert_non_null(nonce);
        nonce += strlen("script-src 'nonce-");
        if (i == 0)
            snprintf(first, sizeof first, "%.32s", nonce);
        else
            assert_memory_not_equal(first, nonce, 32);
        snprintf(style, sizeof style, "<style nonce=\"%.32s\">", nonce);
        snprintf(script, sizeof script, "<script nonce=\"%.32s\">", nonce);
        assert_non_null(strstr(body, style));
        assert_non_null(strstr(body, script));
    }
    assert_int_equal(strlen(body), view_page_size);
    assert_null(strstr(body, "http://www.w3.org/1999/xhtml"));
    assert_null(strstr(body, "src=\"http"));
    assert_null(strstr(body, "innerHTML"));
}

static void headers_protect(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/state.json", "/metrics", "/healthz", "/none"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        ask("GET", paths[i], "localhost");
        assert_header("X-Content-Type-Options: nosniff\r\n");
        assert_header("Cache-Control: no-store\r\n");
        assert_header("Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; "
                      "frame-ancestors 'none'");
        assert_header("Cross-Origin-Resource-Policy: same-origin\r\n");
        assert_null(strstr(reply, "Access-Control-Allow-Origin"));
    }
}

static void nothing_else_is_there(void **state)
{
    (void)state;
    static const char *const paths[] = {"/state", "/state.json/", "//", "/../etc/passwd", "/%2e%2e/", "*"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(ask("GET", paths[i], "localhost"), 404);
}

static void get_and_head_alone(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        assert_int_equal(ask(methods[i], "/", "localhost"), 405);
        assert_header("Allow: GET, HEAD\r\n");
    }
    assert_int_equal(ask("HEAD", "/metrics", "localhost"), 200);
    assert_string_equal(body, "");
    assert_int_equal(
        request("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"), 405);
    assert_int_equal(
        request("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"), 200);
}

static void other_hosts_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost",      "LocalHost:80", "127.0.0.1",
                                       "127.0.0.1:8080", "[::1]",        "[::1]:9000"};
    static const char *const bad[] = {"evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost:80.x",
                                      "evil.example:80",
                                      "::1",
                                      "[::1",
                                      "localhos",
                                      ""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(ask("GET", "/healthz", good[i]), 200);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(ask("GET", "/healthz", bad[i]), 200);
    assert_int_equal(ask("GET", "/state.json", "evil.example"), 421);
    assert_null(strstr(body, "ddpt.state"));
    assert_int_not_equal(request("GET /healthz HTTP/1.0\r\n\r\n"), 200);
    assert_false(view_http_host_is_local(NULL));
}

static void ipv6(void **state)
{
    (void)state;
    view_http *other;
    base_status status = view_http_start(&(view_http_options){.source = {get, NULL}, .bind = "::1"}, &other);
    if (status != BASE_OK) {
        print_message("skipped: no IPv6 here: %s\n", base_status_message());
        skip();
    }
    assert_true(view_http_is_loopback(other));
    assert_memory_equal(view_http_url(other), "http://[::1]:", 13);
    view_http_stop(&other);
    /* The loopback of IPv4 in the clothes of IPv6. */
    assert_int_equal(view_http_start(&(view_http_options){.source = {get, NULL}, .bind = "::ffff:127.0.0.1"}, &other),
                     BASE_OK);
    assert_true(view_http_is_loopback(other));
    view_http_stop(&other);
}

static void addresses_that_cannot_be_had(void **state)
{
    (void)state;
    view_http *other;
    assert_int_equal(view_http_start(&(view_http_options){.source = {get, NULL}, .port = port}, &other), BASE_ERROR);
    assert_null(other);
    assert_non_null(strstr(base_status_message(), "127.0.0.1"));
    assert_non_null(strstr(base_status_message(), "in use"));
    assert_int_equal(view_http_start(&(view_http_options){.source = {get, NULL}, .bind = "not an address"}, &other),
                     BASE_USAGE);
    /* Of a net that is for documents: no machine has it. */
    assert_int_equal(view_http_start(&(view_http_options){.source = {get, NULL}, .bind = "192.0.2.1"}, &other),
                     BASE_ERROR);
}

/* A connection is kept for the next question, and answers are given again while they are fresh: 0.2 s. */
static void many_viewers_cost_little(void **state)
{
    (void)state;
    enum { QUESTIONS = 200 };
    static const char text[] = "GET /state.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = connect_to();
    double began = base_time_now();
    for (int i = 0; i < QUESTIONS; i++) {
        size_t used = 0, length = 0;
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
        do {
            ssize_t n = recv(fd, reply + used, sizeof reply - 1 - used, 0);
            assert_true(n > 0);
            reply[used += (size_t)n] = '\0';
            const char *head = strstr(reply, "Content-Length: ");
            body = strstr(reply, "\r\n\r\n");
            length = head && body ? (size_t)(body + 4 - reply) + strtoul(head + 16, NULL, 10) : 0;
        } while (length == 0 || used < length);
        assert_int_equal(used, length);
    }
    close(fd);
    assert_in_range(asked, 1, 2 + (int)((base_time_now() - began) / 0.2));
}

static void source_that_fails(void **state)
{
    (void)state;
    silent = 1;
    assert_int_equal(ask("GET", "/state.json", "localhost"), 503);
    assert_string_equal(body, "the source is dry\n");
    assert_int_equal(ask("GET", "/healthz", "localhost"), 503);
    assert_int_equal(ask("GET", "/", "localhost"), 200);
    silent = 0;
    assert_int_equal(ask("GET", "/metrics", "localhost"), 200);
}

/* The threads of this process; returns how many. */
static int list_threads(long ids[16])
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) && count < 16;)
        if (task->d_name[0] != '.')
            ids[count++] = strtol(task->d_name, NULL, 10);
    closedir(tasks);
    return count;
}

static unsigned long long blocked_signals(long thread)
{
    char path[64], line[256];
    unsigned long long blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", thread);
    FILE *from = fopen(path, "r");
    assert_non_null(from);
    while (fgets(line, sizeof line, from))
        sscanf(line, "SigBlk: %llx", &blocked);
    fclose(from);
    return blocked;
}

/* Signals are the main thread's. */
static void threads_block_signals(void **state)
{
    (void)state;
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD};
    long before[16], now[16];
    view_http_stop(&http);
    int had = list_threads(before), found = 0; /* libraries may have some */
    start(NULL);
    ask("GET", "/healthz", "localhost");
    int have = list_threads(now);
    for (int i = 0; i < have; i++) {
        int old = 0;
        for (int j = 0; j < had; j++)
            old |= now[i] == before[j];
        found += !old;
        for (size_t k = 0; !old && k < sizeof numbers / sizeof *numbers; k++)
            assert_true(blocked_signals(now[i]) >> (numbers[k] - 1) & 1);
    }
    assert_in_range(found, 1, 4);
}

/* Half a request, garbage, a head without end: the next one is served. */
static void garbage_does_no_harm(void **state)
{
    (void)state;
    static char text[1 << 17];
    int half = connect_to();
    assert_true(send(half, "GET / HT", 8, MSG_NOSIGNAL) == 8);
    for (unsigned seed = 1; seed <= 50; seed++) {
        int fd = connect_to();
        for (size_t i = 0; i < 400; i++)
            text[i] = (char)(seed * 2654435761u >> (i % 24)) ^ (char)(i * 37);
        send(fd, text, 400, MSG_NOSIGNAL);
        close(fd);
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 36);
    int fd = connect_to();
    send(fd, text, sizeof text, MSG_NOSIGNAL);
    close(fd);
    assert_int_equal(ask("GET", "/healthz", "localhost"), 200);
    close(half);
}

static void hostile_names_stay_in_their_strings(void **state)
{
    (void)state;
    fixture = "hostile";
    assert_int_equal(ask("GET", "/state.json", "localhost"), 200);
    json_error_t error;
    json_t *json = json_loads(body, 0, &error);
    assert_non_null(json);
    json_decref(json);
    assert_null(strchr(body, '\x1b'));
    assert_int_equal(ask("GET", "/", "localhost"), 200);
    assert_null(strstr(body, "owned"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(state_is_json),
        TEST(metrics_and_health),
        TEST(page_has_a_new_number_each_time),
        TEST(headers_protect),
        TEST(nothing_else_is_there),
        TEST(get_and_head_alone),
        TEST(other_hosts_are_refused),
        TEST(ipv6),
        TEST(addresses_that_cannot_be_had),
        TEST(many_viewers_cost_little),
        TEST(source_that_fails),
        TEST(threads_block_signals),
        TEST(garbage_does_no_harm),
        TEST(hostile_names_stay_in_their_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
