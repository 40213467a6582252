#include "view_curve.h"

#include "view_text.h"

#include <math.h>
#include <stdlib.h>

enum { LABELS = 10, DOTS_X = 2, DOTS_Y = 4, BRAILLE = 0x2800 };
#define LOGARITHMIC_FROM 20.0 /* highest over lowest */

typedef struct dots {
    view_cells *cells;
    int x, y, width, height; /* width and height in dots */
} dots;

view_curve_range view_curve_get_range(const coordinator_loss *points, int count)
{
    view_curve_range range = {.low = INFINITY, .high = -INFINITY};
    for (int i = 0; i < count; i++) {
        if (!isfinite(points[i].loss))
            continue;
        if (range.points++ == 0)
            range.first_step = points[i].step;
        range.last_step = points[i].step;
        range.low = fmin(range.low, points[i].loss);
        range.high = fmax(range.high, points[i].loss);
    }
    range.logarithmic = range.points > 0 && range.low > 0.0 && range.high / range.low >= LOGARITHMIC_FROM;
    return range;
}

static void set_dot(const dots *self, int dx, int dy)
{
    static const unsigned char bits[DOTS_X][DOTS_Y] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    view_cells *cells = self->cells;
    int x = self->x + dx / DOTS_X, y = self->y + dy / DOTS_Y;
    if (dx < 0 || dy < 0 || dx >= self->width || dy >= self->height || x >= cells->width || y >= cells->height)
        return;
    view_cell *cell = &cells->cell[y * cells->width + x];
    uint32_t dots_before = cell->glyph >= BRAILLE && cell->glyph < BRAILLE + 256 ? cell->glyph : BRAILLE;
    *cell = (view_cell){.glyph = dots_before | bits[dx % DOTS_X][dy % DOTS_Y], .style = VIEW_LINE};
}

static void draw_line(const dots *self, const int from[2], const int to[2])
{
    int dx = to[0] - from[0], dy = to[1] - from[1], n = abs(dx) > abs(dy) ? abs(dx) : abs(dy);
    for (int i = 0; i <= n; i++)
        set_dot(self, from[0] + (n ? (int)lround((double)dx * i / n) : 0),
                from[1] + (n ? (int)lround((double)dy * i / n) : 0));
}

static double scaled(double loss, const view_curve_range *range)
{
    double low = range->low, high = range->high;
    if (range->logarithmic)
        low = log(low), high = log(high), loss = log(loss);
    return high > low ? (loss - low) / (high - low) : 0.5;
}

static void place(const dots *self, const coordinator_loss *point, const view_curve_range *range, int at[2])
{
    double steps = (double)(range->last_step - range->first_step);
    at[0] = steps > 0.0 ? (int)lround((double)(point->step - range->first_step) / steps * (self->width - 1)) : 0;
    at[1] = self->height - 1 - (int)lround(scaled(point->loss, range) * (self->height - 1));
}

/* Upper dots ', lower dots ., both : */
static void to_ascii(const dots *self)
{
    for (int y = self->y; y < self->y + self->height / DOTS_Y && y < self->cells->height; y++)
        for (int x = self->x; x < self->x + self->width / DOTS_X && x < self->cells->width; x++) {
            uint32_t *glyph = &self->cells->cell[y * self->cells->width + x].glyph;
            if (*glyph < BRAILLE)
                continue;
            int upper = (*glyph & 0x1B) != 0, lower = (*glyph & 0xE4) != 0;
            *glyph = upper && lower ? ':' : upper ? '\'' : '.';
        }
}

static void draw_axis(view_cells *cells, int x, int y, int rows, const view_curve_range *range)
{
    char text[VIEW_TEXT];
    for (int row = 0; row < rows; row++)
        view_cells_set(cells, x + LABELS - 1, y + row, VIEW_FAINT, 0x2502);
    view_cells_put_right(cells, x + LABELS - 2, y, LABELS - 2, VIEW_FAINT, view_text_loss(range->high, text));
    if (rows > 1 && range->high > range->low)
        view_cells_put_right(cells, x + LABELS - 2, y + rows - 1, LABELS - 2, VIEW_FAINT,
                             view_text_loss(range->low, text));
}

void view_curve_draw(view_cells *cells, int x, int y, int room, int rows, const coordinator_loss *points, int count)
{
    view_curve_range range = view_curve_get_range(points, count);
    dots area = {cells, x + LABELS, y, (room - LABELS) * DOTS_X, rows * DOTS_Y};
    if (range.points == 0 || area.width <= 0 || rows <= 0)
        return;
    draw_axis(cells, x, y, rows, &range);
    int before[2], at[2], connected = 0;
    for (int i = 0; i < count; i++) {
        if (!isfinite(points[i].loss)) {
            connected = 0;
            continue;
        }
        place(&area, &points[i], &range, at);
        draw_line(&area, connected ? before : at, at);
        before[0] = at[0], before[1] = at[1];
        connected = 1;
    }
    if (!cells->unicode)
        to_ascii(&area);
}
