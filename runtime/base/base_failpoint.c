#include "base_failpoint.h"

#include "base_log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum failpoint_action { KILL, FAIL, PAUSE } failpoint_action;

static struct {
    const char *name, *point;
    int nth;
    failpoint_action action;
    long pause_ms;
} armed;
static atomic_int is_armed, passages;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Both return 0 where there is no such thing. */
static int parse_nth(const char *text)
{
    char rest;
    return sscanf(text, "%d%c", &armed.nth, &rest) == 1 && armed.nth >= 1;
}

static int parse_action(const char *text)
{
    char rest;
    if (strcmp(text, "kill") == 0)
        armed.action = KILL;
    else if (strcmp(text, "fail") == 0)
        armed.action = FAIL;
    else if (sscanf(text, "pause=%ld%c", &armed.pause_ms, &rest) == 1 && armed.pause_ms >= 0)
        armed.action = PAUSE;
    else
        return 0;
    return 1;
}

/* A test whose failpoint is misspelt would pass for nothing, so that is said. */
static void read_environment(void)
{
    const char *text = getenv("DDPT_FAILPOINT");
    if (!text || !*text)
        return;
    static char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy;
    armed.name = strsep(&rest, ":");
    armed.point = strsep(&rest, ":");
    const char *nth = strsep(&rest, ":"), *action = strsep(&rest, ":");
    if (!*armed.name || !armed.point || !*armed.point || rest || !parse_nth(nth ? nth : "1") ||
        !parse_action(action ? action : "kill"))
        BASE_RANK_WARN("DDPT_FAILPOINT=%s is not NAME:POINT[:N[:kill|fail|pause=MS]] and does nothing", text);
    else
        atomic_store(&is_armed, 1);
}

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

int base_failpoint(const char *path, const char *point)
{
    pthread_once(&once, read_environment);
    if (!atomic_load_explicit(&is_armed, memory_order_relaxed))
        return 0;
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, armed.name) != 0 || strcmp(point, armed.point) != 0)
        return 0;
    int passage = atomic_fetch_add(&passages, 1) + 1;
    if (passage < armed.nth)
        return 0;
    switch (armed.action) {
    case KILL:
        if (passage == armed.nth)
            raise(SIGKILL);
        break;
    case FAIL: errno = EIO; return 1;
    case PAUSE: sleep_ms(armed.pause_ms); break;
    }
    return 0;
}
