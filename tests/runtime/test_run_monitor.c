#include "run_monitor.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Every field follows from the step, so that a torn record shows. */
static run_monitor_record record_of(int64_t step)
{
    run_monitor_record record = {.step = step,
                                 .clock = 0.5 * (double)step,
                                 .loss = 1.0 / (double)(step + 1),
                                 .loss_sum = 3.0 * (double)step,
                                 .samples = 7 * step};
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        record.seconds[i] = (double)(step * (i + 1));
    return record;
}

static int is_whole(const run_monitor_record *record)
{
    run_monitor_record right = record_of(record->step);
    int good = record->clock == right.clock && record->loss == right.loss && record->loss_sum == right.loss_sum &&
               record->samples == right.samples;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        good = good && record->seconds[i] == right.seconds[i];
    return good;
}

static void add_up_to(run_monitor *monitor, int64_t from, int64_t to)
{
    for (int64_t step = from; step < to; step++) {
        run_monitor_record record = record_of(step);
        run_monitor_add(monitor, &record);
    }
}

static run_monitor *create(void)
{
    run_monitor *monitor;
    assert_int_equal(run_monitor_create(&monitor), BASE_OK);
    return monitor;
}

static void records_come_in_order_and_once(void **state)
{
    (void)state;
    run_monitor *monitor = create();
    run_monitor_record records[10];
    int64_t missed = 0;
    assert_int_equal(run_monitor_read(monitor, records, 10, &missed), 0);
    add_up_to(monitor, 0, 13);
    assert_int_equal(run_monitor_read(monitor, records, 10, &missed), 10);
    for (int i = 0; i < 10; i++)
        assert_true(records[i].step == i && is_whole(&records[i]));
    assert_int_equal(run_monitor_read(monitor, records, 10, &missed), 3);
    assert_int_equal(records[2].step, 12);
    assert_int_equal(run_monitor_read(monitor, records, 10, &missed), 0);
    assert_int_equal(missed, 0);
    assert_int_equal(run_monitor_get_now(monitor).step, 12);
    run_monitor_destroy(&monitor);
    assert_null(monitor);
}

static void a_late_reader_is_told_what_it_missed(void **state)
{
    (void)state;
    run_monitor *monitor = create();
    run_monitor_record records[16];
    int64_t missed = 0;
    add_up_to(monitor, 0, RUN_MONITOR_RING + 100);
    assert_int_equal(run_monitor_read(monitor, records, 1, &missed), 1);
    assert_int_equal(missed, 100);
    assert_true(records[0].step == 100 && is_whole(&records[0]));
    run_monitor_destroy(&monitor);
}

static void evaluations_are_whole(void **state)
{
    (void)state;
    run_monitor *monitor = create();
    assert_true(isnan(run_monitor_get_test(monitor).loss) && isnan(run_monitor_get_test(monitor).accuracy));
    run_monitor_evaluated(monitor, 42, 0.25, 0.875);
    run_monitor_test test = run_monitor_get_test(monitor);
    assert_true(test.step == 42 && test.loss == 0.25 && test.accuracy == 0.875);
    run_monitor_destroy(&monitor);
}

enum { RECORDS = 2000000 };

static void *write_records(void *monitor)
{
    for (int64_t step = 0; step < RECORDS; step++) {
        run_monitor_record record = record_of(step);
        run_monitor_add(monitor, &record);
        if (step % 1000 == 0)
            run_monitor_evaluated(monitor, step, (double)step, -(double)step);
    }
    return NULL;
}

/* The writer does not wait, so that the reader is overtaken again and again. */
static void no_record_is_torn(void **state)
{
    (void)state;
    run_monitor *monitor = create();
    run_monitor_record *records = calloc(256, sizeof *records);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_records, monitor), 0);
    int64_t missed = 0, seen = 0, last = -1;
    int torn = 0, disordered = 0;
    while (last < RECORDS - 1) {
        int count = run_monitor_read(monitor, records, 256, &missed);
        for (int i = 0; i < count; i++) {
            torn += !is_whole(&records[i]);
            disordered += records[i].step <= last;
            last = records[i].step;
        }
        seen += count;
        run_monitor_test test = run_monitor_get_test(monitor);
        torn += !isnan(test.loss) && (test.loss != (double)test.step || test.accuracy != -(double)test.step);
    }
    pthread_join(writer, NULL);
    free(records);
    assert_int_equal(torn, 0);
    assert_int_equal(disordered, 0);
    assert_int_equal(seen + missed, RECORDS);
    run_monitor_destroy(&monitor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_order_and_once),
        cmocka_unit_test(a_late_reader_is_told_what_it_missed),
        cmocka_unit_test(evaluations_are_whole),
        cmocka_unit_test(no_record_is_torn),
    };
    return cmocka_run_group_tests_name("run_monitor", tests, NULL, NULL);
}
