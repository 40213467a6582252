/* test_launch_cores.c: the cores of described machines divided among workers. */
#include "launch_cores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hwloc_topology_t machine(const char *description)
{
    hwloc_topology_t topology;
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, description), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    return topology;
}

/* `allowed`: a list of processors, NULL: all. Expects `wanted` (NULL: too many workers) and so many cores. */
static void expect(const char *description, const char *allowed, int workers, const char *wanted, int cores)
{
    hwloc_topology_t topology = machine(description);
    hwloc_bitmap_t set = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(topology));
    char *text;
    int count;
    if (allowed)
        hwloc_bitmap_list_sscanf(set, allowed);
    assert_int_equal(launch_cores_divide(topology, set, workers, NULL, &text, &count), BASE_OK);
    assert_int_equal(count, cores);
    if (wanted)
        assert_string_equal(text, wanted);
    else
        assert_null(text);
    free(text);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(topology);
}

static void each_gets_a_core(void **state)
{
    (void)state;
    expect("core:4 pu:1", NULL, 4, "0;1;2;3", 4);
    expect("core:4 pu:2", NULL, 4, "0-1;2-3;4-5;6-7", 4);
}

static void neighbours_stay_together(void **state)
{
    (void)state;
    expect("numa:2 core:4 pu:2", NULL, 2, "0-7;8-15", 8);
    expect("numa:2 l3:2 core:2 pu:1", NULL, 4, "0-1;2-3;4-5;6-7", 8);
    /* Linux counts the second hardware threads behind all first ones. */
    expect("numa:2(indexes=numa) core:2 pu:2(indexes=0,4,1,5,2,6,3,7)", NULL, 2, "0-1,4-5;2-3,6-7", 4);
}

static void all_are_given_away(void **state)
{
    (void)state;
    expect("core:4 pu:2", NULL, 1, "0-7", 4);
    expect("core:4 pu:1", NULL, 3, "0;1;2-3", 4);
}

static void hardware_threads_are_no_cores(void **state)
{
    (void)state;
    expect("core:2 pu:2", NULL, 3, NULL, 2);
    expect("core:2 pu:2", NULL, 2, "0-1;2-3", 2);
}

/* One core has both of its threads, the other one: they count the same. */
static void a_mask_may_cut_through_cores(void **state)
{
    (void)state;
    expect("core:4 pu:2", "2-4", 2, "2-3;4", 2);
    expect("core:4 pu:2", "1,4", 2, "1;4", 2);
    expect("core:4 pu:2", "5", 1, "5", 1);
    expect("core:4 pu:2", "5", 2, NULL, 1);
}

static void sets_share_nothing(void **state)
{
    (void)state;
    hwloc_topology_t topology = machine("package:2 numa:2 l3:2 core:3 pu:2");
    for (int workers = 1; workers <= 24; workers++) {
        hwloc_bitmap_t seen = hwloc_bitmap_alloc(), one = hwloc_bitmap_alloc();
        char *text, *rest;
        int cores, count = 0, least = 48, most = 0;
        assert_int_equal(
            launch_cores_divide(topology, hwloc_topology_get_topology_cpuset(topology), workers, NULL, &text, &cores),
            BASE_OK);
        for (char *part = strtok_r(text, ";", &rest); part; part = strtok_r(NULL, ";", &rest), count++) {
            assert_int_equal(hwloc_bitmap_list_sscanf(one, part), 0);
            assert_false(hwloc_bitmap_intersects(one, seen));
            hwloc_bitmap_or(seen, seen, one);
            int size = hwloc_bitmap_weight(one);
            least = size < least ? size : least;
            most = size > most ? size : most;
        }
        assert_int_equal(count, workers);
        assert_true(hwloc_bitmap_isequal(seen, hwloc_topology_get_topology_cpuset(topology)));
        assert_true(least >= 2);
        assert_true(most <= least + (24 % workers ? 2 : 0)); /* a core has two */
        free(text);
        hwloc_bitmap_free(seen);
        hwloc_bitmap_free(one);
    }
    hwloc_topology_destroy(topology);
}

/* `near`: a list of processors for each of two workers. */
static void expect_near(const char *const near[2], const char *wanted)
{
    hwloc_topology_t topology = machine("numa:2(indexes=numa) core:2 pu:2(indexes=0,4,1,5,2,6,3,7)");
    hwloc_bitmap_t sets[2];
    char *text;
    int count;
    for (int i = 0; i < 2; i++) {
        sets[i] = hwloc_bitmap_alloc();
        hwloc_bitmap_list_sscanf(sets[i], near[i]);
    }
    assert_int_equal(
        launch_cores_divide(topology, hwloc_topology_get_topology_cpuset(topology), 2, sets, &text, &count), BASE_OK);
    assert_string_equal(text, wanted);
    free(text);
    for (int i = 0; i < 2; i++)
        hwloc_bitmap_free(sets[i]);
    hwloc_topology_destroy(topology);
}

static void each_is_near_its_gpu(void **state)
{
    (void)state;
    expect_near((const char *const[]){"0-1,4-5", "2-3,6-7"}, "0-1,4-5;2-3,6-7");
    expect_near((const char *const[]){"2-3,6-7", "0-1,4-5"}, "2-3,6-7;0-1,4-5");
    expect_near((const char *const[]){"6-7", "5"}, "2-3,6-7;0-1,4-5");
}

static void gpus_in_one_place_share_all_cores(void **state)
{
    (void)state;
    expect_near((const char *const[]){"2-3,6-7", "2-3,6-7"}, "0-1,4-5;2-3,6-7");
    expect_near((const char *const[]){"0-7", "0-7"}, "0-1,4-5;2-3,6-7");
}

static void an_unknown_place_changes_nothing(void **state)
{
    (void)state;
    expect_near((const char *const[]){"2-3", ""}, "0-1,4-5;2-3,6-7");
}

static void a_device_that_is_not_there_is_no_failure(void **state)
{
    (void)state;
    const char *const buses[] = {"ffff:00:00.0", "../no/bus"};
    char *text;
    int cores;
    assert_int_equal(launch_cores_plan(1, buses, 2, &text, &cores), BASE_OK);
    assert_non_null(text);
    free(text);
}

static void this_machine_has_one_for_one(void **state)
{
    (void)state;
    char *text;
    int cores;
    assert_int_equal(launch_cores_plan(1, NULL, 0, &text, &cores), BASE_OK);
    assert_true(cores >= 1);
    assert_non_null(text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_a_core),
        cmocka_unit_test(neighbours_stay_together),
        cmocka_unit_test(all_are_given_away),
        cmocka_unit_test(hardware_threads_are_no_cores),
        cmocka_unit_test(a_mask_may_cut_through_cores),
        cmocka_unit_test(sets_share_nothing),
        cmocka_unit_test(each_is_near_its_gpu),
        cmocka_unit_test(gpus_in_one_place_share_all_cores),
        cmocka_unit_test(an_unknown_place_changes_nothing),
        cmocka_unit_test(a_device_that_is_not_there_is_no_failure),
        cmocka_unit_test(this_machine_has_one_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
