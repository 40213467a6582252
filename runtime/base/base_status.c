#include "base_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 2048, TRACE_MAX = 1024 };

static _Thread_local char message[MESSAGE_MAX];
static _Thread_local char trace[TRACE_MAX];

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void record(const char *file, int line, const char *fmt, va_list args)
{
    /* The arguments may quote the message that is being replaced, so it is formatted beside it first. */
    char text[MESSAGE_MAX];
    vsnprintf(text, sizeof text, fmt, args);
    memcpy(message, text, sizeof message);
    snprintf(trace, sizeof trace, "%s:%d", file_name(file), line);
}

base_status base_status_fail(base_status code, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(file, line, fmt, args);
    va_end(args);
    return code;
}

base_status base_status_fail_errno(base_status code, int errnum, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(file, line, fmt, args);
    va_end(args);
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": %s", strerror(errnum));
    return code;
}

base_status base_status_frame(base_status code, const char *file, int line)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "%s%s:%d", used ? " <- " : "", file_name(file), line);
    return code;
}

const char *base_status_message(void)
{
    return message;
}

const char *base_status_trace(void)
{
    return trace;
}

void base_status_clear(void)
{
    message[0] = '\0';
    trace[0] = '\0';
}

const char *base_status_name(base_status code)
{
    switch (code) {
    case BASE_OK: return "done";
    case BASE_ERROR: return "error";
    case BASE_USAGE: return "configuration";
    case BASE_DATA: return "data";
    case BASE_CKPT: return "checkpoint";
    case BASE_DEVICE: return "device";
    case BASE_PEER: return "peer lost";
    case BASE_DIVERGED: return "diverged";
    case BASE_STOPPED: return "stopped";
    case BASE_INTERRUPTED: return "interrupted";
    }
    return "unknown";
}
