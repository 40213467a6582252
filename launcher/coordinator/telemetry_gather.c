#include "telemetry_gather.h"

#include <math.h>

void telemetry_gather_start(telemetry_gather *self, const run_monitor_run *run, const char *run_id,
                            run_monitor *monitor, uint64_t process, double now)
{
    *self = (telemetry_gather){.monitor = monitor, .began = now, .looked = now, .message = {.kind = TELEMETRY_SUMMARY}};
    self->progress = run_monitor_get_now(monitor).progress;
    self->last.step = run->first_step;
    self->last.clock = now;
    self->last.loss = NAN;
    self->base = self->last;
    telemetry_summary *to = &self->message.summary;
    to->rank = run->rank;
    to->run = (telemetry_run){.size = run->size,
                              .parameters = run->parameters,
                              .global_batch = run->global_batch,
                              .total_steps = run->total_steps,
                              .first_step = run->first_step,
                              .steps_per_epoch = run->steps_per_epoch,
                              .epochs = run->epochs,
                              .stall_timeout = run->stall_timeout};
    telemetry_wire_text(to->run.id, sizeof to->run.id, run_id);
    telemetry_wire_text(to->run.name, sizeof to->run.name, run->name);
    telemetry_wire_text(to->run.folder, sizeof to->run.folder, run->folder);
    telemetry_wire_text(to->host, sizeof to->host, run->host);
    to->at.process = process;
    to->at.sequence = 1;
    to->at.state = COORDINATOR_RUNNING;
}

int telemetry_gather_look(telemetry_gather *self, double now)
{
    double timeout = self->message.summary.run.stall_timeout, before = self->stuck;
    uint64_t progress = run_monitor_get_now(self->monitor).progress;
    double passed = base_time_awake(&self->looked, now);
    if (progress != self->progress) {
        self->progress = progress;
        self->stuck = 0.0;
        return timeout > 0.0 && before > 0.5 * timeout;
    }
    self->stuck += passed;
    return timeout > 0.0 && before < timeout && self->stuck >= timeout;
}

/* Without what lies between steps. */
static double step_seconds(const run_monitor_record *record, const run_monitor_record *before)
{
    double sum = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (i != BASE_PHASE_CHECKPOINT && i != BASE_PHASE_EVALUATE)
            sum += record->seconds[i] - before->seconds[i];
    return sum / (double)(record->step - before->step);
}

static void read_records(telemetry_gather *self)
{
    int64_t missed = 0;
    for (int n; (n = run_monitor_read(self->monitor, self->records, TELEMETRY_GATHER_RECORDS, &missed)) > 0;) {
        for (int i = 0; i < n; i++) {
            if (self->records[i].step <= self->last.step)
                continue;
            self->longest_step = fmax(self->longest_step, step_seconds(&self->records[i], &self->last));
            self->last = self->records[i];
        }
    }
}

static telemetry_window window_of(const telemetry_gather *self)
{
    const run_monitor_record *last = &self->last, *base = &self->base;
    telemetry_window window = {.steps = last->step - base->step,
                               .samples = last->samples - base->samples,
                               .seconds = last->clock - base->clock,
                               .loss_sum = last->loss_sum - base->loss_sum,
                               .longest_step = self->longest_step};
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        window.phases[i] = last->seconds[i] - base->seconds[i];
    return window.steps > 0 ? window : (telemetry_window){0};
}

const telemetry_message *telemetry_gather_take(telemetry_gather *self, double now)
{
    telemetry_progress *at = &self->message.summary.at;
    run_monitor_test test = run_monitor_get_test(self->monitor);
    read_records(self);
    at->elapsed = now - self->began;
    at->step = self->last.step;
    at->phase = run_monitor_get_now(self->monitor).phase;
    at->progress = self->progress;
    at->stuck = self->stuck;
    at->since_step = fmax(now - self->last.clock, 0.0);
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        at->total[i] = self->last.seconds[i];
    at->samples = self->last.samples;
    at->loss_sum = self->last.loss_sum;
    at->loss = self->last.loss;
    at->test_step = test.step;
    at->test_loss = test.loss;
    at->test_accuracy = test.accuracy;
    at->window = window_of(self);
    return &self->message;
}

void telemetry_gather_sent(telemetry_gather *self)
{
    self->message.summary.at.sequence++;
    self->base = self->last;
    self->longest_step = 0.0;
}

static coordinator_run_state state_of(base_status status)
{
    switch (status) {
    case BASE_OK: return COORDINATOR_DONE;
    case BASE_STOPPED:
    case BASE_INTERRUPTED: return COORDINATOR_STOPPED;
    case BASE_DIVERGED: return COORDINATOR_DIVERGED;
    default: return COORDINATOR_FAILED;
    }
}

void telemetry_gather_end(telemetry_gather *self, base_status status, const char *reason)
{
    telemetry_summary *to = &self->message.summary;
    to->at.state = state_of(status);
    if (to->at.state == COORDINATOR_FAILED || to->at.state == COORDINATOR_DIVERGED)
        telemetry_wire_text(to->reason, sizeof to->reason, reason);
}
