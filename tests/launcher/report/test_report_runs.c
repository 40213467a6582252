/* report_runs: runs made up here, on different numbers of ranks, as one experiment; and those that are none. */
#include "report_runs.h"

#include "report_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNS_MAX = 6 };

static const char *folder;
static char folders[RUNS_MAX][128];
static char *names[RUNS_MAX];
static scaling_sweep sweep;

static int setup(void **state)
{
    (void)state;
    folder = fixture_folder_make();
    for (int i = 0; folder && i < RUNS_MAX; i++) {
        snprintf(folders[i], sizeof folders[i], "%s/run%d", folder, i);
        names[i] = folders[i];
        if (mkdir(names[i], 0777) != 0)
            return -1;
    }
    return folder ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    scaling_sweep_clear(&sweep);
    fixture_folder_remove();
    return 0;
}

/* ---- made-up runs ---- */

/* The record of a run; whoever calls changes it and hands it to put_record. */
static json_t *record_of(int ranks, int batch)
{
    return json_pack("{ss s{s{ss} s{siss}} ss si s[s] ss si ss s{si} s{ss} s{s{sf sf sf sf sf sf}} s{ss si ss}}",
                     "schema", "ddpt.run.v1", "config", "data", "path", "mnist", "train", "batch", batch, "sync",
                     "auto", "config_digest", "0123456789abcdef", "world_size", ranks, "hosts", "node1", "device",
                     "cpu", "threads_per_rank", 1, "precision", "fp32", "model", "parameters", 1000, "result", "status",
                     "done", "performance", "phases_ms", "data", 0.5, "forward", 3.0, "backward", 5.0, "reduce", 1.0,
                     "update", 0.25, "other", 0.25, "environment", "cpu", "EPYC", "cores", 8, "command",
                     "ddpt train examples/mnist.cfg --out r");
}

static void put_record(int run, json_t *record)
{
    char name[32];
    snprintf(name, sizeof name, "run%d/run.json", run);
    char *text = json_dumps(record, JSON_INDENT(1));
    fixture_write(name, text);
    free(text);
    json_decref(record);
}

/* Steps 1 to `count`, the i-th of them 10 + i/1000 ms long. */
static void put_steps(int run, int count)
{
    char name[32], *text = NULL;
    size_t nbytes;
    FILE *to = open_memstream(&text, &nbytes);
    fputs("step,epoch,loss,lr,samples_per_second,data_ms,forward_ms,backward_ms,reduce_ms,update_ms,other_ms\n", to);
    for (int i = 1; i <= count; i++)
        fprintf(to, "%d,1,2.5,0.1,1000,1,2,3,%.3f,2,1\n", i, 1.0 + i / 1000.0);
    fclose(to);
    snprintf(name, sizeof name, "run%d/steps.csv", run);
    fixture_write(name, text);
    free(text);
}

static void put_run(int run, int ranks, int batch)
{
    put_record(run, record_of(ranks, batch));
    put_steps(run, 50);
}

static void set_balance(json_t *record)
{
    json_object_set_new(json_object_get(record, "performance"), "balance",
                        json_pack("{si si s{sf sf sf sf sf} s{sf sf sf sf sf} sf sf}", "steps", 45, "slowest_rank", 1,
                                  "own_ms", "data", 0.5, "forward", 4.2, "backward", 4.0, "update", 0.25, "other", 0.0,
                                  "median_ms", "data", 0.5, "forward", 3.0, "backward", 5.0, "update", 0.25, "other",
                                  0.0, "imbalance_ms", 0.75, "exposed_ms", -0.001));
}

static void assert_refused(int count, const char *says)
{
    base_status status = report_runs_read(count, names, &sweep);
    if (status != BASE_DATA || !strstr(base_status_message(), says))
        fail_msg("status %d \"%s\", not 3 with \"%s\"", (int)status, base_status_message(), says);
}

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) <= 1e-12))
        fail_msg("%.17g, not %.17g", value, wanted);
}

/* ---- what is taken ---- */

static void takes_steps_behind_the_warm_up(void **state)
{
    (void)state;
    put_run(0, 1, 128);
    put_run(1, 2, 128);
    put_run(2, 2, 128);
    assert_int_equal(report_runs_read(3, names, &sweep), BASE_OK);
    assert_int_equal(sweep.mode, SCALING_STRONG);
    assert_string_equal(sweep.name, "mnist");
    assert_string_equal(sweep.digest, "0123456789abcdef");
    assert_int_equal(sweep.gradient_bytes, 4000);
    assert_int_equal(sweep.count, 3);
    const scaling_trial *trial = &sweep.trials[2];
    assert_int_equal(trial->workers, 2);
    assert_int_equal(trial->repeat, 1);
    assert_int_equal(sweep.trials[1].repeat, 0);
    assert_int_equal(trial->batch, 128);
    assert_int_equal(trial->threads, 1);
    assert_int_equal(trial->cores, 8);
    assert_int_equal(trial->nodes, 1);
    /* 5 of 50 are the warm-up. */
    assert_int_equal(trial->steps, 45);
    assert_int_equal(trial->steps_count, 45);
    assert_near(trial->steps_s[0], 0.010006);
    assert_near(trial->steps_s[44], 0.010050);
    assert_near(trial->step_s, 0.010028);
    assert_near(trial->parts_s[SCALING_FORWARD], 0.003);
    assert_near(trial->parts_s[SCALING_REDUCE], 0.001);
    assert_near(trial->parts_s[SCALING_IMBALANCE], 0.0);
    assert_int_equal(trial->slowest, -1);
    assert_int_equal(json_array_size(json_object_get(sweep.environment, "runs")), 3);
    assert_int_equal(json_array_size(json_object_get(sweep.environment, "warnings")), 0);
}

static void takes_the_balance_where_there_is_one(void **state)
{
    (void)state;
    json_t *record = record_of(3, 128);
    set_balance(record);
    put_record(0, record);
    put_steps(0, 50);
    assert_int_equal(report_runs_read(1, names, &sweep), BASE_OK);
    const scaling_trial *trial = &sweep.trials[0];
    assert_int_equal(trial->slowest, 1);
    assert_near(trial->slower[SCALING_FORWARD], 0.4);
    assert_near(trial->slower[SCALING_BACKWARD], -0.2);
    assert_near(trial->slower[SCALING_OTHER], 0.0);
    assert_near(trial->parts_s[SCALING_FORWARD], 0.0042);
    assert_near(trial->parts_s[SCALING_IMBALANCE], 0.00075);
    assert_near(trial->parts_s[SCALING_REDUCE], 0.0);
}

static void knows_weak_scaling(void **state)
{
    (void)state;
    put_run(0, 1, 32);
    put_run(1, 2, 64);
    put_run(2, 4, 128);
    assert_int_equal(report_runs_read(3, names, &sweep), BASE_OK);
    assert_int_equal(sweep.mode, SCALING_WEAK);
    scaling_sweep_clear(&sweep);
    put_run(2, 4, 120);
    assert_refused(
        3, "neither strong scaling (train.batch is the same) nor weak scaling (it is proportional to the ranks)");
    assert_refused(3, "32 on 1 rank in ");
    assert_refused(3, "120 on 4 ranks in ");
}

/* Lines of a run that was resumed are another run's up to there. */
static void leaves_out_steps_of_the_run_before(void **state)
{
    (void)state;
    json_t *record = record_of(2, 128);
    json_object_set_new(record, "checkpoint", json_pack("{si}", "resumed_from_step", 30));
    put_record(0, record);
    put_steps(0, 50);
    assert_int_equal(report_runs_read(1, names, &sweep), BASE_OK);
    assert_int_equal(sweep.trials[0].steps, 18); /* 2 of 20 are the warm-up */
    assert_near(sweep.trials[0].steps_s[0], 0.010033);
}

static void takes_lines_that_stand_for_many_steps(void **state)
{
    (void)state;
    put_record(0, record_of(2, 128));
    fixture_write("run0/steps.csv", "step,data_ms,forward_ms\n10,99,1\n20,2,1\n30,3,1\n40,4,1\n");
    assert_int_equal(report_runs_read(1, names, &sweep), BASE_OK);
    /* The warm-up ends with step 4, within the first line. */
    assert_int_equal(sweep.trials[0].steps_count, 3);
    assert_int_equal(sweep.trials[0].steps, 30);
    assert_near(sweep.trials[0].step_s, 0.004);
}

static void keeps_a_sample_of_very_many_lines(void **state)
{
    (void)state;
    put_record(0, record_of(2, 128));
    put_steps(0, 50010);
    assert_int_equal(report_runs_read(1, names, &sweep), BASE_OK);
    assert_int_equal(sweep.trials[0].steps, 50000);
    assert_in_range(sweep.trials[0].steps_count, 10000, 20000);
    assert_near(sweep.trials[0].steps_s[1] - sweep.trials[0].steps_s[0], 3e-6);
}

static void says_what_machines_differ_in(void **state)
{
    (void)state;
    put_run(0, 1, 128);
    json_t *record = record_of(2, 128);
    json_object_set_new(json_object_get(record, "environment"), "cpu", json_string("Xeon"));
    put_record(1, record);
    put_steps(1, 50);
    assert_int_equal(report_runs_read(2, names, &sweep), BASE_OK);
    const char *warning = json_string_value(json_array_get(json_object_get(sweep.environment, "warnings"), 0));
    assert_non_null(warning);
    assert_non_null(strstr(warning, "The runs differ in cpu: EPYC in "));
}

static void is_named_after_the_folder_if_need_be(void **state)
{
    (void)state;
    json_t *record = record_of(2, 128);
    json_object_set_new(json_object_get(record, "environment"), "command", json_string("ddpt train /dev/stdin"));
    put_record(0, record);
    put_steps(0, 50);
    snprintf(folders[0], sizeof folders[0], "%s/run0//", folder);
    assert_int_equal(report_runs_read(1, names, &sweep), BASE_OK);
    assert_string_equal(sweep.name, "run0");
}

/* ---- what does not belong together ---- */

static void configurations_must_agree(void **state)
{
    (void)state;
    put_run(0, 1, 128);
    json_t *record = record_of(2, 128);
    json_t *train = json_object_get(json_object_get(record, "config"), "train");
    json_object_set_new(train, "sync", json_string("sharded"));
    put_record(1, record);
    put_steps(1, 50);
    assert_refused(2, "are not runs of one experiment: train.sync = \"auto\" in ");
    /* What does not change a step may differ. */
    record = record_of(2, 128);
    train = json_object_get(json_object_get(record, "config"), "train");
    json_object_set_new(train, "seed", json_integer(7));
    json_object_set_new(train, "epochs", json_integer(9));
    json_object_set_new(train, "max_steps", json_integer(50));
    json_object_set_new(train, "checkpoint", json_pack("{si}", "keep", 2));
    json_object_set_new(json_object_get(json_object_get(record, "config"), "data"), "path", json_string("/elsewhere"));
    json_object_set_new(json_object_get(record, "config"), "out", json_string("here"));
    put_record(1, record);
    assert_int_equal(report_runs_read(2, names, &sweep), BASE_OK);
}

static void devices_must_agree(void **state)
{
    (void)state;
    put_run(0, 1, 128);
    json_t *record = record_of(2, 128);
    json_object_set_new(record, "device", json_string("gpu"));
    put_record(1, record);
    put_steps(1, 50);
    assert_refused(2, "one ran on the device cpu, the other on gpu");
}

static void a_run_counts_once(void **state)
{
    (void)state;
    put_run(0, 1, 128);
    snprintf(folders[1], sizeof folders[1], "%s/./run0", folder);
    assert_refused(2, "is given twice");
}

/* ---- damage ---- */

typedef struct bad_record {
    const char *object, *key, *value, *says;
} bad_record;

static void names_the_key(void **state)
{
    (void)state;
    static const bad_record bad[] = {
        {NULL, "world_size", "0", "run.json: world_size = 0: must be a whole number from 1 to"},
        {NULL, "threads_per_rank", "\"x\"", "run.json: threads_per_rank = \"x\": must be"},
        {NULL, "config", "[]", "run.json: config = []: must be an object"},
        {NULL, "hosts", "null", "run.json: hosts = null: must be a list"},
        {NULL, "performance", "null", "run.json: performance = null: must be an object"},
        {NULL, "schema", "\"ddpt.run.v9\"", "run.json: schema = \"ddpt.run.v9\": must be \"ddpt.run.v1\""},
        {"result", "status", "\"running\"", "run.json: result.status = \"running\": must be \"done\" or \"stopped\""},
        {"environment", "cores", "-1", "run.json: environment.cores = -1: must be"},
        {"performance", "phases_ms", "{}", "run.json: performance.phases_ms.data is missing: must be a number"},
        {"performance", "balance", "{}", "run.json: performance.balance.slowest_rank is missing: must be"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_run(0, 2, 128);
        json_t *record = record_of(2, 128);
        json_t *object = bad[i].object ? json_object_get(record, bad[i].object) : record;
        json_object_set_new(object, bad[i].key, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        put_record(0, record);
        assert_refused(1, bad[i].says);
    }
    json_t *record = record_of(2, 128);
    json_object_set_new(json_object_get(json_object_get(record, "config"), "train"), "batch", json_integer(0));
    put_record(0, record);
    assert_refused(1, "run.json: config.train.batch = 0: must be a whole number from 1");
}

static void names_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "steps.csv: no line is left after the warm-up"},
        {"step,data_ms\n", "steps.csv: no line is left after the warm-up"},
        {"step,data_ms\n10,1\n", "no line is left"},
        {"a,b\n1,1\n", "steps.csv:1: the header must name a column step and columns ..._ms"},
        {"step,data_ms\n1,1\n2,x\n3,1\n", "steps.csv:3: data_ms = \"x\": must be a number"},
        {"step,data_ms\n1,1\n2,-1\n3,1\n", "steps.csv:3: data_ms = \"-1\""},
        {"step,data_ms\n1,1\n2,nan\n3,1\n", "steps.csv:3: data_ms = \"nan\""},
        {"step,data_ms\n1,1\n2\n3,1\n", "steps.csv:3: fewer fields than the header has"},
        {"step,data_ms\n1,1\n2,1,1\n3,1\n", "steps.csv:3: more fields than the header has"},
        {"step,data_ms\n1,1\n1,1\n3,1\n", "steps.csv:3: steps must ascend"},
        {"step,data_ms\n1,1\nx,1\n3,1\n", "steps.csv:3: step = \"x\""},
        {"step,data_ms\n1,1\n2,0\n3,1\n", "steps.csv:3: the phases of a step must add up to a time above 0"},
        {"step,data_ms\n1,1\n99999999999999999999,1\n", "steps.csv:3: step = \"99999999999999999999\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_record(0, record_of(2, 128));
        fixture_write("run0/steps.csv", bad[i].text);
        assert_refused(1, bad[i].says);
    }
}

static void names_the_file_that_is_missing(void **state)
{
    (void)state;
    char path[160];
    assert_refused(1, "run0/run.json");
    put_record(0, record_of(2, 128));
    assert_refused(1, "run0/steps.csv");
    snprintf(path, sizeof path, "%s/nowhere", folder);
    names[0] = path;
    assert_refused(1, "nowhere");
}

/* Cut anywhere, the files are refused or, where only whole lines of steps.csv are gone, taken. */
static void never_crashes_on_what_is_cut(void **state)
{
    (void)state;
    static const char *const files[] = {"run0/run.json", "run0/steps.csv"};
    json_t *record = record_of(2, 128);
    set_balance(record);
    put_record(0, record);
    put_steps(0, 20);
    for (int i = 0; i < 2; i++) {
        char *whole = fixture_read(files[i]), *text = strdup(whole);
        for (size_t n = strlen(text); n-- > 0;) {
            text[n] = '\0';
            fixture_write(files[i], text);
            base_status status = report_runs_read(1, names, &sweep);
            assert_true(status == BASE_DATA || (i == 1 && status == BASE_OK));
            if (status == BASE_OK)
                scaling_sweep_clear(&sweep);
        }
        fixture_write(files[i], whole);
        free(text);
        free(whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_steps_behind_the_warm_up, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_the_balance_where_there_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_weak_scaling, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_out_steps_of_the_run_before, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_lines_that_stand_for_many_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_a_sample_of_very_many_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_machines_differ_in, setup, teardown),
        cmocka_unit_test_setup_teardown(is_named_after_the_folder_if_need_be, setup, teardown),
        cmocka_unit_test_setup_teardown(configurations_must_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(devices_must_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_file_that_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(never_crashes_on_what_is_cut, setup, teardown),
    };
    return cmocka_run_group_tests_name("report_runs", tests, NULL, NULL);
}
