#include "view_print.h"

#include "view_alerts.h"
#include "view_choice.h"
#include "view_layout.h"
#include "view_locale.h"
#include "view_text.h"

#include <stdlib.h>

enum { WIDTH_MAX = 1000 };

int view_print_width(void)
{
    const char *columns = getenv("COLUMNS");
    long width = columns ? strtol(columns, NULL, 10) : 0;
    return width > 0 && width <= WIDTH_MAX ? (int)width : VIEW_COLUMNS;
}

static base_status print_run(const coordinator_view *view, view_screen *screen, int width, FILE *to)
{
    int lines = screen->run < view->run_count ? view_layout_lines(&view->runs[screen->run], width) : VIEW_LINES_MIN;
    view_cells *cells;
    BASE_TRY(
        view_cells_create(width, lines < VIEW_LINES_MIN ? VIEW_LINES_MIN : lines, view_locale_is_unicode(), &cells));
    view_layout(view, screen, cells);
    base_status status = view_cells_print(cells, to);
    view_cells_destroy(&cells);
    return status;
}

static base_status print_line(const coordinator_run_view *run, int width, FILE *to)
{
    char step[VIEW_TEXT], elapsed[VIEW_TEXT];
    view_cells *cells;
    BASE_TRY(view_cells_create(width, 1, view_locale_is_unicode(), &cells));
    view_cells_printf(cells, 1, 0, width - 1, VIEW_PLAIN, "%s: %s after step %s, %s", run->name,
                      coordinator_run_state_name(run->state), view_text_count(run->step, step),
                      view_text_duration(run->elapsed_s, elapsed));
    base_status status = view_cells_print(cells, to);
    view_cells_destroy(&cells);
    return status;
}

base_status view_print(const coordinator_view *view, const char *address, const char *folder, int width, FILE *to)
{
    view_screen screen = {.address = address, .lost = ""};
    int chosen = view_choice_find(view, "", folder);
    width = width < VIEW_COLUMNS_MIN ? VIEW_COLUMNS_MIN : width;
    if (chosen < 0)
        return print_run(view, &screen, width, to);
    for (int i = 0; i < view->run_count; i++) {
        screen.run = i;
        if (i != chosen && (folder || view_run_is_over(&view->runs[i])))
            BASE_TRY(print_line(&view->runs[i], width, to));
        else
            BASE_TRY(print_run(view, &screen, width, to));
    }
    return BASE_OK;
}
