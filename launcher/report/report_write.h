/* report_write.h: the report of a scaling experiment, as files in a folder. Local.
 *
 *     scaling.json      all of it (report_sweep.h)
 *     scaling.csv       a line per number of workers (report_csv.h)
 *     speedup.svg, efficiency.svg, phases.svg      by gnuplot
 *     report.html       for people; needs no other file
 */
#ifndef REPORT_WRITE_H
#define REPORT_WRITE_H

#include "scaling.h"

/* Make the folder if need be and write the files, each whole or not at all. `options` are those that `analysis` was
 * made with. Where gnuplot is absent or fails there are no pictures: the page says so, and a warning on stderr. A
 * picture that cannot be written is only in the page, with a warning. Those of an older report are removed then.
 * BASE_ERROR: another file cannot be written. */
base_status report_write(const char *folder, const scaling_sweep *sweep, const scaling_options *options,
                         const scaling_analysis *analysis);

#endif
