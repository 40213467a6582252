/* view_layout.h: a run on a screen: how far it is, its loss, its figures, its ranks, and what is wrong.
 *
 * Top to bottom: the run and its state; progress; the loss curve beside the figures; the ranks; alerts in words; keys.
 * When there is little room the curve gives way first, then blank lines. Nothing here knows a terminal.
 */
#ifndef VIEW_LAYOUT_H
#define VIEW_LAYOUT_H

#include "coordinator_view.h"
#include "view_cells.h"
#include "view_ranks.h"

enum { VIEW_COLUMNS = 80, VIEW_LINES = 24, VIEW_COLUMNS_MIN = 40, VIEW_LINES_MIN = 10 };

/* What the viewer asks for. */
typedef struct view_screen {
    int run; /* index in the view's runs */
    view_ranks_options ranks;
    int keys;            /* the line of keys */
    int help;            /* what they do, over the rest */
    const char *address; /* that is asked */
    double lost_s;       /* since the last answer came, or the first was asked for; 0: it has just come */
    const char *lost;    /* why, and since when: a line; "" while that is not yet worth telling */
} view_screen;

/* Lays out the run that the screen asks for, or says that there is none. Returns the ranks that are visible at once. */
int view_layout(const coordinator_view *view, const view_screen *screen, view_cells *cells);

/* The lines that a run takes if all its ranks are shown, no keys. */
int view_layout_lines(const coordinator_run_view *run, int width);

#endif
