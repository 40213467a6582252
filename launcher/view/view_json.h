/* view_json.h: what a coordinator knows, as JSON: `ddpt top --json` and the page's /state.json.
 *
 * Schema ddpt.state.v1. Numbers that are not known or not finite are null; texts are UTF-8, a byte that is none is '?'.
 *
 *     schema, version (of the coordinator), address, uptime_s
 *     messages   {accepted, malformed, oversized, replayed, foreign, queries, received (the sum)}: without those of
 *                more than 1 MiB, which end their connection uncounted
 *     refused    connections without the key
 *     runs       [], newest first:
 *       id, name, folder, host (of rank 0)
 *       state    running, done, stopped, diverged, failed, silent;   reason: of an end that was not asked for, or ""
 *       size (ranks), hosts (how many), parameters, global_batch, total_steps, steps_per_epoch, epochs
 *       step (done), epoch (under way, from 1), loss (mean over about the last second), test_loss,
 *       test_accuracy (0 to 1), samples_per_second, elapsed_s, remaining_s, efficiency (0 to 1, since the start)
 *       alerts      [{severity: note, warning, alarm;  text: for people}], the most urgent first
 *       stragglers  [{rank, phase, slower (0.31: 31 %), cost (share of the step that the others would save)}]
 *       curve       [[step, loss]], oldest first: the mean loss since the point before
 *       ranks       [], those that have spoken, ascending:
 *         rank, host, step, phase (that runs), silent_s, stuck_s, steps_per_second, own_ms, step_ms, lost_summaries
 *         phases_ms {data, forward, ...}: mean a step over about the last second;  total_s {...}: since the start
 */
#ifndef VIEW_JSON_H
#define VIEW_JSON_H

#include "coordinator_view.h"

#include <jansson.h>

/* The caller owns it. NULL when memory is short. */
json_t *view_json(const coordinator_view *view);

#endif
