#include "view_cells.h"
#include "view_curve.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static view_cells *cells;

static void open_cells(int width, int height, int unicode)
{
    assert_int_equal(view_cells_create(width, height, unicode, &cells), BASE_OK);
}

static int teardown(void **state)
{
    (void)state;
    view_cells_destroy(&cells);
    return 0;
}

static void assert_shows(const char *expected)
{
    char *text;
    size_t nbytes;
    FILE *to = open_memstream(&text, &nbytes);
    assert_non_null(to);
    assert_int_equal(view_cells_print(cells, to), BASE_OK);
    fclose(to);
    assert_string_equal(text, expected);
    free(text);
}

static void text_is_clipped(void **state)
{
    (void)state;
    open_cells(8, 2, 1);
    assert_int_equal(view_cells_put(cells, 1, 0, 7, VIEW_PLAIN, "1234567"), 7);
    assert_int_equal(view_cells_put(cells, 3, 1, 20, VIEW_PLAIN, "123456"), 5);
    assert_shows(" 1234567\n   1234\xE2\x80\xA6\n");
}

static void nothing_is_written_outside(void **state)
{
    (void)state;
    open_cells(4, 2, 1);
    view_cells_set(cells, -1, 0, VIEW_PLAIN, 'x');
    view_cells_set(cells, 4, 0, VIEW_PLAIN, 'x');
    view_cells_set(cells, 0, 2, VIEW_PLAIN, 'x');
    view_cells_put(cells, 0, -1, 4, VIEW_PLAIN, "x");
    view_cells_put(cells, 9, 0, 4, VIEW_PLAIN, "x");
    assert_int_equal(view_cells_put(cells, 2, 0, -3, VIEW_PLAIN, "x"), 0);
    view_cells_put_right(cells, 1, 1, 4, VIEW_PLAIN, "abc");
    assert_shows("\nc\n");
}

static void wide_characters_take_two(void **state)
{
    (void)state;
    open_cells(6, 2, 1);
    assert_int_equal(view_cells_put(cells, 0, 0, 6, VIEW_PLAIN, "\xE6\x97\xA5\xE6\x9C\xAC!"), 5);
    assert_int_equal(cells->cell[1].glyph, 0);
    /* Three of them do not fit in 5: one, the ellipsis, and nothing of a half. */
    assert_int_equal(view_cells_put(cells, 0, 1, 5, VIEW_PLAIN, "\xE6\x97\xA5\xE6\x97\xA5\xE6\x97\xA5"), 5);
    assert_shows("\xE6\x97\xA5\xE6\x9C\xAC!\n\xE6\x97\xA5\xE6\x97\xA5\xE2\x80\xA6\n");
}

/* No control character of either set gets through, whatever a run is called, and no direction of writing is turned. */
static void terminals_are_safe(void **state)
{
    (void)state;
    open_cells(40, 1, 1);
    view_cells_put(cells, 0, 0, 40, VIEW_PLAIN,
                   "a\x1b[2J\x07\r\n\x7f\xC2\x9B"
                   "b\xE2\x80\xAE"
                   "c\xFF");
    for (int i = 0; i < 40; i++)
        assert_true(cells->cell[i].glyph >= ' ' && cells->cell[i].glyph < 0x7F);
    assert_shows("a?[2J?????bc?\n");
}

static void ascii_alone(void **state)
{
    (void)state;
    open_cells(12, 1, 0);
    view_cells_put(cells, 0, 0, 8, VIEW_PLAIN, "\xC3\xA9\xE6\x97\xA5 \xE2\x86\x91 toolong");
    view_cells_set(cells, 9, 0, VIEW_PLAIN, 0x2588);
    view_cells_set(cells, 10, 0, VIEW_PLAIN, 0x2591);
    assert_shows("?? ^ to. #.\n");
}

static void wraps_between_words(void **state)
{
    (void)state;
    open_cells(12, 4, 1);
    static const char text[] = "one two three four five";
    assert_int_equal(view_cells_wrap(NULL, 0, 0, 12, 9, VIEW_PLAIN, text), 3);
    assert_int_equal(view_cells_wrap(cells, 0, 0, 12, 9, VIEW_PLAIN, text), 3);
    assert_shows("one two\n  three four\n  five\n\n");
    view_cells_clear(cells);
    assert_int_equal(view_cells_wrap(cells, 0, 0, 12, 2, VIEW_PLAIN, text), 2);
    assert_shows("one two\n  three fou\xE2\x80\xA6\n\n\n");
    view_cells_clear(cells);
    assert_int_equal(view_cells_wrap(cells, 0, 0, 12, 9, VIEW_PLAIN, "longerthantwelve x"), 2);
    assert_shows("longerthantw\n  elve x\n\n\n");
}

/* ---- the curve ---- */

static void falling_line(void **state)
{
    (void)state;
    static const coordinator_loss points[] = {{1, 4.0}, {5, 2.0}, {9, 1.0}};
    view_curve_range range = view_curve_get_range(points, 3);
    assert_int_equal(range.points, 3);
    assert_int_equal(range.first_step, 1);
    assert_int_equal(range.last_step, 9);
    assert_false(range.logarithmic);
    open_cells(18, 3, 0);
    view_curve_draw(cells, 0, 0, 18, 3, points, 3);
    assert_shows("  4.0000 |'.\n"
                 "         |  ':.\n"
                 "  1.0000 |    '':.\n");
}

static void gaps_and_nothing(void **state)
{
    (void)state;
    static const coordinator_loss none[] = {{1, NAN}, {2, INFINITY}};
    static const coordinator_loss gap[] = {{0, 1.0}, {1, 1.0}, {2, NAN}, {3, 1.0}, {4, 1.0}};
    assert_int_equal(view_curve_get_range(none, 2).points, 0);
    assert_int_equal(view_curve_get_range(NULL, 0).points, 0);
    open_cells(20, 1, 0);
    view_curve_draw(cells, 0, 0, 20, 1, none, 2);
    assert_shows("\n");
    view_curve_draw(cells, 0, 0, 20, 1, gap, 5);
    assert_shows("  1.0000 |'''    '''\n");
}

static void far_apart_is_logarithmic(void **state)
{
    (void)state;
    static const coordinator_loss points[] = {{0, 100.0}, {1, 10.0}, {2, 1.0}}, negative[] = {{0, 100.0}, {1, -1.0}};
    assert_true(view_curve_get_range(points, 3).logarithmic);
    assert_false(view_curve_get_range(negative, 2).logarithmic);
    open_cells(15, 5, 1);
    view_curve_draw(cells, 0, 0, 15, 5, points, 3);
    /* The middle is half-way. */
    assert_int_not_equal(cells->cell[2 * 15 + 12].glyph, ' ');
}

static void huge_values_do_no_harm(void **state)
{
    (void)state;
    static const coordinator_loss points[] = {{INT64_MIN / 4, 1e308}, {0, -1e308}, {INT64_MAX / 4, 5e-324}};
    open_cells(30, 4, 1);
    view_curve_draw(cells, 0, 0, 30, 4, points, 3);
    view_curve_draw(cells, 0, 0, 5, 4, points, 3);
    view_curve_draw(cells, 25, 2, 30, 4, points, 3);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_clipped),
        TEST(nothing_is_written_outside),
        TEST(wide_characters_take_two),
        TEST(terminals_are_safe),
        TEST(ascii_alone),
        TEST(wraps_between_words),
        TEST(falling_line),
        TEST(gaps_and_nothing),
        TEST(far_apart_is_logarithmic),
        TEST(huge_values_do_no_harm),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return fputs("C.UTF-8 is not installed\n", stderr), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
