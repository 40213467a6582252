/* run_report.h: the run record: run.json (schema ddpt.run.v1) and steps.csv in the run's folder. Rank 0 writes. */
#ifndef RUN_REPORT_H
#define RUN_REPORT_H

#include "base_time.h"
#include "run_balance.h"
#include "run_job.h"
#include "run_steps.h"

typedef struct run_report run_report;

typedef struct run_report_options {
    const char *out;      /* folder; NULL: the config's `out`, else runs/<name>-<date>-<time> */
    const char *command;  /* as typed, for the record */
    double startup_s;     /* from the start of the program to now */
    int64_t resumed_from; /* step of the checkpoint that the run goes on from; -1: a new run */
    int same_folder;      /* 1: that was in this folder: the lines of steps.csv up to that step stay */
} run_report_options;

/* What became of the run's checkpoints, for the record. Times are NaN where there was none. */
typedef struct run_report_checkpoints {
    int64_t last_step; /* newest good one; -1: none */
    int64_t saves, failures;
    double stall_ms, write_ms;
} run_report_checkpoints;

/* How it went. A loss or accuracy that was not measured is NaN. */
typedef struct run_report_result {
    base_status status;
    const char *reason;    /* of an end before the last step; NULL: there is none */
    int64_t steps, epochs; /* whole epochs done */
    double train_loss;     /* mean over the last epoch, or its part that ran */
    double test_loss, test_accuracy;
    char param_digest[17]; /* "" if not known */
    run_report_checkpoints checkpoints;
    const run_balance *balance; /* NULL: not known (yet) */
} run_report_result;

/* Local. Makes the folder runs/<name>-<date>-<time>, with a number behind it if that one is there already. */
base_status run_report_new_folder(const char *name, char *folder, size_t size);

/* Collective: makes the folder and opens steps.csv; all ranks fail alike. */
base_status run_report_create(run_job *job, const run_report_options *options, run_report **self);
void run_report_destroy(run_report **self);

/* Local from here on; ranks other than 0 do nothing. */
const char *run_report_folder(const run_report *self);
void run_report_steps(run_report *self, const run_steps_line *line);

/* The record of a run that is still going on; malloc'd, the caller frees; NULL when memory is short. What is in
 * steps.csv so far is handed to the system. Measures nothing, takes no time. */
char *run_report_text(run_report *self, const run_report_result *result);

/* Writes such a text to run.json, by whichever thread; nothing once the end is written, which may be that of a run that
 * has lost a rank during a save. */
base_status run_report_write_text(run_report *self, const char *text);

/* The end: writes run.json and gives steps.csv its name. BASE_ERROR names the file; nothing half-written stays. */
base_status run_report_write(run_report *self, const run_report_result *result);

#endif
