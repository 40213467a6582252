#include "comm_pause.h"

#include "base_time.h"
#include "comm_table.h"

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
        self->waited = 0.0;
    double bound = (patience->timeout_ms + base_alarm_grace_ms(patience->alarm)) * 1e-3;
    if (patience->timeout_ms != COMM_FOREVER && self->waited >= bound)
        return BASE_FAIL(BASE_PEER, "waited %.1f s for the other ranks in %s: one of them has stopped or is lost",
                         bound, what);
    nap(self->waited, patience->nap_max_ms);
    return BASE_OK;
}
