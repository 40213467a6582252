/* report_html.h: the report of a scaling experiment as one page that needs no other file: for somebody who has never
 * heard of Amdahl the verdict first, for somebody who has every figure with its definition. Local.
 */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include "report_plot.h"

/* What the page takes in. */
typedef struct report_html_parts {
    char *svg[REPORT_PLOT_COUNT]; /* text of the pictures */
    char no_pictures[512];        /* why there are none; "": there are */
    char *csv;
} report_html_parts;

/* BASE_ERROR: no memory. What it wrote is HTML 5 in UTF-8. */
base_status report_html_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis,
                              const report_html_parts *parts);

/* ---- between report_html*.c ---- */

extern const char report_html_style[]; /* the style sheet */

/* `text` with what HTML would take for markup escaped, and characters that it does not allow replaced; bytes that are
 * not UTF-8 become '?'. */
void report_html_escape(FILE *to, const char *text);
/* The same for what `format` makes. */
void report_html_printf(FILE *to, const char *format, ...) BASE_PRINTF(2, 3);

void report_html_points(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis); /* the table */
void report_html_laws(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);
void report_html_method(FILE *to, const scaling_sweep *sweep); /* how it was measured */
void report_html_definitions(FILE *to, const scaling_sweep *sweep);

#endif
