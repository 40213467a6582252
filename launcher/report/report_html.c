#include "report_html.h"

#include "report_words.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

/* Bytes of the UTF-8 character at `text`, 0 if there is none that HTML allows. */
static size_t character(const unsigned char *text)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*text < 0x80)
        return (*text >= ' ' && *text != 0x7f) || *text == '\n' || *text == '\t';
    size_t n = *text >= 0xf0 ? 4 : *text >= 0xe0 ? 3 : 2;
    unsigned code = *text & (0x7fu >> n);
    if (*text < 0xc2 || *text > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    int is_allowed = code >= least[n] && code <= 0x10ffff && code >= 0xa0 && (code < 0xd800 || code > 0xdfff);
    return is_allowed && (code & 0xfffe) != 0xfffe ? n : 0;
}

void report_html_escape(FILE *to, const char *text)
{
    while (*text) {
        size_t n = character((const unsigned char *)text);
        switch (*text) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '"': fputs("&quot;", to); break;
        case '\'': fputs("&#39;", to); break;
        default: n ? fwrite(text, 1, n, to) : (size_t)fputc('?', to);
        }
        text += n ? n : 1;
    }
}

void report_html_printf(FILE *to, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0) {
        report_html_escape(to, text);
        free(text);
    }
    va_end(args);
}

/* What report_words_verdict or report_words_causes say. */
static void put_words(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis,
                      void (*say)(FILE *, const scaling_sweep *, const scaling_analysis *))
{
    char *text = NULL;
    size_t nbytes;
    FILE *words = open_memstream(&text, &nbytes);
    if (words)
        say(words, sweep, analysis);
    if (words && fclose(words) == 0)
        report_html_escape(to, text);
    free(text);
}

static void put_rank(FILE *to, const scaling_cause *cause)
{
    char text[256];
    FILE *words = fmemopen(text, sizeof text, "w");
    if (!words)
        return;
    report_words_rank(words, cause);
    fclose(words);
    report_html_escape(to, text);
}

/* ---- the verdict ---- */

static void put_tile(FILE *to, const char *figure, const char *what, const char *note)
{
    fputs("<div class=\"tile\"><strong>", to);
    report_html_escape(to, figure);
    fputs("</strong><span>", to);
    report_html_escape(to, what);
    fputs("</span>", to);
    if (*note) {
        fputs("<small>", to);
        report_html_escape(to, note);
        fputs("</small>", to);
    }
    fputs("</div>\n", to);
}

static void put_headline_tiles(FILE *to, const scaling_sweep *sweep, const scaling_point *p)
{
    char figure[REPORT_WORDS_BYTES], note[REPORT_WORDS_BYTES], what[2 * REPORT_WORDS_BYTES];
    report_words_number(p->speedup.value, REPORT_NUMBER, figure);
    snprintf(figure + strlen(figure), sizeof figure - strlen(figure), "\xc3\x97"); /* a multiplication sign */
    snprintf(what, sizeof what, "%s on %d worker%s", sweep->mode == SCALING_WEAK ? "rate" : "speed", p->workers,
             p->workers == 1 ? "" : "s");
    put_tile(to, figure, what, report_words_interval(p->speedup, REPORT_NUMBER, note));
    put_tile(to, report_words_number(p->efficiency.value, REPORT_PERCENT, figure), "of the ideal (efficiency)",
             report_words_interval(p->efficiency, REPORT_PERCENT, note));
}

static void put_tiles(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    char figure[REPORT_WORDS_BYTES], note[2 * REPORT_WORDS_BYTES], target[REPORT_WORDS_BYTES],
        interval[REPORT_WORDS_BYTES];
    const scaling_point *headline = report_words_headline(a);
    fputs("<div class=\"tiles\">\n", to);
    if (report_words_compares(a))
        put_headline_tiles(to, sweep, headline);
    if (sweep->mode == SCALING_STRONG && a->amdahl.law.ok) {
        scaling_value p = a->amdahl.parallel_fraction, serial = {1.0 - p.value, 1.0 - p.high, 1.0 - p.low};
        put_tile(to, report_words_number(serial.value, REPORT_PERCENT, figure), "does not run in parallel (1-p)",
                 report_words_interval(serial, REPORT_PERCENT, note));
    }
    if (sweep->mode == SCALING_WEAK && a->gustafson.law.ok)
        put_tile(to, report_words_number(a->gustafson.serial_fraction.value, REPORT_PERCENT, figure),
                 "does not run in parallel (s)",
                 report_words_interval(a->gustafson.serial_fraction, REPORT_PERCENT, note));
    if (a->worth_law.ok) {
        snprintf(figure, sizeof figure, "%d%s", a->worth_workers, a->worth_beyond ? "+" : "");
        report_words_worth(a, interval);
        snprintf(note, sizeof note, "%.40s%sfor an efficiency of %.12s", interval, *interval ? ", " : "",
                 report_words_number(a->target_efficiency, REPORT_PERCENT, target));
        put_tile(to, figure, a->worth_workers == 1 ? "worker is worth it" : "workers are worth it", note);
    }
    fputs("</div>\n", to);
}

static base_status put_warnings(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    base_arena *arena;
    const char *const *lines;
    int count = 0;
    BASE_TRY(base_arena_create(&arena, "report"));
    base_status status = report_words_warnings(sweep, a, arena, &lines, &count);
    if (count)
        fputs("<aside><h2>Read with care</h2><ul>\n", to);
    for (int i = 0; i < count; i++) {
        fputs("<li>", to);
        report_html_escape(to, lines[i]);
        fputs("</li>\n", to);
    }
    if (count)
        fputs("</ul></aside>\n", to);
    base_arena_destroy(&arena);
    return status;
}

/* ---- pictures ---- */

/* An SVG image within the page. Its ids are made its own, since each picture calls its points and patterns alike. */
static void put_svg(FILE *to, const char *svg, const char *name)
{
    static const char *const before_id[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#", "url('#"};
    svg = strstr(svg, "<svg");
    fputs("<svg role=\"img\"", to);
    for (svg += strlen("<svg"); *svg; svg++) {
        fputc(*svg, to);
        for (size_t i = 0; i < sizeof before_id / sizeof *before_id; i++) {
            size_t n = strlen(before_id[i]);
            if (strncmp(svg, before_id[i], n) != 0)
                continue;
            fprintf(to, "%s%s-", before_id[i] + 1, name);
            svg += n - 1;
            break;
        }
    }
}

static void put_picture(FILE *to, const report_html_parts *parts, report_plot plot)
{
    if (*parts->no_pictures)
        return;
    fputs("<figure>", to);
    put_svg(to, parts->svg[plot], report_plot_name(plot));
    fputs("<figcaption>", to);
    report_html_escape(to, report_plot_caption(plot));
    fputs("</figcaption></figure>\n", to);
}

static void put_pictures(FILE *to, const report_html_parts *parts)
{
    if (*parts->no_pictures) {
        fputs("<aside><h2>No pictures</h2><p>This report was made without pictures: ", to);
        report_html_escape(to, parts->no_pictures);
        fputs(". <code>ddpt report</code> with this folder makes it again.</p></aside>\n", to);
        return;
    }
    fputs("<div class=\"pictures\">\n", to);
    put_picture(to, parts, REPORT_SPEEDUP);
    put_picture(to, parts, REPORT_EFFICIENCY);
    fputs("</div>\n", to);
}

/* ---- why ---- */

/* Causes below this share of a step are not worth a paragraph. */
static const double cause_least = 5e-4;

/* `advised`: what was told last. */
static void put_cause(FILE *to, const scaling_cause *cause, double largest, const char **advised)
{
    const char *advice = report_words_part_advice(cause->part);
    char text[REPORT_WORDS_BYTES];
    fputs("<li><h3>", to);
    report_html_printf(to, "%s: %s", report_words_part(cause->part),
                       report_words_number(cause->fraction, REPORT_PERCENT, text));
    fprintf(to, "</h3><div class=\"bar\"><i style=\"width:%.0f%%\"></i></div><p>",
            fmin(100.0, 100.0 * cause->fraction / largest));
    report_html_escape(to, report_words_part_meaning(cause->part));
    if (cause->rank >= 0) {
        fputs(" <b>", to);
        put_rank(to, cause);
        fputs("</b>: look at what is special about its place (host, cores, other programs there).", to);
    }
    fputs("</p><p><b>What helps:</b> ", to);
    report_html_escape(to, advice == *advised ? "the same as above." : advice);
    *advised = advice;
    fputs("</p></li>\n", to);
}

static void put_gains(FILE *to, const scaling_analysis *a)
{
    char text[REPORT_WORDS_BYTES];
    int count = 0;
    for (int i = 0; i < a->cause_count; i++) {
        if (a->causes[i].fraction > -cause_least)
            continue;
        fputs(count++ ? ", " : "<p>Got shorter by more than in proportion, which counts against the others: ", to);
        report_html_printf(to, "%s (%s)", report_words_part(a->causes[i].part),
                           report_words_number(a->causes[i].fraction, REPORT_PERCENT, text));
    }
    if (count)
        fputs(". A smaller share of the batch may fit into faster memory.</p>\n", to);
}

/* Ranks that are slow in a part that is no cause of its own. */
static void put_ranks(FILE *to, const scaling_analysis *a)
{
    for (int i = 0; i < a->cause_count; i++) {
        if (a->causes[i].rank < 0 || a->causes[i].fraction >= cause_least)
            continue;
        fputs("<p>Besides, <b>", to);
        put_rank(to, &a->causes[i]);
        fputs("</b>, which is no cause by itself.</p>\n", to);
    }
}

static void put_cause_list(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    fputs("<p>", to);
    if (report_words_only_slower(sweep, a))
        fputs("More workers make it slower. Of the time that does not get shorter with more workers, in per cent, by "
              "cause:",
              to);
    else if (sweep->mode == SCALING_WEAK)
        fputs("With more workers a step takes longer, although each has as much to do as before. Per added worker, in "
              "per cent of a step on one worker, and by cause:",
              to);
    else
        fputs("This share of a step on one worker does not get shorter when more workers share the work, as far as the "
              "measurement goes. By cause, in per cent of a step on one worker:",
              to);
    fputs("</p>\n<ol class=\"causes\">\n", to);
    const char *advised = NULL;
    for (int i = 0; i < a->cause_count; i++)
        if (a->causes[i].fraction >= cause_least)
            put_cause(to, &a->causes[i], a->causes[0].fraction, &advised);
    fputs("</ol>\n", to);
    put_ranks(to, a);
    put_gains(to, a);
}

static void put_causes(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a, const report_html_parts *parts)
{
    fputs("<section><h2>Why</h2>\n<p>", to);
    if (a->causes_law.ok) {
        fputs("<b>", to);
        put_words(to, sweep, a, report_words_causes);
        fputs("</b>", to);
    } else {
        report_html_printf(to, "The causes cannot be told apart: %s.", a->causes_law.reason);
    }
    fputs("</p>\n", to);
    put_picture(to, parts, REPORT_PHASES);
    if (a->causes_law.ok)
        put_cause_list(to, sweep, a);
    fputs("</section>\n", to);
}

/* ---- what if ---- */

static void put_prediction(FILE *to, const scaling_prediction *one)
{
    char step[REPORT_WORDS_BYTES], speedup[REPORT_WORDS_BYTES], efficiency[REPORT_WORDS_BYTES],
        interval[REPORT_WORDS_BYTES];
    fprintf(to, "<tr><td>%d</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", one->workers,
            report_words_number(1e3 * one->step_s.value, REPORT_NUMBER, step),
            report_words_number(one->efficiency.value * one->workers, REPORT_NUMBER, speedup),
            report_words_number(one->efficiency.value, REPORT_PERCENT, efficiency),
            report_words_interval(one->efficiency, REPORT_PERCENT, interval));
}

static void put_what_if(FILE *to, const scaling_analysis *a)
{
    char target[REPORT_WORDS_BYTES], interval[REPORT_WORDS_BYTES];
    report_words_number(a->target_efficiency, REPORT_PERCENT, target);
    report_words_worth(a, interval);
    fputs("<section><h2>What if there were more workers?</h2>\n<p>", to);
    if (!a->worth_law.ok)
        report_html_printf(to, "How many workers are worth it cannot be said: %s.", a->worth_law.reason);
    else
        report_html_printf(to, "Worth it up to %d worker%s%s%s%s, if at least %s of each worker is to be put to use.",
                           a->worth_workers, a->worth_workers == 1 ? "" : "s", *interval ? " (" : "", interval,
                           *interval ? ")" : "", target);
    fputs("</p>\n", to);
    if (!a->prediction_law.ok) {
        fputs("<p>More than was measured cannot be predicted: ", to);
        report_html_printf(to, "%s.", a->prediction_law.reason);
        fputs("</p></section>\n", to);
        return;
    }
    fputs("<div class=\"scroll\"><table><thead><tr><th>workers</th><th>step, ms</th><th>speedup</th>"
          "<th>efficiency</th><th>95 % interval</th></tr></thead><tbody>\n",
          to);
    for (int i = 0; i < a->prediction_count; i++)
        put_prediction(to, &a->prediction[i]);
    fputs("</tbody></table></div>\n<p class=\"fine\">Expected, not measured: from how each phase changed with the "
          "number of "
          "workers, and how long all-reduces took.</p></section>\n",
          to);
}

/* ---- the page ---- */

static void put_head(FILE *to, const scaling_sweep *sweep)
{
    const char *date = json_string_value(json_object_get(sweep->environment, "date"));
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"generator\" content=\"ddpt\">\n<title>",
          to);
    report_html_printf(to, "Scaling of %s", sweep->name);
    fprintf(to, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<header><p>ddpt scaling report: ",
            report_html_style);
    report_html_printf(to, "%s scaling%s%s", sweep->mode == SCALING_WEAK ? "weak" : "strong", date ? ", " : "",
                       date ? date : "");
    fputs("</p>\n<h1>How far does ", to);
    report_html_escape(to, sweep->name);
    fputs(" scale?</h1></header>\n", to);
}

static void put_sources(FILE *to, const scaling_sweep *sweep, const char *csv)
{
    fputs("<section><h2>Data</h2>\n<details><summary>The points as CSV</summary><pre>", to);
    report_html_escape(to, csv);
    fputs("</pre></details>\n", to);
    char *config = sweep->config ? json_dumps(sweep->config, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    if (config) {
        fputs("<details><summary>The configuration, with every default</summary><pre>", to);
        report_html_escape(to, config);
        fputs("</pre></details>\n", to);
    }
    free(config);
    fputs("<p class=\"fine\">Beside this page lie scaling.json (all trials and figures), scaling.csv and the pictures; "
          "<code>ddpt report</code> in this folder makes the page again.</p></section>\n",
          to);
}

base_status report_html_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis,
                              const report_html_parts *parts)
{
    put_head(to, sweep);
    fputs("<section class=\"verdict\"><p>", to);
    put_words(to, sweep, analysis, report_words_verdict);
    fputs("</p>\n", to);
    put_tiles(to, sweep, analysis);
    fputs("</section>\n", to);
    BASE_TRY(put_warnings(to, sweep, analysis));
    put_pictures(to, parts);
    report_html_points(to, sweep, analysis);
    put_causes(to, sweep, analysis, parts);
    put_what_if(to, analysis);
    report_html_laws(to, sweep, analysis);
    report_html_method(to, sweep);
    report_html_definitions(to, sweep);
    put_sources(to, sweep, parts->csv);
    fputs("</main>\n</body>\n</html>\n", to);
    return BASE_OK;
}
