/* scaling_expect.h: the draws of a step's three series, from which expectations at any n follow. Local. */
#ifndef SCALING_EXPECT_H
#define SCALING_EXPECT_H

#include "scaling_laws.h"

typedef struct scaling_expectation scaling_expectation;

/* `analysis` has the points and the laws. Lives in the arena. */
base_status scaling_expectation_create(base_arena *arena, scaling_observations *seen, const scaling_sweep *sweep,
                                       const scaling_analysis *analysis, uint64_t seed, scaling_expectation **self);

/* Uses scratch of `self`. */
scaling_prediction scaling_expectation_at(scaling_expectation *self, int workers);

#endif
