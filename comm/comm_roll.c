#include "comm_roll.h"

#include "comm_native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing else is sent from rank to rank on a world's communicator. */
enum { TAG_QUESTION = 1, TAG_ANSWER = 2 };

/* A wait so short is none that others would ask about. */
static const double QUIET_S = 20e-3;

/* Questions are numbered by who asks, so that an answer to an earlier one is none to this one. */
struct comm_roll {
    const comm_world *world;
    uint32_t question;  /* the last one's number; 0: none */
    uint32_t *answered; /* (size) the last one that each rank has answered */
    uint32_t *answers;  /* (size) what is sent to each: read by MPI until it is gone */
};

base_status comm_roll_open(const comm_world *world, comm_roll **self)
{
    comm_roll *roll = calloc(1, sizeof *roll);
    size_t size = (size_t)world->info.size;
    if (roll) {
        roll->answered = calloc(size, sizeof *roll->answered);
        roll->answers = calloc(size, sizeof *roll->answers);
    }
    *self = roll;
    if (!roll || !roll->answered || !roll->answers)
        return BASE_FAIL(BASE_ERROR, "out of memory for the roll of %d ranks", world->info.size);
    roll->world = world;
    return BASE_OK;
}

/* So small a message leaves at once; one to a rank that is gone may stay, which must not hold up this one. */
static void send(const comm_roll *self, const uint32_t *number, int to, int tag)
{
    MPI_Request request;
    if (MPI_Isend(number, 1, MPI_UINT32_T, to, tag, self->world->all, &request) == MPI_SUCCESS)
        MPI_Request_free(&request);
}

/* Of what goes wrong with MPI here, the wait itself tells. */
static int take(const comm_roll *self, int tag, uint32_t *number, int *from)
{
    int there = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, tag, self->world->all, &there, &status) != MPI_SUCCESS || !there)
        return 0;
    *from = status.MPI_SOURCE;
    return MPI_Recv(number, 1, MPI_UINT32_T, *from, tag, self->world->all, MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

static void take_all(comm_roll *self)
{
    uint32_t number;
    int from;
    while (take(self, TAG_QUESTION, &number, &from)) {
        self->answers[from] = number;
        send(self, &self->answers[from], from, TAG_ANSWER);
    }
    while (take(self, TAG_ANSWER, &number, &from))
        self->answered[from] = number;
}

void comm_roll_close(comm_roll **self)
{
    comm_roll *roll = *self;
    if (!roll)
        return;
    uint32_t number;
    int from;
    while (take(roll, TAG_QUESTION, &number, &from) || take(roll, TAG_ANSWER, &number, &from))
        ;
    free(roll->answered);
    free(roll->answers);
    free(roll);
    *self = NULL;
}

void comm_roll_look(comm_roll *self, double waited_s)
{
    if (self && waited_s >= QUIET_S)
        take_all(self);
}

void comm_roll_ask(comm_roll *self)
{
    self->question++;
    for (int r = 0; r < self->world->info.size; r++)
        if (r != self->world->info.rank)
            send(self, &self->question, r, TAG_QUESTION);
}

void comm_roll_name(char text[COMM_ROLL_TEXT], int rank)
{
    static const char more[] = ", ...";
    size_t used = strlen(text);
    char next[32];
    int length = snprintf(next, sizeof next, "%s%d", used ? ", " : "", rank);
    if (used >= sizeof more - 1 && strcmp(text + used - (sizeof more - 1), more) == 0)
        return;
    snprintf(text + used, COMM_ROLL_TEXT - used, "%s",
             used + (size_t)length + sizeof more <= COMM_ROLL_TEXT ? next : more);
}

const char *comm_roll_silent(const comm_roll *self, char text[COMM_ROLL_TEXT])
{
    char ranks[COMM_ROLL_TEXT] = "";
    int count = 0;
    for (int r = 0; r < self->world->info.size; r++)
        if (r != self->world->info.rank && self->answered[r] != self->question) {
            comm_roll_name(ranks, r);
            count++;
        }
    snprintf(text, COMM_ROLL_TEXT, "%s%.*s",
             count == 0   ? ""
             : count == 1 ? "rank "
                          : "ranks ",
             COMM_ROLL_TEXT - 8, ranks);
    return text;
}
