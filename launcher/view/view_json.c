#include "view_json.h"

#include "base_json.h"
#include "view_alerts.h"

/* json_object_set_new and json_array_append_new take NULL and fail: what memory was short for is missing, and `failed`
 * says so. */
static void set(json_t *object, const char *key, json_t *value, int *failed)
{
    if (json_object_set_new(object, key, value) != 0)
        *failed = 1;
}

static void append(json_t *array, json_t *value, int *failed)
{
    if (json_array_append_new(array, value) != 0)
        *failed = 1;
}

static json_t *count(uint64_t value)
{
    return json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX);
}

static json_t *phases(const double values[BASE_PHASE_COUNT], int *failed)
{
    json_t *json = json_object();
    for (int p = 0; p < BASE_PHASE_COUNT; p++)
        set(json, base_phase_name((base_phase)p), base_json_number(values[p]), failed);
    return json;
}

static json_t *rank_json(const coordinator_rank_view *rank, int *failed)
{
    json_t *json = json_object();
    set(json, "rank", json_integer(rank->rank), failed);
    set(json, "host", base_json_text(rank->host), failed);
    set(json, "step", json_integer(rank->step), failed);
    set(json, "phase", json_string(base_phase_name(rank->phase)), failed);
    set(json, "silent_s", base_json_number(rank->silent_s), failed);
    set(json, "stuck_s", base_json_number(rank->stuck_s), failed);
    set(json, "steps_per_second", base_json_number(rank->steps_per_second), failed);
    set(json, "own_ms", base_json_number(rank->own_ms), failed);
    set(json, "step_ms", base_json_number(view_rank_step_ms(rank)), failed);
    set(json, "lost_summaries", count(rank->lost_summaries), failed);
    set(json, "phases_ms", phases(rank->phases_ms, failed), failed);
    set(json, "total_s", phases(rank->total_s, failed), failed);
    return json;
}

static json_t *alerts_json(const coordinator_run_view *run, int *failed)
{
    static const char *const severities[] = {[VIEW_NOTE] = "note", [VIEW_WARNING] = "warning", [VIEW_ALARM] = "alarm"};
    view_alert alerts[VIEW_ALERTS];
    int found = view_alerts_find(run, alerts);
    json_t *array = json_array();
    for (int i = 0; i < found; i++) {
        json_t *json = json_object();
        set(json, "severity", json_string(severities[alerts[i].severity]), failed);
        set(json, "text", base_json_text(alerts[i].text), failed);
        append(array, json, failed);
    }
    return array;
}

static json_t *stragglers_json(const coordinator_run_view *run, int *failed)
{
    json_t *array = json_array();
    for (int i = 0; i < run->straggler_count; i++) {
        const coordinator_straggler *straggler = &run->stragglers[i];
        json_t *json = json_object();
        set(json, "rank", json_integer(straggler->rank), failed);
        set(json, "phase", json_string(base_phase_name(straggler->phase)), failed);
        set(json, "slower", base_json_number(straggler->slower), failed);
        set(json, "cost", base_json_number(straggler->cost), failed);
        append(array, json, failed);
    }
    return array;
}

static json_t *curve_json(const coordinator_run_view *run, int *failed)
{
    json_t *array = json_array();
    for (int i = 0; i < run->curve_count; i++) {
        json_t *point = json_array();
        append(point, json_integer(run->curve[i].step), failed);
        append(point, base_json_number(run->curve[i].loss), failed);
        append(array, point, failed);
    }
    return array;
}

static void set_progress(json_t *json, const coordinator_run_view *run, int *failed)
{
    set(json, "size", json_integer(run->size), failed);
    set(json, "hosts", json_integer(view_run_hosts(run)), failed);
    set(json, "parameters", json_integer(run->parameters), failed);
    set(json, "global_batch", json_integer(run->global_batch), failed);
    set(json, "total_steps", json_integer(run->total_steps), failed);
    set(json, "steps_per_epoch", json_integer(run->steps_per_epoch), failed);
    set(json, "epochs", json_integer(run->epochs), failed);
    set(json, "step", json_integer(run->step), failed);
    set(json, "epoch", json_integer(run->epoch), failed);
    set(json, "loss", base_json_number(run->loss), failed);
    set(json, "test_loss", base_json_number(run->test_loss), failed);
    set(json, "test_accuracy", base_json_number(run->test_accuracy), failed);
    set(json, "samples_per_second", base_json_number(run->samples_per_second), failed);
    set(json, "elapsed_s", base_json_number(run->elapsed_s), failed);
    set(json, "remaining_s", base_json_number(run->remaining_s), failed);
    set(json, "efficiency", base_json_number(run->efficiency), failed);
}

static json_t *run_json(const coordinator_run_view *run, int *failed)
{
    json_t *json = json_object(), *ranks = json_array();
    set(json, "id", base_json_text(run->id), failed);
    set(json, "name", base_json_text(run->name), failed);
    set(json, "folder", base_json_text(run->folder), failed);
    set(json, "host", base_json_text(run->host), failed);
    set(json, "state", json_string(coordinator_run_state_name(run->state)), failed);
    set(json, "reason", base_json_text(run->reason), failed);
    set_progress(json, run, failed);
    set(json, "alerts", alerts_json(run, failed), failed);
    set(json, "stragglers", stragglers_json(run, failed), failed);
    set(json, "curve", curve_json(run, failed), failed);
    for (int i = 0; i < run->rank_count; i++)
        append(ranks, rank_json(&run->ranks[i], failed), failed);
    set(json, "ranks", ranks, failed);
    return json;
}

static json_t *messages_json(const coordinator_counts *counts, int *failed)
{
    json_t *json = json_object();
    set(json, "accepted", count(counts->accepted), failed);
    set(json, "malformed", count(counts->malformed), failed);
    set(json, "oversized", count(counts->oversized), failed);
    set(json, "replayed", count(counts->replayed), failed);
    set(json, "foreign", count(counts->foreign), failed);
    set(json, "queries", count(counts->queries), failed);
    set(json, "received", count(counts->received), failed);
    return json;
}

json_t *view_json(const coordinator_view *view)
{
    int failed = 0;
    json_t *json = json_object(), *runs = json_array();
    set(json, "schema", json_string("ddpt.state.v1"), &failed);
    set(json, "version", base_json_text(view->version), &failed);
    set(json, "address", base_json_text(view->address), &failed);
    set(json, "uptime_s", base_json_number(view->uptime_s), &failed);
    set(json, "messages", messages_json(&view->counts, &failed), &failed);
    set(json, "refused", count(view->counts.refused), &failed);
    for (int i = 0; i < view->run_count; i++)
        append(runs, run_json(&view->runs[i], &failed), &failed);
    set(json, "runs", runs, &failed);
    if (!failed)
        return json;
    json_decref(json);
    return NULL;
}
