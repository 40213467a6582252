/* run_resume.h: a job's state from a checkpoint, on any number of ranks, whatever number wrote it.
 *
 * Each rank reads what it needs, whole pieces, and verifies them; together the ranks read every byte of the checkpoint.
 * Nothing on disk changes. All functions are Collective and fail on all ranks alike.
 */
#ifndef RUN_RESUME_H
#define RUN_RESUME_H

#include "ckpt_manifest.h"
#include "run_job.h"

#include <limits.h>

typedef struct run_resume_options {
    const char *path; /* a step's folder: this one and no other; a run's folder or a folder of checkpoints: the newest
                         there that is sound; NULL: the newest that is sound of the run's folder */
    const char *out;  /* the run's folder as given, or NULL: the config's `out`, else the newest runs/<name>-* that has
                         a checkpoint */
    int allow_config_change; /* keys that shape the mathematics may differ */
    int if_any;              /* no checkpoint at all is no failure: start from the beginning */
} run_resume_options;

typedef struct run_resumed {
    int found; /* 0: nothing there (if_any) */
    ckpt_position
        position;        /* with allow_config_change in terms of this job's batch and data; the job's step_offset too */
    char path[PATH_MAX]; /* of the checkpoint */
    char folder[PATH_MAX]; /* of the run that goes on; "": `path` lies in none */
} run_resumed;

/* Parameters, optimizer state and running statistics, and the position of the training loader. Where there is a choice,
 * a checkpoint that is damaged or does not fit is warned about and the one before it is taken. BASE_CKPT: none is left;
 * the configuration differs in keys that shape the mathematics (the message lists them); the graph differs; there is no
 * optimizer state (fine with allow_config_change: it starts from zero). The job's state is unspecified then. */
base_status run_resume_load(run_job *job, const run_resume_options *options, run_resumed *resumed);

/* Parameters and running statistics alone, from the newest sound checkpoint that `path` stands for, whatever the rest
 * of the configuration; for evaluation and for a new training. `resumed` tells which. BASE_CKPT also where the graph is
 * not that of the checkpoint; a training may start from one whose parameters alone are the same. */
base_status run_resume_model(run_job *job, const char *path, run_resumed *resumed);

#endif
