#include "run_pace.h"

#include "run_signal.h"

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

int64_t run_pace_ask(int64_t every)
{
    int64_t steps = every / 32;
    return steps < 1 ? 1 : steps > RUN_PACE_ASK_MOST ? RUN_PACE_ASK_MOST : steps;
}

void run_pace_start(run_pace *self, comm_group *group, int64_t done)
{
    *self = (run_pace){.group = group, .every = 1, .met = done, .met_time = base_time_now()};
}

/* Asked to end, or steps have become much slower than those that the pace was chosen by. */
static int wishes_to_meet(const run_pace *self)
{
    return run_signal_interrupted() || run_signal_stopping() ||
           base_time_now() - self->met_time > 2.0 * RUN_PACE_SECONDS;
}

static base_status ask(run_pace *self)
{
    self->wish = wishes_to_meet(self);
    return comm_small_all_reduce_start(self->group, &self->wish, 1, COMM_I64, COMM_MAX, &self->under_way);
}

static base_status hear(run_pace *self, const base_phases *phases)
{
    if (!self->under_way)
        return BASE_OK;
    base_phases_wait(phases);
    BASE_TRY(comm_request_wait(&self->under_way));
    base_phases_go_on(phases);
    return BASE_OK;
}

base_status run_pace_meets(run_pace *self, int64_t done, const base_phases *phases, int *meets)
{
    int alone = comm_group_size(self->group) == 1;
    *meets |= done % self->every == 0 || (alone && wishes_to_meet(self));
    if (alone || (!*meets && (done - self->met) % run_pace_ask(self->every) != 0))
        return BASE_OK;
    BASE_TRY(hear(self, phases));
    *meets |= self->wish != 0;
    return *meets ? BASE_OK : ask(self);
}

void run_pace_met(run_pace *self, int64_t done, double step_seconds)
{
    self->every = run_pace_steps(step_seconds);
    self->met = done;
    self->met_time = base_time_now();
    self->wish = 0;
}
