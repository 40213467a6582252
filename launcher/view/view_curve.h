/* view_curve.h: the loss curve in characters: braille dots, 2 x 4 of them in each, or ASCII. */
#ifndef VIEW_CURVE_H
#define VIEW_CURVE_H

#include "coordinator_view.h"
#include "view_cells.h"

/* What the axes cover. Points that are not finite are gaps. */
typedef struct view_curve_range {
    int points; /* that are finite; 0: the rest means nothing */
    int64_t first_step, last_step;
    double low, high;
    int logarithmic; /* the loss fell so far that a linear axis would show no more than a corner */
} view_curve_range;

view_curve_range view_curve_get_range(const coordinator_loss *points, int count);

/* In `rows` lines of `room` columns from (x, y): the curve and, left of it, the values at its top and bottom. */
void view_curve_draw(view_cells *cells, int x, int y, int room, int rows, const coordinator_loss *points, int count);

#endif
