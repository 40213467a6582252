/* view_metrics.h: what a coordinator knows, in the text format of Prometheus (0.0.4).
 *
 * Names are ddpt_*, units are base units (seconds, ratios from 0 to 1), counters end in _total. Labels: run (id), name
 * (of the configuration), rank, host, phase. What is not known is NaN. The page of the metrics describes each (# HELP).
 *
 * A rank has 14 series. Those of the first VIEW_METRICS_RANKS ranks are given, runs that go on before those that are
 * over, and ddpt_coordinator_ranks_omitted says how many are left out; what is said of runs and stragglers is complete.
 */
#ifndef VIEW_METRICS_H
#define VIEW_METRICS_H

#include "base_status.h"
#include "coordinator_view.h"

#include <stddef.h>

enum { VIEW_METRICS_RANKS = 4096 };
#define VIEW_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* *text is the caller's to free; NULL on failure. */
base_status view_metrics(const coordinator_view *view, char **text, size_t *nbytes);

#endif
