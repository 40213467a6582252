#include "command.h"

#include "coordinator_client.h"
#include "view_json.h"
#include "view_locale.h"
#include "view_print.h"
#include "view_terminal.h"

#include <getopt.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ANSWER_MS = 5000, /* --once and --json wait as long */
    LIVE_MS = 1000    /* the live view asks again */
};

typedef struct top_options {
    const char *place; /* DIR, FILE or ADDR; NULL: the newest run */
    int once, json, help;
} top_options;

/* The coordinator that is asked. */
typedef struct top {
    char place[1024];
    char folder[1024]; /* of the run; "" if the place names none */
    coordinator_key key;
    coordinator_client *client;
} top;

static base_status parse(int argc, char **argv, top_options *options)
{
    static const struct option known[] = {{"once", no_argument, NULL, 'o'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case 'o': options->once = 1; break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("top", argv, optind);
        }
    }
    if (options->once && options->json)
        return BASE_FAIL(BASE_USAGE, "ddpt top: --once and --json exclude each other");
    return optind < argc ? command_operand("top", "a run", argc, argv, optind, &options->place) : BASE_OK;
}

/* ---- where it is ---- */

static int is_newer(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec > b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

static base_status find_newest(char *place, size_t size)
{
    glob_t found;
    struct stat newest = {0}, file;
    *place = '\0';
    if (glob("runs/*/coordinator.json", GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (stat(found.gl_pathv[i], &file) == 0 && (!*place || is_newer(&file, &newest))) {
                snprintf(place, size, "%s", found.gl_pathv[i]);
                newest = file;
            }
    globfree(&found);
    if (!*place)
        return BASE_FAIL(BASE_USAGE, "there is no run with a coordinator in ./runs (no runs/*/coordinator.json): name "
                                     "the run's folder or the coordinator's address; see: ddpt help top");
    return BASE_OK;
}

/* A folder, or the file in one. */
static void find_folder(top *self)
{
    struct stat place;
    snprintf(self->folder, sizeof self->folder, "%s", self->place);
    if (stat(self->place, &place) != 0) {
        self->folder[0] = '\0';
    } else if (!S_ISDIR(place.st_mode)) {
        char *slash = strrchr(self->folder, '/');
        snprintf(slash ? slash : self->folder, slash ? 1 : sizeof self->folder, "%s", slash ? "" : ".");
    }
}

static base_status open_top(const top_options *options, top *self)
{
    if (options->place)
        snprintf(self->place, sizeof self->place, "%s", options->place);
    else
        BASE_TRY(find_newest(self->place, sizeof self->place));
    find_folder(self);
    BASE_TRY(coordinator_key_find(self->place, &self->key));
    return coordinator_client_open(&self->key, &self->client);
}

/* ---- what it says ---- */

static const coordinator_query everything = {.ranks = 1};

static int same_key(const coordinator_key *a, const coordinator_key *b)
{
    const char *a_address = coordinator_key_choose(a), *b_address = coordinator_key_choose(b);
    return a_address && b_address && strcmp(a_address, b_address) == 0 &&
           strcmp(a->server_public, b->server_public) == 0 && strcmp(a->member_secret, b->member_secret) == 0;
}

/* A run that was started again has another coordinator with another key, in the same place. */
static void look_again(top *self)
{
    coordinator_key key;
    coordinator_client *client;
    if (coordinator_key_find(self->place, &key) != BASE_OK || same_key(&key, &self->key) ||
        coordinator_client_open(&key, &client) != BASE_OK)
        return;
    coordinator_client_close(&self->client);
    self->client = client;
    self->key = key;
}

static base_status ask(void *context, coordinator_view *view)
{
    top *self = context;
    base_status status = coordinator_client_query(self->client, &everything, LIVE_MS, view);
    if (status != BASE_PEER)
        return status;
    char why[512];
    snprintf(why, sizeof why, "%s", base_status_message());
    look_again(self);
    return BASE_FAIL(BASE_PEER, "%s", why);
}

static base_status ask_once(top *self, coordinator_view *view)
{
    base_status status = coordinator_client_query(self->client, &everything, ANSWER_MS, view);
    if (status != BASE_PEER)
        return status;
    char why[512];
    snprintf(why, sizeof why, "%s", base_status_message());
    return BASE_FAIL(BASE_ERROR, "%s: %s", self->place, why);
}

static base_status print(top *self, int as_json)
{
    coordinator_view view = {0};
    const char *address = coordinator_client_address(self->client);
    base_status status = ask_once(self, &view);
    if (status == BASE_OK && as_json) {
        json_t *json = view_json(&view);
        status = json ? command_print_json(json) : BASE_FAIL(BASE_ERROR, "not enough memory for the state as JSON");
    } else if (status == BASE_OK) {
        status = view_print(&view, address, self->folder[0] ? self->folder : NULL, view_print_width(), stdout);
    }
    coordinator_view_clear(&view);
    return status;
}

static base_status run(int argc, char **argv)
{
    top_options options = {0};
    top self = {.place = ""};
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_top.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    if (!command_speaks())
        return BASE_OK;
    BASE_TRY(open_top(&options, &self));
    view_locale_set();
    base_status status;
    if (options.once || options.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        status = print(&self, options.json);
    else
        status = view_terminal_run(&(view_terminal_options){.source = {ask, &self},
                                                            .address = coordinator_client_address(self.client),
                                                            .folder = self.folder[0] ? self.folder : NULL});
    coordinator_client_close(&self.client);
    return status;
}

const command command_top = {
    .name = "top",
    .summary = "live view of a run: progress, loss, who is slow",
    .usage =
        "usage: ddpt top [options] [DIR | FILE | ADDR]\n"
        "\n"
        "Shows a run while it trains, refreshed once a second: progress, the loss and its curve, samples a second,\n"
        "efficiency, how each rank spends a step, and which rank holds up the others, with what it costs. Keys: q "
        "leaves\n"
        "(the run goes on), arrows and page up/down scroll the ranks, s puts the slowest first, n shows the next run,\n"
        "? explains.\n"
        "\n"
        "  DIR               a run's folder\n"
        "  FILE              its coordinator.json, or that of a stand-alone coordinator\n"
        "  ADDR              the address of a coordinator that you started: tcp://HOST:PORT\n"
        "  none of them      the newest run under ./runs\n"
        "\n"
        "      --once        print the same content once as plain text, COLUMNS wide; so does a call without a "
        "terminal\n"
        "      --json        print the state once as JSON (schema ddpt.state.v1)\n"
        "  -h, --help        this text\n"
        "\n"
        "NO_COLOR in the environment: no colours; a phase's letters show it.\n"
        "\n"
        "Exit status: 0 done; 1 the coordinator did not answer within 5 seconds, or another error of ddpt or the "
        "system;\n"
        "2 usage, or no coordinator by that name.\n",
    .run = run,
};
