/* ddpt.h: train from a config file inside a C program.
 *
 *     ddpt_run *run;
 *     ddpt_result result;
 *     if (ddpt_run_open("mnist.cfg", 0, NULL, &run) == DDPT_OK && ddpt_run_train(run, "out", &result) == DDPT_OK)
 *         printf("accuracy %.4f\n", result.test_accuracy);
 *     else
 *         fprintf(stderr, "%s\n", ddpt_error());
 *     ddpt_run_close(&run);
 *
 * Every call but ddpt_version and ddpt_error is collective over the ranks of the MPI job (one rank without mpirun), and
 * returns the same status on all of them. MPI is initialised unless the caller has done so, and then finalised by
 * ddpt_run_close. One run at a time in a process; one thread. MPI cannot start twice, so a program that opens several
 * runs calls MPI_Init (and MPI_Finalize) itself.
 */
#ifndef DDPT_H
#define DDPT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DDPT_API __attribute__((visibility("default")))
#else
#define DDPT_API
#endif

/* Also the exit statuses of the ddpt program. */
typedef enum ddpt_status {
    DDPT_OK = 0,
    DDPT_ERROR = 1,    /* an error of ddpt or of the system */
    DDPT_USAGE = 2,    /* the configuration */
    DDPT_DATA = 3,     /* a data file */
    DDPT_CKPT = 4,     /* a checkpoint */
    DDPT_DEVICE = 5,   /* a device or back end that is not available */
    DDPT_PEER = 6,     /* a rank was lost */
    DDPT_DIVERGED = 7, /* the loss is no longer finite */
    DDPT_STOPPED = 75, /* stopped on request after saving */
    DDPT_INTERRUPTED = 130
} ddpt_status;

typedef struct ddpt_run ddpt_run;

/* NaN where not measured. */
typedef struct ddpt_result {
    int64_t steps, epochs;
    double train_loss, test_loss, test_accuracy;
    double seconds;        /* wall time of training and evaluation */
    char param_digest[17]; /* XXH64 of the parameters, hexadecimal; the same on all ranks */
} ddpt_result;

/* "0.1.0" */
DDPT_API const char *ddpt_version(void);

/* Read `config_path`, apply `set_count` overrides of the form "train.batch=256", open data and build the model. On
 * failure *run is NULL. */
DDPT_API ddpt_status ddpt_run_open(const char *config_path, int set_count, const char *const *sets, ddpt_run **run);

/* Have ddpt_run_train go on from a checkpoint, to the bit as if the run had never ended, on any number of ranks.
 * `path`: a step's folder, a run's folder or a folder of checkpoints (the newest sound one); NULL: the newest sound one
 * of the folder that ddpt_run_train is given. Whether that works shows there: DDPT_CKPT. */
DDPT_API ddpt_status ddpt_run_resume(ddpt_run *run, const char *path);

/* Train to the end and write run.json, steps.csv and the checkpoints (ckpt/) into `out` (NULL:
 * runs/<name>-<date>-<time>, or the folder of the run that goes on). Once a run. */
DDPT_API ddpt_status ddpt_run_train(ddpt_run *run, const char *out, ddpt_result *result);

/* Free everything; NULL is fine. Over several nodes MPI_Finalize can hang, so there the process ends in this call, with
 * the status of the last one, unless the caller initialised MPI. */
DDPT_API void ddpt_run_close(ddpt_run **run);

/* The calling thread's last failure in one line. */
DDPT_API const char *ddpt_error(void);

#ifdef __cplusplus
}
#endif

#endif
