/* view_watch.h: a thread that asks a source once a second, so that whoever shows the answers never waits for them. */
#ifndef VIEW_WATCH_H
#define VIEW_WATCH_H

#include "view_source.h"

#include <time.h>

typedef struct view_watch view_watch;

/* What has become of the questions so far. */
typedef struct view_watch_state {
    int answered;      /* how many were */
    double silent_s;   /* since the last answer, or since the first question */
    time_t since;      /* the hour of that */
    char failure[512]; /* why the last question has no answer; "" if it has one */
} view_watch_state;

/* Starts to ask, all signals blocked in the thread. `source` is borrowed until stop. */
base_status view_watch_start(const view_source *source, view_watch **self);

/* Waits for the question under way. */
void view_watch_stop(view_watch **self);

/* Readable when something is new. */
int view_watch_fd(const view_watch *self);

/* The newest answer goes to *view if it is newer than the last that was taken, and 1 is returned: then what *view held
 * is freed, and the caller clears it in the end. `state` is filled in any case, and view_watch_fd is quiet until there
 * is more. */
int view_watch_take(view_watch *self, coordinator_view *view, view_watch_state *state);

#endif
