/* run_pace.h: how often ranks meet that need not meet after every step (run_step.h).
 *
 * Where they meet, the host waits for the device, and the device then for the host: too often costs speed. But only
 * there requests to stop, a loss that is not finite and news for who watches are known to all. So they meet some times
 * a second, after every n-th step, n being 1, 2, 5, 10, 20, 50 and so on, as the steps before were long, and no more
 * than RUN_PACE_MOST, since steps may become slower before the ranks meet again.
 */
#ifndef RUN_PACE_H
#define RUN_PACE_H

#include <stdint.h>

/* The largest such n whose steps take RUN_PACE_SECONDS at most; at least 1. Steps of no length, or NaN: the most. */
#define RUN_PACE_SECONDS 0.3
enum { RUN_PACE_MOST = 1000 };
int64_t run_pace_steps(double step_seconds);

#endif
