#include "base_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const base_device_table *const table = &base_device_host;

static int setup(void **state)
{
    return table->open((base_device **)state, 0);
}

static int teardown(void **state)
{
    table->close((base_device **)state);
    return *state != NULL;
}

static void every_slot_is_filled(void **state)
{
    (void)state;
    assert_string_equal(table->name, "cpu");
    assert_true(table->open && table->close && table->info && table->memory_alloc && table->memory_free);
    assert_true(table->host_alloc && table->host_free && table->copy && table->zero);
    assert_true(table->stream_create && table->stream_destroy && table->stream_wait);
    assert_true(table->event_create && table->event_destroy && table->event_record && table->event_wait);
}

static void info_describes_the_machine(void **state)
{
    base_device_info info;
    table->info(*state, &info);
    assert_int_equal(info.kind, BASE_DEVICE_HOST);
    assert_int_equal(info.index, 0);
    assert_true(info.name[0] != '\0');
    assert_true(info.memory_bytes > (size_t)1 << 20);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = {1, 255, 256, 257, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *memory[2] = {NULL, NULL};
        assert_int_equal(table->memory_alloc(*state, sizes[i], &memory[0]), BASE_OK);
        assert_int_equal(table->host_alloc(*state, sizes[i], &memory[1]), BASE_OK);
        for (int m = 0; m < 2; m++) {
            assert_int_equal((uintptr_t)memory[m] % 256, 0);
            for (size_t b = 0; b < sizes[i]; b++)
                assert_int_equal(((unsigned char *)memory[m])[b], 0);
        }
        table->memory_free(*state, &memory[0]);
        table->host_free(*state, &memory[1]);
        assert_null(memory[0]);
        assert_null(memory[1]);
    }
}

static void empty_and_absurd_sizes(void **state)
{
    void *memory = NULL;
    assert_int_equal(table->memory_alloc(*state, 0, &memory), BASE_OK);
    assert_non_null(memory);
    table->memory_free(*state, &memory);
    assert_int_equal(table->memory_alloc(*state, SIZE_MAX, &memory), BASE_ERROR);
    assert_int_equal(table->memory_alloc(*state, SIZE_MAX - 300, &memory), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "out of memory"));
}

static void copy_and_zero_on_a_stream(void **state)
{
    char from[300], to[300];
    base_stream *stream = NULL;
    base_event *event = NULL;
    int done = 0;
    for (int i = 0; i < 300; i++)
        from[i] = (char)i;
    assert_int_equal(table->stream_create(*state, &stream), BASE_OK);
    assert_int_equal(table->event_create(*state, &event), BASE_OK);
    assert_non_null(stream);
    assert_non_null(event);
    assert_int_equal(table->copy(*state, stream, to, from, sizeof from), BASE_OK);
    assert_int_equal(table->event_record(*state, event, stream), BASE_OK);
    assert_int_equal(table->event_wait(*state, event, stream), BASE_OK);
    assert_int_equal(table->event_done(*state, event, &done), BASE_OK);
    assert_int_equal(done, 1);
    assert_int_equal(table->stream_wait(*state, stream), BASE_OK);
    assert_memory_equal(to, from, sizeof from);
    assert_int_equal(table->zero(*state, stream, to + 1, sizeof to - 2), BASE_OK);
    assert_int_equal(to[0], from[0]);
    assert_int_equal(to[1], 0);
    assert_int_equal(to[298], 0);
    assert_int_equal(to[299], from[299]);
    table->event_destroy(*state, &event);
    table->stream_destroy(*state, &stream);
    assert_null(stream);
    assert_null(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_is_filled),
        cmocka_unit_test_setup_teardown(info_describes_the_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_zeroed_and_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_and_absurd_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(copy_and_zero_on_a_stream, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
