/* coordinator_key.h: where a coordinator is and what lets one in: coordinator.json, mode 0600.
 *
 * A coordinator speaks CURVE only. It knows one member key pair: whoever has it, worker or viewer, may come in.
 */
#ifndef COORDINATOR_KEY_H
#define COORDINATOR_KEY_H

#include "base_status.h"

enum {
    COORDINATOR_KEY_TEXT = 41, /* Z85 */
    COORDINATOR_ADDRESSES = 8,
    COORDINATOR_ADDRESS_TEXT = 256 /* "ipc://@ddpt-...", "tcp://10.0.0.1:5555" */
};

/* Plain data: rank 0 hands it to the other ranks by a broadcast. */
typedef struct coordinator_key {
    int address_count;
    char addresses[COORDINATOR_ADDRESSES][COORDINATOR_ADDRESS_TEXT]; /* the first that this host can reach is taken */
    char server_public[COORDINATOR_KEY_TEXT];
    char member_public[COORDINATOR_KEY_TEXT], member_secret[COORDINATOR_KEY_TEXT];
} coordinator_key;

/* The file as `ddpt top DIR|FILE|ADDR` and `train --coordinator` name it: coordinator.json itself, a run's folder that
 * holds it, or the address of a coordinator that this user started (its key file lies in coordinator_key_folder).
 * BASE_USAGE when there is none, with what was tried. */
base_status coordinator_key_find(const char *text, coordinator_key *key);

/* Written whole or not at all, mode 0600 from its first moment. BASE_ERROR. */
base_status coordinator_key_write(const char *path, const coordinator_key *key);

/* BASE_USAGE for a file that is not there or is no coordinator.json, with what is wrong with it. */
base_status coordinator_key_read(const char *path, coordinator_key *key);

/* Any text into a file, in the same way. */
base_status coordinator_key_write_secret(const char *path, const char *text);

/* Where stand-alone coordinators of this user leave their files: $DDPT_STATE, $XDG_STATE_HOME/ddpt, ~/.local/state/ddpt
 * (made, mode 0700). BASE_ERROR if none of them can be. */
base_status coordinator_key_folder(char *path, int size);

/* Of the addresses the one to connect to from this host: ipc on the same host, else the tcp address in a network that
 * this host is in, else the first of tcp, else the first; NULL where there is none. */
const char *coordinator_key_choose(const coordinator_key *key);

#endif
