/* State: what a coordinator knows. */
#include "base_arena.h"
#include "telemetry_wire_parts.h"

#include <limits.h>
#include <stdlib.h>

typedef Ddpt__Telemetry__V1__State wire_state;
typedef Ddpt__Telemetry__V1__Counts wire_counts;
typedef Ddpt__Telemetry__V1__RunView wire_run_view;
typedef Ddpt__Telemetry__V1__Straggler wire_straggler;
typedef Ddpt__Telemetry__V1__LossPoint wire_loss;
typedef Ddpt__Telemetry__V1__RankView wire_rank_view;

enum { RUNS_MAX = 4096 }; /* a run takes more memory than bytes */

/* ---- State to the wire: every function returns 0 when memory is short ---- */

static wire_counts counts_to_wire(const coordinator_counts *from)
{
    wire_counts to = DDPT__TELEMETRY__V1__COUNTS__INIT;
    to.received = from->received;
    to.accepted = from->accepted;
    to.malformed = from->malformed;
    to.oversized = from->oversized;
    to.replayed = from->replayed;
    to.foreign = from->foreign;
    to.queries = from->queries;
    to.refused = from->refused;
    return to;
}

static int lay_ranks(wire_run_view *to, const coordinator_run_view *from, base_arena *arena)
{
    int count = from->ranks ? from->rank_count : 0;
    wire_rank_view *ranks = BASE_NEW_ARRAY(arena, wire_rank_view, count);
    wire_phases *phases = BASE_NEW_ARRAY(arena, wire_phases, 2 * (size_t)count);
    to->ranks = BASE_NEW_ARRAY(arena, wire_rank_view *, count);
    if (!ranks || !phases || !to->ranks)
        return 0;
    to->n_ranks = (size_t)count;
    for (int i = 0; i < count; i++, phases += 2) {
        const coordinator_rank_view *rank = &from->ranks[i];
        to->ranks[i] = &ranks[i];
        ddpt__telemetry__v1__rank_view__init(&ranks[i]);
        phases[0] = telemetry_wire_from_phases(rank->phases_ms, 1e-3);
        phases[1] = telemetry_wire_from_phases(rank->total_s, 1.0);
        ranks[i].rank = (uint32_t)rank->rank;
        ranks[i].host = (char *)rank->host;
        ranks[i].steps_done = rank->step;
        ranks[i].phase = telemetry_wire_from_phase(rank->phase);
        ranks[i].silent_s = rank->silent_s;
        ranks[i].stuck_s = rank->stuck_s;
        ranks[i].steps_per_second = rank->steps_per_second;
        ranks[i].step = &phases[0];
        ranks[i].total = &phases[1];
        ranks[i].own_s = 1e-3 * rank->own_ms;
        ranks[i].lost_summaries = rank->lost_summaries;
    }
    return 1;
}

static int lay_stragglers(wire_run_view *to, const coordinator_run_view *from, base_arena *arena)
{
    wire_straggler *stragglers = BASE_NEW_ARRAY(arena, wire_straggler, from->straggler_count);
    to->stragglers = BASE_NEW_ARRAY(arena, wire_straggler *, from->straggler_count);
    if (!stragglers || !to->stragglers)
        return 0;
    to->n_stragglers = (size_t)from->straggler_count;
    for (int i = 0; i < from->straggler_count; i++) {
        to->stragglers[i] = &stragglers[i];
        ddpt__telemetry__v1__straggler__init(&stragglers[i]);
        stragglers[i].rank = (uint32_t)from->stragglers[i].rank;
        stragglers[i].phase = telemetry_wire_from_phase(from->stragglers[i].phase);
        stragglers[i].slower = from->stragglers[i].slower;
        stragglers[i].cost = from->stragglers[i].cost;
    }
    return 1;
}

static int lay_curve(wire_run_view *to, const coordinator_run_view *from, base_arena *arena)
{
    wire_loss *points = BASE_NEW_ARRAY(arena, wire_loss, from->curve_count);
    to->curve = BASE_NEW_ARRAY(arena, wire_loss *, from->curve_count);
    if (!points || !to->curve)
        return 0;
    to->n_curve = (size_t)from->curve_count;
    for (int i = 0; i < from->curve_count; i++) {
        to->curve[i] = &points[i];
        ddpt__telemetry__v1__loss_point__init(&points[i]);
        points[i].step = from->curve[i].step;
        points[i].loss = from->curve[i].loss;
    }
    return 1;
}

static void lay_run_facts(wire_run_view *to, const coordinator_run_view *from)
{
    ddpt__telemetry__v1__run_view__init(to);
    to->id = (char *)from->id;
    to->name = (char *)from->name;
    to->folder = (char *)from->folder;
    to->host = (char *)from->host;
    to->state = telemetry_wire_from_state(from->state);
    to->reason = (char *)from->reason;
    to->size = (uint32_t)from->size;
    to->parameters = from->parameters;
    to->global_batch_samples = from->global_batch;
    to->total_steps = from->total_steps;
    to->steps_per_epoch = from->steps_per_epoch;
    to->epochs = from->epochs;
    to->steps_done = from->step;
    to->epoch = from->epoch;
    to->loss = from->loss;
    to->test_loss = from->test_loss;
    to->test_accuracy = from->test_accuracy;
    to->samples_per_second = from->samples_per_second;
    to->elapsed_s = from->elapsed_s;
    to->remaining_s = from->remaining_s;
    to->efficiency = from->efficiency;
    to->ranks_heard = (uint32_t)from->rank_count;
}

static int lay_runs(wire_state *to, const coordinator_view *from, base_arena *arena)
{
    wire_run_view *runs = BASE_NEW_ARRAY(arena, wire_run_view, from->run_count);
    to->runs = BASE_NEW_ARRAY(arena, wire_run_view *, from->run_count);
    if (!runs || !to->runs)
        return 0;
    to->n_runs = (size_t)from->run_count;
    for (int i = 0; i < from->run_count; i++) {
        to->runs[i] = &runs[i];
        lay_run_facts(&runs[i], &from->runs[i]);
        if (!lay_stragglers(&runs[i], &from->runs[i], arena) || !lay_curve(&runs[i], &from->runs[i], arena) ||
            !lay_ranks(&runs[i], &from->runs[i], arena))
            return 0;
    }
    return 1;
}

uint8_t *telemetry_wire_pack_state(uint64_t query_id, const coordinator_view *view, size_t *nbytes)
{
    base_arena *arena;
    if (base_arena_create(&arena, "state") != BASE_OK)
        return NULL;
    wire_counts counts = counts_to_wire(&view->counts);
    wire_state to = DDPT__TELEMETRY__V1__STATE__INIT;
    to.query_id = query_id;
    to.version = (char *)view->version;
    to.address = (char *)view->address;
    to.uptime_s = view->uptime_s;
    to.counts = &counts;
    wire_message message = DDPT__TELEMETRY__V1__MESSAGE__INIT;
    message.body_case = DDPT__TELEMETRY__V1__MESSAGE__BODY_STATE;
    message.state = &to;
    uint8_t *bytes = lay_runs(&to, view, arena) ? telemetry_wire_pack_message(&message, nbytes) : NULL;
    base_arena_destroy(&arena);
    return bytes;
}

/* ---- State from the wire ---- */

static coordinator_counts counts_from_wire(const wire_counts *from)
{
    return (coordinator_counts){.received = from->received,
                                .accepted = from->accepted,
                                .malformed = from->malformed,
                                .oversized = from->oversized,
                                .replayed = from->replayed,
                                .foreign = from->foreign,
                                .queries = from->queries,
                                .refused = from->refused};
}

static int take_ranks(coordinator_run_view *to, const wire_run_view *from)
{
    if (from->n_ranks == 0)
        return 1;
    if (from->n_ranks != from->ranks_heard)
        return 0;
    to->ranks = calloc(from->n_ranks, sizeof *to->ranks);
    if (!to->ranks)
        return 0;
    for (size_t i = 0; i < from->n_ranks; i++) {
        const wire_rank_view *rank = from->ranks[i];
        to->ranks[i] = (coordinator_rank_view){.rank = (int)rank->rank,
                                               .step = rank->steps_done,
                                               .silent_s = rank->silent_s,
                                               .stuck_s = rank->stuck_s,
                                               .steps_per_second = rank->steps_per_second,
                                               .own_ms = 1e3 * rank->own_s,
                                               .lost_summaries = rank->lost_summaries};
        TELEMETRY_WIRE_TEXT(to->ranks[i].host, rank->host);
        telemetry_wire_to_phases(rank->step, 1e-3, to->ranks[i].phases_ms);
        telemetry_wire_to_phases(rank->total, 1.0, to->ranks[i].total_s);
        if (rank->rank >= from->size || !telemetry_wire_to_phase(rank->phase, &to->ranks[i].phase))
            return 0;
    }
    return 1;
}

static int take_stragglers(coordinator_run_view *to, const wire_run_view *from)
{
    if (from->n_stragglers > COORDINATOR_STRAGGLERS)
        return 0;
    to->straggler_count = (int)from->n_stragglers;
    for (size_t i = 0; i < from->n_stragglers; i++) {
        const wire_straggler *straggler = from->stragglers[i];
        to->stragglers[i] =
            (coordinator_straggler){.rank = (int)straggler->rank, .slower = straggler->slower, .cost = straggler->cost};
        if (straggler->rank >= from->size || !telemetry_wire_to_phase(straggler->phase, &to->stragglers[i].phase))
            return 0;
    }
    return 1;
}

static int take_curve(coordinator_run_view *to, const wire_run_view *from)
{
    if (from->n_curve > COORDINATOR_CURVE)
        return 0;
    to->curve_count = (int)from->n_curve;
    for (size_t i = 0; i < from->n_curve; i++)
        to->curve[i] = (coordinator_loss){.step = from->curve[i]->step, .loss = from->curve[i]->loss};
    return 1;
}

static int take_run_view(coordinator_run_view *to, const wire_run_view *from)
{
    *to = (coordinator_run_view){.size = (int)from->size,
                                 .parameters = from->parameters,
                                 .global_batch = from->global_batch_samples,
                                 .total_steps = from->total_steps,
                                 .steps_per_epoch = from->steps_per_epoch,
                                 .epochs = from->epochs,
                                 .step = from->steps_done,
                                 .epoch = from->epoch,
                                 .loss = from->loss,
                                 .test_loss = from->test_loss,
                                 .test_accuracy = from->test_accuracy,
                                 .samples_per_second = from->samples_per_second,
                                 .elapsed_s = from->elapsed_s,
                                 .remaining_s = from->remaining_s,
                                 .efficiency = from->efficiency,
                                 .rank_count = (int)from->ranks_heard};
    TELEMETRY_WIRE_TEXT(to->name, from->name);
    TELEMETRY_WIRE_TEXT(to->folder, from->folder);
    TELEMETRY_WIRE_TEXT(to->host, from->host);
    TELEMETRY_WIRE_TEXT(to->reason, from->reason);
    return from->size > 0 && from->size <= INT_MAX && from->ranks_heard <= from->size &&
           telemetry_wire_to_run_id(to->id, from->id) && telemetry_wire_to_state(from->state, &to->state) &&
           take_stragglers(to, from) && take_curve(to, from) && take_ranks(to, from);
}

static int take_view(coordinator_view *to, const wire_state *from)
{
    if (from->n_runs > RUNS_MAX)
        return 0;
    TELEMETRY_WIRE_TEXT(to->version, from->version);
    TELEMETRY_WIRE_TEXT(to->address, from->address);
    to->uptime_s = from->uptime_s;
    if (from->counts)
        to->counts = counts_from_wire(from->counts);
    to->runs = calloc(from->n_runs ? from->n_runs : 1, sizeof *to->runs);
    if (!to->runs)
        return 0;
    for (; to->run_count < (int)from->n_runs; to->run_count++) {
        coordinator_run_view *run = &to->runs[to->run_count];
        if (!take_run_view(run, from->runs[to->run_count])) {
            free(run->ranks);
            return 0;
        }
    }
    return 1;
}

/* What is to be filled. */
typedef struct answer {
    uint64_t query_id;
    coordinator_view view;
} answer;

static int take_answer(void *context, const wire_message *from)
{
    answer *to = context;
    if (from->body_case != DDPT__TELEMETRY__V1__MESSAGE__BODY_STATE)
        return 0;
    to->query_id = from->state->query_id;
    return take_view(&to->view, from->state);
}

int telemetry_wire_unpack_state(const uint8_t *bytes, size_t nbytes, uint64_t *query_id, coordinator_view *view)
{
    answer to = {0};
    int good = telemetry_wire_unpack_message(bytes, nbytes, take_answer, &to);
    if (!good)
        coordinator_view_clear(&to.view);
    *query_id = to.query_id;
    *view = to.view;
    return good;
}
