/* comm_roll.h: what ranks tell each other beside their collectives: who is there, and who is lost. Internal to comm.
 *
 * MPI does not say who is missing from a collective. So a rank that has waited for half of its bound asks all others;
 * whoever waits too, wherever, answers; when the bound is over, those that have not answered have stopped, or are lost,
 * or are busy, and the others wait for them. A rank that is lost and can still say so does, at once, and ends all waits
 * that way. Questions and answers are messages of 4 bytes on the world's own communicator, a lost rank's words one to
 * each; a run in which nobody waits long and nobody is lost sends none.
 */
#ifndef COMM_ROLL_H
#define COMM_ROLL_H

#include "base_status.h"

#include <stddef.h>

typedef struct comm_world comm_world;
typedef struct comm_roll comm_roll;

/* Local. NULL in a world of one rank. */
comm_roll *comm_world_roll(const comm_world *world);

/* Local, once the world has its communicator; borrows it. `above`: of the world that this one is a part of, whose lost
 * ranks are heard of here too; NULL: of none. */
base_status comm_roll_open(const comm_world *world, comm_roll *above, comm_roll **self);

/* Local, once all ranks have met for the last time: takes in what nobody wants to know any more. */
void comm_roll_close(comm_roll **self);

/* Local. Who waits calls this now and then, and says for how long it has waited: answers whoever has asked, notes who
 * has answered. BASE_PEER with the words of a rank that is lost, from the first time on. Costs nothing while the wait
 * is short, nor where `self` is NULL, and a probe of MPI else. */
base_status comm_roll_look(comm_roll *self, double waited_s);

/* Local. The same for who does not wait; `self` may be NULL. */
void comm_roll_take(comm_roll *self);

/* Local. comm_world_lose and comm_world_lost; `self` may be NULL. */
void comm_roll_lose(comm_roll *self, const char *why);
const char *comm_roll_lost(const comm_roll *self);

/* Local. Asks all others, anew each time. */
void comm_roll_ask(comm_roll *self);

/* Local. "rank 3", "ranks 0, 2": who has not answered the last question; "" where all have. */
enum { COMM_ROLL_TEXT = 256 };
const char *comm_roll_silent(const comm_roll *self, char text[COMM_ROLL_TEXT]);

/* Ranks for such a text, one after the other into one that is "" at first. A long one ends with ", ...". */
void comm_roll_name(char text[COMM_ROLL_TEXT], int rank);

#endif
