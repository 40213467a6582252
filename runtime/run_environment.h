/* run_environment.h: where and with what a job ran: the object `environment` of a record. */
#ifndef RUN_ENVIRONMENT_H
#define RUN_ENVIRONMENT_H

#include "run_job.h"

#include <jansson.h>

/* Where the ranks of a job are. */
typedef struct run_environment_places {
    json_t *hosts; /* their names, each once, in the order of ranks */
    json_t *gpus;  /* run_environment_gpus.h; null on the host */
} run_environment_places;

/* Collective. The caller releases both; all zero before, they may be released after a failure too. */
base_status run_environment_find(const run_job *job, run_environment_places *places);
void run_environment_release(run_environment_places *places);

/* Now, in UTC: "2026-11-23T17:04:59Z". */
void run_environment_date(char text[32]);

/* Local. Versions, the switches that change how numbers come about (base_switch.h), processor, cores, rank 0's GPU, how
 * many there are at work and which rank has which, the hosts, the command as typed, the date; the caller owns the
 * object. */
json_t *run_environment_json(const run_job *job, const run_environment_places *places, const char *command,
                             const char *date);

#endif
