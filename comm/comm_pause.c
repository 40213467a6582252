#include "comm_pause.h"

#include "base_time.h"
#include "comm_table.h"

#include <math.h>
#include <sched.h>
#include <time.h>

enum { YIELDS = 16 };

static const double NAP_MIN_S = 5e-6, NAP_SHORT_S = 50e-6;

const comm_patience comm_patience_setup = {.timeout_ms = 10 * 60 * 1000, .nap_max_ms = COMM_NAP_MS};

/* A nap is an eighth of the wait so far, so that it adds little to it; collectives are chains of messages, so that naps
 * must stay short while one may be under way; after that they grow, so that a long wait costs next to nothing. */
static void nap(double waited, int max_ms)
{
    double most = waited / 200 > NAP_SHORT_S ? waited / 200 : NAP_SHORT_S, longest = max_ms * 1e-3;
    double s = waited / 8 < most ? waited / 8 : most;
    s = s < NAP_MIN_S ? NAP_MIN_S : s < longest ? s : longest;
    struct timespec length = {.tv_nsec = (long)(s * 1e9)};
    nanosleep(&length, NULL);
}

static base_status give_up(const comm_patience *patience, double bound, const char *what)
{
    char silent[COMM_ROLL_TEXT];
    if (!patience->roll)
        return BASE_FAIL(BASE_PEER, "waited %.1f s for the other ranks in %s: one of them has stopped or is lost",
                         bound, what);
    if (!*comm_roll_silent(patience->roll, silent))
        return BASE_FAIL(
            BASE_PEER, "waited %.1f s for the other ranks in %s: they wait too, for other things or for lost messages",
            bound, what);
    return BASE_FAIL(BASE_PEER, "waited %.1f s for the other ranks in %s: nothing is heard from %s: stopped or lost",
                     bound, what, silent);
}

/* The second half of the wait is for the answers. */
static base_status call_roll(comm_pause *self, comm_roll *roll, double bound)
{
    BASE_TRY(comm_roll_look(roll, self->waited));
    if (self->waited >= bound / 2 && !self->asked) {
        self->asked = 1;
        comm_roll_ask(roll);
    }
    return BASE_OK;
}

base_status comm_pause_take(comm_pause *self, const comm_patience *patience, const char *what)
{
    if (self->tries++ < YIELDS) {
        sched_yield();
        return BASE_OK;
    }
    if (base_alarm_raised(patience->alarm))
        return comm_alarm_failure(patience->alarm);
    self->waited += base_time_awake(&self->looked, base_time_now());
    if (patience->rest && patience->rest->moves && patience->rest->moves(patience->rest->context))
        self->waited = self->asked = 0;
    double bound = (patience->timeout_ms + base_alarm_grace_ms(patience->alarm)) * 1e-3;
    if (patience->timeout_ms == COMM_FOREVER)
        bound = INFINITY;
    if (patience->roll)
        BASE_TRY(call_roll(self, patience->roll, bound));
    if (self->waited >= bound)
        return give_up(patience, bound, what);
    nap(self->waited, patience->nap_max_ms);
    return BASE_OK;
}
