/* coordinator_secret.h: a coordinator's own keys, which one that stands alone keeps, so that its workers know it again
 * after a restart. Private to coordinator_server.
 *
 * The members' half is a coordinator.json, FILE; the server's half lies beside it as FILE.server, mode 0600 too, and is
 * of no use to anybody else.
 */
#ifndef COORDINATOR_SECRET_H
#define COORDINATOR_SECRET_H

#include "coordinator_key.h"

typedef struct coordinator_secret {
    coordinator_key key; /* addresses as the caller fills them in */
    char server_secret[COORDINATOR_KEY_TEXT];
} coordinator_secret;

/* New key pairs. */
base_status coordinator_secret_make(coordinator_secret *self);

/* Those of FILE, new ones if there is no such file. BASE_USAGE where FILE is of another coordinator. */
base_status coordinator_secret_take(const char *file, coordinator_secret *self);

/* Both halves. */
base_status coordinator_secret_write(const char *file, const coordinator_secret *self);

/* A file name in coordinator_key_folder for a coordinator of this host at `address`. */
base_status coordinator_secret_name(const char *address, char *file, int size);

#endif
