/* run_performance.h: how fast a run was and how much of the machine that is, for the record and for `ddpt bench step`.
 */
#ifndef RUN_PERFORMANCE_H
#define RUN_PERFORMANCE_H

#include "run_job.h"
#include "run_stats.h"

#include <jansson.h>

/* NaN where it could not be measured. */
typedef struct run_efficiency {
    double gflops;      /* of the model's arithmetic, all ranks */
    double peak_gflops; /* of the cores at work: fp32 GEMM of 1024^3 on this rank, per core, times the cores at work; of
                           GPUs: GEMM in the run's precision on this rank's, times the GPUs at work */
    double mfu;         /* gflops / peak_gflops */
    const char *peak_how; /* the same in words */
} run_efficiency;

/* Local. Measures the peak, 0.1 s at most as a rule, on the job's context; the other ranks should be waiting meanwhile.
 */
run_efficiency run_performance_efficiency(const run_job *job, const run_performance *performance);

/* The object `performance` of run.json without startup_s; the caller owns it. */
json_t *run_performance_json(const run_performance *performance, const run_efficiency *efficiency);

#endif
