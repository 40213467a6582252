/* view_serve: a viewer with a fixture in place of a coordinator, for tests of whole programs.
 *
 *     view_serve http FIXTURE [COUNT]   serves the page at a free port, prints its URL, until stdin ends; after COUNT
 *                                       answers it knows nothing more
 *     view_serve top FIXTURE [FILE]     the live view; no answers while FILE exists
 *     view_serve once FIXTURE           what --once prints
 *
 * FIXTURE+SECONDS starts so much later; http and top go on from there. */
#include "view_fixture.h"
#include "view_http.h"
#include "view_locale.h"
#include "view_print.h"
#include "view_terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct fixture {
    char name[64];
    double offset, start;
    const char *silence; /* a file */
    long answers;        /* that are left; below 0: as many as one likes */
} fixture;

/* Where answers are counted none is given twice: longer than view_http keeps one. */
enum { SLOW_NS = 250 * 1000 * 1000 };

static base_status get(void *context, coordinator_view *view)
{
    fixture *self = context;
    if (self->answers >= 0)
        nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
    if ((self->silence && access(self->silence, F_OK) == 0) || self->answers == 0)
        return BASE_FAIL(BASE_PEER, "the fixture is silent");
    self->answers -= self->answers > 0;
    return view_fixture_fill(self->name, self->offset + base_time_now() - self->start, view);
}

static base_status serve(fixture *self)
{
    view_http *http;
    BASE_TRY(view_http_start(&(view_http_options){.source = {get, self}}, &http));
    puts(view_http_url(http));
    fflush(stdout);
    while (getchar() != EOF)
        ;
    view_http_stop(&http);
    return BASE_OK;
}

static base_status once(fixture *self)
{
    coordinator_view view = {0};
    base_status status = view_fixture_fill(self->name, self->offset, &view);
    if (status == BASE_OK)
        status = view_print(&view, "ipc://@ddpt-fixture", NULL, view_print_width(), stdout);
    coordinator_view_clear(&view);
    return status;
}

static base_status run(const char *what, fixture *self, const char *argument)
{
    if (strcmp(what, "http") == 0) {
        self->answers = argument ? strtol(argument, NULL, 10) : -1;
        return serve(self);
    }
    self->silence = argument;
    if (strcmp(what, "top") == 0)
        return view_terminal_run(&(view_terminal_options){.source = {get, self}, .address = "ipc://@ddpt-fixture"});
    return once(self);
}

int main(int argc, char **argv)
{
    fixture self = {.start = base_time_now(), .answers = -1};
    if (argc < 3)
        return fputs("usage: view_serve http|top|once FIXTURE[+SECONDS] [COUNT|FILE]\n", stderr), BASE_USAGE;
    sscanf(argv[2], "%63[a-z]+%lf", self.name, &self.offset);
    view_locale_set();
    base_status status = run(argv[1], &self, argc > 3 ? argv[3] : NULL);
    if (status != BASE_OK)
        fprintf(stderr, "error: %s\n", base_status_message());
    return (int)status;
}
