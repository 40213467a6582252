/* comm_roll.h: a roll call, which tells a rank that waits in vain for whom it waits. Internal to comm.
 *
 * MPI does not say who is missing from a collective. So a rank that has waited for half of its bound asks all others;
 * whoever waits too, wherever, answers; when the bound is over, those that have not answered have stopped, or are lost,
 * or are busy, and the others wait for them. Questions and answers are messages of 4 bytes on the world's own
 * communicator; a run in which nobody waits long sends none.
 */
#ifndef COMM_ROLL_H
#define COMM_ROLL_H

#include "base_status.h"

#include <stddef.h>

typedef struct comm_world comm_world;
typedef struct comm_roll comm_roll;

/* Local. NULL in a world of one rank. */
comm_roll *comm_world_roll(const comm_world *world);

/* Local, once the world has its communicator; borrows it. */
base_status comm_roll_open(const comm_world *world, comm_roll **self);

/* Local, once all ranks have met for the last time: takes in what nobody wants to know any more. */
void comm_roll_close(comm_roll **self);

/* Local. Who waits calls this now and then, and says for how long it has waited: answers whoever has asked, notes who
 * has answered. Costs nothing while the wait is short, nor where `self` is NULL. */
void comm_roll_look(comm_roll *self, double waited_s);

/* Local. Asks all others, anew each time. */
void comm_roll_ask(comm_roll *self);

/* Local. "rank 3", "ranks 0, 2": who has not answered the last question; "" where all have. */
enum { COMM_ROLL_TEXT = 256 };
const char *comm_roll_silent(const comm_roll *self, char text[COMM_ROLL_TEXT]);

/* Ranks for such a text, one after the other into one that is "" at first. A long one ends with ", ...". */
void comm_roll_name(char text[COMM_ROLL_TEXT], int rank);

#endif
