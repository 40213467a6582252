/* base_services.h: what a plug-in takes from the program that loads it, instead of having its own: the record of
 * failures (base_status.h) and the log (base_log.h), of which there is one in a process.
 *
 * A plug-in compiles against the headers of base as everybody does; base_services_client.c, linked into it in place of
 * base_status.c and base_log.c, passes every call on.
 */
#ifndef BASE_SERVICES_H
#define BASE_SERVICES_H

#include "base_log.h"
#include "base_status.h"

typedef struct base_services {
    base_status (*fail)(base_status code, const char *file, int line, const char *fmt, ...) BASE_PRINTF(4, 5);
    base_status (*frame)(base_status code, const char *file, int line);
    const char *(*message)(void);
    void (*clear)(void);
    void (*log_write)(base_log_level level, int every_rank, const char *fmt, ...) BASE_PRINTF(3, 4);
} base_services;

/* The program's. */
extern const base_services base_services_own;

/* In a plug-in, once, before anything else of base is called there. */
void base_services_connect(const base_services *services);

#endif
