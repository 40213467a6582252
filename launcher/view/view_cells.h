/* view_cells.h: a screen's worth of characters, filled by the layout, shown by the terminal or printed.
 *
 * Texts come in UTF-8. What a terminal cannot show safely (control characters, above all the escape character) becomes
 * '?', what takes no room is left out. Without Unicode the drawing characters of the layout become similar ones of
 * ASCII and all others '?'. Nothing is ever written outside: a text that does not fit ends in an ellipsis.
 */
#ifndef VIEW_CELLS_H
#define VIEW_CELLS_H

#include "base_status.h"
#include "base_time.h"

#include <stdint.h>
#include <stdio.h>

typedef enum view_style {
    VIEW_PLAIN,
    VIEW_STRONG,
    VIEW_FAINT,
    VIEW_GOOD,
    VIEW_WARN,
    VIEW_BAD,
    VIEW_LINE,   /* of the curve, of the progress */
    VIEW_PHASES, /* + base_phase: the phase as background */
    VIEW_STYLES = VIEW_PHASES + BASE_PHASE_COUNT
} view_style;

typedef struct view_cell {
    uint32_t glyph; /* Unicode; 0: the right half of the wide one before */
    view_style style;
} view_cell;

typedef struct view_cells {
    int width, height;
    int unicode;     /* 0: ASCII alone */
    int colour;      /* styles are told apart by colour; 0 from create */
    view_cell *cell; /* (height, width) */
} view_cells;

/* Blank. Wide characters are known as such where the locale is one of UTF-8. */
base_status view_cells_create(int width, int height, int unicode, view_cells **self);
void view_cells_destroy(view_cells **self);

void view_cells_clear(view_cells *self);

void view_cells_set(view_cells *self, int x, int y, view_style style, uint32_t glyph);

/* At most `room` columns from x; returns how many were taken. */
int view_cells_put(view_cells *self, int x, int y, int room, view_style style, const char *text);
int view_cells_printf(view_cells *self, int x, int y, int room, view_style style, const char *fmt, ...)
    BASE_PRINTF(6, 7);

/* Ends before column `right`, with at most `room` columns; returns where it begins. */
int view_cells_put_right(view_cells *self, int right, int y, int room, view_style style, const char *text);

/* In lines of `room` columns, broken between words, indented from the second on; at most `rows` of them. Returns how
 * many it took; with `self` NULL, how many it would take. */
int view_cells_wrap(view_cells *self, int x, int y, int room, int rows, view_style style, const char *text);

/* As lines without what is blank at their ends. */
base_status view_cells_print(const view_cells *self, FILE *to);

#endif
