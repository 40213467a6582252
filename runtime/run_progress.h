/* run_progress.h: what a person sees of a run on stderr: one line that renews itself on a terminal, a line an epoch
 * otherwise. Rank 0 prints; the other ranks' calls do nothing. */
#ifndef RUN_PROGRESS_H
#define RUN_PROGRESS_H

#include "run_job.h"

typedef struct run_progress {
    int active, terminal;
    int64_t epochs, total_steps;
    double began, shown; /* times of the first step and of the last line */
    int64_t first_step;  /* steps done before `began` */
    double epoch_began;
    int64_t epoch_samples;
    int line_open; /* a line without its newline is on the terminal */
} run_progress;

void run_progress_start(run_progress *self, const run_job *job, int64_t first_step);

/* After a step; loss and accuracy are means over the epoch so far. Costs a clock read except a few times a second. */
void run_progress_step(run_progress *self, int64_t step, int64_t epoch, int64_t samples, double loss, double accuracy);

/* At the end of an epoch (from 1). Test figures are NaN where there was no evaluation, which took `eval_seconds`. */
void run_progress_epoch(run_progress *self, int64_t step, int64_t epoch, double loss, double accuracy, double test_loss,
                        double test_accuracy, double eval_seconds);

/* Before anything else is printed: end the open line. */
void run_progress_end(run_progress *self);

#endif
