/* view_source.h: where a viewer gets what it shows: a coordinator asked from afar, the one of this process, a test's.
 */
#ifndef VIEW_SOURCE_H
#define VIEW_SOURCE_H

#include "base_status.h"
#include "coordinator_view.h"

typedef struct view_source {
    /* Fills *view, which starts as {0} or holds what an earlier call left; the caller clears it in the end. Called by
     * one thread at a time. Returns within about a second. */
    base_status (*get)(void *context, coordinator_view *view);
    void *context;
} view_source;

#endif
