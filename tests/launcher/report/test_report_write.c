/* report_write and what it writes: CSV, pictures, page; with gnuplot, without, and with one that fails. */
#include "report_write.h"

#include "report_csv.h"
#include "report_gnuplot.h"
#include "report_html.h"

#include "base_log.h"
#include "report_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int workers[] = {1, 2, 4, 8};
static const char *folder;
static char old_path[4096];
static scaling_sweep sweep;
static scaling_analysis analysis;
static scaling_options options;

static void make(scaling_mode mode, int count)
{
    const fixture from = {.mode = mode, .count = count, .workers = workers, .p = 0.95, .t1_s = 0.0123, .cores = 4};
    fixture_make(&from, &sweep, &analysis, &options);
}

static int setup(void **state)
{
    (void)state;
    folder = fixture_folder_make();
    snprintf(old_path, sizeof old_path, "%s", getenv("PATH") ? getenv("PATH") : "");
    return folder ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    setenv("PATH", old_path, 1);
    scaling_sweep_clear(&sweep);
    free(analysis.points);
    analysis = (scaling_analysis){0};
    fixture_folder_remove();
    return 0;
}

static void assert_has(const char *text, const char *wanted)
{
    if (!text || !strstr(text, wanted))
        fail_msg("\"%s\" is not in %.100s...", wanted, text ? text : "(no file)");
}

static void assert_lacks(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted))
        fail_msg("\"%s\" is in %.100s...", unwanted, text);
}

static void assert_file(const char *name, int is_there)
{
    char *text = fixture_read(name);
    if ((text != NULL) != is_there)
        fail_msg("%s is %s", name, is_there ? "not there" : "there");
    free(text);
}

/* A gnuplot of our own, the only one on PATH. */
static void pretend_gnuplot(const char *script)
{
    char path[128];
    fixture_write("gnuplot", script);
    snprintf(path, sizeof path, "%s/gnuplot", folder);
    assert_int_equal(chmod(path, 0755), 0);
    setenv("PATH", folder, 1);
}

static base_status write_report(void)
{
    return report_write(folder, &sweep, &options, &analysis);
}

/* ---- CSV ---- */

static int fields_of(const char *line)
{
    int count = 1;
    for (; *line && *line != '\n'; line++)
        count += *line == ',';
    return count;
}

/* Field `name` of line `number` (0: the first below the header), in a static buffer. */
static const char *field(const char *csv, int number, const char *name)
{
    static char value[64];
    const char *line = csv;
    int column = 0;
    for (const char *at = csv; strncmp(at, name, strlen(name)) != 0 || !strchr(",\n", at[strlen(name)]);) {
        at += strcspn(at, ",\n");
        assert_true(*at == ',');
        at++;
        column++;
    }
    for (int i = 0; i <= number; i++)
        line = strchr(line, '\n') + 1;
    for (int i = 0; i < column; i++)
        line = strchr(line, ',') + 1;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(line, ",\n"), line);
    return value;
}

static void csv_has_a_line_a_point(void **state)
{
    (void)state;
    char csv[8192];
    make(SCALING_STRONG, 4);
    analysis.points[1].speedup.low = (double)NAN;
    analysis.points[1].slowest = -1;
    FILE *to = fmemopen(csv, sizeof csv, "w");
    report_csv_print(to, &sweep, &analysis);
    fclose(to);
    int lines = 0;
    for (const char *line = csv; *line; line = strchr(line, '\n') + 1, lines++)
        assert_int_equal(fields_of(line), fields_of(csv));
    assert_int_equal(lines, 5);
    assert_string_equal(field(csv, 0, "mode"), "strong");
    assert_string_equal(field(csv, 3, "workers"), "8");
    assert_string_equal(field(csv, 3, "trials"), "3");
    assert_string_equal(field(csv, 3, "steps"), "60");
    assert_string_equal(field(csv, 3, "threads"), "1");
    assert_string_equal(field(csv, 3, "cores"), "4");
    assert_string_equal(field(csv, 0, "step_ms"), "12.3");
    assert_string_equal(field(csv, 0, "karp_flatt"), "");
    assert_string_equal(field(csv, 1, "karp_flatt"), "0.05");
    assert_string_equal(field(csv, 1, "speedup_low"), "");
    assert_string_equal(field(csv, 1, "slowest_rank"), "");
    assert_string_equal(field(csv, 0, "forward_ms"), "4.305"); /* 0.35 * 12.3 */
    assert_string_equal(field(csv, 2, "fitted"), "1");
    assert_string_equal(field(csv, 3, "fitted"), "0");
    assert_string_equal(field(csv, 3, "shares_cores"), "1");
}

/* ---- the page ---- */

/* With pictures as small as can be. */
static char *page_of(const char *no_pictures)
{
    char *text = NULL;
    size_t nbytes;
    report_html_parts parts = {
        {"<?xml?>\n<svg id='a'><use href='#a'/></svg>", "<svg id=\"a\"><g fill='url(#a)'/></svg>", "<svg></svg>"},
        "",
        "workers,step_ms\n1,<2>\n"};
    snprintf(parts.no_pictures, sizeof parts.no_pictures, "%s", no_pictures);
    FILE *to = open_memstream(&text, &nbytes);
    assert_int_equal(report_html_print(to, &sweep, &analysis, &parts), BASE_OK);
    fclose(to);
    return text;
}

static void page_says_what_there_is_to_say(void **state)
{
    (void)state;
    make(SCALING_STRONG, 4);
    char *page = page_of("");
    assert_int_equal(strncmp(page, "<!DOCTYPE html>\n", 16), 0);
    assert_has(page, "<title>Scaling of mnist</title>");
    assert_has(page, "On 4 workers a step is 3.5 times as fast as on one, 87 % of the ideal.");
    assert_has(page, "<td>8*</td>");
    assert_has(page, "rank 2 is 40 % slower in forward");
    assert_has(page, "<h3>exposed all-reduce: 3.5 %</h3>");
    assert_has(page, "train.sync = &quot;sharded&quot;");
    assert_has(page, "Got shorter by more than in proportion, which counts against the others: backward (-0.50 %)");
    assert_has(page, "<b>95.0 %</b> (94.5 to 95.5 %) of a step run in parallel");
    assert_has(page, "AMD EPYC");
    assert_has(page, "Karp, Flatt 1990");
    assert_has(page, "1,&lt;2&gt;\n</pre>");
    assert_has(page, "Worth it up to 4 workers");
    assert_lacks(page, "nan");
    assert_lacks(page, "Gustafson");
    free(page);
}

static void page_is_of_weak_scaling_too(void **state)
{
    (void)state;
    make(SCALING_WEAK, 4);
    char *page = page_of("");
    assert_has(page, "4 workers process 3.8 times as many samples a second as one");
    assert_has(page, "<dt>Gustafson's law</dt>");
    assert_lacks(page, "Amdahl's law, parallel");
    free(page);
}

static void page_gives_reasons_for_what_is_not_known(void **state)
{
    (void)state;
    make(SCALING_STRONG, 2);
    fixture_refuse(&analysis);
    analysis.points[1].karp_flatt = (double)NAN;
    char *page = page_of("gnuplot <is> not here");
    assert_has(page, "<dt>Amdahl's law</dt><dd>No figure: the noise is &lt;larger&gt; than the effect.</dd>");
    assert_has(page, "The causes cannot be told apart: the noise is &lt;larger&gt; than the effect.");
    assert_has(page, "More than was measured cannot be predicted");
    assert_has(page, "This report was made without pictures: gnuplot &lt;is&gt; not here.");
    assert_lacks(page, "<svg");
    assert_lacks(page, "<larger>");
    assert_lacks(page, "nan");
    free(page);
}

static void page_escapes_what_users_wrote(void **state)
{
    (void)state;
    make(SCALING_STRONG, 2);
    snprintf(sweep.name, sizeof sweep.name, "<script>alert('1')</script>&\"\xff\x01\xc3\xa9");
    json_object_set_new(sweep.environment, "<b>key", json_pack("[sss]", "</dd><script>", "a&b", "c"));
    json_object_set_new(sweep.environment, "warnings", json_pack("[s]", "<img src=x>"));
    json_object_set_new(sweep.config, "path", json_string("</pre><script>"));
    char *page = page_of("");
    assert_lacks(page, "<script");
    assert_lacks(page, "<img");
    assert_lacks(page, "<b>key");
    assert_has(page, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;??\xc3\xa9</title>");
    assert_has(page, "<dt>&lt;b&gt;key</dt><dd>&lt;/dd&gt;&lt;script&gt;, a&amp;b, c</dd>");
    assert_has(page, "<li>&lt;img src=x&gt;</li>");
    free(page);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc0\xaf", "??"},                /* overlong */
        {"\xe0\x80\xaf", "???"},           /* overlong */
        {"\xed\xa0\x80", "???"},           /* half of a surrogate pair */
        {"\xf4\x90\x80\x80", "????"},      /* beyond the last character */
        {"\xe2\x82", "??"},                /* cut off */
        {"\x80\x7f\x1b\x85", "????"},      /* stray, controls */
        {"\xc2\x85\xef\xbf\xbf", "?????"}, /* a control, no character */
        {"a\tb\n", "a\tb\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        FILE *to = fmemopen(text, sizeof text, "w");
        report_html_escape(to, cases[i].bytes);
        fclose(to);
        assert_string_equal(text, cases[i].text);
    }
}

/* Two pictures may use the same id. */
static void ids_of_pictures_are_their_own(void **state)
{
    (void)state;
    make(SCALING_STRONG, 2);
    char *page = page_of("");
    assert_has(page, "<svg role=\"img\" id='speedup-a'><use href='#speedup-a'/></svg>");
    assert_has(page, "<svg role=\"img\" id=\"efficiency-a\"><g fill='url(#efficiency-a)'/></svg>");
    assert_lacks(page, "<?xml");
    free(page);
}

/* ---- files ---- */

static int has_gnuplot(void)
{
    char *svg = NULL;
    int found = report_gnuplot_run("set terminal svg\nplot x\n", &svg) == BASE_OK;
    free(svg);
    base_status_clear();
    return found;
}

static void writes_all_files(void **state)
{
    (void)state;
    if (!has_gnuplot()) {
        print_message("skipped: there is no gnuplot\n");
        skip();
    }
    static const char *const pictures[] = {"speedup.svg", "efficiency.svg", "phases.svg"};
    for (int mode = SCALING_STRONG; mode <= SCALING_WEAK; mode++) {
        for (int count = 1; count <= 4; count += 3) {
            make((scaling_mode)mode, count);
            if (count == 1)
                fixture_refuse(&analysis);
            assert_int_equal(write_report(), BASE_OK);
            char *page = fixture_read("report.html");
            assert_has(page, "<title>speedup</title>");
            assert_has(page, "<title>phases</title>");
            assert_has(page, "</html>\n");
            free(page);
            for (int i = 0; i < 3; i++) {
                char *svg = fixture_read(pictures[i]);
                assert_has(svg, "<svg");
                assert_has(svg, "</svg>");
                assert_has(svg, "workers");
                assert_lacks(svg, "nan");
                free(svg);
            }
            assert_file("scaling.json", 1);
            assert_file("scaling.csv", 1);
            assert_file("report.html.partial", 0);
            scaling_sweep_clear(&sweep);
            free(analysis.points);
            analysis.points = NULL;
        }
    }
}

static void writes_all_but_pictures_without_gnuplot(void **state)
{
    (void)state;
    make(SCALING_STRONG, 4);
    fixture_write("phases.svg", "of an older report");
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(write_report(), BASE_OK);
    assert_file("scaling.json", 1);
    assert_file("scaling.csv", 1);
    assert_file("phases.svg", 0);
    char *page = fixture_read("report.html");
    assert_has(page, "This report was made without pictures: gnuplot is not installed, or not on PATH");
    assert_lacks(page, "<svg");
    free(page);
}

static void says_what_a_failed_gnuplot_said(void **state)
{
    (void)state;
    static const struct {
        const char *script, *says;
    } cases[] = {
        {"#!/bin/sh\necho 'line 3: unknown or ambiguous terminal' >&2\necho '  ^' >&2\nexit 3\n",
         "gnuplot failed: line 3: unknown or ambiguous terminal."},
        {"#!/bin/sh\nexit 1\n", "gnuplot failed, and said nothing."},
        {"#!/bin/sh\nkill -9 $$\n", "gnuplot failed, and said nothing."},
        {"#!/bin/sh\necho '<svg> that is cut'\n", "gnuplot drew no SVG image, and said nothing."},
        {"#!/nonexistent/interpreter\n", "gnuplot"},
    };
    make(SCALING_STRONG, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pretend_gnuplot(cases[i].script);
        assert_int_equal(write_report(), BASE_OK);
        char *page = fixture_read("report.html");
        assert_has(page, "This report was made without pictures: ");
        assert_has(page, cases[i].says);
        free(page);
        assert_file("speedup.svg", 0);
    }
}

/* More than a pipe holds, both ways. */
static void gnuplot_may_read_and_write_much(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    char *script = calloc(1, size + 1), *svg = NULL;
    memset(script, '#', size);
    pretend_gnuplot(
        "#!/bin/sh\necho '<svg>'\nwhile read -r line; do echo \"$line\"; done\necho \"$line\"\necho '</svg>'\n");
    assert_int_equal(report_gnuplot_run(script, &svg), BASE_OK);
    assert_true(strlen(svg) > size);
    free(svg);
    free(script);
}

/* Only words and numbers of our own go into a script: what users wrote cannot run there. */
static void scripts_hold_nothing_that_users_wrote(void **state)
{
    (void)state;
    make(SCALING_STRONG, 4);
    snprintf(sweep.name, sizeof sweep.name, "hostile`touch /tmp/x`");
    json_object_set_new(sweep.environment, "cpu", json_string("hostile"));
    snprintf(analysis.usl.law.reason, sizeof analysis.usl.law.reason, "hostile");
    for (int plot = 0; plot < REPORT_PLOT_COUNT; plot++) {
        char script[32768];
        FILE *to = fmemopen(script, sizeof script, "w");
        report_plot_script(to, (report_plot)plot, &sweep, &analysis);
        fclose(to);
        assert_lacks(script, "hostile");
        assert_lacks(script, "`");
        assert_lacks(script, "inf");
    }
}

/* As with a disk that is full: the rest is there, and nothing of another report. */
static void does_without_pictures_that_cannot_be_written(void **state)
{
    (void)state;
    char path[128];
    make(SCALING_STRONG, 2);
    pretend_gnuplot("#!/bin/sh\necho '<svg>new</svg>'\n");
    fixture_write("phases.svg", "of an older report");
    snprintf(path, sizeof path, "%s/phases.svg.partial", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/speedup.svg", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(write_report(), BASE_OK);
    char *page = fixture_read("report.html");
    assert_has(page, "new</svg>");
    free(page);
    assert_file("phases.svg", 0);
    assert_file("efficiency.svg", 1);
}

/* No T(1), no speedup: gnuplot gets no point, and no axis without end. */
static void pictures_without_speedups_have_axes(void **state)
{
    static const int far[] = {40, 41, 2000};
    const fixture from = {.mode = SCALING_STRONG, .count = 3, .workers = far, .p = 0.95, .t1_s = 0.0123};
    const double nan = (double)NAN;
    (void)state;
    fixture_make(&from, &sweep, &analysis, &options);
    fixture_refuse(&analysis);
    for (int i = 0; i < 3; i++)
        analysis.points[i].speedup = analysis.points[i].efficiency = (scaling_value){nan, nan, nan};
    for (int plot = 0; plot < REPORT_PLOT_COUNT; plot++) {
        char script[32768];
        FILE *to = fmemopen(script, sizeof script, "w");
        report_plot_script(to, (report_plot)plot, &sweep, &analysis);
        fclose(to);
        assert_lacks(script, "nan");
        assert_lacks(script, "inf");
    }
}

static void long_words_stay_on_the_page(void **state)
{
    (void)state;
    const char *body = strstr(report_html_style, "body{");
    assert_non_null(body);
    const char *wrap = strstr(body, "overflow-wrap:anywhere");
    assert_true(wrap && wrap < strchr(body, '}'));
}

static void names_a_file_that_cannot_be_written(void **state)
{
    (void)state;
    char path[128];
    make(SCALING_STRONG, 2);
    fixture_write("file", "");
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(report_write(path, &sweep, &options, &analysis), BASE_ERROR);
    assert_has(base_status_message(), path);
    snprintf(path, sizeof path, "%s/scaling.csv", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(write_report(), BASE_ERROR);
    assert_has(base_status_message(), path);
    assert_file("report.html", 0);
}

int main(void)
{
    base_log_set_level(BASE_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(csv_has_a_line_a_point, setup, teardown),
        cmocka_unit_test_setup_teardown(page_says_what_there_is_to_say, setup, teardown),
        cmocka_unit_test_setup_teardown(page_is_of_weak_scaling_too, setup, teardown),
        cmocka_unit_test_setup_teardown(page_gives_reasons_for_what_is_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(page_escapes_what_users_wrote, setup, teardown),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test_setup_teardown(ids_of_pictures_are_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_all_files, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_all_but_pictures_without_gnuplot, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_a_failed_gnuplot_said, setup, teardown),
        cmocka_unit_test_setup_teardown(gnuplot_may_read_and_write_much, setup, teardown),
        cmocka_unit_test_setup_teardown(scripts_hold_nothing_that_users_wrote, setup, teardown),
        cmocka_unit_test_setup_teardown(does_without_pictures_that_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(pictures_without_speedups_have_axes, setup, teardown),
        cmocka_unit_test_setup_teardown(long_words_stay_on_the_page, setup, teardown),
        cmocka_unit_test_setup_teardown(names_a_file_that_cannot_be_written, setup, teardown),
    };
    return cmocka_run_group_tests_name("report_write", tests, NULL, NULL);
}
