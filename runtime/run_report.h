/* run_report.h: the run record: run.json (schema ddpt.run.v1) and steps.csv in the run's folder. Rank 0 writes. */
#ifndef RUN_REPORT_H
#define RUN_REPORT_H

#include "base_time.h"
#include "run_job.h"

typedef struct run_report run_report;

typedef struct run_report_options {
    const char *out;     /* folder; NULL: the config's `out`, else runs/<name>-<date>-<time> */
    const char *command; /* as typed, for the record */
    double startup_s;    /* from the start of the program to now */
} run_report_options;

/* What one step reports. */
typedef struct run_report_line {
    int64_t step, epoch; /* from 1 */
    int64_t samples;     /* of all ranks */
    double loss, lr;
    const base_phases *phases;
} run_report_line;

/* How it went. A loss or accuracy that was not measured is NaN. */
typedef struct run_report_result {
    base_status status;
    int64_t steps, epochs; /* whole epochs done */
    double train_loss;     /* mean over the last epoch, or its part that ran */
    double test_loss, test_accuracy;
    char param_digest[17]; /* "" if not known */
} run_report_result;

/* Collective: makes the folder and opens steps.csv; all ranks fail alike. */
base_status run_report_create(run_job *job, const run_report_options *options, run_report **self);
void run_report_destroy(run_report **self);

/* Local from here on; ranks other than 0 do nothing. */
const char *run_report_folder(const run_report *self);
void run_report_step(run_report *self, const run_report_line *line);

/* Writes run.json, and with `final` gives steps.csv its name. BASE_ERROR names the file; nothing half-written stays. */
base_status run_report_write(run_report *self, const run_report_result *result, int final);

#endif
