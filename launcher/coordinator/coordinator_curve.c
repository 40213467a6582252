#include "coordinator_curve.h"

#include <stddef.h>

void coordinator_curve_restart(coordinator_curve *self, int64_t step)
{
    while (self->count > 0 && self->points[self->count - 1].step > step)
        self->count--;
    if (self->count == 0)
        self->least = 1;
    self->step = step;
    self->sum = 0.0;
}

static void merge(coordinator_curve_point *to, const coordinator_curve_point *next)
{
    to->step = next->step;
    to->steps += next->steps;
    to->sum += next->sum;
}

/* Makes every two points one. */
static void halve(coordinator_curve *self)
{
    for (int i = 0; i < COORDINATOR_CURVE / 2; i++) {
        self->points[i] = self->points[2 * i];
        merge(&self->points[i], &self->points[2 * i + 1]);
    }
    self->count = COORDINATOR_CURVE / 2;
    self->least *= 2;
}

void coordinator_curve_add(coordinator_curve *self, int64_t step, double sum)
{
    coordinator_curve_point point = {.step = step, .steps = step - self->step, .sum = sum - self->sum};
    if (step <= self->step)
        return;
    self->step = step;
    self->sum = sum;
    coordinator_curve_point *last = self->count > 0 ? &self->points[self->count - 1] : NULL;
    if (last && last->steps < self->least) {
        merge(last, &point);
        return;
    }
    if (self->count == COORDINATOR_CURVE)
        halve(self);
    self->points[self->count++] = point;
}

int coordinator_curve_read(const coordinator_curve *self, coordinator_loss points[COORDINATOR_CURVE])
{
    for (int i = 0; i < self->count; i++)
        points[i] = (coordinator_loss){.step = self->points[i].step,
                                       .loss = self->points[i].sum / (double)self->points[i].steps};
    return self->count;
}
