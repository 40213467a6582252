#include "base_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void pause_ms(long ms)
{
    struct timespec left = {.tv_nsec = ms * 1000000L};
    while (nanosleep(&left, &left) != 0)
        ;
}

static void clock_never_runs_backwards(void **state)
{
    (void)state;
    double last = base_time_now();
    for (int i = 0; i < 10000; i++) {
        double now = base_time_now();
        assert_true(now >= last);
        last = now;
    }
}

/* Lower bounds only: how long a pause really takes is the machine's business. */
static void time_goes_to_the_running_phase(void **state)
{
    (void)state;
    base_phases phases = {0};
    base_phases_start(&phases, BASE_PHASE_FORWARD);
    pause_ms(3);
    assert_int_equal(base_phases_switch(&phases, BASE_PHASE_REDUCE), BASE_PHASE_FORWARD);
    pause_ms(2);
    assert_int_equal(base_phases_switch(&phases, BASE_PHASE_FORWARD), BASE_PHASE_REDUCE);
    pause_ms(3);
    base_phases_switch(&phases, BASE_PHASE_OTHER);
    assert_true(phases.seconds[BASE_PHASE_FORWARD] >= 0.006);
    assert_true(phases.seconds[BASE_PHASE_REDUCE] >= 0.002);
    assert_true(phases.seconds[BASE_PHASE_DATA] == 0.0);
    assert_true(phases.seconds[BASE_PHASE_OTHER] == 0.0);
}

static void phases_add_up_to_the_whole(void **state)
{
    (void)state;
    base_phases phases = {0};
    base_phases_start(&phases, BASE_PHASE_DATA);
    double began = phases.since;
    for (int i = 0; i < 100; i++)
        base_phases_switch(&phases, (base_phase)(i % BASE_PHASE_COUNT));
    double sum = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        sum += phases.seconds[i];
    /* The same clock readings, added in another order. */
    assert_true(sum - (phases.since - began) < 1e-9 && (phases.since - began) - sum < 1e-9);
}

static void start_forgets(void **state)
{
    (void)state;
    base_phases phases = {0};
    memset(phases.seconds, 0x7f, sizeof phases.seconds);
    base_phases_start(&phases, BASE_PHASE_UPDATE);
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        assert_true(phases.seconds[i] == 0.0);
}

static void a_watch_sees_the_phase_and_that_it_moves(void **state)
{
    (void)state;
    base_watch watch = {0};
    base_phases phases = {.watch = &watch};
    base_phases_start(&phases, BASE_PHASE_DATA);
    uint64_t before = watch.progress;
    base_phases_switch(&phases, BASE_PHASE_UPDATE);
    assert_int_equal(watch.phase, BASE_PHASE_UPDATE);
    assert_true(watch.progress > before);
    before = watch.progress;
    base_phases_touch(&phases);
    assert_int_equal(watch.phase, BASE_PHASE_UPDATE);
    assert_true(watch.progress > before);
    base_phases_start(&phases, BASE_PHASE_DATA);
    assert_ptr_equal(phases.watch, &watch);
    before = watch.progress;
    base_phases_wait(&phases);
    assert_int_equal(watch.phase, BASE_PHASE_WAIT);
    assert_true(watch.progress > before);
    base_phases_go_on(&phases);
    assert_int_equal(watch.phase, BASE_PHASE_DATA);
    base_phases_switch(&phases, BASE_PHASE_OTHER);
    assert_true(phases.seconds[BASE_PHASE_WAIT] == 0.0); /* it counts for the phase that waited */
    base_phases_wait(NULL);
    base_phases_go_on(NULL);
}

/* run.json and steps.csv keep their columns whatever is watched beside them. */
static void what_is_recorded_is_a_phase_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < BASE_PHASE_COUNT; i++) {
        base_phase under = base_phase_recorded((base_phase)i);
        assert_int_equal(base_phase_recorded(under), under);
    }
    assert_int_equal(base_phase_recorded(BASE_PHASE_WAIT), BASE_PHASE_REDUCE);
    assert_true(base_phase_is_own(BASE_PHASE_FORWARD) && base_phase_is_own(BASE_PHASE_CHECKPOINT));
    assert_false(base_phase_is_own(BASE_PHASE_WAIT) || base_phase_is_own(BASE_PHASE_REDUCE));
}

static void names_are_those_of_the_record(void **state)
{
    (void)state;
    static const char *const names[] = {"data", "forward", "backward", "reduce", "update", "other"};
    size_t next = 0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        if (base_phase_recorded((base_phase)i) == (base_phase)i)
            assert_string_equal(base_phase_name((base_phase)i), names[next++]);
    assert_int_equal(next, sizeof names / sizeof *names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_never_runs_backwards),
        cmocka_unit_test(time_goes_to_the_running_phase),
        cmocka_unit_test(phases_add_up_to_the_whole),
        cmocka_unit_test(start_forgets),
        cmocka_unit_test(a_watch_sees_the_phase_and_that_it_moves),
        cmocka_unit_test(what_is_recorded_is_a_phase_of_its_own),
        cmocka_unit_test(names_are_those_of_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
