/* scaling_cause.h: the serial fraction of a step by cause. Local.
 *
 * Strong scaling: with the design and the weights of Amdahl's fit, T(n) = a + b/n, every part of a step is fitted by a
 * line of its own. Least squares are linear in the data, so that the parts' a add up to a; a part's fraction is its
 * share a / (a+b) of the whole line, and all add up to 1-p. Where p comes out below 0 they are scaled to add up to 1:
 * shares of what does not get shorter. Where no p fits, or one above 1, there is nothing to divide, for the reason for
 * which the law is refused.
 *
 * Weak scaling: 1 - E(n) = s (1 - 1/n) is what the parts grew over the smallest n, as a share of T(n); s is divided by
 * the least squares line through these shares.
 *
 * Some parts may shrink faster than the law: their fractions are negative.
 */
#ifndef SCALING_CAUSE_H
#define SCALING_CAUSE_H

#include "scaling_laws.h"

/* Fills causes, causes_law and causes_total of `analysis`, whose points and laws are there; `outcome` is that of the
 * law of the mode. A rank is blamed for a part that takes at least a hundredth of the step at the largest n and in
 * which, in every trial there, that same rank was the slowest and at least 5 % slower than the median, if there are two
 * trials or more and they agree on it (a 95 % interval of how many times as long it took is above 1). Uses the scratch
 * of `seen`. */
void scaling_cause_find(scaling_observations *seen, const scaling_trials *trials, scaling_outcome outcome,
                        scaling_analysis *analysis);

#endif
