/* report_csv.h: the points of a scaling experiment as a table for other programs: a line of column names, then a line
 * per number of workers, ascending. Local.
 *
 *     mode,workers,nodes,threads,cores,batch,trials,steps,step_ms,step_ms_low,step_ms_high,samples_per_second,
 *     speedup,speedup_low,speedup_high,efficiency,efficiency_low,efficiency_high,karp_flatt,
 *     data_ms,forward_ms,backward_ms,update_ms,other_ms,imbalance_ms,reduce_ms,slowest_rank,shares_cores,fitted
 *
 * A number that is not known is an empty field, which pandas reads as NaN and gnuplot as missing:
 *
 *     pandas.read_csv("scaling.csv").plot(x="workers", y="speedup")
 *     gnuplot> set datafile separator comma; plot "scaling.csv" using "workers":"speedup"
 *
 * `steps` are those of all trials; nodes, threads and cores those of the first one. shares_cores and fitted are 0 or 1.
 * The single trials are in scaling.json.
 */
#ifndef REPORT_CSV_H
#define REPORT_CSV_H

#include "scaling.h"

#include <stdio.h>

void report_csv_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);

#endif
