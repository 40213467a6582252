/* run_environment_gpus.h: which GPU each rank has, for the record, in few words however many ranks there are. */
#ifndef RUN_ENVIRONMENT_GPUS_H
#define RUN_ENVIRONMENT_GPUS_H

#include <jansson.h>

/* A rank's; plain bytes, since ranks send it to each other. */
typedef struct run_environment_gpu {
    char host[256];
    char name[128], bus[32];
} run_environment_gpu;

/* Local. [{"ranks": [first, last], "hosts": [...], "name", "bus": [...]}]: the ranks from first to last in the order of
 * hosts, each host with a rank for each of the addresses `bus`, in that order. `all`: (size) of all ranks. The caller
 * owns the array; NULL when out of memory. */
json_t *run_environment_gpus_json(const run_environment_gpu *all, int size);

#endif
