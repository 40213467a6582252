/* report_plot.h: the pictures of a scaling experiment as scripts for gnuplot. Local.
 *
 * speedup     measured points with their intervals, the ideal, and the law that was fitted
 * efficiency  the same as efficiency, with what is expected on more workers, and the target
 * phases      what a step consists of at each number of workers, in per cent of its length
 *
 * Scripts hold numbers and fixed words only, never a text that a user gave. Axes are logarithmic where workers span a
 * wide range. Colours are those of Okabe and Ito, which people with colour-blindness can tell apart.
 */
#ifndef REPORT_PLOT_H
#define REPORT_PLOT_H

#include "scaling.h"

#include <stdio.h>

typedef enum report_plot { REPORT_SPEEDUP, REPORT_EFFICIENCY, REPORT_PHASES, REPORT_PLOT_COUNT } report_plot;

const char *report_plot_name(report_plot plot);    /* "speedup": of the file, without .svg */
const char *report_plot_caption(report_plot plot); /* a sentence or two */

/* Write the script; needs a point at least. */
void report_plot_script(FILE *to, report_plot plot, const scaling_sweep *sweep, const scaling_analysis *analysis);

#endif
