/* Which GPU each rank has: every rank is told, equal hosts in one entry. */
#include "run_environment_gpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS_MOST = 4096 };

static run_environment_gpu all[RANKS_MOST];

static void set(int rank, int host, int gpu, const char *name)
{
    memset(&all[rank], 0, sizeof all[rank]);
    snprintf(all[rank].host, sizeof all[rank].host, "n%d", host);
    snprintf(all[rank].bus, sizeof all[rank].bus, "0000:%02x:00.0", (unsigned)gpu);
    snprintf(all[rank].name, sizeof all[rank].name, "%s", name);
}

static const char *text_of(json_t *entry, const char *key, size_t index)
{
    return json_string_value(json_array_get(json_object_get(entry, key), index));
}

/* Reads it back as its header says; returns the entries. */
static size_t told(int size)
{
    json_t *json = run_environment_gpus_json(all, size);
    size_t entries = json_array_size(json);
    int rank = 0;
    for (size_t e = 0; e < entries; e++) {
        json_t *entry = json_array_get(json, e), *ranks = json_object_get(entry, "ranks");
        size_t share = json_array_size(json_object_get(entry, "bus"));
        assert_int_equal(json_integer_value(json_array_get(ranks, 0)), rank);
        int last = (int)json_integer_value(json_array_get(ranks, 1));
        for (size_t i = 0; rank <= last; i++, rank++) {
            assert_string_equal(text_of(entry, "hosts", i / share), all[rank].host);
            assert_string_equal(text_of(entry, "bus", i % share), all[rank].bus);
            assert_string_equal(json_string_value(json_object_get(entry, "name")), all[rank].name);
        }
    }
    assert_int_equal(rank, size);
    json_decref(json);
    return entries;
}

static void one_rank(void **state)
{
    (void)state;
    set(0, 0, 3, "A");
    assert_int_equal(told(1), 1);
}

static void equal_hosts_are_one_entry(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS_MOST; r++)
        set(r, r / 8, r % 8, "A");
    assert_int_equal(told(RANKS_MOST), 1);
    for (int r = 0; r < RANKS_MOST; r++) /* rank after rank to another host */
        set(r, r % 512, r / 512, "A");
    assert_int_equal(told(RANKS_MOST), 8);
}

static void what_differs_is_told_apart(void **state)
{
    (void)state;
    for (int r = 0; r < 16; r++)
        set(r, r / 4, r % 4, r == 6 ? "B" : "A");
    assert_int_equal(told(16), 5); /* 0-3, 4-5, 6, 7, 8-15 */
    assert_int_equal(told(14), 6); /* 8-11, 12-13 */
}

static void any_placement_is_told(void **state)
{
    (void)state;
    srand(5);
    for (int repeat = 0; repeat < 200; repeat++) {
        int size = 1 + rand() % 40;
        for (int r = 0; r < size; r++)
            set(r, r / (1 + rand() % 4), rand() % 2, rand() % 5 ? "A" : "B");
        told(size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rank),
        cmocka_unit_test(equal_hosts_are_one_entry),
        cmocka_unit_test(what_differs_is_told_apart),
        cmocka_unit_test(any_placement_is_told),
    };
    return cmocka_run_group_tests_name("run_environment", tests, NULL, NULL);
}
