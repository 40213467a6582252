#include "view_http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static int is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static int open_socket(const struct addrinfo *found)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static base_status describe(view_http_place *place)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[256], port[16];
    if (getsockname(place->fd, (struct sockaddr *)&bound, &size) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot tell where the page is");
    if (getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return BASE_FAIL(BASE_ERROR, "cannot tell where the page is");
    place->loopback = is_loopback((struct sockaddr *)&bound);
    snprintf(place->url, sizeof place->url, strchr(host, ':') ? "http://[%s]:%s/" : "http://%s:%s/", host, port);
    return BASE_OK;
}

base_status view_http_listen(const char *address, int port, view_http_place *place)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(address, service, &hints, &found);
    if (failed)
        return BASE_FAIL(BASE_USAGE, "'%s' is no address of this machine to serve the page at: %s", address,
                         gai_strerror(failed));
    place->fd = open_socket(found);
    int why = errno;
    freeaddrinfo(found);
    if (place->fd < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, why, "cannot serve the page at %s, port %d", address, port);
    return describe(place);
}

int view_http_host_is_local(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (strncasecmp(host, names[i], length) == 0 && (host[length] == '\0' || host[length] == ':'))
            return strspn(host + length, ":0123456789") == strlen(host + length);
    }
    return 0;
}
