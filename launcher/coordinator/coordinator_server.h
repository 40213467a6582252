/* coordinator_server.h: the thread that hears the workers of runs, keeps what they say, answers viewers, and tells a
 * run that one of its ranks is lost.
 *
 * Nobody waits for it: it drops what it cannot take, and whoever sends to it drops what it does not take.
 */
#ifndef COORDINATOR_SERVER_H
#define COORDINATOR_SERVER_H

#include "base_status.h"
#include "coordinator_key.h"
#include "coordinator_view.h"

typedef struct coordinator_server coordinator_server;

typedef struct coordinator_server_options {
    /* tcp://HOST:PORT (HOST * for all interfaces, PORT * for any that is free) or ipc://PATH (ipc://@NAME: no file).
     * NULL, for one within a run: ipc under a name that nobody can guess ... */
    const char *bind;
    int tcp; /* ... and, if 1, tcp on all interfaces at a port that the system chooses */
    /* Where the key lies that lets others in: taken from there if it is of this coordinator (its own half lies beside
     * it as FILE.server), else made and written there. NULL with `bind`: a name after host and `bind` in
     * coordinator_key_folder; NULL without: no file is touched. */
    const char *key_file;
    int peers; /* connections to expect: the limit of open files is raised for them; 0: as far as it goes */
} coordinator_server_options;

/* Binds, makes or takes keys, starts the thread with all signals blocked in it. BASE_USAGE for an address that is no
 * such, BASE_ERROR for one that is taken, or where libzmq was built without CURVE. */
base_status coordinator_server_create(const coordinator_server_options *options, coordinator_server **self);

/* Answers what has come, then ends. Workers and viewers keep trying to reconnect. */
void coordinator_server_destroy(coordinator_server **self);

/* How to join: addresses as bound, and the member's keys. Valid until destroy. */
const coordinator_key *coordinator_server_key(const coordinator_server *self);

/* The file that holds it; "" if there is none. */
const char *coordinator_server_key_file(const coordinator_server *self);

/* From any thread: all that is known at this moment, ranks included. *view is cleared first; the caller clears it in
 * the end (it starts as {0}). */
base_status coordinator_server_view(coordinator_server *self, coordinator_view *view);

#endif
