/* doctor.h: what `ddpt doctor` looks at. Probes fill facts; findings are a function of facts alone, so that a test can
 * describe a sick machine. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "base_arena.h"
#include "base_status.h"
#include "doctor_gpus.h"

#include <sched.h>
#include <stdint.h>

/* What every rank says of itself; plain bytes, since ranks send it to each other. */
typedef struct doctor_rank {
    char host[64];
    char processor[64];
    char libraries[128];
    char kernels[32];
    char binding[64]; /* hardware threads that it may run on: "0-3,8" */
    cpu_set_t mask;   /* the same */
    int cpus;         /* the number of them */
    int cores;        /* on so many distinct cores; 0: not known */
    int machine_cpus; /* of its host */
    int threads;      /* that ddpt takes for it; 0: not known */
} doctor_rank;

typedef struct doctor_place {
    const char *path;
    int exists;
    const char *sets; /* names of data sets found in it, "" for none */
} doctor_place;

enum { DOCTOR_PLACES = 3, DOCTOR_CACHES = 3 };

typedef struct doctor_facts {
    /* programs */
    char mpiexec[512], mpiexec_version[128]; /* the first on PATH; "" for none */
    char mpi[256], launcher[64];             /* "" where the world could not be opened */
    char world_error[1024];                  /* why; "" if it could */
    int nodes, size;
    const doctor_rank *ranks; /* (size), at least one: this process */

    /* this machine; 0 and "" where not known */
    int packages, cores, cpus, numa_nodes;
    uint64_t cache_bytes[DOCTOR_CACHES]; /* L1d, L2, L3, of one core */
    uint64_t memory_bytes, shm_bytes, shm_free_bytes;
    char governor[32];
    double load;      /* mean over the last minute, before anything was measured */
    double cpu_quota; /* cores that the container may use; 0: no limit */

    doctor_gpus gpus;

    /* environment variables as set, or NULL */
    const char *openblas_num_threads, *omp_num_threads, *openblas_coretype, *ddpt_isa, *ddpt_data;
    const char *bad_switch;             /* one that has a value it may not have, and what it may be; NULL: none */
    doctor_place places[DOCTOR_PLACES]; /* where data are looked for; path NULL: none */

    /* measured; 0: not */
    int threads_all;
    double gemm_one, gemm_all;           /* GFLOP/s with one thread, with threads_all */
    double gemm_bf16_one, gemm_bf16_all; /* the same in bf16; 0: this host has none */
    double memory_one, memory_all;       /* GB/s */
} doctor_facts;

/* Before MPI is started: runs `mpiexec --version`. */
void doctor_probe_programs(doctor_facts *facts);
/* The machine, the environment, the places of data. Strings live in `arena`. */
base_status doctor_probe_machine(doctor_facts *facts, base_arena *arena);
/* This rank but for its threads. */
base_status doctor_probe_rank(doctor_rank *rank);
/* The rates, about a second. */
base_status doctor_measure(doctor_facts *facts, int threads);

/* One line each: what is wrong, what follows, what to do. NULL when out of memory. */
typedef struct doctor_findings {
    int count;
    const char **lines;
} doctor_findings;
const doctor_findings *doctor_find(const doctor_facts *facts, base_arena *arena);

#endif
