#include "base_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    return base_arena_create((base_arena **)state, "test");
}

static int teardown(void **state)
{
    base_arena_destroy((base_arena **)state);
    return *state != NULL;
}

static void memory_is_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = {1, 63, 64, 65, 1000, 65536, 65537, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = base_arena_alloc(*state, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(p[b], 0);
        memset(p, 0xff, sizes[i]);
    }
}

/* Small and large requests mixed, each filled with its own byte: none reaches into another. */
static void requests_do_not_overlap(void **state)
{
    enum { COUNT = 300 };
    unsigned char *at[COUNT];
    size_t size[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size[i] = i % 10 == 9 ? 70000 + i : 1 + i * 13 % 900;
        at[i] = base_arena_alloc(*state, size[i]);
        assert_non_null(at[i]);
        memset(at[i], (int)(i % 251), size[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t b = 0; b < size[i]; b++)
            assert_int_equal(at[i][b], i % 251);
}

static void empty_requests_are_distinct(void **state)
{
    void *a = base_arena_alloc(*state, 0), *b = base_arena_alloc(*state, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
}

static void overflow_fails_with_a_name(void **state)
{
    assert_null(base_arena_array(*state, SIZE_MAX / 4, 8));
    assert_non_null(strstr(base_status_message(), "test arena"));
    assert_null(base_arena_alloc(*state, SIZE_MAX - 10));
    assert_null(base_arena_alloc(*state, SIZE_MAX / 2));
    assert_non_null(base_arena_array(*state, 10, 8)); /* still usable */
}

static void text_is_copied(void **state)
{
    char text[] = "abc";
    char *copy = base_arena_string(*state, text);
    text[0] = 'x';
    assert_string_equal(copy, "abc");
    assert_null(base_arena_string(*state, NULL));
    assert_string_equal(base_arena_format(*state, "%s/%d", "dense1", 42), "dense1/42");
    assert_string_equal(base_arena_format(*state, "%s", ""), "");
}

static void requests_and_bytes_are_counted(void **state)
{
    uint64_t count = base_arena_count();
    size_t before = base_arena_bytes();
    base_arena *other;
    assert_int_equal(base_arena_create(&other, "other"), BASE_OK);
    base_arena_alloc(other, 1 << 20);
    base_arena_alloc(*state, 8);
    assert_int_equal(base_arena_count(), count + 2);
    assert_true(base_arena_bytes() >= before + (1 << 20));
    size_t own = base_arena_bytes();
    base_arena_destroy(&other);
    assert_null(other);
    assert_true(base_arena_bytes() <= own - (1 << 20));
}

static void destroy_accepts_nothing(void **state)
{
    (void)state;
    base_arena *none = NULL;
    base_arena_destroy(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_is_zeroed_and_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_do_not_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_requests_are_distinct, setup, teardown),
        cmocka_unit_test_setup_teardown(overflow_fails_with_a_name, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_and_bytes_are_counted, setup, teardown),
        cmocka_unit_test(destroy_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
