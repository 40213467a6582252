/* run_steps.h: steps.csv of a run's folder: a line every train.log_every steps, or whenever the ranks meet.
 * Rank 0 has one. Local.
 *
 * It is written as steps.csv.partial, which is locked against another run in the same folder, and gets its name at the
 * end.
 */
#ifndef RUN_STEPS_H
#define RUN_STEPS_H

#include "base_status.h"
#include "base_time.h"

#include <stdint.h>

typedef struct run_steps run_steps;

/* What is reported after a step, of all steps since the report before. */
typedef struct run_steps_line {
    int64_t step, epoch; /* from 1 */
    int64_t steps;       /* how many they are */
    int64_t samples;     /* of all ranks, in all of them */
    double loss, lr;     /* of the last */
    const base_phases *phases;
    int due;       /* a line, over all steps since the line before */
    int64_t every; /* steps to the next line, as far as that is known */
} run_steps_line;

/* `kept` > 0: lines that are there already stay up to that step, those of a run that was killed as well as of one that
 * ended; the others go. BASE_ERROR: cannot be written, or another run is writing to the folder. */
base_status run_steps_open(const char *folder, int64_t kept, run_steps **self);
void run_steps_close(run_steps **self);

/* Rates and phases of a line are means since the line before. While the disk is full, lines wait in memory (some
 * 10,000); a failure that lasts shows in run_steps_commit. */
void run_steps_add(run_steps *self, const run_steps_line *line);

/* Hand what there is to the system, which keeps it when the program is killed. */
void run_steps_flush(run_steps *self);

/* The end: fsync, and the file's name. On failure there is no such file; the partial one stays if the run is
 * `resumable`, which needs the lines that could be written. */
base_status run_steps_commit(run_steps *self, int resumable);

#endif
