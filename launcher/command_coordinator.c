#include "command.h"

#include "base_log.h"
#include "coordinator_server.h"
#include "view_http.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFAULT_BIND "tcp://*:5959"
enum { NO_HTTP = -1, PORT_MAX = 65535 };

typedef struct coordinator_options {
    coordinator_server_options server;
    const char *http_bind;
    int http_port;
    int help;
} coordinator_options;

static base_status take_port(coordinator_options *options, const char *text)
{
    long long port;
    BASE_TRY(command_number("--http", text, 0, PORT_MAX, &port));
    options->http_port = (int)port;
    return BASE_OK;
}

static base_status parse(int argc, char **argv, coordinator_options *options)
{
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'}, {"key-file", required_argument, NULL, 'k'},
        {"http", required_argument, NULL, 'p'}, {"http-bind", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case 'b': options->server.bind = optarg; break;
        case 'k': options->server.key_file = optarg; break;
        case 'p': BASE_TRY(take_port(options, optarg)); break;
        case 'a': options->http_bind = optarg; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("coordinator", argv, optind);
        }
    }
    if (optind < argc)
        return BASE_FAIL(BASE_USAGE,
                         "ddpt coordinator takes no operand, '%s' is one too many; see: ddpt help coordinator",
                         argv[optind]);
    if (options->http_bind && options->http_port == NO_HTTP)
        return BASE_FAIL(BASE_USAGE, "--http-bind needs --http PORT; see: ddpt help coordinator");
    return BASE_OK;
}

/* ---- until a signal ---- */

static int stop_event = -1;

/* Of a library's threads some do not block signals, so that it may run in any. */
static void on_signal(int number)
{
    (void)number;
    static const uint64_t one = 1;
    int before = errno;
    if (write(stop_event, &one, sizeof one) < 0)
        _exit(BASE_ERROR);
    errno = before;
}

static base_status catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    stop_event = eventfd(0, EFD_CLOEXEC);
    if (stop_event < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot wait for signals");
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* viewers of the page hang up as they like */
    sigaction(SIGPIPE, &action, NULL);
    return BASE_OK;
}

static void wait_for_signal(void)
{
    uint64_t count;
    while (read(stop_event, &count, sizeof count) < 0 && errno == EINTR)
        continue;
}

/* ---- what it serves ---- */

static void say_where(const coordinator_server *server, int own_key_file, const view_http *page)
{
    const coordinator_key *key = coordinator_server_key(server);
    for (int i = 0; i < key->address_count; i++)
        BASE_INFO("%s %s", i ? "                   and at" : "coordinator listening at", key->addresses[i]);
    BASE_INFO("its key (keep it secret): %s", coordinator_server_key_file(server));
    /* A key of the user's is not found by the address. */
    const char *to = own_key_file ? coordinator_server_key_file(server) : key->addresses[0];
    BASE_INFO("to join:  ddpt train --coordinator %s CONFIG", to);
    if (page)
        BASE_INFO("page:     %s", view_http_url(page));
    BASE_INFO("to look:  ddpt top %s", to);
    if (page && !view_http_is_loopback(page))
        BASE_WARN("the page has no login: whoever reaches %s sees the runs", view_http_url(page));
}

static base_status get_view(void *server, coordinator_view *view)
{
    return coordinator_server_view(server, view);
}

static base_status start_page(coordinator_server *server, const coordinator_options *options, view_http **page)
{
    const view_http_options http = {
        .source = {.get = get_view, .context = server}, .bind = options->http_bind, .port = options->http_port};
    return view_http_start(&http, page);
}

static base_status serve(const coordinator_options *options)
{
    coordinator_server *server = NULL;
    view_http *page = NULL;
    BASE_TRY(catch_signals());
    BASE_TRY(coordinator_server_create(&options->server, &server));
    base_status status = options->http_port == NO_HTTP ? BASE_OK : start_page(server, options, &page);
    if (status == BASE_OK) {
        say_where(server, options->server.key_file != NULL, page);
        wait_for_signal();
    }
    view_http_stop(&page);
    coordinator_server_destroy(&server);
    return status;
}

static base_status run(int argc, char **argv)
{
    coordinator_options options = {.server = {.bind = DEFAULT_BIND}, .http_port = NO_HTTP};
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_coordinator.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    return serve(&options);
}

const command command_coordinator = {
    .name = "coordinator",
    .summary = "watch over many runs; a page and metrics of them",
    .usage =
        "usage: ddpt coordinator [options]\n"
        "\n"
        "Hears the workers of runs that were started with `ddpt train --coordinator ADDR`, one after another or at "
        "once,\n"
        "answers `ddpt top ADDR`, and ends a run that has lost a rank (train.stall_timeout). A run needs none: "
        "without\n"
        "--coordinator it has one of its own. No run waits for a coordinator; one that is started again at the same\n"
        "address has the same keys, and the runs go on in it.\n"
        "\n"
        "      --bind ADDR     where to listen: tcp://HOST:PORT (HOST * for all interfaces, PORT * for any free one) "
        "or\n"
        "                      ipc://PATH (default: " DEFAULT_BIND ")\n"
        "      --key-file FILE the key that lets workers and viewers in; it is made where it is not there, with a\n"
        "                      second half FILE.server that is the coordinator's alone (default: a file after host "
        "and\n"
        "                      address in $DDPT_STATE, $XDG_STATE_HOME/ddpt or ~/.local/state/ddpt, where train and\n"
        "                      top look it up; elsewhere, copy FILE there and name it instead of the address)\n"
        "      --http PORT     serve a page with the live state of all runs, and /metrics for Prometheus; 0: a free "
        "port\n"
        "      --http-bind ADDR  an address of this host for them (default: 127.0.0.1, which only this host reaches)\n"
        "  -h, --help          this text\n"
        "\n"
        "All connections are encrypted and authenticated (CURVE); the page is not. Where it listens is printed on "
        "stderr.\n"
        "\n"
        "Exit status: 0 ended by SIGINT or SIGTERM; 1 an error of ddpt or the system, as an address that is taken;\n"
        "2 usage.\n",
    .run = run,
};
