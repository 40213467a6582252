#include "run_pace.h"

int64_t run_pace_steps(double step_seconds)
{
    static const int64_t digits[] = {1, 2, 5};
    int64_t chosen = 1;
    for (int64_t power = 1; power <= RUN_PACE_MOST; power *= 10)
        for (int i = 0; i < 3; i++) {
            int64_t steps = digits[i] * power;
            if (steps > RUN_PACE_MOST || (double)steps * step_seconds > RUN_PACE_SECONDS)
                return chosen;
            chosen = steps;
        }
    return chosen;
}
