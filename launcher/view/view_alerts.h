/* view_alerts.h: what somebody who looks at a run should know at once, in words. */
#ifndef VIEW_ALERTS_H
#define VIEW_ALERTS_H

#include "coordinator_view.h"

typedef enum view_severity { VIEW_NOTE, VIEW_WARNING, VIEW_ALARM } view_severity;

typedef struct view_alert {
    view_severity severity;
    char text[768]; /* UTF-8 */
} view_alert;

/* An end with its reason, silent and stuck ranks, those that have not come yet, and the stragglers. */
enum { VIEW_ALERTS = 4 + COORDINATOR_STRAGGLERS };

/* A summary comes once a second: from here on one is missed. A rank is stuck when it got nowhere, not even to the next
 * layer, for this long. The coordinator ends a run much later. */
#define VIEW_SILENT_S 5.0
#define VIEW_STUCK_S 10.0

/* The most urgent first; returns how many. */
int view_alerts_find(const coordinator_run_view *run, view_alert alerts[VIEW_ALERTS]);

/* 1: it will not go on. */
int view_run_is_over(const coordinator_run_view *run);

/* Of a run that is not over. A silent rank is not stuck: nobody knows what it does. */
int view_rank_is_silent(const coordinator_run_view *run, const coordinator_rank_view *rank);
int view_rank_is_stuck(const coordinator_run_view *run, const coordinator_rank_view *rank);

/* Hosts that the ranks are on, as far as they have spoken. */
int view_run_hosts(const coordinator_run_view *run);

/* The straggler that this rank is, or NULL. */
const coordinator_straggler *view_rank_straggler(const coordinator_run_view *run, int rank);

/* A mean step of this rank in its window, in ms: one phase, and the sum of them. What is no time counts as 0. */
double view_rank_phase_ms(const coordinator_rank_view *rank, base_phase phase);
double view_rank_step_ms(const coordinator_rank_view *rank);

#endif
