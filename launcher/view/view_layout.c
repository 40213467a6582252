#include "view_layout.h"

#include "view_alerts.h"
#include "view_curve.h"
#include "view_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    HEAD = 3,          /* the run, the bar, the position */
    CURVE = 5,         /* lines of the curve where there is room for all else ... */
    CURVE_MIN = 3,     /* ... at least ... */
    CURVE_MAX = 12,    /* ... and at most */
    FIGURES = 30,      /* columns beside the curve */
    FIGURES_FROM = 66, /* columns of the screen from which on there is a curve beside them */
    ALERT_LINES = 6    /* at most; less where the screen is low */
};

typedef struct page {
    view_cells *cells;
    const coordinator_run_view *run;
    const view_screen *screen;
    int x, room; /* columns between the margins */
} page;

/* ---- head ---- */

static view_style state_style(coordinator_run_state state)
{
    switch (state) {
    case COORDINATOR_RUNNING: return VIEW_GOOD;
    case COORDINATOR_DONE: return VIEW_STRONG;
    case COORDINATOR_STOPPED: return VIEW_WARN;
    default: return VIEW_BAD;
    }
}

static void draw_title(const page *self, const coordinator_view *view)
{
    const coordinator_run_view *run = self->run;
    char state[128], text[VIEW_TEXT];
    if (self->screen->lost[0])
        snprintf(state, sizeof state, "no answer for %s", view_text_duration(self->screen->lost_s, text));
    else
        snprintf(state, sizeof state, "%s", coordinator_run_state_name(run->state));
    int right = view_cells_put_right(self->cells, self->x + self->room, 0, self->room / 2,
                                     self->screen->lost[0] ? VIEW_BAD : state_style(run->state), state);
    if (view->run_count > 1) {
        snprintf(state, sizeof state, "run %d of %d", self->screen->run + 1, view->run_count);
        right = view_cells_put_right(self->cells, right - 2, 0, VIEW_TEXT, VIEW_FAINT, state);
    }
    int x = self->x + view_cells_put(self->cells, self->x, 0, right - 2 - self->x, VIEW_STRONG, run->name) + 2;
    view_cells_put(self->cells, x, 0, right - 2 - x, VIEW_FAINT, run->folder);
}

static double progress(const coordinator_run_view *run)
{
    double done = run->total_steps > 0 ? (double)run->step / (double)run->total_steps : 0.0;
    return fmin(fmax(done, 0.0), 1.0);
}

static void draw_progress(const page *self)
{
    enum { EIGHTHS = 8, FULL = 0x2588, REST = 0x2591 }; /* 0x2589 to 0x258F: seven eighths down to one */
    char text[VIEW_TEXT];
    double done = progress(self->run);
    int room = self->room - 9, eighths = (int)(done * room * EIGHTHS), x = self->x;
    for (int i = 0; i < room; i++) {
        int part = eighths - i * EIGHTHS;
        if (part >= EIGHTHS)
            view_cells_set(self->cells, x + i, 1, VIEW_LINE, FULL);
        else if (part > 0 && self->cells->unicode)
            view_cells_set(self->cells, x + i, 1, VIEW_LINE, (uint32_t)(FULL + EIGHTHS - part));
        else
            view_cells_set(self->cells, x + i, 1, VIEW_FAINT, REST);
    }
    if (self->run->total_steps > 0)
        view_cells_put_right(self->cells, x + self->room, 1, 9, VIEW_STRONG, view_text_percent(done, text));
}

/* "label value" pairs on one line, close together if they must be; what does not fit is left out. */
typedef struct pair {
    const char *label, *value;
} pair;

static int pair_width(const pair *p)
{
    return (int)(strlen(p->label) + strlen(p->value)) + 1;
}

static void draw_pairs(const page *self, int y, const pair *pairs, int count)
{
    int x = self->x, end = self->x + self->room, gap = 3, wide = -gap;
    for (int i = 0; i < count; i++)
        wide += gap + pair_width(&pairs[i]);
    gap = wide > self->room ? 2 : gap;
    for (int i = 0; i < count && x + pair_width(&pairs[i]) <= end; i++) {
        x += view_cells_put(self->cells, x, y, end - x, VIEW_FAINT, pairs[i].label) + 1;
        x += view_cells_put(self->cells, x, y, end - x, VIEW_PLAIN, pairs[i].value) + gap;
    }
}

static const char *part_of(int64_t part, int64_t whole, char text[2 * VIEW_TEXT])
{
    char all[VIEW_TEXT], done[VIEW_TEXT];
    snprintf(text, 2 * VIEW_TEXT, whole > 0 ? "%s of %s" : "%s", view_text_count(part, done),
             view_text_count(whole, all));
    return text;
}

static void draw_position(const page *self)
{
    const coordinator_run_view *run = self->run;
    char step[2 * VIEW_TEXT], epoch[2 * VIEW_TEXT], elapsed[VIEW_TEXT], left[VIEW_TEXT];
    const pair pairs[] = {{"step", part_of(run->step, run->total_steps, step)},
                          {"epoch", part_of(run->epoch, run->epochs, epoch)},
                          {"elapsed", view_text_duration(run->elapsed_s, elapsed)},
                          {"left", view_text_duration(run->remaining_s, left)}};
    draw_pairs(self, 2, pairs, view_run_is_over(run) ? 3 : 4);
}

/* ---- loss and figures ---- */

static void draw_curve(const page *self, int y, int room, int rows)
{
    const coordinator_run_view *run = self->run;
    view_curve_range range = view_curve_get_range(run->curve, run->curve_count);
    char loss[VIEW_TEXT], from[VIEW_TEXT], to[VIEW_TEXT];
    int x = self->x + view_cells_put(self->cells, self->x, y, room, VIEW_FAINT, "loss") + 1, end = self->x + room;
    int finite = isfinite(run->loss), lost = !finite && run->state == COORDINATOR_DIVERGED;
    x += view_cells_put(self->cells, x, y, end - x, lost ? VIEW_BAD : VIEW_STRONG,
                        lost ? "not finite" : view_text_loss(run->loss, loss)) +
         2;
    if (range.points > 1 && rows > 0)
        view_cells_printf(self->cells, x, y, end - x, VIEW_FAINT, "%ssteps %s to %s",
                          range.logarithmic ? "log scale, " : "", view_text_count(range.first_step, from),
                          view_text_count(range.last_step, to));
    view_curve_draw(self->cells, self->x, y + 1, room, rows, run->curve, run->curve_count);
}

/* The step of the run: of the rank whose step is the longest. */
static double step_ms(const coordinator_run_view *run)
{
    double longest = NAN;
    for (int i = 0; i < run->rank_count; i++) {
        double ms = view_rank_step_ms(&run->ranks[i]);
        longest = ms > 0.0 ? fmax(longest, ms) : longest;
    }
    return longest;
}

static void draw_figure(const page *self, int x, int y, const char *label, const char *value)
{
    int end = self->x + self->room;
    view_cells_put(self->cells, x, y, end - x, VIEW_FAINT, label);
    view_cells_put_right(self->cells, end, y, end - x - (int)strlen(label) - 1, VIEW_PLAIN, value);
}

static void draw_figures(const page *self, int x, int y, int rows)
{
    const coordinator_run_view *run = self->run;
    char text[VIEW_TEXT], ranks[2 * VIEW_TEXT];
    int hosts = view_run_hosts(run), row = 0;
    if (hosts > 1)
        snprintf(ranks, sizeof ranks, "%d on %d hosts", run->size, hosts);
    else
        snprintf(ranks, sizeof ranks, "%d on %s", run->size, run->host);
    const struct {
        const char *label, *value;
    } figures[] = {
        {"samples/s", view_text_rate(run->samples_per_second, (char[VIEW_TEXT]){0})},
        {"step", view_text_ms(step_ms(run), (char[VIEW_TEXT]){0})},
        {"efficiency so far", view_text_percent(run->efficiency, (char[VIEW_TEXT]){0})},
        {"test loss", view_text_loss(run->test_loss, (char[VIEW_TEXT]){0})},
        {"test accuracy", view_text_percent(run->test_accuracy, (char[VIEW_TEXT]){0})},
        {"ranks", ranks},
        {"parameters", view_text_short((double)run->parameters, (char[VIEW_TEXT]){0})},
        {"global batch", view_text_count(run->global_batch, text)},
    };
    for (; row < rows && row < (int)(sizeof figures / sizeof *figures); row++)
        draw_figure(self, x, y + row, figures[row].label, figures[row].value);
}

/* ---- alerts ---- */

static int alert_lines(const page *self, const view_alert *alerts, int count)
{
    int most = self->cells && self->cells->height < VIEW_LINES ? (self->cells->height - 6) / 3 : ALERT_LINES;
    int lines = self->screen->lost[0] ? view_cells_wrap(NULL, 0, 0, self->room, 3, VIEW_BAD, self->screen->lost) : 0;
    for (int i = 0; i < count && lines < most; i++)
        lines += view_cells_wrap(NULL, 0, 0, self->room, 2, VIEW_PLAIN, alerts[i].text);
    return lines < most ? lines : most;
}

static void draw_alerts(const page *self, int y, int rows, const view_alert *alerts, int count)
{
    static const view_style styles[] = {[VIEW_NOTE] = VIEW_FAINT, [VIEW_WARNING] = VIEW_WARN, [VIEW_ALARM] = VIEW_BAD};
    int end = y + rows;
    if (self->screen->lost[0])
        y += view_cells_wrap(self->cells, self->x, y, self->room, end - y, VIEW_BAD, self->screen->lost);
    for (int i = 0; i < count && y < end; i++) {
        if (rows > 1 && y == end - 1 && i < count - 1) {
            view_cells_printf(self->cells, self->x, y, self->room, VIEW_FAINT, "and %d more", count - i);
            return;
        }
        int room = end - y < 2 ? end - y : 2;
        y += view_cells_wrap(self->cells, self->x, y, self->room, room, styles[alerts[i].severity], alerts[i].text);
    }
}

static void draw_keys(const page *self, int runs)
{
    const char *text = self->run && view_run_is_over(self->run)
                           ? "the run has ended: q leaves   ? help"
                           : "q quit   \xE2\x86\x91\xE2\x86\x93 scroll   s slowest first   ? help";
    if (self->run && !view_run_is_over(self->run) && self->screen->ranks.slowest)
        text = "q quit   \xE2\x86\x91\xE2\x86\x93 scroll   s by number   ? help";
    int y = self->cells->height - 1;
    int x = self->x + view_cells_put(self->cells, self->x, y, self->room, VIEW_FAINT, text);
    if (runs > 1)
        view_cells_put(self->cells, x, y, self->x + self->room - x, VIEW_FAINT, "   n next run");
}

static void draw_help(const page *self)
{
    static const char *const lines[] = {
        "q            leave; the run goes on",
        "up, down     scroll the ranks; page up, page down, home, end too",
        "s            ranks in the order of trouble, or by number",
        "n, p         the next run, the one before, where the coordinator knows several",
        "?            close this",
        "",
        "Bars are a mean step of the rank, by phase:",
        "D data      F forward   B backward   U update   o other",
        "w wait for the last rank   R reduce, where nothing hides it",
        "C checkpoint   E evaluate",
        "",
        "Own time: the step without w and R. Efficiency so far: the share of the ranks' time in F, B and U.",
    };
    view_cells_clear(self->cells);
    view_cells_put(self->cells, self->x, 0, self->room, VIEW_STRONG, "ddpt top");
    for (int i = 0, y = 2; i < (int)(sizeof lines / sizeof *lines) && y < self->cells->height - 1; i++)
        y += lines[i][0] ? view_cells_wrap(self->cells, self->x, y, self->room, 3, VIEW_PLAIN, lines[i]) : 1;
}

/* ---- the whole ---- */

static void draw_no_run(const page *self, const coordinator_view *view)
{
    const view_screen *screen = self->screen;
    view_cells_put(self->cells, self->x, 0, self->room, VIEW_STRONG, "ddpt top");
    if (screen->lost[0])
        view_cells_wrap(self->cells, self->x, 2, self->room, 4, VIEW_BAD, screen->lost);
    else if (!view)
        view_cells_printf(self->cells, self->x, 2, self->room, VIEW_PLAIN, "waiting for the coordinator at %s",
                          screen->address);
    else
        view_cells_printf(self->cells, self->x, 2, self->room, VIEW_PLAIN, "the coordinator at %s knows no run",
                          screen->address);
}

/* How the lines between the head and the keys are shared. */
typedef struct plan {
    int curve, alerts, ranks; /* ranks: with their head, without the legend */
    int spaced;               /* blank lines between the parts */
} plan;

static int ranks_wanted(const coordinator_run_view *run)
{
    return run->rank_count > 0 ? run->rank_count + 1 : 0;
}

static plan share(const coordinator_run_view *run, int lines, int alerts)
{
    plan p = {.curve = CURVE, .alerts = alerts, .spaced = 1};
    int legend = run->rank_count > 0, title = 1, blank = 2, wanted = ranks_wanted(run);
    int rest = lines - title - legend - blank - alerts; /* for curve and ranks */
    int ranks_min = wanted < 6 ? wanted : 6;
    if (rest < CURVE + ranks_min) {
        p.spaced = 0;
        rest += blank;
    }
    if (rest >= CURVE + wanted)
        p.curve = rest - wanted < CURVE_MAX ? rest - wanted : CURVE_MAX;
    else if (rest >= CURVE_MIN + wanted) /* a smaller curve and all ranks */
        p.curve = rest - wanted;
    else
        p.curve = rest - ranks_min < CURVE_MIN ? 0 : rest - ranks_min < CURVE ? rest - ranks_min : CURVE;
    p.ranks = rest - p.curve < wanted ? rest - p.curve : wanted;
    p.ranks = p.ranks > 0 ? p.ranks : 0;
    return p;
}

static int draw_run(const page *self, const coordinator_view *view)
{
    const coordinator_run_view *run = self->run;
    view_alert alerts[VIEW_ALERTS];
    int count = view_alerts_find(run, alerts), keys = self->screen->keys;
    plan p = share(run, self->cells->height - HEAD - keys, alert_lines(self, alerts, count));
    int y = HEAD + p.spaced, wide = self->cells->width >= FIGURES_FROM;
    draw_title(self, view);
    draw_progress(self);
    draw_position(self);
    draw_curve(self, y, wide ? self->room - FIGURES - 3 : self->room, wide ? p.curve : 0);
    if (wide)
        draw_figures(self, self->x + self->room - FIGURES, y, p.curve + 1);
    else
        draw_figures(self, self->x, y + 1, p.curve);
    y += 1 + p.curve + p.spaced;
    if (run->rank_count > 0)
        view_ranks_draw_legend(self->cells, self->x, y++, self->room, run);
    view_ranks_draw(self->cells, self->x, y, self->room, p.ranks, run, &self->screen->ranks);
    draw_alerts(self, self->cells->height - keys - p.alerts, p.alerts, alerts, count);
    return view_ranks_visible(run, p.ranks);
}

int view_layout(const coordinator_view *view, const view_screen *screen, view_cells *cells)
{
    const coordinator_run_view *run = view && screen->run < view->run_count ? &view->runs[screen->run] : NULL;
    page self = {.cells = cells, .run = run, .screen = screen, .x = 1, .room = cells->width - 2};
    int visible = 0;
    view_cells_clear(cells);
    if (cells->width < VIEW_COLUMNS_MIN || cells->height < VIEW_LINES_MIN) {
        view_cells_printf(cells, 0, 0, cells->width, VIEW_PLAIN, "too small: at least %d x %d", VIEW_COLUMNS_MIN,
                          VIEW_LINES_MIN);
        return 0;
    }
    if (screen->help)
        draw_help(&self);
    else if (run)
        visible = draw_run(&self, view);
    else
        draw_no_run(&self, view);
    if (screen->keys)
        draw_keys(&self, view ? view->run_count : 0);
    return visible;
}

int view_layout_lines(const coordinator_run_view *run, int width)
{
    view_alert alerts[VIEW_ALERTS];
    view_screen screen = {.lost = ""};
    page self = {.run = run, .screen = &screen, .room = width - 2};
    int count = view_alerts_find(run, alerts), lines = alert_lines(&self, alerts, count);
    return HEAD + 2 + 1 + CURVE + (run->rank_count > 0) + ranks_wanted(run) + lines;
}
