#include "view_terminal.h"

#include "view_alerts.h"
#include "view_choice.h"
#include "view_layout.h"
#include "view_locale.h"
#include "view_text.h"
#include "view_watch.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REDRAW_MS = 1000,
    ESCAPE_MS = 25 /* how long after ESC the rest of a key's code may come */
};
#define LOST_AFTER_S 3.0 /* a question or two without an answer are not worth telling */

/* ---- signals ---- */

static const int fatal[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { FATAL = sizeof fatal / sizeof *fatal };

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
    caught = signal;
}

/* They are blocked but for the time of the wait (ppoll), so that none is missed between a look at `caught` and it. */
static void catch_signals(struct sigaction before[FATAL], sigset_t *mask)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t block;
    sigemptyset(&block);
    for (int i = 0; i < FATAL; i++) {
        sigaction(fatal[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(fatal[i], &action, NULL);
        sigaddset(&block, fatal[i]);
    }
    sigaddset(&block, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &block, mask);
}

static void release_signals(const struct sigaction before[FATAL], const sigset_t *mask)
{
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &before[i], NULL);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* Not by the handler of before: libraries have theirs (UCX for SIGHUP), which would let the process live. */
static void die_of(int signal)
{
    sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    raise(signal);
}

/* ---- colours ---- */

typedef struct look {
    short text, ground;   /* of 256 colours; -1: the terminal's own */
    short text8, ground8; /* where there are 8 */
    attr_t attributes;
} look;

/* The phases have the colours of Okabe and Ito, which the colour-blind tell apart: computation blue and green, waiting
 * red and violet. */
static const look looks[VIEW_STYLES] = {
    [VIEW_PLAIN] = {-1, -1, -1, -1, A_NORMAL},
    [VIEW_STRONG] = {-1, -1, -1, -1, A_BOLD},
    [VIEW_FAINT] = {245, -1, -1, -1, A_NORMAL},
    [VIEW_GOOD] = {35, -1, COLOR_GREEN, -1, A_BOLD},
    [VIEW_WARN] = {172, -1, COLOR_YELLOW, -1, A_BOLD},
    [VIEW_BAD] = {167, -1, COLOR_RED, -1, A_BOLD},
    [VIEW_LINE] = {74, -1, COLOR_CYAN, -1, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_DATA] = {16, 220, COLOR_BLACK, COLOR_YELLOW, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_FORWARD] = {16, 74, COLOR_BLACK, COLOR_CYAN, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_BACKWARD] = {231, 25, COLOR_WHITE, COLOR_BLUE, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_WAIT] = {16, 166, COLOR_BLACK, COLOR_RED, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_REDUCE] = {16, 175, COLOR_BLACK, COLOR_MAGENTA, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_UPDATE] = {16, 36, COLOR_BLACK, COLOR_GREEN, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_OTHER] = {16, 248, COLOR_BLACK, COLOR_WHITE, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_CHECKPOINT] = {16, 229, COLOR_BLACK, COLOR_YELLOW, A_NORMAL},
    [VIEW_PHASES + BASE_PHASE_EVALUATE] = {231, 240, COLOR_BLACK, COLOR_WHITE, A_NORMAL},
};

/* 1: there are colours. NO_COLOR in the environment asks for none (no-color.org). */
static int start_colours(void)
{
    const char *none = getenv("NO_COLOR");
    if ((none && *none) || !has_colors() || start_color() != OK || use_default_colors() != OK || COLORS < 8)
        return 0;
    for (int i = 0; i < VIEW_STYLES; i++) {
        const look *l = &looks[i];
        if (COLORS >= 256)
            init_pair((short)(i + 1), l->text, l->ground);
        else
            init_pair((short)(i + 1), l->text8, l->ground8);
    }
    return 1;
}

static attr_t attributes(view_style style, int colour)
{
    if (!colour)
        return style == VIEW_FAINT || style >= VIEW_PHASES ? A_NORMAL : looks[style].attributes;
    return looks[style].attributes | (style == VIEW_FAINT && COLORS < 256 ? A_DIM : A_NORMAL);
}

/* ---- the screen ---- */

typedef struct terminal {
    const view_terminal_options *options;
    view_watch *watch;
    view_watch_state state;
    coordinator_view view;
    int have; /* view is an answer */
    view_cells *cells;
    view_screen screen;
    char id[33], lost[1024]; /* of the run that is shown; what is told of a coordinator that does not answer */
    int colour, visible, leave;
} terminal;

static void show(const terminal *self)
{
    const view_cells *cells = self->cells;
    for (int y = 0; y < cells->height; y++)
        for (int x = 0; x < cells->width; x++) {
            const view_cell *cell = &cells->cell[y * cells->width + x];
            cchar_t c;
            if (cell->glyph == 0)
                continue;
            setcchar(&c, (wchar_t[]){(wchar_t)cell->glyph, 0}, attributes(cell->style, self->colour),
                     (short)(self->colour ? cell->style + 1 : 0), NULL);
            mvadd_wch(y, x, &c);
        }
    refresh();
}

static coordinator_run_view *shown(const terminal *self)
{
    return self->have && self->screen.run < self->view.run_count ? &self->view.runs[self->screen.run] : NULL;
}

static void explain_loss(terminal *self)
{
    struct tm local;
    char hour[16] = "";
    const coordinator_run_view *run = shown(self);
    self->lost[0] = '\0';
    if (self->state.silent_s < LOST_AFTER_S || (run && view_run_is_over(run)))
        return;
    if (localtime_r(&self->state.since, &local))
        strftime(hour, sizeof hour, "%H:%M:%S", &local);
    snprintf(self->lost, sizeof self->lost, "no answer since %s%s; %s", hour,
             self->have ? ": this is the last state" : "",
             self->state.failure[0] ? self->state.failure : self->options->address);
}

static base_status draw(terminal *self)
{
    if (!self->cells || self->cells->width != COLS || self->cells->height != LINES) {
        view_cells_destroy(&self->cells);
        BASE_TRY(view_cells_create(COLS, LINES, view_locale_is_unicode(), &self->cells));
        self->cells->colour = self->colour;
    }
    explain_loss(self);
    self->screen.lost = self->lost;
    self->screen.lost_s = self->state.silent_s;
    self->visible = view_layout(self->have ? &self->view : NULL, &self->screen, self->cells);
    show(self);
    return BASE_OK;
}

/* ---- what changes ---- */

static void choose(terminal *self, int run)
{
    self->screen.run = run >= 0 ? run : 0;
    self->id[0] = '\0';
    if (run >= 0)
        snprintf(self->id, sizeof self->id, "%s", self->view.runs[run].id);
}

static void take(terminal *self)
{
    if (view_watch_take(self->watch, &self->view, &self->state)) {
        self->have = 1;
        choose(self, view_choice_find(&self->view, self->id, self->options->folder));
    } else if (self->state.failure[0] && shown(self)) {
        view_choice_read_end(shown(self), self->view.run_count == 1 ? self->options->folder : NULL, self->state.since);
    }
}

static void scroll_ranks(terminal *self, int to)
{
    const coordinator_run_view *run = shown(self);
    int last = (run ? run->rank_count : 0) - self->visible;
    to = to < last ? to : last;
    self->screen.ranks.first = to > 0 ? to : 0;
}

static void next_run(terminal *self, int by)
{
    if (!self->have || self->view.run_count < 2)
        return;
    choose(self, (self->screen.run + by + self->view.run_count) % self->view.run_count);
    self->screen.ranks.first = 0;
}

static void press(terminal *self, int key)
{
    int first = self->screen.ranks.first;
    switch (key) {
    case 'q':
    case 'Q': self->leave = 1; break;
    case KEY_UP:
    case 'k': scroll_ranks(self, first - 1); break;
    case KEY_DOWN:
    case 'j': scroll_ranks(self, first + 1); break;
    case KEY_PPAGE: scroll_ranks(self, first - self->visible); break;
    case KEY_NPAGE:
    case ' ': scroll_ranks(self, first + self->visible); break;
    case KEY_HOME:
    case 'g': scroll_ranks(self, 0); break;
    case KEY_END:
    case 'G': scroll_ranks(self, 1 << 30); break;
    case 's':
        self->screen.ranks.slowest = !self->screen.ranks.slowest;
        self->screen.ranks.first = 0;
        break;
    case '\t':
    case 'n': next_run(self, 1); break;
    case KEY_BTAB:
    case 'p': next_run(self, -1); break;
    case '?':
    case 'h': self->screen.help = !self->screen.help; break;
    case KEY_RESIZE: break;
    default: self->screen.help = 0;
    }
}

/* Until a key, an answer, a signal, or it is time to draw again. */
static void wait_for_news(terminal *self, const sigset_t *mask)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = view_watch_fd(self->watch), .events = POLLIN}};
    const struct timespec bound = {.tv_sec = REDRAW_MS / 1000, .tv_nsec = REDRAW_MS % 1000 * 1000000L};
    if (ppoll(fds, 2, &bound, mask) > 0 && (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
        self->leave = 1; /* the terminal is gone */
}

static base_status loop(terminal *self, const sigset_t *mask)
{
    while (!self->leave && !caught) {
        take(self);
        BASE_TRY(draw(self));
        wait_for_news(self, mask);
        for (int key; !self->leave && (key = getch()) != ERR;)
            press(self, key);
    }
    return BASE_OK;
}

static base_status open_screen(terminal *self, SCREEN **screen)
{
    const char *name = getenv("TERM");
    *screen = newterm(NULL, stdout, stdin);
    if (!*screen)
        return BASE_FAIL(BASE_USAGE, "the terminal '%s' (TERM) is not known here: set TERM, or use --once",
                         name ? name : "");
    set_term(*screen);
    if (!tigetstr("cup") || tigetstr("cup") == (char *)-1) {
        endwin();
        return BASE_FAIL(BASE_USAGE, "the terminal '%s' (TERM) cannot move its cursor: use --once", name ? name : "");
    }
    set_escdelay(ESCAPE_MS);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    self->colour = start_colours();
    return BASE_OK;
}

base_status view_terminal_run(const view_terminal_options *options)
{
    terminal self = {.options = options, .screen = {.keys = 1, .lost = "", .address = options->address}};
    struct sigaction before[FATAL];
    sigset_t mask;
    SCREEN *screen;
    caught = 0;
    BASE_TRY(view_watch_start(&options->source, &self.watch));
    catch_signals(before, &mask); /* before curses does */
    base_status status = open_screen(&self, &screen);
    if (status == BASE_OK) {
        status = loop(&self, &mask);
        endwin();
        delscreen(screen);
    }
    int signal = caught;
    release_signals(before, &mask);
    if (signal)
        die_of(signal);
    view_watch_stop(&self.watch);
    coordinator_view_clear(&self.view);
    view_cells_destroy(&self.cells);
    return status;
}
