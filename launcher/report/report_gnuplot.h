/* report_gnuplot.h: gnuplot, as a child process: a script goes in, a picture comes out. Local.
 */
#ifndef REPORT_GNUPLOT_H
#define REPORT_GNUPLOT_H

#include "base_status.h"

#include <stddef.h>

/* Run `script` with the gnuplot that is found on PATH, without its start-up files. What it writes to stdout must be an
 * SVG image; malloc'd, the caller frees. BASE_ERROR: there is no gnuplot, it failed (with what it said), or took more
 * than a minute. */
base_status report_gnuplot_run(const char *script, char **svg);

#endif
