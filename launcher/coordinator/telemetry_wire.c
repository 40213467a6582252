/* Summary, Query and EndRun. */
#include "telemetry_wire_parts.h"

typedef Ddpt__Telemetry__V1__Summary wire_summary;
typedef Ddpt__Telemetry__V1__Run wire_run;
typedef Ddpt__Telemetry__V1__Window wire_window;
typedef Ddpt__Telemetry__V1__EndRun wire_end;
typedef Ddpt__Telemetry__V1__Query wire_query;

static wire_run run_to_wire(const telemetry_run *from)
{
    wire_run to = DDPT__TELEMETRY__V1__RUN__INIT;
    to.id = (char *)from->id;
    to.name = (char *)from->name;
    to.folder = (char *)from->folder;
    to.ranks = (uint32_t)from->size;
    to.parameters = from->parameters;
    to.global_batch_samples = from->global_batch;
    to.total_steps = from->total_steps;
    to.first_step = from->first_step;
    to.steps_per_epoch = from->steps_per_epoch;
    to.epochs = from->epochs;
    to.stall_timeout_s = from->stall_timeout;
    return to;
}

static int take_run(telemetry_run *to, const wire_run *from)
{
    *to = (telemetry_run){.size = from->ranks,
                          .parameters = from->parameters,
                          .global_batch = from->global_batch_samples,
                          .total_steps = from->total_steps,
                          .first_step = from->first_step,
                          .steps_per_epoch = from->steps_per_epoch,
                          .epochs = from->epochs,
                          .stall_timeout = from->stall_timeout_s};
    TELEMETRY_WIRE_TEXT(to->name, from->name);
    TELEMETRY_WIRE_TEXT(to->folder, from->folder);
    return telemetry_wire_to_run_id(to->id, from->id) && to->size > 0;
}

static void window_to_wire(const telemetry_window *from, wire_window *to, wire_phases *phases)
{
    ddpt__telemetry__v1__window__init(to);
    *phases = telemetry_wire_from_phases(from->phases, 1.0);
    to->steps = from->steps;
    to->length_s = from->seconds;
    to->phases = phases;
    to->longest_step_s = from->longest_step;
    to->samples = from->samples;
    to->loss_sum = from->loss_sum;
}

static void take_window(telemetry_window *to, const wire_window *from)
{
    *to = (telemetry_window){.steps = from->steps,
                             .samples = from->samples,
                             .seconds = from->length_s,
                             .loss_sum = from->loss_sum,
                             .longest_step = from->longest_step_s};
    telemetry_wire_to_phases(from->phases, 1.0, to->phases);
}

static uint8_t *pack_summary(const telemetry_summary *from, size_t *nbytes)
{
    const telemetry_progress *at = &from->at;
    wire_run run = run_to_wire(&from->run);
    wire_phases total = telemetry_wire_from_phases(at->total, 1.0), phases;
    wire_window window;
    window_to_wire(&at->window, &window, &phases);
    wire_summary to = DDPT__TELEMETRY__V1__SUMMARY__INIT;
    to.run = &run;
    to.rank = (uint32_t)from->rank;
    to.host = (char *)from->host;
    to.process_id = at->process;
    to.sequence = at->sequence;
    to.state = telemetry_wire_from_state(at->state);
    to.reason = (char *)from->reason;
    to.elapsed_s = at->elapsed;
    to.steps_done = at->step;
    to.phase = telemetry_wire_from_phase(at->phase);
    to.progress = at->progress;
    to.stuck_s = at->stuck;
    to.since_step_s = at->since_step;
    to.total = &total;
    to.samples = at->samples;
    to.loss_sum = at->loss_sum;
    to.loss = at->loss;
    to.test_step = at->test_step;
    to.test_loss = at->test_loss;
    to.test_accuracy = at->test_accuracy;
    to.window = &window;
    wire_message message = DDPT__TELEMETRY__V1__MESSAGE__INIT;
    message.body_case = DDPT__TELEMETRY__V1__MESSAGE__BODY_SUMMARY;
    message.summary = &to;
    return telemetry_wire_pack_message(&message, nbytes);
}

static int take_progress(telemetry_progress *to, const wire_summary *from)
{
    *to = (telemetry_progress){.process = from->process_id,
                               .sequence = from->sequence,
                               .elapsed = from->elapsed_s,
                               .step = from->steps_done,
                               .progress = from->progress,
                               .stuck = from->stuck_s,
                               .since_step = from->since_step_s,
                               .samples = from->samples,
                               .loss_sum = from->loss_sum,
                               .loss = from->loss,
                               .test_step = from->test_step,
                               .test_loss = from->test_loss,
                               .test_accuracy = from->test_accuracy};
    telemetry_wire_to_phases(from->total, 1.0, to->total);
    take_window(&to->window, from->window);
    return telemetry_wire_to_phase(from->phase, &to->phase) && telemetry_wire_to_state(from->state, &to->state) &&
           to->state != COORDINATOR_SILENT && to->process && to->sequence;
}

static int take_summary(telemetry_summary *to, const wire_summary *from)
{
    if (!from->run || !from->total || !from->window)
        return 0;
    to->rank = from->rank;
    TELEMETRY_WIRE_TEXT(to->host, from->host);
    TELEMETRY_WIRE_TEXT(to->reason, from->reason);
    return take_run(&to->run, from->run) && take_progress(&to->at, from);
}

static uint8_t *pack_query(const telemetry_query *from, size_t *nbytes)
{
    wire_query to = DDPT__TELEMETRY__V1__QUERY__INIT;
    to.query_id = from->id;
    to.run_id = (char *)from->run_id;
    to.ranks = from->ranks != 0;
    wire_message message = DDPT__TELEMETRY__V1__MESSAGE__INIT;
    message.body_case = DDPT__TELEMETRY__V1__MESSAGE__BODY_QUERY;
    message.query = &to;
    return telemetry_wire_pack_message(&message, nbytes);
}

static int take_query(telemetry_query *to, const wire_query *from)
{
    *to = (telemetry_query){.id = from->query_id, .ranks = from->ranks != 0};
    return !*from->run_id || telemetry_wire_to_run_id(to->run_id, from->run_id);
}

static uint8_t *pack_end(const telemetry_end *from, size_t *nbytes)
{
    wire_end to = DDPT__TELEMETRY__V1__END_RUN__INIT;
    to.run_id = (char *)from->run_id;
    to.reason = (char *)from->reason;
    to.speak = from->speak != 0;
    wire_message message = DDPT__TELEMETRY__V1__MESSAGE__INIT;
    message.body_case = DDPT__TELEMETRY__V1__MESSAGE__BODY_END_RUN;
    message.end_run = &to;
    return telemetry_wire_pack_message(&message, nbytes);
}

static int take_end(telemetry_end *to, const wire_end *from)
{
    TELEMETRY_WIRE_TEXT(to->reason, from->reason);
    to->speak = from->speak != 0;
    return telemetry_wire_to_run_id(to->run_id, from->run_id);
}

uint8_t *telemetry_wire_pack(const telemetry_message *message, size_t *nbytes)
{
    switch (message->kind) {
    case TELEMETRY_SUMMARY: return pack_summary(&message->summary, nbytes);
    case TELEMETRY_QUERY: return pack_query(&message->query, nbytes);
    default: return pack_end(&message->end, nbytes);
    }
}

static int take_message(void *context, const wire_message *from)
{
    telemetry_message *to = context;
    switch (from->body_case) {
    case DDPT__TELEMETRY__V1__MESSAGE__BODY_SUMMARY:
        to->kind = TELEMETRY_SUMMARY;
        return take_summary(&to->summary, from->summary);
    case DDPT__TELEMETRY__V1__MESSAGE__BODY_QUERY:
        to->kind = TELEMETRY_QUERY;
        return take_query(&to->query, from->query);
    case DDPT__TELEMETRY__V1__MESSAGE__BODY_END_RUN: to->kind = TELEMETRY_END; return take_end(&to->end, from->end_run);
    default: return 0;
    }
}

int telemetry_wire_unpack(const uint8_t *bytes, size_t nbytes, telemetry_message *message)
{
    return telemetry_wire_unpack_message(bytes, nbytes, take_message, message);
}
