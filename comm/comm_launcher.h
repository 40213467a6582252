/* comm_launcher.h: who started this process, as far as its environment tells; without touching MPI. */
#ifndef COMM_LAUNCHER_H
#define COMM_LAUNCHER_H

typedef struct comm_launcher {
    const char *name;     /* "hydra", "srun", "Open MPI", ... or "none" */
    const char *variable; /* that holds the number of ranks; NULL: not known */
    int size;
} comm_launcher;

comm_launcher comm_launcher_detect(void);

#endif
