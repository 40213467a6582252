/* coordinator_address.h: the addresses of this host, and those under which others know it. IPv4. Private to
 * launcher/coordinator.
 */
#ifndef COORDINATOR_ADDRESS_H
#define COORDINATOR_ADDRESS_H

#include "coordinator_key.h"

#include <stdint.h>

/* An interface that is up; numbers in the host's order. */
typedef struct coordinator_interface {
    uint32_t address, mask;
    int loopback;
    int internal; /* a bridge to containers or machines on this host, which has the same address on many hosts */
} coordinator_interface;

enum { COORDINATOR_INTERFACES = 64, COORDINATOR_HOST_TEXT = 224 };

/* Those that others can reach first, the loopback last. Returns how many; 0 also where the system does not say. */
int coordinator_address_interfaces(coordinator_interface interfaces[COORDINATOR_INTERFACES]);

/* tcp://HOST:PORT in its parts; 0 where it is none. The port is as it stands there. */
int coordinator_address_split(const char *address, char host[COORDINATOR_HOST_TEXT], char port[8]);

/* The IPv4 address of a host by name or number; 0 where it has none. */
int coordinator_address_resolve(const char *host, uint32_t *address);

/* "tcp://10.0.0.1:5555" */
void coordinator_address_write(char text[COORDINATOR_ADDRESS_TEXT], uint32_t address, const char *port);

/* The same address with the host as a number, so that names and numbers can be compared: as it is where it is not tcp,
 * is for all interfaces (*), or has an unknown host. */
void coordinator_address_normalize(const char *address, char text[COORDINATOR_ADDRESS_TEXT]);

/* A Unix socket of that name ("@..." in the abstract namespace) is bound on this host. */
int coordinator_address_is_local(const char *ipc);

#endif
