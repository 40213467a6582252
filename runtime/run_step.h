/* run_step.h: the loops: a training step, an epoch, an evaluation, a run. */
#ifndef RUN_STEP_H
#define RUN_STEP_H

#include "base_time.h"
#include "run_checkpoint.h"
#include "run_job.h"
#include "run_resume.h"

/* What all ranks know of the steps since they met last, when they meet at the end of one. */
typedef struct run_step_result {
    int64_t steps;             /* 0: they did not meet, and the rest is not known */
    int64_t samples;           /* of all ranks, in all those steps */
    double loss;               /* of the last step, mean over its samples */
    double loss_sum;           /* over all those samples */
    double correct;            /* how many of them were right before the update */
    double lr;                 /* that the last update took */
    double seconds;            /* that all those steps took, mean over the ranks, without the wait for each other */
    int interrupted;           /* some rank was told to end at once (Ctrl-C) ... */
    int stopping;              /* ... or to save and end */
    run_checkpoint_vote votes; /* summed over the ranks */
} run_step_result;

/* How a step is to be done. */
typedef struct run_step_order {
    int64_t step; /* counts from 0 over the whole run */
    int meets;    /* the ranks meet at its end; without a device that computes behind the host they always do */
    const run_checkpoint_vote *vote; /* travels beside the loss; NULL: none */
} run_step_order;

/* Collective. One step on the next batch: data, forward, loss, backward with each bucket's reduce started when its last
 * gradient is ready, update. Where the ranks meet, losses and wishes are summed over them. BASE_DIVERGED on all ranks,
 * with step and rank, when a loss is not finite; on the host the parameters are then those before the step.
 *
 * A device that computes behind the host is given the work, in one piece once it knows it (run_replay.h), and nobody
 * waits for it but where the ranks meet. The phases are then the host's: data, and what it takes to give the work
 * away; all waiting for the device counts as backward. */
base_status run_step_train(run_job *job, const run_step_order *order, base_phases *phases, run_step_result *result);

/* Collective. Mean loss and accuracy over the whole test set, each sample once. `phases`: whose running phase gets
 * somewhere meanwhile, and waits for other ranks; NULL: none. BASE_INTERRUPTED or BASE_STOPPED on all ranks, two
 * batches later at most, when some rank was told to end. */
base_status run_step_evaluate(run_job *job, const base_phases *phases, double *loss, double *accuracy);

typedef struct run_outcome {
    int64_t steps, epochs;
    double train_loss, train_accuracy, test_loss, test_accuracy; /* NaN where not known */
    double seconds;                                              /* from the first step to the end */
    char param_digest[17];
    char folder[4096]; /* rank 0: the run's folder */
    int stay_ms;       /* after BASE_PEER: whoever leaves ends the job, and rank 0 may take so long for the record */
} run_outcome;

/* Who watches a training, through job->monitor. */
typedef struct run_observer {
    void *context;
    /* Collective, before the first step, with what does not change while the run lasts. It does not fail: a run goes
     * on unobserved. */
    void (*begin)(void *context, run_job *job, const run_monitor_run *run);
    /* Local. The loop has ended; nobody writes to the monitor any more. */
    void (*end)(void *context, base_status status);
} run_observer;

typedef struct run_train_options {
    const char *out;                  /* folder, or NULL */
    const char *command;              /* as typed */
    const run_resume_options *resume; /* go on from a checkpoint; its `out` is set from the one above. NULL: do not */
    const char *init_from;            /* parameters to start with, from a checkpoint; NULL: from the seed */
    const run_observer *observer;     /* NULL: nobody */
} run_train_options;

/* Collective. The whole run with its record. Returns the status of the run, the same on all ranks; the record is
 * written whatever it is, as far as that is possible. */
base_status run_train(run_job *job, const run_train_options *options, run_outcome *outcome);

#endif
