/* scale_schedule.h: in which order the trials of a sweep run, and how long the rest will take.
 *
 * The trials run in rounds: each round has one of every number of workers, in an order of its own. A drift of the
 * machine (heat, other users) then meets all of them alike, and does not pass for an effect of their number.
 */
#ifndef SCALE_SCHEDULE_H
#define SCALE_SCHEDULE_H

#include "scale_options.h"

typedef struct scale_schedule {
    int count, repeats;
    uint64_t seed;
    int round, next; /* the next trial is of point order[next] */
    int order[SCALE_POINTS_MAX];
    int done[SCALE_POINTS_MAX];       /* trials */
    int enough[SCALE_POINTS_MAX];     /* 1: needs no more */
    double seconds[SCALE_POINTS_MAX]; /* that they took together */
} scale_schedule;

/* `count` points of `repeats` trials each. The same arguments give the same order. */
void scale_schedule_start(scale_schedule *self, int count, int repeats, uint64_t seed);

/* The point of the next trial, from 0; -1: all are done. */
int scale_schedule_next(const scale_schedule *self);

/* That trial is done and took `seconds`; `enough`: its point needs no more. */
void scale_schedule_done(scale_schedule *self, double seconds, int enough);

/* How long the trials that are left will take, if none of the points has enough before; a guess for points without a
 * trial yet. */
double scale_schedule_left(const scale_schedule *self);

#endif
