/* coordinator_client.h: asks a coordinator what it knows, for viewers. One thread uses it. */
#ifndef COORDINATOR_CLIENT_H
#define COORDINATOR_CLIENT_H

#include "base_status.h"
#include "coordinator_key.h"
#include "coordinator_view.h"

typedef struct coordinator_client coordinator_client;

typedef struct coordinator_query {
    const char *run_id; /* NULL: all runs; else this one alone, none if the coordinator does not know it */
    int ranks;          /* 1: with what is known of each rank; 0: rank_count alone, ranks stay NULL */
} coordinator_query;

/* Takes the address of the key that coordinator_key_choose names. Does not wait for a connection, which the client
 * makes again by itself whenever it is lost. BASE_USAGE where the address or a key has no valid form. */
base_status coordinator_client_open(const coordinator_key *key, coordinator_client **self);
void coordinator_client_close(coordinator_client **self);

/* The address that it speaks to. */
const char *coordinator_client_address(const coordinator_client *self);

/* Ask, and wait for the answer at most `timeout_ms`. *view is cleared first, then filled; the caller clears it in the
 * end (it starts as {0}). BASE_PEER when no answer came in time, which leaves it empty: nobody is there, or he refuses
 * the key, which the message then says. Asking again is fine. */
base_status coordinator_client_query(coordinator_client *self, const coordinator_query *query, int timeout_ms,
                                     coordinator_view *view);

#endif
