/* report_sweep: what is written comes back to the bit; damaged and foreign files are refused with the place named. */
#include "report_sweep.h"

#include "report_fixture.h"
#include "report_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int workers[] = {1, 2, 4, 8};
static const char *folder;
static char path[128];
static scaling_sweep sweep;
static scaling_analysis analysis;
static scaling_options options;

static void make(scaling_mode mode, int count)
{
    const fixture from = {.mode = mode, .count = count, .workers = workers, .p = 0.95, .t1_s = 1.0 / 81.0, .cores = 4};
    fixture_make(&from, &sweep, &analysis, &options);
}

static int setup(void **state)
{
    (void)state;
    folder = fixture_folder_make();
    snprintf(path, sizeof path, "%s/scaling.json", folder);
    return folder ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    scaling_sweep_clear(&sweep);
    free(analysis.points);
    analysis = (scaling_analysis){0};
    fixture_folder_remove();
    return 0;
}

static void write_sweep(void)
{
    char *text = report_sweep_text(&sweep, &options, &analysis);
    assert_non_null(text);
    fixture_write("scaling.json", text);
    free(text);
}

/* ---- round trip ---- */

static void assert_same_trial(const scaling_trial *a, const scaling_trial *b)
{
    assert_int_equal(a->workers, b->workers);
    assert_int_equal(a->repeat, b->repeat);
    assert_int_equal(a->batch, b->batch);
    assert_int_equal(a->nodes, b->nodes);
    assert_int_equal(a->threads, b->threads);
    assert_int_equal(a->cores, b->cores);
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(a->slowest, b->slowest);
    assert_int_equal(a->steps_count, b->steps_count);
    assert_memory_equal(a->steps_s, b->steps_s, (size_t)a->steps_count * sizeof *a->steps_s);
    assert_memory_equal(&a->step_s, &b->step_s, sizeof a->step_s);
    assert_memory_equal(a->parts_s, b->parts_s, sizeof a->parts_s);
    assert_memory_equal(a->slower, b->slower, sizeof a->slower);
    assert_int_equal(a->allreduce_count, b->allreduce_count);
    for (int i = 0; i < a->allreduce_count; i++) {
        assert_int_equal(a->allreduce[i].nbytes, b->allreduce[i].nbytes);
        assert_memory_equal(&a->allreduce[i].seconds, &b->allreduce[i].seconds, sizeof(double));
    }
}

static void comes_back_to_the_bit(void **state)
{
    (void)state;
    for (int mode = SCALING_STRONG; mode <= SCALING_WEAK; mode++) {
        scaling_sweep back;
        scaling_options options_back;
        make((scaling_mode)mode, 4);
        sweep.oversubscribe = mode == SCALING_WEAK;
        sweep.trials[1].slowest = -1;
        options.predict_count = 2;
        options.predict[0] = 16;
        options.predict[1] = 64;
        write_sweep();
        /* By the folder's name and by the file's. */
        assert_int_equal(report_sweep_read(mode ? folder : path, &back, &options_back), BASE_OK);
        assert_int_equal(back.mode, mode);
        assert_string_equal(back.name, sweep.name);
        assert_string_equal(back.digest, sweep.digest);
        assert_true(json_equal(back.config, sweep.config));
        assert_true(json_equal(back.environment, sweep.environment));
        assert_int_equal(back.gradient_bytes, sweep.gradient_bytes);
        assert_int_equal(back.oversubscribe, sweep.oversubscribe);
        assert_int_equal(back.count, sweep.count);
        for (int i = 0; i < sweep.count; i++)
            assert_same_trial(&sweep.trials[i], &back.trials[i]);
        assert_memory_equal(&options_back.target_efficiency, &options.target_efficiency, sizeof(double));
        assert_true(options_back.seed == options.seed);
        assert_int_equal(options_back.predict_count, 2);
        assert_memory_equal(options_back.predict, options.predict, 2 * sizeof(int));
        /* And the same text again. */
        char *first = report_sweep_text(&sweep, &options, &analysis);
        char *second = report_sweep_text(&back, &options_back, &analysis);
        assert_string_equal(first, second);
        free(first);
        free(second);
        scaling_sweep_clear(&back);
        scaling_sweep_clear(&sweep);
        free(analysis.points);
        analysis.points = NULL;
    }
}

static void has_little_more_than_nothing(void **state)
{
    (void)state;
    scaling_sweep back;
    make(SCALING_STRONG, 1);
    json_decref(sweep.config);
    json_decref(sweep.environment);
    sweep.config = sweep.environment = NULL;
    *sweep.digest = '\0';
    sweep.gradient_bytes = 0;
    for (int i = 0; i < sweep.count; i++)
        sweep.trials[i].allreduce_count = 0;
    write_sweep();
    assert_int_equal(report_sweep_read(path, &back, &options), BASE_OK);
    assert_null(back.config);
    assert_null(back.environment);
    assert_string_equal(back.digest, "");
    assert_int_equal(back.count, FIXTURE_REPEATS);
    assert_int_equal(back.trials[0].allreduce_count, 0);
    scaling_sweep_clear(&back);
}

static void numbers_have_the_fewest_digits(void **state)
{
    (void)state;
    char text[REPORT_JSON_NUMBER_BYTES];
    assert_string_equal(report_json_number_text(0.1, text), "0.1");
    assert_string_equal(report_json_number_text(1.0, text), "1.0");
    assert_string_equal(report_json_number_text(-0.0, text), "-0.0");
    assert_string_equal(report_json_number_text(1e-9, text), "1e-09");
    assert_string_equal(report_json_number_text(1e22, text), "1e+22");
    assert_string_equal(report_json_number_text(0.1 + 0.2, text), "0.30000000000000004");
    const double hard[] = {1.0 / 3.0, 5e-324, 1.7976931348623157e308, 2.2250738585072011e-308, 123456789.123456789};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        assert_true(strtod(report_json_number_text(hard[i], text), NULL) == hard[i]);
}

/* ---- for other programs ---- */

static json_t *written(void)
{
    char *text = report_sweep_text(&sweep, &options, &analysis);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

static void assert_number(const json_t *object, const char *key, double value)
{
    const json_t *number = json_object_get(object, key);
    assert_true(json_is_number(number));
    assert_true(fabs(json_number_value(number) - value) <= 1e-12 * fabs(value));
}

static void assert_interval(const json_t *object, const char *key, scaling_value value, double unit)
{
    const json_t *list = json_object_get(object, key);
    assert_int_equal(json_array_size(list), 2);
    assert_true(fabs(json_number_value(json_array_get(list, 0)) - unit * value.low) <= 1e-12 * unit * value.low);
    assert_true(fabs(json_number_value(json_array_get(list, 1)) - unit * value.high) <= 1e-12 * unit * value.high);
}

static void has_the_keys_of_its_schema(void **state)
{
    (void)state;
    make(SCALING_STRONG, 4);
    json_t *json = written();
    assert_string_equal(json_string_value(json_object_get(json, "schema")), "ddpt.scaling.v1");
    assert_string_equal(json_string_value(json_object_get(json, "mode")), "strong");
    assert_true(json_equal(json_object_get(json, "config"), sweep.config));
    const json_t *points = json_object_get(json, "points"), *point = json_array_get(points, 3);
    assert_int_equal(json_array_size(points), 4);
    assert_int_equal(json_integer_value(json_object_get(point, "workers")), 8);
    assert_number(point, "step_ms", 1e3 * analysis.points[3].step_s.value);
    assert_interval(point, "step_ms_interval", analysis.points[3].step_s, 1e3);
    assert_number(point, "samples_per_second", analysis.points[3].samples_per_second);
    assert_number(point, "speedup", analysis.points[3].speedup.value);
    assert_number(point, "efficiency", analysis.points[3].efficiency.value);
    assert_number(point, "karp_flatt", analysis.points[3].karp_flatt);
    assert_true(json_is_null(json_object_get(json_array_get(points, 0), "karp_flatt")));
    assert_number(json_object_get(point, "phases_ms"), "reduce", 1e3 * analysis.points[3].parts_s[SCALING_REDUCE]);
    assert_true(json_is_true(json_object_get(point, "shares_cores")));
    const json_t *amdahl = json_object_get(json, "amdahl"), *usl = json_object_get(json, "usl");
    assert_number(amdahl, "parallel_fraction", 0.95);
    assert_interval(amdahl, "interval", analysis.amdahl.parallel_fraction, 1.0);
    assert_number(amdahl, "max_speedup", analysis.amdahl.max_speedup.value);
    assert_true(json_is_null(json_object_get(json, "gustafson")));
    assert_string_equal(json_string_value(json_object_get(json, "gustafson_reason")), analysis.gustafson.law.reason);
    assert_number(usl, "contention", analysis.usl.contention.value);
    assert_number(usl, "coherency", analysis.usl.coherency.value);
    assert_number(usl, "peak_workers", analysis.usl.peak_workers.value);
    assert_true(json_is_null(json_array_get(json_object_get(usl, "peak_workers_interval"), 1))); /* INFINITY */
    const json_t *cause = json_array_get(json_object_get(json, "causes"), 0);
    assert_string_equal(json_string_value(json_object_get(cause, "name")), "reduce");
    assert_number(cause, "fraction", analysis.causes[0].fraction);
    const json_t *prediction = json_array_get(json_object_get(json, "prediction"), 2);
    assert_int_equal(json_integer_value(json_object_get(prediction, "workers")), 128);
    assert_number(prediction, "efficiency", analysis.prediction[2].efficiency.value);
    assert_interval(prediction, "interval", analysis.prediction[2].efficiency, 1.0);
    assert_int_equal(json_array_size(json_object_get(json, "trials")), 4 * FIXTURE_REPEATS);
    json_decref(json);
}

static void has_null_and_a_reason_for_what_is_not_known(void **state)
{
    (void)state;
    make(SCALING_STRONG, 2);
    fixture_refuse(&analysis);
    analysis.points[1].speedup.value = (double)NAN;
    json_t *json = written();
    static const char *const laws[] = {"amdahl", "gustafson", "usl", "alpha_beta", "worth"};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "%s_reason", laws[i]);
        assert_true(json_is_null(json_object_get(json, laws[i])));
        assert_string_equal(json_string_value(json_object_get(json, reason)), "the noise is <larger> than the effect");
    }
    assert_int_equal(json_array_size(json_object_get(json, "causes")), 0);
    assert_true(json_is_array(json_object_get(json, "prediction")));
    assert_true(json_is_string(json_object_get(json, "causes_reason")));
    const json_t *point = json_array_get(json_object_get(json, "points"), 1);
    assert_true(json_is_null(json_object_get(point, "speedup")));
    assert_true(json_is_null(json_array_get(json_object_get(point, "speedup_interval"), 0)));
    json_decref(json);
}

static void a_name_that_is_not_utf8_is_written_all_the_same(void **state)
{
    (void)state;
    scaling_sweep back;
    make(SCALING_STRONG, 1);
    snprintf(sweep.name, sizeof sweep.name, "caf\xe9 \"\\\n");
    write_sweep();
    assert_int_equal(report_sweep_read(path, &back, &options), BASE_OK);
    assert_string_equal(back.name, "caf? \"\\\n");
    scaling_sweep_clear(&back);
}

/* ---- damage ---- */

static void assert_refused(const char *says)
{
    scaling_sweep back;
    base_status status = report_sweep_read(path, &back, &options);
    if (status != BASE_DATA || !strstr(base_status_message(), says))
        fail_msg("status %d \"%s\", not 3 with \"%s\"", (int)status, base_status_message(), says);
}

/* Cut off behind any byte but the last ones, which are space, it is no JSON; nothing worse happens. */
/* A name that is too long is cut between characters. */
static void a_long_name_stays_utf8(void **state)
{
    scaling_sweep back;
    scaling_options options_back;
    char name[256] = "x";
    (void)state;
    make(SCALING_STRONG, 1);
    for (int i = 0; i < 50; i++)
        strcat(name, "\xc3\xa9");
    json_t *json = written();
    json_object_set_new(json, "name", json_string(name));
    json_dump_file(json, path, 0);
    json_decref(json);
    assert_int_equal(report_sweep_read(path, &back, &options_back), BASE_OK);
    assert_int_equal(strlen(back.name), sizeof back.name - 1);
    assert_memory_equal(back.name, name, sizeof back.name - 1);
    scaling_sweep_clear(&back);
    memmove(name, name + 1, strlen(name)); /* one less fits */
    json = written();
    json_object_set_new(json, "name", json_string(name));
    json_dump_file(json, path, 0);
    json_decref(json);
    assert_int_equal(report_sweep_read(path, &back, &options_back), BASE_OK);
    assert_int_equal(strlen(back.name), sizeof back.name - 2);
    scaling_sweep_clear(&back);
}

static void what_is_worth_it_has_an_interval(void **state)
{
    (void)state;
    make(SCALING_STRONG, 4);
    analysis.worth_interval = (scaling_value){8, 7, 14};
    json_t *json = written(), *worth = json_object_get(json, "worth"), *interval = json_object_get(worth, "interval");
    assert_true(json_number_value(json_array_get(interval, 0)) > 6.9);
    assert_true(json_number_value(json_array_get(interval, 1)) < 14.1);
    assert_true(json_is_integer(json_object_get(worth, "most")) &&
                json_is_null(json_object_get(json, "speedup_reason")));
    json_decref(json);
    analysis.worth_interval.high = (double)INFINITY;
    analysis.speedup_law = (scaling_law){0, "why"};
    json = written();
    assert_true(json_is_null(json_array_get(json_object_get(json_object_get(json, "worth"), "interval"), 1)));
    assert_string_equal(json_string_value(json_object_get(json, "speedup_reason")), "why");
    json_decref(json);
}

static void is_refused_when_cut(void **state)
{
    (void)state;
    make(SCALING_STRONG, 2);
    write_sweep();
    char *text = fixture_read("scaling.json");
    for (size_t n = strlen(text) - 2; n > 0; n -= n > 4000 ? 37 : 1) {
        text[n] = '\0';
        fixture_write("scaling.json", text);
        assert_refused(path);
    }
    free(text);
}

/* Every value in turn becomes each of these. */
static const char *const replacements[] = {"null", "-1",   "0",    "1e308", "9223372036854775807", "\"text\"", "{}",
                                           "[]",   "[{}]", "true", "1.5"};

typedef struct walk {
    json_t *root;
    int count, refused;
} walk;

static void try_value(walk *self)
{
    scaling_sweep back;
    json_dump_file(self->root, path, 0);
    base_status status = report_sweep_read(path, &back, &options);
    assert_true(status == BASE_OK || status == BASE_DATA);
    if (status == BASE_OK)
        scaling_sweep_clear(&back);
    self->count++;
    self->refused += status == BASE_DATA;
}

static void walk_value(walk *self, json_t *value);

static void walk_children(walk *self, json_t *parent, const char *key, size_t index, json_t *child)
{
    json_incref(child);
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++) {
        json_t *other = json_loads(replacements[i], JSON_DECODE_ANY, NULL);
        key ? json_object_set_new(parent, key, other) : json_array_set_new(parent, index, other);
        try_value(self);
    }
    key ? json_object_set(parent, key, child) : json_array_set(parent, index, child);
    walk_value(self, child);
    json_decref(child);
}

static void walk_value(walk *self, json_t *value)
{
    const char *key;
    json_t *child;
    void *next;
    json_object_foreach_safe(value, next, key, child) walk_children(self, value, key, 0, child);
    for (size_t i = 0; i < json_array_size(value) && i < 2; i++)
        walk_children(self, value, NULL, i, json_array_get(value, i));
}

static void never_crashes_on_wrong_values(void **state)
{
    (void)state;
    make(SCALING_STRONG, 1);
    write_sweep();
    walk self = {.root = json_load_file(path, 0, NULL)};
    json_t *trials = json_object_get(self.root, "trials");
    while (json_array_size(trials) > 1)
        json_array_remove(trials, 1);
    walk_value(&self, self.root);
    json_decref(self.root);
    assert_true(self.count > 1000);
    assert_true(self.refused > self.count / 10);
}

typedef struct bad_value {
    const char *key, *value, *says;
} bad_value;

static void names_the_key(void **state)
{
    (void)state;
    static const bad_value bad[] = {
        {"workers", "0", "trials[0].workers = 0: must be a whole number from 1 to 1000000"},
        {"workers", "1.5", "trials[0].workers = 1.5: must be a whole number"},
        {"threads", "\"two\"", "trials[0].threads = \"two\": must be"},
        {"batch", "-3", "trials[0].batch = -3: must be"},
        {"step_s", "0.0", "trials[0].step_s = 0.0: must be a number from"},
        {"slowest_rank", "1", "trials[0].slowest_rank = 1: must be a whole number from 0 to 0"},
        {"parts_s", "7", "trials[0].parts_s = 7: must be an object"},
        {"steps_s", "[]", "trials[0].steps_s = []: must be a list with a number a step"},
        {"steps_s", "[1.0, -1.0]", "trials[0].steps_s[1] = -1.0: must be a number of seconds above 0"},
        {"steps_s", "[1.0, \"x\"]", "trials[0].steps_s[1] = \"x\": must be"},
        {"allreduce", "[{\"bytes\": 1}]", "trials[0].allreduce[0].seconds is missing: must be"},
    };
    make(SCALING_STRONG, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *json = written();
        json_t *trial = json_array_get(json_object_get(json, "trials"), 0);
        json_object_set_new(trial, bad[i].key, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        json_dump_file(json, path, 0);
        json_decref(json);
        assert_refused(path);
        assert_refused(bad[i].says);
    }
}

static void names_what_is_not_such_a_file(void **state)
{
    (void)state;
    assert_refused(path); /* there is none */
    fixture_write("scaling.json", "{\n\"schema\": \"ddpt.scaling.v1\",\n oops }\n");
    assert_refused("scaling.json:3: not JSON");
    fixture_write("scaling.json", "");
    assert_refused("scaling.json:1: not JSON");
    fixture_write("scaling.json", "{}\n");
    assert_refused("schema is missing");
    fixture_write("scaling.json", "[1, 2]\n");
    assert_refused("schema is missing");
    fixture_write("scaling.json", "{\"schema\": \"ddpt.run.v1\"}\n");
    assert_refused("schema = \"ddpt.run.v1\": must be \"ddpt.scaling.v1\"");
    fixture_write("scaling.json", "{\"schema\": \"ddpt.scaling.v1\", \"mode\": \"sideways\"}\n");
    assert_refused("mode = \"sideways\": must be \"strong\" or \"weak\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_to_the_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(has_little_more_than_nothing, setup, teardown),
        cmocka_unit_test(numbers_have_the_fewest_digits),
        cmocka_unit_test_setup_teardown(has_the_keys_of_its_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(has_null_and_a_reason_for_what_is_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_not_utf8_is_written_all_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_name_stays_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_worth_it_has_an_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(is_refused_when_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(never_crashes_on_wrong_values, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(names_what_is_not_such_a_file, setup, teardown),
    };
    return cmocka_run_group_tests_name("report_sweep", tests, NULL, NULL);
}
