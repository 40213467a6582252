#include "report_sweep.h"

#include "base_json.h"
#include "report_json.h"

#include <math.h>

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void set_number(json_t *object, const char *key, double value)
{
    set(object, key, base_json_number(value));
}

static json_t *interval_json(scaling_value value, double unit)
{
    json_t *json = json_array();
    json_array_append_new(json, base_json_number(value.low * unit));
    json_array_append_new(json, base_json_number(value.high * unit));
    return json;
}

/* `key` and `interval`, its 95 % interval. */
static void set_value(json_t *object, const char *key, const char *interval, scaling_value value, double unit)
{
    set_number(object, key, value.value * unit);
    set(object, interval, interval_json(value, unit));
}

static json_t *parts_json(const double parts[SCALING_PART_COUNT], double unit)
{
    json_t *json = json_object();
    for (int i = 0; i < SCALING_PART_COUNT; i++)
        set_number(json, scaling_part_name((scaling_part)i), parts[i] * unit);
    return json;
}

static json_t *rank_json(int rank)
{
    return rank >= 0 ? json_integer(rank) : json_null();
}

static json_t *borrowed_or_null(json_t *json)
{
    return json ? json_incref(json) : json_null();
}

/* ---- results ---- */

enum { MS = 1000 };

static json_t *point_json(const scaling_point *p)
{
    json_t *json = json_object();
    set(json, "workers", json_integer(p->workers));
    set(json, "trials", json_integer(p->trials));
    set(json, "batch", json_integer(p->batch));
    set_value(json, "step_ms", "step_ms_interval", p->step_s, MS);
    set_number(json, "samples_per_second", p->samples_per_second);
    set_value(json, "speedup", "speedup_interval", p->speedup, 1.0);
    set_value(json, "efficiency", "efficiency_interval", p->efficiency, 1.0);
    set_number(json, "karp_flatt", p->karp_flatt);
    set(json, "phases_ms", parts_json(p->parts_s, MS));
    set(json, "slowest_rank", rank_json(p->slowest));
    set(json, "slower", parts_json(p->slower, 1.0));
    set(json, "shares_cores", json_boolean(p->shares_cores));
    set(json, "fitted", json_boolean(p->fitted));
    return json;
}

/* `json` under `key` if the law holds, else null, and why under `reason`. Takes over `json`. */
static void set_law(json_t *object, const char *key, const char *reason, const scaling_law *law, json_t *json)
{
    set(object, key, law->ok ? json : json_null());
    set(object, reason, law->ok ? json_null() : base_json_text(law->reason));
    if (!law->ok)
        json_decref(json);
}

static json_t *amdahl_json(const scaling_amdahl *amdahl)
{
    json_t *json = json_object();
    set_value(json, "parallel_fraction", "interval", amdahl->parallel_fraction, 1.0);
    set_value(json, "max_speedup", "max_speedup_interval", amdahl->max_speedup, 1.0);
    set_number(json, "t1_ms", amdahl->t1_s * MS);
    return json;
}

static json_t *gustafson_json(const scaling_gustafson *gustafson)
{
    json_t *json = json_object();
    set_value(json, "serial_fraction", "interval", gustafson->serial_fraction, 1.0);
    return json;
}

static json_t *usl_json(const scaling_usl *usl)
{
    json_t *json = json_object();
    set_value(json, "contention", "contention_interval", usl->contention, 1.0);
    set_value(json, "coherency", "coherency_interval", usl->coherency, 1.0);
    set_value(json, "peak_workers", "peak_workers_interval", usl->peak_workers, 1.0);
    set_number(json, "t1_ms", usl->t1_s * MS);
    return json;
}

static json_t *alpha_beta_json(const scaling_alpha_beta *fit)
{
    json_t *json = json_object();
    set_value(json, "alpha_s", "alpha_s_interval", fit->alpha_s, 1.0);
    set_value(json, "beta_s_per_byte", "beta_s_per_byte_interval", fit->beta_s_per_byte, 1.0);
    return json;
}

static json_t *causes_json(const scaling_analysis *analysis)
{
    json_t *json = json_array();
    for (int i = 0; i < analysis->cause_count; i++) {
        const scaling_cause *cause = &analysis->causes[i];
        json_t *one = json_object();
        set(one, "name", json_string(scaling_part_name(cause->part)));
        set_number(one, "fraction", cause->fraction);
        set(one, "rank", rank_json(cause->rank));
        set_number(one, "slower", cause->slower);
        json_array_append_new(json, one);
    }
    return json;
}

static json_t *prediction_json(const scaling_analysis *analysis)
{
    json_t *json = json_array();
    for (int i = 0; i < analysis->prediction_count; i++) {
        const scaling_prediction *prediction = &analysis->prediction[i];
        json_t *one = json_object();
        set(one, "workers", json_integer(prediction->workers));
        set_value(one, "step_ms", "step_ms_interval", prediction->step_s, MS);
        set_value(one, "efficiency", "interval", prediction->efficiency, 1.0);
        json_array_append_new(json, one);
    }
    return json;
}

static json_t *worth_json(const scaling_analysis *analysis)
{
    json_t *json = json_object();
    set_number(json, "target_efficiency", analysis->target_efficiency);
    set(json, "workers", json_integer(analysis->worth_workers));
    set(json, "interval", interval_json(analysis->worth_interval, 1.0));
    set(json, "most", json_integer(analysis->worth_most));
    set(json, "beyond", json_boolean(analysis->worth_beyond));
    return json;
}

static void set_analysis(json_t *json, const scaling_analysis *a)
{
    json_t *points = json_array();
    for (int i = 0; i < a->point_count; i++)
        json_array_append_new(points, point_json(&a->points[i]));
    set(json, "points", points);
    set(json, "speedup_reason", a->speedup_law.ok ? json_null() : base_json_text(a->speedup_law.reason));
    set_law(json, "amdahl", "amdahl_reason", &a->amdahl.law, amdahl_json(&a->amdahl));
    set_law(json, "gustafson", "gustafson_reason", &a->gustafson.law, gustafson_json(&a->gustafson));
    set_law(json, "usl", "usl_reason", &a->usl.law, usl_json(&a->usl));
    set_law(json, "alpha_beta", "alpha_beta_reason", &a->alpha_beta.law, alpha_beta_json(&a->alpha_beta));
    set(json, "causes", a->causes_law.ok ? causes_json(a) : json_array());
    set_number(json, "causes_total", a->causes_law.ok ? a->causes_total : NAN);
    set(json, "causes_reason", a->causes_law.ok ? json_null() : base_json_text(a->causes_law.reason));
    set(json, "prediction", a->prediction_law.ok ? prediction_json(a) : json_array());
    set(json, "prediction_reason", a->prediction_law.ok ? json_null() : base_json_text(a->prediction_law.reason));
    set_law(json, "worth", "worth_reason", &a->worth_law, worth_json(a));
}

/* ---- what was measured ---- */

static json_t *options_json(const scaling_options *options)
{
    json_t *json = json_object(), *predict = json_array();
    for (int i = 0; i < options->predict_count; i++)
        json_array_append_new(predict, json_integer(options->predict[i]));
    set_number(json, "target_efficiency", options->target_efficiency);
    set(json, "predict", predict);
    set(json, "seed", json_integer((json_int_t)options->seed));
    return json;
}

static json_t *trial_json(const scaling_trial *trial)
{
    json_t *json = json_object(), *steps = json_array(), *allreduce = json_array();
    for (int i = 0; i < trial->steps_count; i++)
        json_array_append_new(steps, base_json_number(trial->steps_s[i]));
    for (int i = 0; i < trial->allreduce_count; i++)
        json_array_append_new(allreduce, json_pack("{sI sf}", "bytes", (json_int_t)trial->allreduce[i].nbytes,
                                                   "seconds", trial->allreduce[i].seconds));
    set(json, "workers", json_integer(trial->workers));
    set(json, "repeat", json_integer(trial->repeat));
    set(json, "batch", json_integer(trial->batch));
    set(json, "nodes", json_integer(trial->nodes));
    set(json, "threads", json_integer(trial->threads));
    set(json, "cores", json_integer(trial->cores));
    set(json, "steps", json_integer(trial->steps));
    set_number(json, "step_s", trial->step_s);
    set(json, "parts_s", parts_json(trial->parts_s, 1.0));
    set(json, "slowest_rank", rank_json(trial->slowest));
    set(json, "slower", parts_json(trial->slower, 1.0));
    set(json, "allreduce", allreduce);
    set(json, "steps_s", steps);
    return json;
}

char *report_sweep_text(const scaling_sweep *sweep, const scaling_options *options, const scaling_analysis *analysis)
{
    json_t *json = json_object(), *trials = json_array();
    for (int i = 0; i < sweep->count; i++)
        json_array_append_new(trials, trial_json(&sweep->trials[i]));
    set(json, "schema", json_string("ddpt.scaling.v1"));
    set(json, "mode", json_string(sweep->mode == SCALING_WEAK ? "weak" : "strong"));
    set(json, "name", base_json_text(sweep->name));
    set(json, "config_digest", *sweep->digest ? base_json_text(sweep->digest) : json_null());
    set_analysis(json, analysis);
    set(json, "options", options_json(options));
    set(json, "config", borrowed_or_null(sweep->config));
    set(json, "environment", borrowed_or_null(sweep->environment));
    set(json, "gradient_bytes", json_integer(sweep->gradient_bytes));
    set(json, "oversubscribe", json_boolean(sweep->oversubscribe));
    set(json, "trials", trials);
    char *text = report_json_text(json);
    json_decref(json);
    return text;
}
