/* launch_mpiexec.h: what starts our processes as an MPI job. */
#ifndef LAUNCH_MPIEXEC_H
#define LAUNCH_MPIEXEC_H

#include "base_status.h"

#include <limits.h>

/* $DDPT_MPIEXEC, else the one that this program was built for, else the mpiexec on PATH. */
const char *launch_mpiexec(void);

/* BASE_ERROR, with what to do, where there is none. */
base_status launch_mpiexec_check(void);

/* Has an MPI bind no processes to cores, unless the environment says otherwise. */
void launch_mpiexec_unbind(void);

/* Keeps OpenBLAS from starting a thread a core in every worker, which ddpt does not use and which spin for a while. */
void launch_mpiexec_without_blas_threads(void);

/* Has an MPI start any number of processes, all on this machine. */
void launch_mpiexec_stay_here(void);

/* This program's file. */
base_status launch_mpiexec_program(char program[PATH_MAX]);

#endif
