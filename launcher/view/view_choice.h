/* view_choice.h: which of a coordinator's runs is shown, and how one ended that its coordinator did not outlive. */
#ifndef VIEW_CHOICE_H
#define VIEW_CHOICE_H

#include "coordinator_view.h"

#include <time.h>

/* The run with this id; else the one in `folder`; else the newest that goes on; else the newest. -1: there is none.
 * `id` may be "", `folder` NULL. */
int view_choice_find(const coordinator_view *view, const char *id, const char *folder);

/* A run's own coordinator ends with it, maybe before it could tell. If run.json in the run's folder (or in `folder`,
 * where that is not NULL) was written after `since` and says how the run ended, that becomes its state: 1. Else 0. */
int view_choice_read_end(coordinator_run_view *run, const char *folder, time_t since);

#endif
