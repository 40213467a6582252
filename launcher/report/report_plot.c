#include "report_plot.h"

#include "report_words.h"

#include <math.h>

static const char blue[] = "#0072B2", vermilion[] = "#D55E00", green[] = "#009E73", purple[] = "#CC79A7",
                  grey[] = "#767676";

/* The range of an axis. */
typedef struct axis {
    double low, high;
    int log;
} axis;

/* Beyond this ratio of the largest to the smallest number of workers an axis is logarithmic. */
enum { SPEEDUP_LINEAR_MAX = 16, EFFICIENCY_LINEAR_MAX = 6 };

const char *report_plot_name(report_plot plot)
{
    static const char *const names[REPORT_PLOT_COUNT] = {"speedup", "efficiency", "phases"};
    return names[plot];
}

const char *report_plot_caption(report_plot plot)
{
    static const char *const captions[REPORT_PLOT_COUNT] = {
        "How many times as much gets done as by one worker in the same time. Grey: the ideal, n times by n workers.",
        "Speedup divided by the number of workers: how much of each worker is put to use.",
        "What a step consists of, for the worker that the others wait for; reduce is communication that computation "
        "does not hide. Above each bar: the length of a step in ms."};
    return captions[plot];
}

/* ---- axes ---- */

static double at(const axis *a, double value)
{
    return a->log ? log(value / a->low) / log(a->high / a->low) : (value - a->low) / (a->high - a->low);
}

/* A tick at each number of workers, as far as there is room for its text. */
static void write_tick(FILE *to, const axis *x, int workers, double *last, int *count)
{
    double room = workers < 1000 ? 0.05 : 0.075;
    if (*last >= 0.0 && at(x, workers) - *last < room)
        return;
    fprintf(to, "%s\"%d\" %d", (*count)++ ? ", " : "", workers, workers);
    *last = at(x, workers);
}

static void write_ticks(FILE *to, const axis *x, const scaling_analysis *a, int with_prediction)
{
    double last = -1.0;
    int count = 0;
    fputs("set xtics (", to);
    for (int i = 0; i < a->point_count; i++)
        write_tick(to, x, a->points[i].workers, &last, &count);
    for (int i = 0; with_prediction && i < a->prediction_count; i++)
        if (a->prediction[i].workers > a->points[a->point_count - 1].workers)
            write_tick(to, x, a->prediction[i].workers, &last, &count);
    fputs(")\n", to);
}

static axis workers_axis(const scaling_analysis *a, double most, int linear_max)
{
    double least = a->points[0].workers;
    if (most > linear_max * least)
        return (axis){least / pow(most / least, 0.04), most * pow(most / least, 0.04), 1};
    double margin = most > least ? 0.06 * (most - least) : 0.6;
    return (axis){least > 1.0 || least == most ? least - margin : 0.0, most + margin, 0};
}

static void write_axis(FILE *to, char name, const axis *a)
{
    fprintf(to, "set %crange [%.9g:%.9g]\n", name, a->low, a->high);
    if (a->log)
        fprintf(to, "set logscale %c 2\n", name);
}

static void write_start(FILE *to, const char *name, const char *xlabel, const char *ylabel)
{
    fprintf(
        to,
        "set terminal svg size 640,440 fixed noenhanced font 'Arial,16' linewidth 1.5 background '#ffffff' name "
        "'%s'\n"
        "set encoding utf8\nset samples 400\nset border 3 lc rgb '#444444' lw 0.7\nset tics nomirror out scale 0.6\n"
        "set grid lc rgb '#dddddd' lw 0.5 lt 1\nset xtics offset 0,0.3\nset xlabel '%s' offset 0,0.7\n"
        "set ylabel '%s' offset 0.8,0\nset bmargin 3.2\nset rmargin 2\n"
        /* Outside: no curve can run through it. */
        "set key above left horizontal Left reverse samplen 2 maxrows 2\n",
        name, xlabel, ylabel);
}

/* ---- points ---- */

static double or_value(double bound, double value)
{
    return isfinite(bound) ? bound : value;
}

static scaling_value scaled(scaling_value value, double unit)
{
    return (scaling_value){value.value * unit, or_value(value.low, value.value) * unit,
                           or_value(value.high, value.value) * unit};
}

static void write_point(FILE *to, int workers, scaling_value value)
{
    fprintf(to, "%d %.9g %.9g %.9g\n", workers, value.value, value.low, value.high);
}

/* Data blocks $counted and $shared; *counted and *shared points in them. `unit` 0: the speedup, else the efficiency
 * times it. */
static void write_points(FILE *to, const scaling_analysis *a, double unit, int *counted, int *shared)
{
    *counted = *shared = 0;
    for (int fitted = 1; fitted >= 0; fitted--) {
        fprintf(to, "$%s << EOD\n", fitted ? "counted" : "shared");
        for (int i = 0; i < a->point_count; i++) {
            const scaling_point *p = &a->points[i];
            if (!!p->fitted != fitted || isnan(p->speedup.value))
                continue;
            write_point(to, p->workers, unit > 0.0 ? scaled(p->efficiency, unit) : scaled(p->speedup, 1.0));
            ++*(fitted ? counted : shared);
        }
        fputs("EOD\n", to);
    }
}

static void plot_points(FILE *to, int counted, int shared)
{
    if (counted)
        fprintf(to, ", $counted using 1:2:3:4 with yerrorbars pt 7 ps 0.9 lc rgb '%s' title 'measured'", blue);
    if (shared)
        fprintf(to, ", $shared using 1:2:3:4 with yerrorbars pt 6 ps 0.9 lc rgb '%s' title 'shared cores'", vermilion);
}

/* ---- curves ---- */

/* What turns the speedup that a law gives into the speedup over T(1) as measured, by which the points are divided. */
static double over_measured(const scaling_sweep *sweep, const scaling_analysis *a, double t1_s)
{
    const scaling_point *first = &a->points[0];
    double over_first = sweep->mode == SCALING_WEAK ? first->efficiency.value : first->speedup.value;
    double factor = over_first * first->step_s.value / t1_s;
    return isfinite(factor) && factor > 0.0 ? factor : 1.0;
}

/* Below one worker there is nothing. Functions law(x) for the fitted law, lowest(x) and highest(x) for its interval.
 * Returns its name, NULL: there is none.
 */
static const char *write_law(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    const char *names[3] = {"law", "lowest", "highest"};
    if (sweep->mode == SCALING_WEAK && a->gustafson.law.ok) {
        scaling_value s = scaled(a->gustafson.serial_fraction, 1.0);
        double values[3] = {s.value, s.high, s.low};
        for (int i = 0; i < 3; i++)
            fprintf(to, "%s(x) = x < 1 ? NaN : x - %.12g*(x - 1)\n", names[i], values[i]);
        return "Gustafson's law";
    }
    if (sweep->mode == SCALING_STRONG && a->amdahl.law.ok) {
        scaling_value p = scaled(a->amdahl.parallel_fraction, 1.0);
        double values[3] = {p.value, p.low, p.high};
        for (int i = 0; i < 3; i++)
            fprintf(to, "%s(x) = x < 1 ? NaN : %.12g/((1 - %.12g) + %.12g/x)\n", names[i],
                    over_measured(sweep, a, a->amdahl.t1_s), values[i], values[i]);
        return "Amdahl's law";
    }
    return NULL;
}

/* As far as there are points: beyond, its third coefficient makes anything of a little noise. */
static int write_usl(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    if (a->usl.law.ok)
        fprintf(to, "usl(x) = x < 1 || x > %d ? NaN : %.12g*x/(1 + %.12g*(x - 1) + %.12g*x*(x - 1))\n",
                a->points[a->point_count - 1].workers, over_measured(sweep, a, a->usl.t1_s), a->usl.contention.value,
                a->usl.coherency.value);
    return a->usl.law.ok;
}

/* `form` makes of the name of a function what is drawn of it: "%s(x)", "100*%s(x)/x". */
static void plot_curves(FILE *to, const char *law, int usl, const char *form)
{
    char curve[64], low[64], high[64];
    snprintf(curve, sizeof curve, form, "law");
    snprintf(low, sizeof low, form, "lowest");
    snprintf(high, sizeof high, form, "highest");
    if (law)
        fprintf(
            to,
            ", '+' using 1:(x = $1, %s):(%s) with filledcurves fs transparent solid 0.18 noborder lc rgb '%s' notitle, "
            "%s lw 1.6 lc rgb '%s' title \"%s\"",
            low, high, green, curve, green, law);
    snprintf(curve, sizeof curve, form, "usl");
    if (usl)
        fprintf(to, ", %s lw 1.3 dt (9,5) lc rgb '%s' title 'USL'", curve, purple);
}

/* ---- pictures ---- */

static double largest_speedup(const scaling_analysis *a)
{
    double most = 0.0;
    for (int i = 0; i < a->point_count; i++)
        most = fmax(most, scaled(a->points[i].speedup, 1.0).high);
    return most;
}

static double least_speedup(const scaling_analysis *a)
{
    double least = INFINITY;
    for (int i = 0; i < a->point_count; i++)
        least = fmin(least, scaled(a->points[i].speedup, 1.0).low);
    return isfinite(least) ? fmax(least, 1e-6) : 1.0;
}

static void write_speedup(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    double most_workers = a->points[a->point_count - 1].workers, most = largest_speedup(a);
    axis x = workers_axis(a, most_workers, SPEEDUP_LINEAR_MAX);
    /* The ideal line leaves the picture where it would squeeze the points to the bottom. */
    axis y = {0.0, fmin(fmax(x.high, 1.08 * most), 2.5 * fmax(most, 1.0)), 0};
    if (x.log)
        y = (axis){0.8 * least_speedup(a), fmax(x.high, 1.2 * most), 1};
    int counted, shared;
    write_start(to, report_plot_name(REPORT_SPEEDUP), "workers",
                sweep->mode == SCALING_WEAK ? "scaled speedup" : "speedup");
    write_axis(to, 'x', &x);
    write_axis(to, 'y', &y);
    write_ticks(to, &x, a, 0);
    write_points(to, a, 0.0, &counted, &shared);
    const char *law = write_law(to, sweep, a);
    int usl = write_usl(to, sweep, a);
    fprintf(to, "plot x lw 1.2 dt (4,4) lc rgb '%s' title 'ideal'", grey);
    plot_curves(to, law, usl, "%s(x)");
    plot_points(to, counted, shared);
    fputc('\n', to);
}

static int write_prediction(FILE *to, const scaling_analysis *a)
{
    int count = a->prediction_law.ok ? a->prediction_count : 0;
    fputs("$expected << EOD\n", to);
    for (int i = 0; i < count; i++)
        write_point(to, a->prediction[i].workers, scaled(a->prediction[i].efficiency, 100.0));
    fputs("EOD\n", to);
    return count;
}

static void write_efficiency(FILE *to, const scaling_sweep *sweep, const scaling_analysis *a)
{
    double most_workers = a->points[a->point_count - 1].workers, most = 1.0;
    for (int i = 0; i < a->prediction_count && a->prediction_law.ok; i++) {
        most_workers = fmax(most_workers, a->prediction[i].workers);
        most = fmax(most, scaled(a->prediction[i].efficiency, 1.0).high);
    }
    for (int i = 0; i < a->point_count; i++)
        most = fmax(most, scaled(a->points[i].efficiency, 1.0).high);
    axis x = workers_axis(a, most_workers, EFFICIENCY_LINEAR_MAX), y = {0.0, 108.0 * most, 0};
    int counted, shared;
    write_start(to, report_plot_name(REPORT_EFFICIENCY), "workers", "efficiency (%)");
    write_axis(to, 'x', &x);
    write_axis(to, 'y', &y);
    write_ticks(to, &x, a, 1);
    write_points(to, a, 100.0, &counted, &shared);
    int predicted = write_prediction(to, a);
    const char *law = write_law(to, sweep, a);
    int usl = write_usl(to, sweep, a);
    fprintf(to, "plot 100 lw 1.2 dt (4,4) lc rgb '%s' title 'ideal'", grey);
    fprintf(to, ", %.9g lw 1.2 dt (1.5,3) lc rgb '%s' title 'target %.3g %%'", 100.0 * a->target_efficiency, vermilion,
            100.0 * a->target_efficiency);
    plot_curves(to, law, usl, "100*%s(x)/x");
    plot_points(to, counted, shared);
    if (predicted)
        fprintf(to, ", $expected using 1:2:3:4 with yerrorbars pt 12 ps 1.1 lc rgb '%s' title 'expected'", blue);
    fputc('\n', to);
}

/* In the order in which they are stacked: computation below, what parallel work adds above. */
static const struct {
    scaling_part part;
    const char *colour;
} stack[SCALING_PART_COUNT] = {
    {SCALING_FORWARD, "#0072B2"}, {SCALING_BACKWARD, "#56B4E9"}, {SCALING_UPDATE, "#009E73"},
    {SCALING_DATA, "#F0E442"},    {SCALING_OTHER, "#999999"},    {SCALING_IMBALANCE, "#E69F00"},
    {SCALING_REDUCE, "#D55E00"},
};

static void write_phase_rows(FILE *to, const scaling_analysis *a)
{
    fputs("$parts << EOD\n", to);
    for (int i = 0; i < a->point_count; i++) {
        const scaling_point *p = &a->points[i];
        char step[REPORT_WORDS_BYTES];
        double sum = 0.0;
        for (int k = 0; k < SCALING_PART_COUNT; k++)
            sum += fmax(p->parts_s[k], 0.0);
        fprintf(to, "%d%s %s", p->workers, p->fitted ? "" : "*",
                report_words_number(1e3 * p->step_s.value, REPORT_NUMBER, step));
        for (int k = 0; k < SCALING_PART_COUNT; k++)
            fprintf(to, " %.6g", sum > 0.0 ? 100.0 * fmax(p->parts_s[stack[k].part], 0.0) / sum : 0.0);
        fputc('\n', to);
    }
    fputs("EOD\n", to);
}

static void write_phases(FILE *to, const scaling_analysis *a)
{
    int shared = 0, many = a->point_count > 9;
    for (int i = 0; i < a->point_count; i++)
        shared |= !a->points[i].fitted;
    write_start(to, report_plot_name(REPORT_PHASES), shared ? "workers (* they share cores)" : "workers",
                "share of a step (%)");
    write_phase_rows(to, a);
    fprintf(to,
            "set xrange [-0.7:%.9g]\nset yrange [0:%d]\nset ytics 0,20,100\nset style data histograms\n"
            "set style histogram rowstacked\nset style fill solid noborder\nset boxwidth 0.72 relative\n"
            "set key samplen 1 width -1\nunset grid\nset grid ytics\nset xtics %s\n",
            a->point_count - 0.3, many ? 122 : 109, many ? "rotate by 90 right font ',13'" : "");
    fputs("plot ", to);
    for (int k = 0; k < SCALING_PART_COUNT; k++)
        fprintf(to, "%s$parts using %d%s lc rgb '%s' title '%s'", k ? ", " : "", k + 3, k ? "" : ":xticlabels(1)",
                stack[k].colour, scaling_part_name(stack[k].part));
    fprintf(to, ", $parts using 0:(%d):(stringcolumn(2).'%s') with labels font ',13' %s notitle\n", many ? 102 : 104,
            a->point_count <= 8 ? " ms" : "", many ? "rotate by 90 left" : "");
}

void report_plot_script(FILE *to, report_plot plot, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    switch (plot) {
    case REPORT_SPEEDUP: write_speedup(to, sweep, analysis); break;
    case REPORT_EFFICIENCY: write_efficiency(to, sweep, analysis); break;
    default: write_phases(to, analysis); break;
    }
}
