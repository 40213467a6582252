/* launch_gpus.h: which GPUs `ddpt launch --gpus` gives to a job. */
#ifndef LAUNCH_GPUS_H
#define LAUNCH_GPUS_H

#include "base_status.h"
#include "launch_probe.h"

typedef enum launch_gpus_kind {
    LAUNCH_GPUS_AUTO, /* not said: all that there are, none where there are none */
    LAUNCH_GPUS_NONE,
    LAUNCH_GPUS_ALL,
    LAUNCH_GPUS_COUNT, /* the first `count` */
    LAUNCH_GPUS_LIST   /* numbers[0 .. count) */
} launch_gpus_kind;

typedef struct launch_gpus_choice {
    launch_gpus_kind kind;
    int count, numbers[LAUNCH_GPUS_MAX];
} launch_gpus_choice;

/* "none", "all", a number of them, or "0,2,3": a list in the order of the workers, in which nothing stands twice; "2,"
 * is a list of one. BASE_USAGE otherwise. */
base_status launch_gpus_parse(const char *text, launch_gpus_choice *choice);

/* Which of those `found` are chosen: all of them as LAUNCH_GPUS_LIST, none as LAUNCH_GPUS_NONE. `text`: the choice as
 * given, for the message. BASE_DEVICE: they are not there. */
base_status launch_gpus_resolve(const launch_gpus_choice *choice, const char *text, const launch_probe *found,
                                launch_gpus_choice *resolved);

/* "0,2" for such a list: what the variable of the GPUs' maker (CUDA_VISIBLE_DEVICES) has to hold for a job that shall
 * see these alone. `now`: what it holds, whose entries the numbers count, or NULL. 0: it does not fit. */
int launch_gpus_visible(const launch_gpus_choice *resolved, const char *now, char *visible, size_t size);

#endif
