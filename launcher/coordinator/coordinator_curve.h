/* coordinator_curve.h: the loss over a whole run in a bounded number of points. */
#ifndef COORDINATOR_CURVE_H
#define COORDINATOR_CURVE_H

#include "coordinator_view.h"

typedef struct coordinator_curve_point {
    int64_t step, steps; /* the last of its steps; how many */
    double sum;          /* of their losses */
} coordinator_curve_point;

/* Points get longer as the run does: when there is no room, neighbours merge, and so does what comes until a point has
 * `least` steps. Starts as {0} and a restart. */
typedef struct coordinator_curve {
    int64_t least;
    int64_t step; /* what was added last: steps done ... */
    double sum;   /* ... and the sum of their losses since `restart` */
    int count;
    coordinator_curve_point points[COORDINATOR_CURVE];
} coordinator_curve;

/* The run goes on from `step`, with its sum at 0: what was known of later steps is forgotten. */
void coordinator_curve_restart(coordinator_curve *self, int64_t step);

/* `sum`: of the losses of all steps since the restart. Steps that were added before are ignored. */
void coordinator_curve_add(coordinator_curve *self, int64_t step, double sum);

/* Returns how many. */
int coordinator_curve_read(const coordinator_curve *self, coordinator_loss points[COORDINATOR_CURVE]);

#endif
