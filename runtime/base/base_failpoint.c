#include "base_failpoint.h"

#include "base_log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum failpoint_action { KILL, STOP, FAIL, PAUSE } failpoint_action;

enum { PLACES_MAX = 8 };

typedef struct place {
    const char *name, *point;
    int nth;
    failpoint_action action;
    double pause_ms;
    atomic_int passages;
} place;

static place places[PLACES_MAX];
static atomic_int armed; /* places that are */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Both return 0 where there is no such thing. */
static int parse_nth(const char *text, place *to)
{
    char rest;
    return sscanf(text, "%d%c", &to->nth, &rest) == 1 && to->nth >= 1;
}

static int parse_action(const char *text, place *to)
{
    char rest;
    if (strcmp(text, "kill") == 0)
        to->action = KILL;
    else if (strcmp(text, "stop") == 0)
        to->action = STOP;
    else if (strcmp(text, "fail") == 0)
        to->action = FAIL;
    else if (sscanf(text, "pause=%lf%c", &to->pause_ms, &rest) == 1 && to->pause_ms >= 0 && to->pause_ms < 1e9)
        to->action = PAUSE;
    else
        return 0;
    return 1;
}

/* Takes `text` apart. */
static int parse_place(char *text, place *to)
{
    to->name = strsep(&text, ":");
    to->point = strsep(&text, ":");
    const char *nth = strsep(&text, ":"), *action = strsep(&text, ":");
    return *to->name && to->point && *to->point && !text && parse_nth(nth ? nth : "1", to) &&
           parse_action(action ? action : "kill", to);
}

/* A test whose failpoint is misspelt would pass for nothing, so that is said. */
static void read_environment(void)
{
    const char *text = getenv("DDPT_FAILPOINT");
    if (!text || !*text)
        return;
    static char copy[1024];
    int count = 0, good = snprintf(copy, sizeof copy, "%s", text) < (int)sizeof copy;
    for (char *rest = copy; good && rest; count++)
        good = count < PLACES_MAX && parse_place(strsep(&rest, ","), &places[count]);
    if (!good)
        BASE_RANK_WARN("DDPT_FAILPOINT=%s is not NAME:POINT[:N[:kill|stop|fail|pause=MS]][,...], at most %d, and does "
                       "nothing",
                       text, PLACES_MAX);
    atomic_store(&armed, good ? count : 0);
}

static void sleep_ms(double ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(fmod(ms, 1000) * 1e6)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static int pass(place *at)
{
    int passage = atomic_fetch_add(&at->passages, 1) + 1;
    if (passage < at->nth)
        return 0;
    switch (at->action) {
    case KILL:
        if (passage == at->nth)
            raise(SIGKILL);
        break;
    case STOP:
        if (passage == at->nth)
            raise(SIGSTOP);
        break;
    case FAIL: errno = EIO; return 1;
    case PAUSE: sleep_ms(at->pause_ms); break;
    }
    return 0;
}

int base_failpoint(const char *path, const char *point)
{
    pthread_once(&once, read_environment);
    int count = atomic_load_explicit(&armed, memory_order_relaxed), fails = 0;
    if (count == 0)
        return 0;
    const char *slash = strrchr(path, '/');
    for (int i = 0; i < count; i++)
        if (strcmp(slash ? slash + 1 : path, places[i].name) == 0 && strcmp(point, places[i].point) == 0)
            fails |= pass(&places[i]);
    return fails;
}
