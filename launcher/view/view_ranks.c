#include "view_ranks.h"

#include "view_alerts.h"
#include "view_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RANK = 6, OWN = 9, HOST = 14, NOTE = 13, GAP = 2, HOST_FROM = 100, MEAN_FROM = 4 };

#define SEEN_FROM 0.005 /* share of a step from which on a phase is named */

/* ---- order ---- */

typedef struct place {
    int index, trouble;
    double own_ms;
} place;

static int trouble(const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    return view_rank_is_silent(run, rank) ? 2 : view_rank_is_stuck(run, rank) ? 1 : 0;
}

static int compare(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->trouble != q->trouble)
        return q->trouble - p->trouble;
    if (p->own_ms != q->own_ms)
        return p->own_ms < q->own_ms ? 1 : -1;
    return p->index - q->index;
}

/* NULL: by number (also when memory is short). */
static place *sort(const coordinator_run_view *run, const view_ranks_options *options)
{
    place *places = options->slowest ? malloc((size_t)run->rank_count * sizeof *places) : NULL;
    if (!places)
        return NULL;
    for (int i = 0; i < run->rank_count; i++) {
        double own = run->ranks[i].own_ms;
        places[i] = (place){i, trouble(run, &run->ranks[i]), isfinite(own) ? own : 0.0};
    }
    qsort(places, (size_t)run->rank_count, sizeof *places, compare);
    return places;
}

/* ---- lines ---- */

typedef struct table {
    view_cells *cells;
    int x, room, hosts; /* hosts: there is a column for them */
    double longest_ms;  /* step of all ranks: the whole bar */
} table;

static int bar_at(const table *self)
{
    return self->x + RANK + OWN + GAP + (self->hosts ? HOST : 0);
}

static int bar_room(const table *self)
{
    int room = self->x + self->room - GAP - NOTE - bar_at(self);
    return room > 0 ? room : 0;
}

static void draw_bar(const table *self, int y, const coordinator_rank_view *rank)
{
    int room = bar_room(self), at = bar_at(self), from = 0;
    double sum = 0.0;
    for (int p = 0; p < BASE_PHASE_COUNT; p++) {
        sum += view_rank_phase_ms(rank, (base_phase)p);
        int to = (int)lround(sum / self->longest_ms * room);
        for (int i = from; i < to && i < room; i++)
            view_cells_set(self->cells, at + i, y, (view_style)(VIEW_PHASES + p),
                           self->cells->colour && i > from ? ' ' : (uint32_t)view_text_phase_letter((base_phase)p));
        from = to > from ? to : from;
    }
}

static void draw_note(const table *self, int y, const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    int x = self->x + self->room - NOTE;
    const coordinator_straggler *straggler = view_rank_straggler(run, rank->rank);
    if (view_rank_is_silent(run, rank))
        view_cells_printf(self->cells, x, y, NOTE, VIEW_BAD, "silent %.0f s", rank->silent_s);
    else if (view_rank_is_stuck(run, rank))
        view_cells_printf(self->cells, x, y, NOTE, VIEW_BAD, "stuck %.0f s", rank->stuck_s);
    else if (straggler)
        view_cells_printf(self->cells, x, y, NOTE, VIEW_WARN, "%.0f %% slower", 100.0 * straggler->slower);
}

static void draw_rank(const table *self, int y, const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    char text[VIEW_TEXT];
    int silent = view_rank_is_silent(run, rank);
    double step_ms = view_rank_step_ms(rank);
    view_style style = silent ? VIEW_FAINT : VIEW_PLAIN;
    snprintf(text, sizeof text, "%d", rank->rank);
    view_cells_put_right(self->cells, self->x + RANK, y, RANK, style, text);
    if (self->hosts)
        view_cells_put(self->cells, self->x + RANK + GAP, y, HOST - GAP, style, rank->host);
    if (step_ms > 0.0) {
        view_cells_put_right(self->cells, bar_at(self) - GAP, y, OWN, style, view_text_ms(rank->own_ms, text));
        draw_bar(self, y, rank);
    } else {
        view_cells_printf(self->cells, bar_at(self), y, bar_room(self), VIEW_FAINT, "in %s, after step %s",
                          base_phase_name(rank->phase), view_text_count(rank->step, text));
    }
    draw_note(self, y, run, rank);
}

static void draw_mean(const table *self, int y, const coordinator_run_view *run)
{
    coordinator_rank_view mean = {0};
    char text[VIEW_TEXT];
    int count = 0;
    for (int i = 0; i < run->rank_count; i++) {
        if (view_rank_step_ms(&run->ranks[i]) == 0.0)
            continue;
        count++;
        mean.own_ms += run->ranks[i].own_ms;
        for (int p = 0; p < BASE_PHASE_COUNT; p++)
            mean.phases_ms[p] += view_rank_phase_ms(&run->ranks[i], (base_phase)p);
    }
    view_cells_put_right(self->cells, self->x + RANK, y, RANK, VIEW_STRONG, "mean");
    if (count == 0)
        return;
    for (int p = 0; p < BASE_PHASE_COUNT; p++)
        mean.phases_ms[p] /= count;
    view_cells_put_right(self->cells, bar_at(self) - GAP, y, OWN, VIEW_STRONG, view_text_ms(mean.own_ms / count, text));
    draw_bar(self, y, &mean);
}

static void draw_head(const table *self, int y, const coordinator_run_view *run, int first, int visible)
{
    char text[VIEW_TEXT], line[2 * VIEW_TEXT];
    view_cells_put_right(self->cells, self->x + RANK, y, RANK, VIEW_FAINT, "rank");
    if (self->hosts)
        view_cells_put(self->cells, self->x + RANK + GAP, y, HOST - GAP, VIEW_FAINT, "host");
    view_cells_put_right(self->cells, bar_at(self) - GAP, y, OWN, VIEW_FAINT, "own time");
    if (self->longest_ms > 0.0)
        view_cells_printf(self->cells, bar_at(self), y, bar_room(self), VIEW_FAINT, "one step: %s",
                          view_text_ms(self->longest_ms, text));
    if (visible == 0 || visible >= run->rank_count)
        return;
    snprintf(line, sizeof line, "%d-%d of %d", first + 1, first + visible, run->rank_count);
    view_cells_put_right(self->cells, self->x + self->room, y, self->room / 2, VIEW_FAINT, line);
}

/* ---- the table ---- */

static int has_mean(const coordinator_run_view *run, int rows)
{
    return rows - 1 < run->rank_count && rows >= MEAN_FROM;
}

int view_ranks_visible(const coordinator_run_view *run, int rows)
{
    int visible = rows - 1;
    if (has_mean(run, rows))
        visible--;
    return visible < 0 ? 0 : visible < run->rank_count ? visible : run->rank_count;
}

void view_ranks_draw(view_cells *cells, int x, int y, int room, int rows, const coordinator_run_view *run,
                     const view_ranks_options *options)
{
    table self = {.cells = cells, .x = x, .room = room, .hosts = room >= HOST_FROM};
    int visible = view_ranks_visible(run, rows), mean = has_mean(run, rows);
    int last = run->rank_count - visible, first = options->first < last ? options->first : last;
    first = first > 0 ? first : 0;
    if (rows <= 0 || run->rank_count == 0)
        return;
    for (int i = 0; i < run->rank_count; i++)
        self.longest_ms = fmax(self.longest_ms, view_rank_step_ms(&run->ranks[i]));
    place *places = sort(run, options);
    draw_head(&self, y, run, first, visible);
    if (mean)
        draw_mean(&self, y + 1, run);
    for (int i = 0; i < visible; i++)
        draw_rank(&self, y + 1 + mean + i, run, &run->ranks[places ? places[first + i].index : first + i]);
    free(places);
}

void view_ranks_draw_legend(view_cells *cells, int x, int y, int room, const coordinator_run_view *run)
{
    static const char *const brief[BASE_PHASE_COUNT] = {
        [BASE_PHASE_CHECKPOINT] = "ckpt", [BASE_PHASE_EVALUATE] = "eval"};
    int end = x + room, at = x;
    for (int p = 0; p < BASE_PHASE_COUNT; p++) {
        int seen = 0;
        for (int i = 0; i < run->rank_count && !seen; i++)
            seen = view_rank_phase_ms(&run->ranks[i], (base_phase)p) > SEEN_FROM * view_rank_step_ms(&run->ranks[i]);
        const char *name = brief[p] ? brief[p] : base_phase_name((base_phase)p);
        if (!seen || at + 2 + (int)strlen(name) > end)
            continue;
        view_cells_set(cells, at, y, (view_style)(VIEW_PHASES + p), (uint32_t)view_text_phase_letter((base_phase)p));
        at += 2 + view_cells_put(cells, at + 2, y, end - at - 2, VIEW_PLAIN, name) + 1;
    }
}
