/* A libFuzzer target for what a coordinator is sent and what it makes of it; fuzz_telemetry.sh builds and runs it.
 *
 * The first byte chooses what the rest is: a Message for a coordinator; a Message for a viewer; or numbers for a course
 * of summaries that may break any rule, of a few runs and ranks, with time passing between them. What is taken must be
 * fit to be used, must come back when it is packed, and what a coordinator shows of it must be fit for a viewer.
 */
#include "coordinator_state.h"
#include "telemetry_wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

/* ---- what a caller would rely on ---- */

static void require_text(const char *text, size_t size)
{
    require(memchr(text, '\0', size) != NULL);
    for (const char *c = text; *c; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void require_run_id(const char *id)
{
    require(strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32);
}

static void use_summary(const telemetry_summary *summary)
{
    require_run_id(summary->run.id);
    require_text(summary->run.name, sizeof summary->run.name);
    require_text(summary->run.folder, sizeof summary->run.folder);
    require_text(summary->host, sizeof summary->host);
    require_text(summary->reason, sizeof summary->reason);
    require(summary->run.size > 0 && summary->at.process && summary->at.sequence);
    require(summary->at.phase >= 0 && summary->at.phase < BASE_PHASE_COUNT);
    require(summary->at.state >= COORDINATOR_RUNNING && summary->at.state < COORDINATOR_SILENT);
}

static void use_run(const coordinator_run_view *run)
{
    require_run_id(run->id);
    require_text(run->name, sizeof run->name);
    require_text(run->reason, sizeof run->reason);
    require(*coordinator_run_state_name(run->state) != '\0');
    require(run->size > 0 && run->rank_count <= run->size);
    require(run->curve_count >= 0 && run->curve_count <= COORDINATOR_CURVE);
    require(run->straggler_count >= 0 && run->straggler_count <= COORDINATOR_STRAGGLERS);
    for (int i = 0; run->ranks && i < run->rank_count; i++) {
        require(run->ranks[i].rank >= 0 && run->ranks[i].rank < run->size);
        require(*base_phase_name(run->ranks[i].phase) != '\0');
        require_text(run->ranks[i].host, sizeof run->ranks[i].host);
    }
}

static void use_view(const coordinator_view *view)
{
    for (int i = 0; i < view->run_count; i++)
        use_run(&view->runs[i]);
}

/* ---- a coordinator ---- */

static void heard_end(void *context, const coordinator_route *to, const telemetry_end *message)
{
    (void)context;
    require(to->nbytes <= COORDINATOR_ROUTE_BYTES);
    require_run_id(message->run_id);
    require_text(message->reason, sizeof message->reason);
    require(message->reason[0] != '\0');
}

static void show(const coordinator_state *state, double now)
{
    coordinator_view view = {0}, found;
    size_t nbytes;
    uint64_t id;
    require(coordinator_state_view(state, now, "", 1, &view) == BASE_OK);
    use_view(&view);
    uint8_t *bytes = telemetry_wire_pack_state(9, &view, &nbytes);
    require(bytes && telemetry_wire_unpack_state(bytes, nbytes, &id, &found));
    require(id == 9 && found.run_count == view.run_count);
    free(bytes);
    coordinator_view_clear(&found);
    coordinator_view_clear(&view);
}

static void hear(coordinator_state *state, const telemetry_summary *summary, double now)
{
    const coordinator_route route = {.nbytes = 1, .bytes = {7}};
    coordinator_state_take(state, summary, &route, now);
    coordinator_state_tick(state, now, heard_end, NULL);
}

static void read_message(const uint8_t *bytes, size_t nbytes)
{
    telemetry_message message, again;
    size_t length;
    if (!telemetry_wire_unpack(bytes, nbytes, &message))
        return;
    uint8_t *packed = telemetry_wire_pack(&message, &length);
    require(packed && telemetry_wire_unpack(packed, length, &again) && again.kind == message.kind);
    free(packed);
    if (message.kind != TELEMETRY_SUMMARY)
        return;
    coordinator_state *state;
    use_summary(&message.summary);
    require(coordinator_state_create(&state) == BASE_OK);
    for (double now = 0.0; now < 200.0; now += 40.0)
        hear(state, &message.summary, now);
    show(state, 200.0);
    coordinator_state_destroy(&state);
}

static void read_state(const uint8_t *bytes, size_t nbytes)
{
    coordinator_view view, again;
    uint64_t id, id_again;
    size_t length;
    if (!telemetry_wire_unpack_state(bytes, nbytes, &id, &view)) {
        require(view.run_count == 0 && !view.runs);
        return;
    }
    use_view(&view);
    uint8_t *packed = telemetry_wire_pack_state(id, &view, &length);
    require(packed && telemetry_wire_unpack_state(packed, length, &id_again, &again));
    require(id == id_again && again.run_count == view.run_count);
    free(packed);
    coordinator_view_clear(&again);
    coordinator_view_clear(&view);
}

/* ---- summaries from numbers ---- */

typedef struct source {
    const uint8_t *at;
    size_t left;
} source;

static unsigned next(source *self)
{
    return self->left ? (self->left--, *self->at++) : 0;
}

static int64_t number(source *self)
{
    static const int64_t edges[] = {INT64_MAX, INT64_MIN, -1, INT32_MAX, 1LL << 62, 65536, 65537, 1LL << 53};
    unsigned byte = next(self);
    return byte < 224 ? byte : edges[byte % 8];
}

static double real(source *self)
{
    static const double edges[] = {-0.0, 1e12, 1e13, 5e-324, HUGE_VAL, -HUGE_VAL, NAN, -1.0};
    unsigned byte = next(self);
    return byte < 224 ? 0.25 * byte : edges[byte % 8];
}

static void make_phases(source *from, double seconds[BASE_PHASE_COUNT])
{
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        seconds[i] = real(from);
}

static telemetry_summary make_summary(source *from)
{
    telemetry_summary to = {.run = {.id = "0123456789abcdef0123456789abcdef", .name = "a"}, .host = "h"};
    telemetry_progress *at = &to.at;
    unsigned shape = next(from);
    to.run.id[0] = (char)('0' + shape % 4);
    to.run.size = shape & 64 ? number(from) : 4;
    to.rank = shape & 128 ? number(from) : shape / 4 % 4;
    to.run.total_steps = number(from);
    to.run.first_step = shape & 16 ? number(from) : 0;
    to.run.steps_per_epoch = number(from);
    to.run.epochs = number(from);
    to.run.stall_timeout = real(from);
    at->process = 1 + next(from) % 3;
    at->sequence = (uint64_t)number(from);
    at->state = (coordinator_run_state)(shape & 32 ? next(from) % COORDINATOR_SILENT : COORDINATOR_RUNNING);
    at->phase = (base_phase)(next(from) % BASE_PHASE_COUNT);
    at->elapsed = real(from);
    at->step = number(from);
    at->stuck = real(from);
    at->since_step = real(from);
    at->samples = number(from);
    at->loss_sum = real(from);
    make_phases(from, at->total);
    at->window.steps = number(from);
    at->window.seconds = real(from);
    at->window.samples = number(from);
    make_phases(from, at->window.phases);
    return to;
}

static void read_course(const uint8_t *bytes, size_t nbytes)
{
    source from = {.at = bytes, .left = nbytes};
    coordinator_state *state;
    double now = 0.0;
    require(coordinator_state_create(&state) == BASE_OK);
    while (from.left > 0) {
        telemetry_summary summary = make_summary(&from);
        hear(state, &summary, now);
        now += 0.25 * next(&from);
    }
    show(state, now);
    coordinator_state_destroy(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *data, size_t size) = {read_message, read_state, read_course};
    if (size > 0)
        readers[data[0] % 3](data + 1, size - 1);
    return 0;
}
