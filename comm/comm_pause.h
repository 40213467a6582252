/* comm_pause.h: how a wait without a futex passes its time, and when it gives up. Internal to comm.
 *
 * for (comm_pause pause = {0};;) { if (done) return BASE_OK; BASE_TRY(comm_pause_take(&pause, patience, what)); }
 */
#ifndef COMM_PAUSE_H
#define COMM_PAUSE_H

#include "base_alarm.h"
#include "base_status.h"
#include "comm.h"
#include "comm_roll.h"

/* How long to wait, and who may end the wait before. */
typedef struct comm_patience {
    int timeout_ms; /* COMM_FOREVER: no bound */
    int nap_max_ms; /* longest nap between two tests */
    const base_alarm *alarm;
    const comm_rest *rest; /* NULL, or whose `moves` begins the bound anew */
    comm_roll *roll;       /* NULL, or tells who is lost, and who is missing when the time is up */
} comm_patience;
enum { COMM_NAP_MS = 1 };
extern const comm_patience comm_patience_setup; /* a rank may be reading a data set meanwhile */

/* A wait so far; zero at its beginning. */
typedef struct comm_pause {
    int tries;
    double looked, waited; /* s; time in which this process was stopped does not count */
    int asked;             /* the roll */
} comm_pause;

/* Leave the core to others for a while. BASE_PEER when the time is up, the alarm is raised, or a rank says that it is
 * lost; `what` is for the message. */
base_status comm_pause_take(comm_pause *self, const comm_patience *patience, const char *what);

#endif
