#include "base_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void shapes_count_their_elements(void **state)
{
    (void)state;
    assert_int_equal(base_shape_count(base_shape_vector(512)), 512);
    assert_int_equal(base_shape_count(base_shape_image(3, 32, 28)), 3 * 32 * 28);
}

static void image_is_written_channels_first(void **state)
{
    (void)state;
    char text[64];
    base_shape s = base_shape_image(64, 24, 20);
    assert_int_equal(s.c, 64);
    assert_int_equal(s.h, 24);
    assert_int_equal(s.w, 20);
    assert_string_equal(base_shape_text(s, text), "64x24x20");
    assert_string_equal(base_shape_text(base_shape_vector(10), text), "10");
}

static void longest_shape_fits_its_text(void **state)
{
    (void)state;
    char text[64];
    base_shape_text(base_shape_image(INT64_MIN, INT64_MIN, INT64_MIN), text);
    assert_string_equal(text, "-9223372036854775808x-9223372036854775808x-9223372036854775808");
}

static void vector_differs_from_image_of_one_pixel(void **state)
{
    (void)state;
    assert_true(base_shape_equal(base_shape_vector(8), base_shape_vector(8)));
    assert_false(base_shape_equal(base_shape_vector(8), base_shape_vector(9)));
    assert_false(base_shape_equal(base_shape_vector(8), base_shape_image(8, 1, 1)));
    assert_false(base_shape_equal(base_shape_image(8, 2, 3), base_shape_image(8, 3, 2)));
}

static void slice_is_a_view_of_samples(void **state)
{
    (void)state;
    float data[5 * 6];
    base_tensor t = {.data = data, .batch = 5, .shape = base_shape_image(3, 1, 2)};
    base_tensor part = base_tensor_slice(&t, 2, 3);
    assert_int_equal(base_tensor_count(&t), 30);
    assert_ptr_equal(part.data, data + 12);
    assert_int_equal(part.batch, 3);
    assert_int_equal(base_tensor_count(&part), 18);
    assert_true(base_shape_equal(part.shape, t.shape));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_count_their_elements), cmocka_unit_test(image_is_written_channels_first),
        cmocka_unit_test(longest_shape_fits_its_text), cmocka_unit_test(vector_differs_from_image_of_one_pixel),
        cmocka_unit_test(slice_is_a_view_of_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
