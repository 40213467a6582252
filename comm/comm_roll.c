#include "comm_roll.h"

#include "comm_native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing else is sent from rank to rank on a world's communicator. */
enum { TAG_QUESTION = 1, TAG_ANSWER = 2, TAG_LOST = 3 };

enum { WORDS_BYTES = 1024 };

/* A wait so short is none that others would ask about. */
static const double QUIET_S = 20e-3;

/* Questions are numbered by who asks, so that an answer to an earlier one is none to this one. */
struct comm_roll {
    const comm_world *world;
    comm_roll *above;
    uint32_t question;      /* the last one's number; 0: none */
    uint32_t *answered;     /* (size) the last one that each rank has answered */
    uint32_t *answers;      /* (size) what is sent to each: read by MPI until it is gone */
    char own[WORDS_BYTES];  /* of this rank, once it is lost: as the answers */
    char lost[WORDS_BYTES]; /* of the first other that said so; "": none did */
};

base_status comm_roll_open(const comm_world *world, comm_roll *above, comm_roll **self)
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
    roll->above = above;
    return BASE_OK;
}

/* So small a message leaves at once; one to a rank that is gone may stay, which must not hold up this one. */
static void send(const comm_roll *self, const void *data, int count, MPI_Datatype type, int to, int tag)
{
    MPI_Request request;
    if (MPI_Isend(data, count, type, to, tag, self->world->all, &request) == MPI_SUCCESS)
        MPI_Request_free(&request);
}

static void send_number(const comm_roll *self, const uint32_t *number, int to, int tag)
{
    send(self, number, 1, MPI_UINT32_T, to, tag);
}

static int take_number(comm_roll *self, int tag, int from, int answers)
{
    uint32_t number;
    if (MPI_Recv(&number, 1, MPI_UINT32_T, from, tag, self->world->all, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return 0;
    if (tag == TAG_ANSWER) {
        self->answered[from] = number;
    } else if (answers) {
        self->answers[from] = number;
        send_number(self, &self->answers[from], from, TAG_ANSWER);
    }
    return 1;
}

static int take_words(comm_roll *self, int from)
{
    char words[WORDS_BYTES] = "";
    if (MPI_Recv(words, sizeof words - 1, MPI_CHAR, from, TAG_LOST, self->world->all, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return 0;
    if (!*self->lost)
        memcpy(self->lost, words, sizeof words);
    return 1;
}

/* The next message, if there is one. Of what goes wrong with MPI here, the wait itself tells. */
static int take(comm_roll *self, int answers)
{
    int there = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, self->world->all, &there, &status) != MPI_SUCCESS || !there)
        return 0;
    if (status.MPI_TAG == TAG_LOST)
        return take_words(self, status.MPI_SOURCE);
    return take_number(self, status.MPI_TAG, status.MPI_SOURCE, answers);
}

void comm_roll_close(comm_roll **self)
{
    comm_roll *roll = *self;
    if (!roll)
        return;
    while (take(roll, 0))
        ;
    free(roll->answered);
    free(roll->answers);
    free(roll);
    *self = NULL;
}

void comm_roll_take(comm_roll *self)
{
    for (; self; self = self->above)
        while (take(self, 1))
            ;
}

base_status comm_roll_look(comm_roll *self, double waited_s)
{
    if (!self || waited_s < QUIET_S)
        return BASE_OK;
    comm_roll_take(self);
    const char *lost = comm_roll_lost(self);
    return lost ? BASE_FAIL(BASE_PEER, "%s", lost) : BASE_OK;
}

void comm_roll_lose(comm_roll *self, const char *why)
{
    if (!self || *self->own || comm_roll_lost(self))
        return;
    int length = snprintf(self->own, sizeof self->own, "%s", why);
    length = length < WORDS_BYTES ? length : WORDS_BYTES - 1;
    for (int r = 0; r < self->world->info.size; r++)
        if (r != self->world->info.rank)
            send(self, self->own, length, MPI_CHAR, r, TAG_LOST);
}

const char *comm_roll_lost(const comm_roll *self)
{
    for (; self; self = self->above)
        if (*self->lost)
            return self->lost;
    return NULL;
}

void comm_roll_ask(comm_roll *self)
{
    self->question++;
    for (int r = 0; r < self->world->info.size; r++)
        if (r != self->world->info.rank)
            send_number(self, &self->question, r, TAG_QUESTION);
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
