/* run_environment.h: where and with what a job ran: the object `environment` of a record. */
#ifndef RUN_ENVIRONMENT_H
#define RUN_ENVIRONMENT_H

#include "run_job.h"

#include <jansson.h>

/* Collective. The names of the ranks' hosts, each once, in the order of ranks; the caller owns the array. */
base_status run_environment_hosts(comm_world *world, json_t **hosts);

/* Now, in UTC: "2026-11-23T17:04:59Z". */
void run_environment_date(char text[32]);

/* Local. Versions, processor, cores, rank 0's GPU and how many there are at work, `hosts` (borrowed), the command as
 * typed, the date; the caller owns the object. */
json_t *run_environment_json(const run_job *job, json_t *hosts, const char *command, const char *date);

#endif
