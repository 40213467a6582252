#include "run_flight.h"

#include <math.h>
#include <stdlib.h>

typedef struct slot {
    base_event *event;
    int64_t step, samples;
} slot;

/* Steps are numbered from 0 as they depart; number n uses slot n % RUN_FLIGHT_MAX. */
struct run_flight {
    run_flight_options o;
    void *arrived; /* (RUN_FLIGHT_MAX, 2) doubles, pinned */
    slot slots[RUN_FLIGHT_MAX];
    int64_t departed, landed;
    run_flight_sums sums;
};

static void begin_anew(run_flight *self)
{
    self->sums = (run_flight_sums){.bad_step = INT64_MAX};
}

base_status run_flight_create(const run_flight_options *options, run_flight **out)
{
    const base_device_table *table = options->device_table;
    run_flight *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the losses of steps");
    *out = self;
    self->o = *options;
    begin_anew(self);
    BASE_TRY(table->host_alloc(options->device, (size_t)RUN_FLIGHT_MAX * 2 * sizeof(double), &self->arrived));
    for (int i = 0; i < RUN_FLIGHT_MAX; i++)
        BASE_TRY(table->event_create(options->device, &self->slots[i].event));
    return BASE_OK;
}

void run_flight_destroy(run_flight **out)
{
    run_flight *self = *out;
    if (!self)
        return;
    const base_device_table *table = self->o.device_table;
    for (int i = 0; i < RUN_FLIGHT_MAX; i++)
        table->event_destroy(self->o.device, &self->slots[i].event);
    table->host_free(self->o.device, &self->arrived);
    free(self);
    *out = NULL;
}

static double *arrival(const run_flight *self, int64_t number)
{
    return (double *)self->arrived + 2 * (number % RUN_FLIGHT_MAX);
}

double *run_flight_result(const run_flight *self)
{
    return arrival(self, self->departed);
}

static base_status land_next(run_flight *self)
{
    const slot *next = &self->slots[self->landed % RUN_FLIGHT_MAX];
    const double *came = arrival(self, self->landed);
    BASE_TRY(comm_event_wait(self->o.group, next->event));
    self->landed++;
    self->sums.steps++;
    self->sums.samples += next->samples;
    self->sums.loss += came[0];
    self->sums.correct += came[1];
    self->sums.last_loss = came[0];
    if (!isfinite(came[0]) && self->sums.bad_step == INT64_MAX)
        self->sums.bad_step = next->step;
    return BASE_OK;
}

base_status run_flight_room(run_flight *self)
{
    return self->departed - self->landed < RUN_FLIGHT_MAX ? BASE_OK : land_next(self);
}

base_status run_flight_depart(run_flight *self, int64_t step, int64_t samples)
{
    const base_device_table *table = self->o.device_table;
    slot *next = &self->slots[self->departed % RUN_FLIGHT_MAX];
    next->step = step;
    next->samples = samples;
    BASE_TRY(table->event_record(self->o.device, next->event, self->o.stream));
    self->departed++;
    return BASE_OK;
}

int64_t run_flight_steps(const run_flight *self)
{
    return self->sums.steps + (self->departed - self->landed);
}

base_status run_flight_land(run_flight *self, run_flight_sums *sums)
{
    while (self->landed < self->departed)
        BASE_TRY(land_next(self));
    *sums = self->sums;
    begin_anew(self);
    return BASE_OK;
}
