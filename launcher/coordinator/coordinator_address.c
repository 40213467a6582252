#include "coordinator_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int is_internal(const char *name)
{
    static const char *const prefixes[] = {"docker", "br-", "virbr", "veth", "cni", "lxc", "lxd", "podman"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return 1;
    return 0;
}

static uint32_t number_of(const struct sockaddr *address)
{
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return ntohl(in.sin_addr.s_addr);
}

static int order(const coordinator_interface *self)
{
    return 2 * self->loopback + self->internal;
}

int coordinator_address_interfaces(coordinator_interface interfaces[COORDINATOR_INTERFACES])
{
    struct ifaddrs *list;
    int count = 0;
    if (getifaddrs(&list) != 0)
        return 0;
    for (int pass = 0; pass < 4; pass++) {
        for (struct ifaddrs *at = list; at && count < COORDINATOR_INTERFACES; at = at->ifa_next) {
            if (!at->ifa_addr || !at->ifa_netmask || at->ifa_addr->sa_family != AF_INET || !(at->ifa_flags & IFF_UP))
                continue;
            coordinator_interface one = {.address = number_of(at->ifa_addr),
                                         .mask = number_of(at->ifa_netmask),
                                         .loopback = (at->ifa_flags & IFF_LOOPBACK) != 0,
                                         .internal = is_internal(at->ifa_name)};
            if (order(&one) == pass)
                interfaces[count++] = one;
        }
    }
    freeifaddrs(list);
    return count;
}

int coordinator_address_split(const char *address, char host[COORDINATOR_HOST_TEXT], char port[8])
{
    static const char scheme[] = "tcp://";
    if (strncmp(address, scheme, sizeof scheme - 1) != 0)
        return 0;
    address += sizeof scheme - 1;
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || (size_t)(colon - address) >= COORDINATOR_HOST_TEXT)
        return 0;
    size_t digits = strspn(colon + 1, "0123456789");
    int any = strcmp(colon + 1, "*") == 0;
    if (!any && (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || atoi(colon + 1) > 65535))
        return 0;
    snprintf(host, COORDINATOR_HOST_TEXT, "%.*s", (int)(colon - address), address);
    snprintf(port, 8, "%s", colon + 1);
    return 1;
}

int coordinator_address_resolve(const char *host, uint32_t *address)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return 0;
    *address = number_of(list->ai_addr);
    freeaddrinfo(list);
    return 1;
}

void coordinator_address_write(char text[COORDINATOR_ADDRESS_TEXT], uint32_t address, const char *port)
{
    snprintf(text, COORDINATOR_ADDRESS_TEXT, "tcp://%u.%u.%u.%u:%s", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255, port);
}

void coordinator_address_normalize(const char *address, char text[COORDINATOR_ADDRESS_TEXT])
{
    char host[COORDINATOR_HOST_TEXT], port[8];
    uint32_t number;
    if (coordinator_address_split(address, host, port) && strcmp(host, "*") != 0 &&
        coordinator_address_resolve(host, &number))
        coordinator_address_write(text, number, port);
    else
        snprintf(text, COORDINATOR_ADDRESS_TEXT, "%s", address);
}

/* The table is there on every Linux; where it is not, nothing is taken to be local. */
int coordinator_address_is_local(const char *ipc)
{
    static const char scheme[] = "ipc://";
    char line[512];
    if (strncmp(ipc, scheme, sizeof scheme - 1) != 0)
        return 0;
    const char *name = ipc + sizeof scheme - 1;
    FILE *table = fopen("/proc/net/unix", "re");
    int found = 0;
    while (table && !found && fgets(line, sizeof line, table)) {
        line[strcspn(line, "\n")] = '\0';
        size_t length = strlen(line), wanted = strlen(name);
        found = length > wanted && line[length - wanted - 1] == ' ' && strcmp(line + length - wanted, name) == 0;
    }
    if (table)
        fclose(table);
    return found;
}
