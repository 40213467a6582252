/* The screen to the letter: tests/launcher/view/screens. `test_view_layout NAME` prints the screen of that case. */
#include "view_fixture.h"
#include "view_layout.h"

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

typedef struct screen_case {
    const char *name, *fixture;
    int width, height, ascii;
    view_screen screen;
} screen_case;

#define LIVE .keys = 1, .lost = "", .address = "ipc://@ddpt-fixture"

static const screen_case cases[] = {
    {"eight", "eight", 80, 24, 0, {LIVE}},
    {"eight-ascii", "eight", 80, 24, 1, {LIVE}},
    {"eight-small", "eight", 40, 10, 0, {LIVE}},
    {"eight-wide", "eight", 120, 40, 0, {LIVE}},
    {"eight-once", "eight", 80, 0, 0, {.lost = "", .address = ""}},
    {"solo", "solo", 80, 24, 0, {LIVE}},
    {"trouble", "trouble", 80, 24, 0, {LIVE}},
    {"trouble-slowest", "trouble", 80, 24, 0, {.ranks = {.slowest = 1}, LIVE}},
    {"many-scrolled", "many", 80, 24, 0, {.ranks = {.first = 100}, LIVE}},
    {"many-end", "many", 80, 24, 0, {.ranks = {.first = 1000000}, LIVE}},
    {"diverged", "diverged", 80, 24, 0, {LIVE}},
    {"done", "done", 80, 24, 0, {LIVE}},
    {"hostile", "hostile", 80, 24, 0, {LIVE}},
    {"waiting", "waiting", 80, 24, 0, {LIVE}},
    {"several-second", "several", 80, 24, 0, {.run = 1, LIVE}},
    {"none", "none", 80, 24, 0, {LIVE}},
    {"help", "eight", 80, 24, 0, {.help = 1, LIVE}},
    {"lost",
     "eight",
     80,
     24,
     0,
     {.keys = 1,
      .lost_s = 35.0,
      .lost = "no answer since 12:03:11: this is the last state; nobody listens there",
      .address = ""}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The caller frees it. */
static char *lay_out(const screen_case *c)
{
    coordinator_view view = {0};
    view_cells *cells = NULL;
    char *text = NULL;
    size_t nbytes;
    FILE *to = open_memstream(&text, &nbytes);
    if (to && view_fixture_fill(c->fixture, 0.0, &view) == BASE_OK &&
        view_cells_create(c->width, c->height ? c->height : view_layout_lines(&view.runs[0], c->width), !c->ascii,
                          &cells) == BASE_OK) {
        view_layout(&view, &c->screen, cells);
        view_cells_print(cells, to);
    }
    fclose(to);
    view_cells_destroy(&cells);
    coordinator_view_clear(&view);
    return text;
}

static char *read_screen(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.txt", DDPT_SCREENS, name);
    char *text = calloc(1, 1 << 16);
    FILE *from = fopen(path, "r");
    if (!text || !from)
        fail_msg("cannot open %s", path);
    size_t nbytes = fread(text, 1, (1 << 16) - 1, from);
    assert_true(nbytes > 0);
    fclose(from);
    return text;
}

static void screens(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        char *text = lay_out(&cases[i]), *expected = read_screen(cases[i].name);
        if (strcmp(text, expected) != 0)
            fail_msg("%s differs:\n%s\nexpected:\n%s", cases[i].name, text, expected);
        free(text);
        free(expected);
    }
}

/* From nothing to large, every fixture stays within its cells (the sanitizers look), and rows and keys have room. */
static void every_size(void **state)
{
    (void)state;
    static const char *const names[] = {"solo",    "eight",   "many",    "done",    "diverged", "failed",
                                        "trouble", "waiting", "hostile", "several", "none"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        coordinator_view view = {0};
        assert_int_equal(view_fixture_fill(names[n], 0.0, &view), BASE_OK);
        for (int width = 1; width < 130; width += width < 45 ? 1 : 7)
            for (int height = 1; height < 60; height += height < 30 ? 1 : 6) {
                view_cells *cells;
                view_screen screen = {.ranks = {.first = width, .slowest = height % 2}, LIVE};
                screen.run = view.run_count - 1 > 0 ? view.run_count - 1 : 0;
                assert_int_equal(view_cells_create(width, height, width % 2, &cells), BASE_OK);
                int visible = view_layout(&view, &screen, cells);
                assert_in_range(visible, 0, height);
                if (width >= VIEW_COLUMNS_MIN && height >= VIEW_LINES_MIN)
                    assert_int_not_equal(cells->cell[(height - 1) * width + 1].glyph, ' ');
                view_cells_destroy(&cells);
            }
        coordinator_view_clear(&view);
    }
}

/* Each rank's bar has the same length, since all steps end together, and the cells of a phase follow its share. */
static void bars_follow_the_phases(void **state)
{
    (void)state;
    coordinator_view view = {0};
    view_cells *cells;
    assert_int_equal(view_fixture_fill("eight", 0.0, &view), BASE_OK);
    assert_int_equal(view_cells_create(200, 40, 1, &cells), BASE_OK);
    view_layout(&view, &(view_screen){LIVE}, cells);
    const coordinator_run_view *run = &view.runs[0];
    for (int r = 0, found = 0; r < 8; r++, found = 0)
        for (int y = 0; y < 40 && !found; y++) {
            int count[BASE_PHASE_COUNT] = {0}, sum = 0;
            char number[8] = {(char)cells->cell[y * 200 + 6].glyph, '\0'};
            for (int x = 0; x < 200; x++)
                if (cells->cell[y * 200 + x].style >= VIEW_PHASES)
                    sum++, count[cells->cell[y * 200 + x].style - VIEW_PHASES]++;
            found = sum > 100 && atoi(number) == r;
            for (int p = 0; found && p < BASE_PHASE_COUNT; p++)
                assert_true(fabs(count[p] - sum * run->ranks[r].phases_ms[p] / 12.0) <= 1.0);
            assert_true(found || y < 39);
        }
    view_cells_destroy(&cells);
    coordinator_view_clear(&view);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(screens),
        cmocka_unit_test(every_size),
        cmocka_unit_test(bars_follow_the_phases),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return fputs("C.UTF-8 is not installed\n", stderr), 1;
    for (int i = 0; argc > 1 && i < CASES; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            return fputs(lay_out(&cases[i]), stdout) < 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
