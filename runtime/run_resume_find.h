/* run_resume_find.h: the checkpoints that a run could go on from. Private to run_resume.c. */
#ifndef RUN_RESUME_FIND_H
#define RUN_RESUME_FIND_H

#include "run_resume.h"

typedef struct run_resume_candidates {
    int count;
    char *paths;           /* (count) of PATH_MAX characters: step folders, newest first */
    char folder[PATH_MAX]; /* of the run that they belong to; "" for a folder of checkpoints that is in no run's */
} run_resume_candidates;

/* Collective: rank 0 looks, all ranks get the same answer, in `arena`. count 0: there is none, and options->if_any. */
base_status run_resume_find(run_job *job, const run_resume_options *options, base_arena *arena,
                            run_resume_candidates *found);

#endif
