/* launch_options.h: what `ddpt launch` is asked for. */
#ifndef LAUNCH_OPTIONS_H
#define LAUNCH_OPTIONS_H

#include "base_status.h"
#include "launch_gpus.h"

enum { LAUNCH_WORKERS_MAX = 4096 };

typedef struct launch_options {
    int workers;           /* 0: not said */
    const char *gpus_text; /* as given; NULL: not said */
    launch_gpus_choice gpus;
    int bind;
    int restarts, restart_window_s, restart_delay_s;
    int prefix, help;
    int word_count;
    char **words; /* (word_count) the command and its arguments */
} launch_options;

base_status launch_options_parse(int argc, char **argv, launch_options *self);

#endif
