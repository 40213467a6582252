/* view_terminal.h: a run in the terminal, live until `q`. */
#ifndef VIEW_TERMINAL_H
#define VIEW_TERMINAL_H

#include "view_source.h"

typedef struct view_terminal_options {
    view_source source;
    const char *address; /* that is asked, for messages */
    const char *folder;  /* of the run to show, where the coordinator knows several; may be NULL */
} view_terminal_options;

/* Full screen, refreshed in place once a second, until a key or a signal says otherwise; the terminal is then as it
 * was. Needs one at stdin and stdout. BASE_USAGE where TERM names none that is known. A signal that ends it (SIGINT,
 * SIGTERM, SIGHUP, SIGQUIT) ends the process as it would have without this view. */
base_status view_terminal_run(const view_terminal_options *options);

#endif
