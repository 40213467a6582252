#include "view_fixture.h"
#include "view_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static coordinator_view view;
static json_t *json;

static void take(const char *name)
{
    assert_int_equal(view_fixture_fill(name, 0.0, &view), BASE_OK);
    json = view_json(&view);
    assert_non_null(json);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(json);
    json = NULL;
    coordinator_view_clear(&view);
    return 0;
}

static json_t *run_at(size_t i)
{
    return json_array_get(json_object_get(json, "runs"), i);
}

static void head(void **state)
{
    (void)state;
    take("eight");
    assert_string_equal(json_string_value(json_object_get(json, "schema")), "ddpt.state.v1");
    assert_string_equal(json_string_value(json_object_get(json, "version")), "0.1.0");
    assert_string_equal(json_string_value(json_object_get(json, "address")), "ipc://@ddpt-fixture");
    assert_float_equal(json_real_value(json_object_get(json, "uptime_s")), 380.0, 1e-9);
    assert_int_equal(json_integer_value(json_object_get(json, "refused")), 3);
    static const char *const kinds[] = {"accepted", "malformed", "oversized", "replayed", "foreign", "queries"};
    json_int_t sum = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        sum += json_integer_value(json_object_get(json_object_get(json, "messages"), kinds[i]));
    assert_int_equal(sum, json_integer_value(json_object_get(json_object_get(json, "messages"), "received")));
}

static void run_and_ranks(void **state)
{
    (void)state;
    take("eight");
    json_t *run = run_at(0), *ranks = json_object_get(run, "ranks"), *rank = json_array_get(ranks, 5);
    assert_string_equal(json_string_value(json_object_get(run, "state")), "running");
    assert_int_equal(json_integer_value(json_object_get(run, "step")), 31533);
    assert_int_equal(json_integer_value(json_object_get(run, "hosts")), 2);
    assert_float_equal(json_real_value(json_object_get(run, "loss")), 0.0731, 1e-12);
    assert_int_equal(json_array_size(ranks), 8);
    assert_int_equal(json_integer_value(json_object_get(rank, "rank")), 5);
    assert_string_equal(json_string_value(json_object_get(rank, "host")), "node02");
    assert_string_equal(json_string_value(json_object_get(rank, "phase")), "backward");
    assert_float_equal(json_real_value(json_object_get(rank, "step_ms")), 12.0, 1e-9);
    json_t *phases = json_object_get(rank, "phases_ms"), *totals = json_object_get(rank, "total_s");
    for (int p = 0; p < BASE_PHASE_COUNT; p++) {
        const char *name = base_phase_name((base_phase)p);
        assert_float_equal(json_real_value(json_object_get(phases, name)), view.runs[0].ranks[5].phases_ms[p], 1e-12);
        assert_float_equal(json_real_value(json_object_get(totals, name)), view.runs[0].ranks[5].total_s[p], 1e-12);
    }
}

static void stragglers_and_curve(void **state)
{
    (void)state;
    take("eight");
    json_t *straggler = json_array_get(json_object_get(run_at(0), "stragglers"), 0);
    assert_int_equal(json_integer_value(json_object_get(straggler, "rank")), 5);
    assert_string_equal(json_string_value(json_object_get(straggler, "phase")), "forward");
    assert_float_equal(json_real_value(json_object_get(straggler, "slower")), 0.31, 1e-12);
    json_t *curve = json_object_get(run_at(0), "curve"), *last = json_array_get(curve, COORDINATOR_CURVE - 1);
    assert_int_equal(json_array_size(curve), COORDINATOR_CURVE);
    assert_int_equal(json_integer_value(json_array_get(last, 0)), 31533);
    json_t *alert = json_array_get(json_object_get(run_at(0), "alerts"), 0);
    assert_string_equal(json_string_value(json_object_get(alert, "severity")), "warning");
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    take("diverged");
    assert_true(json_is_null(json_object_get(run_at(0), "loss")));
    json_t *curve = json_object_get(run_at(0), "curve");
    assert_true(json_is_null(json_array_get(json_array_get(curve, COORDINATOR_CURVE - 1), 1)));
    teardown(NULL);
    take("hostile");
    json_t *ranks = json_object_get(run_at(0), "ranks");
    assert_true(json_is_null(json_object_get(json_object_get(json_array_get(ranks, 0), "phases_ms"), "data")));
    assert_true(json_is_null(json_object_get(json_array_get(ranks, 1), "own_ms")));
    assert_true(json_is_null(json_object_get(run_at(0), "remaining_s")));
}

/* What it writes can be read, whatever the names. */
static void odd_names_survive(void **state)
{
    (void)state;
    take("hostile");
    char *text = json_dumps(json, JSON_COMPACT);
    assert_non_null(text);
    json_error_t error;
    json_t *again = json_loads(text, 0, &error);
    free(text);
    assert_non_null(again);
    assert_true(json_equal(json, again));
    json_decref(again);
    assert_string_equal(json_string_value(json_object_get(run_at(0), "name")),
                        "<script>document.title='owned'</script>\x1b[2J\"\\\n?");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(run_at(0), "ranks"), 0), "host")),
        VIEW_FIXTURE_HOST);
}

static void several_runs_and_none(void **state)
{
    (void)state;
    take("several");
    assert_int_equal(json_array_size(json_object_get(json, "runs")), 3);
    assert_string_equal(json_string_value(json_object_get(run_at(2), "state")), "done");
    teardown(NULL);
    take("none");
    assert_int_equal(json_array_size(json_object_get(json, "runs")), 0);
    teardown(NULL);
    take("waiting");
    assert_int_equal(json_array_size(json_object_get(run_at(0), "ranks")), 0);
    assert_true(json_is_null(json_object_get(run_at(0), "elapsed_s")));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(head),
        TEST(run_and_ranks),
        TEST(stragglers_and_curve),
        TEST(what_is_not_finite_is_null),
        TEST(odd_names_survive),
        TEST(several_runs_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
