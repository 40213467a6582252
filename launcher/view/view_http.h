/* view_http.h: what a coordinator knows, for a browser and for Prometheus.
 *
 * GET or HEAD of: / (one page without anything from elsewhere that renews itself from state.json), /state.json
 * (view_json.h), /metrics (view_metrics.h), /healthz ("ok"). Everything else is 404, other methods 405. There is no
 * login: who reaches the port sees the runs, so it is the loopback's unless somebody says otherwise. There, a Host
 * header that is not the loopback's is refused with 421 (DNS rebinding).
 */
#ifndef VIEW_HTTP_H
#define VIEW_HTTP_H

#include "view_source.h"

#define VIEW_HTTP_BIND "127.0.0.1"

typedef struct view_http view_http;

typedef struct view_http_options {
    view_source source; /* asked by the server's thread, at most 5 times a second however many look */
    const char *bind;   /* NULL: VIEW_HTTP_BIND */
    int port;           /* 0: one that is free */
} view_http_options;

/* Serves from a thread of its own, all signals blocked in it. BASE_USAGE for an address that is none, BASE_ERROR for
 * one that is taken. */
base_status view_http_start(const view_http_options *options, view_http **self);
void view_http_stop(view_http **self);

/* "http://127.0.0.1:8080/"; valid until stop. */
const char *view_http_url(const view_http *self);

/* 1: this machine alone gets there. */
int view_http_is_loopback(const view_http *self);

#endif
