/* view_http_listen.h: a socket to listen on, and who may ask there. */
#ifndef VIEW_HTTP_LISTEN_H
#define VIEW_HTTP_LISTEN_H

#include "base_status.h"

typedef struct view_http_place {
    int fd;
    int loopback;  /* 1: this machine alone gets here */
    char url[320]; /* "http://127.0.0.1:8080/" */
} view_http_place;

/* `address` is a name or a number of IPv4 or IPv6; a `port` of 0 lets the system choose. BASE_USAGE for an address that
 * is none, BASE_ERROR for one that cannot be taken. place->fd, not negative, is for the caller to close in any case. */
base_status view_http_listen(const char *address, int port, view_http_place *place);

/* Is this value of a Host header one of the loopback's own names? A page from elsewhere that had its name resolved to
 * this machine (DNS rebinding) sends that name. NULL is not. */
int view_http_host_is_local(const char *host);

#endif
