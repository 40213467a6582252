#include "report_csv.h"

#include <inttypes.h>
#include <math.h>

/* A field, with the comma before it. */
static void field(FILE *to, double value)
{
    fputc(',', to);
    if (isfinite(value))
        fprintf(to, "%.9g", value);
}

static void fields(FILE *to, scaling_value value, double unit)
{
    field(to, value.value * unit);
    field(to, value.low * unit);
    field(to, value.high * unit);
}

/* Of a number that counts something. */
static void count_field(FILE *to, int known, int count)
{
    field(to, known ? (double)count : (double)NAN);
}

static void print_header(FILE *to)
{
    fputs("mode,workers,nodes,threads,cores,batch,trials,steps,step_ms,step_ms_low,step_ms_high,samples_per_second,"
          "speedup,speedup_low,speedup_high,efficiency,efficiency_low,efficiency_high,karp_flatt",
          to);
    for (int i = 0; i < SCALING_PART_COUNT; i++)
        fprintf(to, ",%s_ms", scaling_part_name((scaling_part)i));
    fputs(",slowest_rank,shares_cores,fitted\n", to);
}

static void print_point(FILE *to, const scaling_sweep *sweep, const scaling_point *p)
{
    const scaling_trial *first = NULL;
    int64_t steps = 0;
    for (int i = 0; i < sweep->count; i++) {
        if (sweep->trials[i].workers != p->workers)
            continue;
        first = first ? first : &sweep->trials[i];
        steps += sweep->trials[i].steps;
    }
    fprintf(to, "%s,%d", sweep->mode == SCALING_WEAK ? "weak" : "strong", p->workers);
    count_field(to, first != NULL, first ? first->nodes : 0);
    count_field(to, first != NULL, first ? first->threads : 0);
    count_field(to, first && first->cores > 0, first ? first->cores : 0);
    fprintf(to, ",%" PRId64 ",%d,%" PRId64, p->batch, p->trials, steps);
    fields(to, p->step_s, 1e3);
    field(to, p->samples_per_second);
    fields(to, p->speedup, 1.0);
    fields(to, p->efficiency, 1.0);
    field(to, p->karp_flatt);
    for (int i = 0; i < SCALING_PART_COUNT; i++)
        field(to, 1e3 * p->parts_s[i]);
    count_field(to, p->slowest >= 0, p->slowest);
    fprintf(to, ",%d,%d\n", p->shares_cores != 0, p->fitted != 0);
}

void report_csv_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis)
{
    print_header(to);
    for (int i = 0; i < analysis->point_count; i++)
        print_point(to, sweep, &analysis->points[i]);
}
