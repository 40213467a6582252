/* view_print.h: what the live view shows, once and as plain text. */
#ifndef VIEW_PRINT_H
#define VIEW_PRINT_H

#include "base_status.h"
#include "coordinator_view.h"

#include <stdio.h>

/* With all ranks: the run in `folder`; where that is NULL, all runs that go on, or the newest one. Of the other runs a
 * line each. `width` columns, but not less than the layout needs. */
base_status view_print(const coordinator_view *view, const char *address, const char *folder, int width, FILE *to);

/* COLUMNS of the environment, else 80. */
int view_print_width(void);

#endif
