/* scaling_worth.h: up to how many workers the efficiency reaches a target. Local.
 *
 * E(n) is what was measured where n was measured and counts, and 1 at n = 1. Between the last measured n that reaches
 * the target and the next one, which does not, and beyond the largest measured n where that reaches it, E(n) is what
 * is expected (scaling_expect.h): halving finds the last n there, beyond the largest after powers of two. The ends of
 * the interval are found in the same way from the ends of the intervals of E(n).
 *
 * Where nothing is expected because no law holds, what was measured must tell by itself: that the last n clearly
 * reaches the target, and the next one clearly does not.
 */
#ifndef SCALING_WORTH_H
#define SCALING_WORTH_H

#include "scaling_expect.h"

/* Fills worth_law, worth_workers, worth_interval, worth_most and worth_beyond of `analysis`, whose points, laws,
 * prediction and target_efficiency are there. `expectation`: NULL where there is none. */
void scaling_worth_find(const scaling_observations *seen, scaling_expectation *expectation, scaling_analysis *analysis);

#endif
