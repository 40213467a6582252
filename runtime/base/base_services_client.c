#include "base_services.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 2048 };

static const base_services *services;

void base_services_connect(const base_services *given)
{
    services = given;
}

base_status base_status_fail(base_status code, const char *file, int line, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return services->fail(code, file, line, "%s", text);
}

base_status base_status_fail_errno(base_status code, int errnum, const char *file, int line, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return services->fail(code, file, line, "%s: %s", text, strerror(errnum));
}

base_status base_status_frame(base_status code, const char *file, int line)
{
    return services->frame(code, file, line);
}

const char *base_status_message(void)
{
    return services->message();
}

void base_status_clear(void)
{
    services->clear();
}

void base_log_write(base_log_level level, int every_rank, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    services->log_write(level, every_rank, "%s", text);
}
