/* launch_crew.h: the workers of a job as the launcher knows them: who has connected (launch_message.h), what each has
 * said, and how it ended. */
#ifndef LAUNCH_CREW_H
#define LAUNCH_CREW_H

#include "launch_message.h"

#include "base_status.h"

#include <sys/types.h>

typedef struct launch_member {
    int line;  /* -1: it has ended, or its connection has */
    int pidfd; /* or -1 */
    pid_t pid;
    int helper;     /* its parent's number; -1: that is not watched */
    int rank;       /* -1: not known */
    int joined;     /* LAUNCH_JOINED has come */
    int has_spoken; /* LAUNCH_ENDED has come, with: */
    int status;
    char *text;
} launch_member;

/* A process of the MPI that has started workers and must live while they do. */
typedef struct launch_helper {
    pid_t pid;
    int pidfd; /* can be read when it has ended; -1: nobody looks any more */
} launch_helper;

typedef struct launch_crew {
    int listener;
    char name[64]; /* for LAUNCH_SOCKET_VARIABLE */
    int room;      /* workers that the job has */
    int count;     /* that have connected */
    int joined, spoken;
    int helper_count;
    launch_helper *helpers;       /* (room) */
    launch_member *members;       /* (room) in the order of their coming */
    char folder[LAUNCH_TEXT_MAX]; /* that rank 0 has told; "": none yet */
} launch_crew;

base_status launch_crew_open(int workers, launch_crew *self);
void launch_crew_close(launch_crew *self);

/* Takes a connection; its worker's index, or -1 where it was none of our user's and below the process `guard`. */
int launch_crew_accept(launch_crew *self, pid_t guard);

typedef enum launch_news {
    LAUNCH_SILENT, /* nothing now */
    LAUNCH_NO_NEWS,
    LAUNCH_HAS_BEGUN,  /* fds[2], or -1 */
    LAUNCH_HAS_JOINED, /* or is joined again */
    LAUNCH_HAS_SPOKEN,
    LAUNCH_IS_GONE /* its connection has ended */
} launch_news;

/* What worker number `index` has to say now. */
launch_news launch_crew_hear(launch_crew *self, int index, int fds[2]);

/* 1: helper number `index` has left workers behind that run on. It is not looked at again. */
int launch_crew_is_left(launch_crew *self, int index);

/* To all that have joined, or to all. */
void launch_crew_signal(const launch_crew *self, int signal, int joined_alone);

#endif
