/* The loss curve: all steps are in it once, however many there are. */
#include "telemetry_test.h"

#include "coordinator_curve.h"

static double loss_of(int64_t step)
{
    return 1.0 / (double)step + (double)(step % 7);
}

/* The points are in order, and their means weigh up to the sum of all steps. */
static void check(const coordinator_curve *curve, int64_t first, int64_t last, int most)
{
    coordinator_loss points[COORDINATOR_CURVE];
    int count = coordinator_curve_read(curve, points);
    assert_in_range(count, 1, most);
    assert_int_equal(points[count - 1].step, last);
    int64_t step = first;
    for (int i = 0; i < count; i++) {
        double sum = 0.0;
        int64_t before = step;
        assert_true(points[i].step > step);
        while (step < points[i].step)
            sum += loss_of(++step);
        assert_near(points[i].loss, sum / (double)(step - before), 1e-6);
    }
}

static void every_step_is_in_it(void **state)
{
    (void)state;
    coordinator_curve curve = {0};
    double sum = 0.0;
    coordinator_curve_restart(&curve, 0);
    for (int64_t step = 1; step <= 100000; step++) {
        sum += loss_of(step);
        coordinator_curve_add(&curve, step, sum);
        if (step == 1 || step == COORDINATOR_CURVE || step == COORDINATOR_CURVE + 1 || step % 9973 == 0)
            check(&curve, 0, step, COORDINATOR_CURVE);
    }
    assert_in_range(curve.count, COORDINATOR_CURVE / 2, COORDINATOR_CURVE);
    for (int i = 0; i < curve.count - 1; i++) /* all as long as each other but the one that grows */
        assert_int_equal(curve.points[i].steps, curve.least);
}

/* As summaries come: some hundred steps at a time, sometimes none. */
static void steps_may_come_in_heaps(void **state)
{
    (void)state;
    coordinator_curve curve = {0};
    double sum = 0.0;
    int64_t step = 0;
    coordinator_curve_restart(&curve, 0);
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < i * 37 % 301; k++)
            sum += loss_of(++step);
        coordinator_curve_add(&curve, step, sum);
    }
    check(&curve, 0, step, COORDINATOR_CURVE);
}

static void late_start_is_one_point(void **state)
{
    (void)state;
    coordinator_curve curve = {0};
    coordinator_loss points[COORDINATOR_CURVE];
    coordinator_curve_restart(&curve, 100);
    coordinator_curve_add(&curve, 500, 800.0);
    assert_int_equal(coordinator_curve_read(&curve, points), 1);
    assert_int_equal(points[0].step, 500);
    assert_near(points[0].loss, 2.0, 1e-12);
}

static void steps_that_are_in_it_are_ignored(void **state)
{
    (void)state;
    coordinator_curve curve = {0};
    coordinator_curve_restart(&curve, 0);
    coordinator_curve_add(&curve, 10, 10.0);
    coordinator_curve_add(&curve, 10, 99.0);
    coordinator_curve_add(&curve, 5, 99.0);
    assert_int_equal(curve.count, 1);
    assert_near(curve.points[0].sum, 10.0, 0.0);
}

static void restart_forgets_what_is_done_again(void **state)
{
    (void)state;
    coordinator_curve curve = {0};
    coordinator_curve_restart(&curve, 0);
    for (int64_t step = 10; step <= 100; step += 10)
        coordinator_curve_add(&curve, step, (double)step);
    coordinator_curve_restart(&curve, 45);
    assert_int_equal(curve.count, 4);
    coordinator_curve_add(&curve, 55, 30.0);
    assert_int_equal(curve.count, 5);
    assert_int_equal(curve.points[4].steps, 10);
    assert_near(curve.points[4].sum, 30.0, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_in_it),
        cmocka_unit_test(steps_may_come_in_heaps),
        cmocka_unit_test(late_start_is_one_point),
        cmocka_unit_test(steps_that_are_in_it_are_ignored),
        cmocka_unit_test(restart_forgets_what_is_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
