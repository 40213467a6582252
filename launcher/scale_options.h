/* scale_options.h: what `ddpt scale` is asked for. */
#ifndef SCALE_OPTIONS_H
#define SCALE_OPTIONS_H

#include "command.h"
#include "run_config.h"
#include "scaling.h"

enum { SCALE_POINTS_MAX = 64, SCALE_WORKERS_MAX = 1 << 20, SCALE_REPEATS_MAX = 100 };

typedef struct scale_options {
    const char *config, *out;
    const char *launcher;    /* "srun -n {n}"; NULL: our MPI's mpiexec */
    const char *trials_only; /* file for what was measured, in place of a report; NULL: make the report */
    command_sets sets;
    scaling_mode mode;
    int worker_count; /* 0: not said */
    int workers[SCALE_POINTS_MAX];
    int64_t steps; /* of a trial, after its warm-up; 0: what takes some seconds */
    int repeats;   /* at most */
    int predict_count;
    int predict[SCALING_PREDICTION_MAX];
    double target_efficiency;
    int oversubscribe, share_gpus, json, help;
} scale_options;

/* Workers and predictions become ascending, each once. */
base_status scale_options_parse(int argc, char **argv, scale_options *self);

/* Workers, if none were given: 1, 2, 4, ... and `most` itself. */
void scale_options_complete(scale_options *self, int most);

/* BASE_USAGE, before anything is measured, for numbers of workers that the batch of `config` cannot serve. */
base_status scale_options_check(const scale_options *self, const run_config *config);

/* The global batch at `workers`. Weak scaling: train.batch is the batch of one worker. */
int64_t scale_options_batch(const scale_options *self, const run_config *config, int workers);

/* The words of a command line by the simple rules of a shell: blanks separate, '...' and "..." hold together, \ takes
 * the next character as it is. Each word and the array, which ends with NULL, lie in `arena`. BASE_USAGE: nothing in
 * it, or a quote without an end. */
base_status scale_options_words(const char *text, base_arena *arena, int *count, char ***words);

#endif
