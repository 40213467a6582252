/* base_status.h: what a function that can fail returns, and how a failure reaches main with its trace.
 *
 * A status is also the exit status of the program, so that nothing is translated on the way out.
 * The record of the last failure is kept per thread: its text, where it arose, and the frames it passed.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

typedef enum base_status {
    BASE_OK = 0,
    BASE_ERROR = 1,        /* an error of ours or of the system */
    BASE_USAGE = 2,        /* command line or configuration */
    BASE_DATA = 3,         /* a data file */
    BASE_CKPT = 4,         /* a checkpoint */
    BASE_DEVICE = 5,       /* a device or a back end that is not available */
    BASE_PEER = 6,         /* a peer was lost */
    BASE_DIVERGED = 7,     /* the numbers are no longer finite */
    BASE_STOPPED = 75,     /* stopped on request after saving: run it again */
    BASE_INTERRUPTED = 130 /* Ctrl-C, as a shell reports it */
} base_status;

/* Record a failure and return `code`. The text says what failed, the value seen, the values allowed, what to do. */
#define BASE_FAIL(code, ...) base_status_fail((code), __FILE__, __LINE__, __VA_ARGS__)

/* The same, with the system's text for `errnum` appended: "cannot open x: No such file or directory". */
#define BASE_FAIL_ERRNO(code, errnum, ...) base_status_fail_errno((code), (errnum), __FILE__, __LINE__, __VA_ARGS__)

/* Pass a failure up and add this place to its trace. */
#define BASE_TRY(expr)                                                                                                 \
    do {                                                                                                               \
        base_status base_try_status_ = (expr);                                                                         \
        if (base_try_status_ != BASE_OK)                                                                               \
            return base_status_frame(base_try_status_, __FILE__, __LINE__);                                            \
    } while (0)

#if defined(__GNUC__)
#define BASE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BASE_PRINTF(fmt, args)
#endif

base_status base_status_fail(base_status code, const char *file, int line, const char *fmt, ...) BASE_PRINTF(4, 5);
base_status base_status_fail_errno(base_status code, int errnum, const char *file, int line, const char *fmt, ...)
    BASE_PRINTF(5, 6);
base_status base_status_frame(base_status code, const char *file, int line);

/* The text of this thread's last failure; "" before any. Valid until the thread's next failure. */
const char *base_status_message(void);

/* "file:line <- file:line ..." of this thread's last failure. */
const char *base_status_trace(void);

/* Forget this thread's last failure (after it was handled). */
void base_status_clear(void);

/* A short name for a status: "configuration", "data", ... */
const char *base_status_name(base_status code);

#endif
