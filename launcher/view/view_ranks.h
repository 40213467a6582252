/* view_ranks.h: the table of ranks: how each spends a step, as a bar of its phases, and what is wrong with it. */
#ifndef VIEW_RANKS_H
#define VIEW_RANKS_H

#include "coordinator_view.h"
#include "view_cells.h"

typedef struct view_ranks_options {
    int first;   /* how many ranks are scrolled past */
    int slowest; /* 1: in the order of trouble: silent, stuck, by own time; 0: by number */
} view_ranks_options;

/* Of `rows` lines those that show a rank: one is the head and, where not all ranks fit, one the mean. */
int view_ranks_visible(const coordinator_run_view *run, int rows);

/* In `rows` lines of `room` columns from (x, y). */
void view_ranks_draw(view_cells *cells, int x, int y, int room, int rows, const coordinator_run_view *run,
                     const view_ranks_options *options);

/* One line: the letter, colour and name of each phase that takes time. */
void view_ranks_draw_legend(view_cells *cells, int x, int y, int room, const coordinator_run_view *run);

#endif
